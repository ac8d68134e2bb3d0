/** Compiled programs, run in an interpreter: what does the filter decide about which call? */
import { describe, expect } from "bun:test";
import { existsSync } from "node:fs";
import type { Seccomp, SeccompArg } from "../../spec/seccomp.ts";
import { KontenaError } from "../../src/error.ts";
import { syscallByName } from "../../src/kernel/libseccomp.ts";
import { checkLength } from "../../src/seccomp/program.ts";
import { AUDIT_ARCH, decision } from "./evaluate.ts";
import { compile, engineProfile, PROFILE, profile, test } from "./helpers.ts";

const READ = 0;
const WRITE = 1;
const MKDIR = 83;
const X32 = 0x4000_0000;

describe("actions", () => {
  test.each([
    ["SCMP_ACT_KILL", "KILL_THREAD"],
    ["SCMP_ACT_KILL_THREAD", "KILL_THREAD"],
    ["SCMP_ACT_KILL_PROCESS", "KILL_PROCESS"],
    ["SCMP_ACT_TRAP", "TRAP"],
    ["SCMP_ACT_ERRNO", "ERRNO 1"],
    ["SCMP_ACT_TRACE", "TRACE 1"],
    ["SCMP_ACT_LOG", "LOG"],
    ["SCMP_ACT_NOTIFY", "USER_NOTIF"],
  ] as const)("%s of an entry is the kernel's %s, and others get the default", (action, expected) => {
    const program = compile(profile("SCMP_ACT_ALLOW", [action, "mkdir"]));
    expect(decision(program, { nr: MKDIR })).toBe(expected);
    expect(decision(program, { nr: READ })).toBe("ALLOW");
  });

  test.each([
    ["SCMP_ACT_KILL", "KILL_THREAD"],
    ["SCMP_ACT_KILL_PROCESS", "KILL_PROCESS"],
    ["SCMP_ACT_TRAP", "TRAP"],
    ["SCMP_ACT_ERRNO", "ERRNO 1"],
    ["SCMP_ACT_TRACE", "TRACE 1"],
    ["SCMP_ACT_LOG", "LOG"],
  ] as const)("%s as the default is %s", (action, expected) => {
    const program = compile(profile(action, ["SCMP_ACT_ALLOW", "read", "openat2"]));
    expect(decision(program, { nr: MKDIR })).toBe(expected);
    expect(decision(program, { nr: READ })).toBe("ALLOW");
  });

  test("errnoRet and defaultErrnoRet are the numbers that calls get; 0 means success without the call", () => {
    const program = compile({
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 99,
      syscalls: [
        { names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 0 },
        { names: ["write"], action: "SCMP_ACT_TRACE", errnoRet: 7 },
        { names: ["openat2"], action: "SCMP_ACT_ALLOW" },
      ],
    });
    expect(decision(program, { nr: MKDIR })).toBe("ERRNO 0");
    expect(decision(program, { nr: WRITE })).toBe("TRACE 7");
    expect(decision(program, { nr: READ })).toBe("ERRNO 99");
  });

  test("an entry that says what the default says is none; one with another errno is", () => {
    const program = compile({
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [
        { names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 1 },
        { names: ["write"], action: "SCMP_ACT_ERRNO", errnoRet: 2 },
      ],
    });
    expect(decision(program, { nr: MKDIR })).toBe("ERRNO 1");
    expect(decision(program, { nr: WRITE })).toBe("ERRNO 2");
  });
});

describe("conditions on arguments", () => {
  const BIG = 0xffff_ffff_0000_0001n;
  const one = (op: SeccompArg["op"], value: number | bigint, valueTwo?: number | bigint) =>
    compile({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [
        {
          names: ["mkdir"],
          action: "SCMP_ACT_KILL",
          args: [{ index: 1, op, value, ...(valueTwo === undefined ? {} : { valueTwo }) }],
        },
      ],
    });

  test.each([
    ["SCMP_CMP_EQ", [false, true, false]],
    ["SCMP_CMP_NE", [true, false, true]],
    ["SCMP_CMP_LT", [true, false, false]],
    ["SCMP_CMP_LE", [true, true, false]],
    ["SCMP_CMP_GE", [false, true, true]],
    ["SCMP_CMP_GT", [false, false, true]],
  ] as const)("%s compares all 64 bits, unsigned", (op, expected) => {
    for (const value of [5n, BIG, 0xffff_ffffn, 1n << 63n]) {
      const program = one(op, value);
      const made = [value - 1n, value, value + 1n].map(
        (arg) => decision(program, { nr: MKDIR, args: [0, arg] }) === "KILL_THREAD",
      );
      expect(made).toEqual([...expected]);
    }
    expect(decision(one(op, 5), { nr: READ, args: [0, 5] })).toBe("ALLOW");
  });

  test("SCMP_CMP_MASKED_EQ takes `value` for the mask and `valueTwo` for what is left", () => {
    const program = one("SCMP_CMP_MASKED_EQ", 0xff00_0000_0000_00f0n, 0x0100_0000_0000_0050n);
    const made = (arg: bigint) => decision(program, { nr: MKDIR, args: [0, arg] });
    expect(made(0x0100_0000_0000_0050n)).toBe("KILL_THREAD");
    expect(made(0x01ff_ffff_ffff_ff5fn)).toBe("KILL_THREAD");
    expect(made(0x0100_0000_0000_0040n)).toBe("ALLOW");
    expect(made(0x0000_0000_0000_0050n)).toBe("ALLOW");
  });

  test("a mask without valueTwo wants no bit of it", () => {
    const program = one("SCMP_CMP_MASKED_EQ", 0x7e02_0000);
    expect(decision(program, { nr: MKDIR, args: [0, 0x11] })).toBe("KILL_THREAD");
    expect(decision(program, { nr: MKDIR, args: [0, 0x1000_0000] })).toBe("ALLOW");
  });

  const several = (...args: SeccompArg[]) =>
    compile({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_KILL", args }],
    });

  test("on several arguments must all hold", () => {
    const program = several(
      { index: 0, op: "SCMP_CMP_EQ", value: 1 },
      { index: 5, op: "SCMP_CMP_GT", value: BIG },
    );
    expect(decision(program, { nr: MKDIR, args: [1, 0, 0, 0, 0, BIG + 1n] })).toBe("KILL_THREAD");
    expect(decision(program, { nr: MKDIR, args: [1, 0, 0, 0, 0, BIG] })).toBe("ALLOW");
    expect(decision(program, { nr: MKDIR, args: [2, 0, 0, 0, 0, BIG + 1n] })).toBe("ALLOW");
  });

  test("two on the same argument are two entries, as in runc", () => {
    const program = several(
      { index: 0, op: "SCMP_CMP_EQ", value: 1 },
      { index: 0, op: "SCMP_CMP_EQ", value: 2 },
      { index: 1, op: "SCMP_CMP_EQ", value: 3 },
    );
    const made = (...args: number[]) => decision(program, { nr: MKDIR, args });
    expect([made(1, 0), made(2, 0), made(0, 3)]).toEqual(["KILL_THREAD", "KILL_THREAD", "KILL_THREAD"]);
    expect(made(3, 0)).toBe("ALLOW");
  });

  test("entries of one call add up", () => {
    const program = compile({
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [0, 8, 0xffff_ffff].map((value) => ({
        names: ["personality"],
        action: "SCMP_ACT_ALLOW" as const,
        args: [{ index: 0, op: "SCMP_CMP_EQ" as const, value }],
      })),
    });
    const made = (arg: number) => decision(program, { nr: 135, args: [arg] });
    expect([made(0), made(8), made(0xffff_ffff), made(1)]).toEqual(["ALLOW", "ALLOW", "ALLOW", "ERRNO 1"]);
  });
});

describe("architectures", () => {
  const seccomp = (...architectures: NonNullable<Seccomp["architectures"]>): Seccomp => ({
    ...profile("SCMP_ACT_ALLOW", ["SCMP_ACT_ERRNO", "mkdir"]),
    architectures,
  });
  const x86 = { nr: 39, arch: AUDIT_ARCH.x86 };

  test("that a profile doesn't name are killed, x32 among them; this machine's own is always in it", () => {
    for (const program of [compile(seccomp()), compile(seccomp("SCMP_ARCH_X86_64"))]) {
      expect(decision(program, { nr: MKDIR })).toBe("ERRNO 1");
      expect(decision(program, x86)).toBe("KILL_THREAD");
      expect(decision(program, { nr: X32 + MKDIR })).toBe("KILL_THREAD");
      expect(decision(program, { nr: MKDIR, arch: AUDIT_ARCH.aarch64 })).toBe("KILL_THREAD");
    }
  });

  test("that it names have their own numbers of the same call", () => {
    const program = compile(seccomp("SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_X86"));
    for (const made of [{ nr: MKDIR }, x86, { nr: X32 + MKDIR }])
      expect(decision(program, made)).toBe("ERRNO 1");
    expect(decision(program, { nr: MKDIR, arch: AUDIT_ARCH.x86 })).toBe("ALLOW");
  });

  test("that libseccomp doesn't know are an error that names the place", () => {
    const failure = (() => {
      try {
        return compile(seccomp("SCMP_ARCH_X86", "SCMP_ARCH_NONE" as "SCMP_ARCH_X86"));
      } catch (error) {
        return error;
      }
    })();
    expect(failure).toBeInstanceOf(KontenaError);
    expect(failure).toMatchObject({
      code: "HOST_UNSUPPORTED",
      details: { at: "linux.seccomp.architectures[1]" },
    });
  });

  test("of the other byte order are refused, since one program can't be for both", () => {
    expect(() => compile(seccomp("SCMP_ARCH_S390X"))).toThrow("can't add the architecture");
  });
});

test("unknown names are skipped, told one by one, and don't stand for a shorter name", () => {
  const told: string[] = [];
  const entries = profile("SCMP_ACT_ALLOW", [
    "SCMP_ACT_KILL",
    "no_such_call",
    "mkdir",
    "read\0x",
    "x".repeat(200),
  ]);
  const program = compile(entries, (message) => told.push(message));
  expect(decision(program, { nr: MKDIR })).toBe("KILL_THREAD");
  expect(decision(program, { nr: READ })).toBe("ALLOW");
  expect(told.map((line) => line.split(":")[0])).toEqual(
    [0, 2, 3].map((i) => `linux.seccomp.syscalls[0].names[${i}]`),
  );
});

test("a filter that the kernel has no room for is refused", () => {
  expect(checkLength(new Uint8Array(4096 * 8)).length).toBe(4096 * 8);
  expect(() => checkLength(new Uint8Array(4097 * 8))).toThrow("4097 instructions, the kernel takes 4096");
});

describe("the profile of Debian's engines", () => {
  const engineTest = existsSync(PROFILE) ? test : test.skip;

  engineTest("allows what it lists, denies what it lists with EPERM, and all else with ENOSYS", () => {
    const program = compile(engineProfile());
    const number = (name: string) => syscallByName(name) as number;
    const seen = (name: string, ...args: number[]) => decision(program, { nr: number(name), args });
    expect(["read", "execve", "openat2", "clone3"].map((name) => seen(name))).toEqual(
      Array.from({ length: 4 }, () => "ALLOW"),
    );
    expect(["sethostname", "bpf", "init_module", "chroot"].map((name) => seen(name))).toEqual(
      Array.from({ length: 4 }, () => "ERRNO 1"),
    );
    expect([seen("personality", 0), seen("personality", 1)]).toEqual(["ALLOW", "ERRNO 38"]);
    // socket(AF_NETLINK, …, NETLINK_AUDIT), which is for CAP_AUDIT_WRITE.
    expect([seen("socket", 16, 3, 9), seen("socket", 2, 1, 0)]).toEqual(["ERRNO 22", "ALLOW"]);
    expect(decision(program, { nr: 4000 })).toBe("ERRNO 38");
    expect(decision(program, { nr: 3, arch: AUDIT_ARCH.x86 })).toBe("ALLOW");
  });

  engineTest("follows the capabilities that the engine has resolved", () => {
    const program = compile(engineProfile(["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]));
    const seen = (name: string) => decision(program, { nr: syscallByName(name) as number });
    expect([seen("sethostname"), seen("chroot"), seen("init_module")]).toEqual(["ALLOW", "ALLOW", "ERRNO 1"]);
  });
});
