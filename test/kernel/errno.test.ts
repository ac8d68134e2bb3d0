import { expect, test } from "bun:test";
import { constants } from "node:os";
import { ERRNO, type ErrnoName, errnoName, errnoText } from "../../src/kernel/errno.ts";
import { ERRNOS } from "../../src/kernel/errno-table.ts";

test("numbers are those of the running system's library", () => {
  const known = constants.errno as Record<string, number>;
  const shared = Object.keys(ERRNOS).filter((name) => known[name] !== undefined);
  expect(shared.length).toBeGreaterThan(60);
  for (const name of shared) expect<number | undefined>(ERRNOS[name as ErrnoName], name).toBe(known[name]);
});

test("a number has one name, and comes back from it", () => {
  expect(errnoName(ERRNO.ENOENT)).toBe("ENOENT");
  expect(errnoName(ERRNO.EAGAIN)).toBe("EAGAIN");
  expect(errnoName(ERRNO.EOPNOTSUPP)).toBe("EOPNOTSUPP");
  for (const number of Object.values(ERRNOS)) expect(ERRNOS[errnoName(number) as ErrnoName]).toBe(number);
  for (const [name, number] of Object.entries(ERRNO)) expect<number>(ERRNOS[name as ErrnoName]).toBe(number);
});

test("a number without a name is told as it is", () => {
  expect(errnoName(0)).toBe("errno 0");
  expect(errnoName(4095)).toBe("errno 4095");
  expect(errnoText("errno 4095")).toBe("errno 4095");
});

test("engines know these words", () => {
  expect(errnoText("ENOENT")).toBe("no such file or directory");
  expect(errnoText("EACCES")).toBe("permission denied");
  expect(errnoText("EPERM")).toBe("operation not permitted");
  expect(errnoText("ENOEXEC")).toBe("exec format error");
});
