import { describe, expect, test } from "bun:test";
import type { User } from "../../spec/process.ts";
import { CALLERS_UMASK } from "../../src/plan/inherited.ts";
import { becomeRoot, notDumpable, setIds, setUmask } from "../../src/plan/user.ts";
import { callsIn, inputOf, short, structAt, USER_HOST, withNamespaces } from "./helpers.ts";

const inputFor = (
  user: Partial<User> | undefined,
  change: Parameters<typeof inputOf>[1] = {},
  ...types: string[]
) =>
  inputOf(
    {
      process: { cwd: "/", args: ["sh"], ...(user === undefined ? {} : { user: user as User }) },
      linux: withNamespaces(...types),
    },
    change,
  );

test("init becomes root of its user namespace, group first, and drops the ambient capabilities of its birth", () => {
  expect(callsIn(becomeRoot(inputFor({}, {}, "user"))).map(short)).toEqual([
    "setresgid(0, 0, 0)",
    "setresuid(0, 0, 0)",
    "prctl(47, 4, 0, 0, 0)",
  ]);
  expect(becomeRoot(inputFor({}, {}, "mount"))).toEqual([]);
});

test("init is made non-dumpable in one call", () => {
  expect(callsIn(notDumpable()).map(short)).toEqual(["prctl(4, 0, 0, 0, 0)"]);
});

describe("the program's ids:", () => {
  test("groups before gid before uid, all three of each", () => {
    const list = callsIn(setIds(inputFor({ uid: 1000, gid: 100, additionalGids: [5, 4294967294] })));
    expect(list.map(short)).toEqual([
      "setgroups(2, gid_list)",
      "setresgid(100, 100, 100)",
      "setresuid(1000, 1000, 1000)",
    ]);
    expect(structAt(list[0], 1, "gid_list")).toEqual([5, 4294967294]);
  });

  test("the caller's groups don't stay when the config has none", () => {
    expect(callsIn(setIds(inputFor(undefined))).map(short)).toEqual([
      "setgroups(0, 0)",
      "setresgid(0, 0, 0)",
      "setresuid(0, 0, 0)",
    ]);
  });

  test("setgroups is left out where the kernel has forbidden it for good, but not when groups are asked for", () => {
    const names = (additionalGids: number[], change: Parameters<typeof inputOf>[1]) =>
      callsIn(setIds(inputFor({ uid: 0, gid: 0, additionalGids }, change, "user"))).map((c) => c.call);
    expect(names([], { host: USER_HOST })).toEqual(["setresgid", "setresuid"]);
    expect(names([5], { host: USER_HOST })).toEqual(["setgroups", "setresgid", "setresuid"]);
    expect(names([], {})).toEqual(["setgroups", "setresgid", "setresuid"]);
  });

  test("a failure names the id", () => {
    const list = callsIn(setIds(inputFor({ uid: 7, gid: 8, additionalGids: [9, 10] })));
    expect(list.map((c) => [c.at, c.fail?.message])).toEqual([
      ["process.user.additionalGids", "cannot set the groups 9, 10"],
      ["process.user.gid", "cannot set gid 8"],
      ["process.user.uid", "cannot set uid 7"],
    ]);
  });
});

test("the umask is the config's, the caller's without one, and 0 is a value", () => {
  const of = (user: Partial<User> | undefined) => callsIn(setUmask(inputFor(user)))[0];
  expect(of({ umask: 0o077 })).toMatchObject({ args: [0o077], at: "process.user.umask" });
  expect(of({ umask: 0 })).toMatchObject({ args: [0], at: "process.user.umask" });
  expect(of(undefined)?.args).toEqual([{ cell: CALLERS_UMASK }]);
  expect(of({})?.at).toBeUndefined();
});
