import { describe, expect, test } from "bun:test";
import type { User } from "../../spec/process.ts";
import { CALLERS_UMASK } from "../../src/plan/inherited.ts";
import { becomeRoot, notDumpable, setIds, setUmask, userProblems } from "../../src/plan/user.ts";
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

test("where root isn't mapped, init becomes the program's user", () => {
  const mappings = [{ containerID: 1000, hostID: 100000, size: 10 }];
  const of = (user: Partial<User>, more: object) =>
    callsIn(
      becomeRoot(
        inputOf({
          process: { cwd: "/", user: user as User },
          linux: { ...withNamespaces("user"), uidMappings: mappings, gidMappings: mappings, ...more },
        }),
      ),
    ).map(short);
  expect(of({ uid: 1001, gid: 1002 }, {}).slice(0, 2)).toEqual([
    "setresgid(1002, 1002, 1002)",
    "setresuid(1001, 1001, 1001)",
  ]);
  const all = [{ containerID: 0, hostID: 100000, size: 2000 }];
  expect(of({ uid: 1001, gid: 1002 }, { gidMappings: all }).slice(0, 2)).toEqual([
    "setresgid(0, 0, 0)",
    "setresuid(1001, 1001, 1001)",
  ]);
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

  const OWN = {
    uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
    gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
  };
  const RANGES = {
    uidMappings: [...OWN.uidMappings, { containerID: 1, hostID: 100000, size: 65536 }],
    gidMappings: [...OWN.gidMappings, { containerID: 1, hostID: 100000, size: 65536 }],
  };
  const mapped = (mappings: typeof OWN, user: Partial<User>, change: Parameters<typeof inputOf>[1] = {}) =>
    inputOf(
      { process: { cwd: "/", user: user as User }, linux: { ...withNamespaces("user"), ...mappings } },
      change,
    );

  test("setgroups is left out where the kernel has forbidden it for good", () => {
    const names = (mappings: typeof OWN, change: Parameters<typeof inputOf>[1]) =>
      callsIn(setIds(mapped(mappings, {}, change))).map((c) => c.call);
    expect(names(OWN, { host: USER_HOST })).toEqual(["setresgid", "setresuid"]);
    expect(names(RANGES, { host: USER_HOST })).toEqual(["setgroups", "setresgid", "setresuid"]);
    expect(names(OWN, {})).toEqual(["setgroups", "setresgid", "setresuid"]);
  });

  test("groups that can't be set are a problem, before anything is done", () => {
    const problems = (
      mappings: typeof OWN,
      additionalGids: number[],
      change: Parameters<typeof inputOf>[1],
    ) => userProblems(mapped(mappings, { uid: 0, gid: 0, additionalGids }, change)).map((p) => p.at);
    expect(problems(OWN, [0], { host: USER_HOST })).toEqual(["process.user.additionalGids"]);
    expect(problems(OWN, [], { host: USER_HOST })).toEqual([]);
    expect(problems(RANGES, [5], { host: USER_HOST })).toEqual([]);
    expect(problems(OWN, [0], {})).toEqual([]);
  });

  test("ids that aren't mapped are problems, each at its place", () => {
    const problems = userProblems(mapped(RANGES, { uid: 65537, gid: 7, additionalGids: [5, 70000] }));
    expect(problems.map((p) => `${p.at}: ${p.message}`)).toEqual([
      "process.user.uid: 65537 isn't mapped by linux.uidMappings",
      "process.user.additionalGids[1]: 70000 isn't mapped by linux.gidMappings",
    ]);
    // Without a process, init is all that there is; it has root's ids in create, or the mapped ones.
    expect(userProblems(inputFor({ uid: 5, gid: 5 }, {}, "mount"))).toEqual([]);
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
