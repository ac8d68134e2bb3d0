/** Whose containers there are, and which of them a regular expression means. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { forEachMatch, matchingIds, userName } from "../../src/container/list.ts";
import { openRuntime } from "../../src/container/runtime.ts";

const root = mkdtempSync(join(tmpdir(), "kontena-list-"));
afterAll(() => rmSync(root, { recursive: true }));
const warnings: string[] = [];
const runtime = openRuntime({ root, warn: (message) => warnings.push(message), debug: () => {} });
for (const name of ["web2", "web1", "db", "@plans"]) mkdirSync(join(root, name));

test("a user has the name that passwd(5) gives, or runc's form of a number", () => {
  const passwd = "root:x:0:0:root:/root:/bin/sh\n10:x:1000:0::/:\n:x:7:7::/:\n";
  expect([0, 1000, 10, 7].map((uid) => userName(uid, passwd))).toEqual(["root", "10", "#10", "#7"]);
  expect(userName(0, "")).toBe("#0");
});

test("an expression matches anywhere in a name, and never what isn't a container", () => {
  expect(matchingIds(runtime, "web")).toEqual(["web1", "web2"]);
  expect(matchingIds(runtime, "^.b$")).toEqual(["db"]);
  expect(matchingIds(runtime, ".")).toEqual(["db", "web1", "web2"]);
  expect(matchingIds(runtime, "plans")).toEqual([]);
  expect(() => matchingIds(runtime, "(")).toThrow('"(" isn\'t a regular expression');
});

test("every match has its turn; of several failures the last is thrown and the others are warnings", () => {
  const done: string[] = [];
  const action = (id: string) => {
    done.push(id);
    if (id !== "web1") throw new Error(`${id} fails`);
  };
  expect(() => forEachMatch(runtime, ".", action)).toThrow("web2 fails");
  expect(done).toEqual(["db", "web1", "web2"]);
  expect(warnings).toEqual(["db fails"]);
});
