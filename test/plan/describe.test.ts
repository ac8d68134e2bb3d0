import { describe, expect, test } from "bun:test";
import { buffer, type Call, cell, struct, words } from "../../src/init/step.ts";
import { O } from "../../src/kernel/consts/fcntl.ts";
import { MOUNT_ATTR, MOUNT_ATTR__ATIME } from "../../src/kernel/consts/mount.ts";
import { makedev } from "../../src/kernel/consts/stat.ts";
import {
  describeCall,
  describeOutcomes,
  describe as describePhases,
  flagNames,
  toText,
} from "../../src/plan/describe.ts";

const call = (name: Call["call"], args: Call["args"], more: Partial<Call> = {}): Call => ({
  call: name,
  args,
  why: "a test",
  ...more,
});

describe("flags:", () => {
  test("each bit by its name, what has none in hexadecimal", () => {
    expect(flagNames(0, { A: 1 })).toBe("0");
    expect(flagNames(3, { A: 1, B: 2 })).toBe("A|B");
    expect(flagNames(0x13, { A: 1 }, { B: 2 })).toBe("A|B|0x10");
    expect(flagNames(0x80000000, { TOP: 0x80000000 })).toBe("TOP");
    expect(flagNames(-1 >>> 0, {})).toBe("0xffffffff");
  });

  test("a name of zero is no flag", () => {
    expect(flagNames(1, { NONE: 0, A: 1 })).toBe("A");
  });
});

test.each([
  [call("sethostname", ['a\n"b', 4]), 'sethostname("a\\n\\"b", 4)'],
  [call("fchdir", [cell("root")]), "fchdir(<root>)"],
  [call("fsopen", ["tmpfs", 1], { save: "x" }), 'fsopen("tmpfs", FSOPEN_CLOEXEC) → <x>'],
  [call("getcwd", [buffer("b", 10), 10]), "getcwd(&<b>, 10)"],
  [
    call("execve", [buffer("p", 1), { strings: ["a", "b c"] }, { strings: [] }]),
    'execve(&<p>, ["a", "b c"], [])',
  ],
  [call("mkdirat", [-100, "a", 0o755]), 'mkdirat(AT_FDCWD, "a", 0755)'],
  [call("prctl", [24, 21, 0, 0, 0]), "prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0)"],
  [call("prctl", [47, 2, 5, 0, 0]), "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0)"],
  [call("prctl", [4, 0, 0, 0, 0]), "prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)"],
  [call("close_range", [3, 0xffffffff, 4]), "close_range(3, ~0, CLOSE_RANGE_CLOEXEC)"],
  [
    call("prlimit64", [0, 7, struct("rlimit64", { rlim_cur: 1n, rlim_max: 2n ** 64n - 1n }), 0]),
    "prlimit64(0, RLIMIT_NOFILE, {rlim_cur=1, rlim_max=RLIM_INFINITY}, 0)",
  ],
  [call("setgroups", [2, struct("gid_list", [5, 6])]), "setgroups(2, [5, 6])"],
  [
    call("sched_setattr", [
      0,
      struct("sched_attr", {
        ...{ policy: 6, flags: 1, nice: -5, priority: 0 },
        ...{ runtime: 1n, deadline: 2n, period: 3n },
      }),
      0,
    ]),
    "sched_setattr(0, {policy=SCHED_DEADLINE, flags=SCHED_FLAG_RESET_ON_FORK, nice=-5, priority=0, runtime=1, deadline=2, period=3}, 0)",
  ],
  [call("ioprio_set", [1, 0, 0x4007]), "ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_BE|7)"],
  [call("keyctl", [5, cell("k"), 0x3f1b0000]), "keyctl(KEYCTL_SETPERM, <k>, 0x3f1b0000)"],
  [call("personality", [8]), "personality(PER_LINUX32)"],
  [
    call("set_mempolicy", [0x8002, words(0x87n), 9]),
    "set_mempolicy(MPOL_BIND|MPOL_F_STATIC_NODES, {135}, 9)",
  ],
  [call("set_mempolicy", [0, 0, 0]), "set_mempolicy(MPOL_DEFAULT, 0, 0)"],
  [
    call("capset", [
      struct("cap_user_header", { version: 0x20080522, pid: 0 }),
      struct("cap_user_data", { effective: 0n, permitted: (1n << 41n) - 1n, inheritable: 1n }),
    ]),
    "capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=none, permitted=all, inheritable=CHOWN})",
  ],
  [call("openat", [-100, "/x", O.O_RDONLY | O.O_CLOEXEC]), 'openat(AT_FDCWD, "/x", O_CLOEXEC)'],
  [call("dup3", [cell("a"), cell("b"), O.O_CLOEXEC]), "dup3(<a>, <b>, O_CLOEXEC)"],
  [
    call("mknodat", [cell("d"), "null", 0o20666, makedev(1, 3)]),
    'mknodat(<d>, "null", S_IFCHR|0666, makedev(1, 3))',
  ],
  [call("umask", [0]), "umask(0)"],
  [
    call("mount_setattr", [
      cell("t"),
      "",
      0x1000,
      struct("mount_attr", { attr_set: MOUNT_ATTR.MOUNT_ATTR_NOATIME, attr_clr: MOUNT_ATTR__ATIME }),
      32,
    ]),
    'mount_setattr(<t>, "", AT_EMPTY_PATH, {attr_set=MOUNT_ATTR_NOATIME, attr_clr=MOUNT_ATTR__ATIME}, 32)',
  ],
])("%# a call as strace would write it", (described, text) => {
  expect(describeCall(described)).toBe(text);
});

test("outcomes that go on are told, failures aren't", () => {
  const outcomes = describeOutcomes(
    call("read", [], { on: { EINTR: "again", EAGAIN: "leave" }, zero: "exit", otherwise: "next" }),
  );
  expect(outcomes).toEqual([
    "EINTR: again",
    "EAGAIN: skip the rest of this part",
    "0: exit",
    "any error: go on",
  ]);
  expect(describeOutcomes(call("getpid", [], { fail: { code: "INTERNAL", message: "x" } }))).toEqual([]);
});

test("what happens on an expected error is nested below its call, blocks aren't", () => {
  const inner = call("getpid", []);
  const steps = [{ block: [call("getuid", [], { on: { EPERM: [inner] } })] }, { pause: "done", why: "p" }];
  const described = describePhases([{ phase: "x", steps }]);
  expect(described.map((d) => [d.depth, d.call])).toEqual([
    [0, "getuid()"],
    [1, "getpid()"],
    [0, "— done —"],
  ]);
});

test("the text has a heading for each phase that does something", () => {
  const text = toText("title", [
    { phase: "one", steps: [call("getuid", [], { at: "process.user.uid" })] },
    { phase: "empty", steps: [] },
    { phase: "two", steps: [call("getpid", [])] },
  ]);
  expect(text.split("\n")).toEqual([
    "title",
    "  one",
    "    getuid()",
    "        [process.user.uid] a test",
    "  two",
    "    getpid()",
    "        a test",
  ]);
});
