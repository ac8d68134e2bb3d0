import { expect, test } from "bun:test";
import { checkId } from "../../src/container/id.ts";
import { KontenaError } from "../../src/error.ts";

test.each(["a", "A-b_c+d.e", "0", "...", ".hidden", "-", "x".repeat(250)])("%j is an id", (id) => {
  expect(() => checkId(id)).not.toThrow();
});

test.each([
  "",
  ".",
  "..",
  "a/b",
  "/",
  "a b",
  "a\n",
  "\na",
  "ä",
  "a\0",
  "@plans",
  "a:b",
  "*",
  "x".repeat(251),
])("%j is none, and the error quotes it on one line", (id) => {
  let error: unknown;
  try {
    checkId(id);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(KontenaError);
  expect(error).toMatchObject({ code: "ID_INVALID" });
  expect((error as KontenaError).message).toContain(JSON.stringify(id));
  expect((error as KontenaError).message).not.toContain("\n");
});
