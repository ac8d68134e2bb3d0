/** System calls that are newer than the profile get ENOSYS, so that programs fall back to what it knows. */
import { describe, expect } from "bun:test";
import { SCMP_ARCH_X32 } from "../../src/kernel/libseccomp.ts";
import { assemble, decide } from "../../src/seccomp/bpf.ts";
import { newerCalls } from "../../src/seccomp/newer.ts";
import { AUDIT_ARCH, decision } from "./evaluate.ts";
import { compile, profile, test } from "./helpers.ts";

const X32 = 0x4000_0000;
const [OPENAT2, PIDFD_GETFD, FACCESSAT2] = [437, 438, 439] as const;
const UNKNOWN = 1000;

/** Only the preface: what it leaves to the filter is ALLOW here. */
const preface = (...newest: Parameters<typeof newerCalls>[0]) =>
  assemble([...newerCalls(newest), decide(0x7fff_0000)]);

describe("a number above the newest of the profile", () => {
  const entries: [["SCMP_ACT_ALLOW", ...string[]]] = [["SCMP_ACT_ALLOW", "read", "openat2"]];

  test.each(["SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] as const)(
    "gets ENOSYS when the default is %s",
    (action) => {
      const program = compile(profile(action, ...entries));
      expect(decision(program, { nr: OPENAT2 })).toBe("ALLOW");
      expect(decision(program, { nr: PIDFD_GETFD })).toBe("ERRNO 38");
      expect(decision(program, { nr: UNKNOWN })).toBe("ERRNO 38");
      // Older than that, and left out: the profile doesn't want it.
      expect(decision(program, { nr: OPENAT2 - 1 })).not.toBe("ERRNO 38");
    },
  );

  test.each([
    ["SCMP_ACT_ALLOW", "ALLOW"],
    ["SCMP_ACT_LOG", "LOG"],
    ["SCMP_ACT_TRACE", "TRACE 1"],
    ["SCMP_ACT_NOTIFY", "USER_NOTIF"],
  ] as const)("gets the default when that is %s", (action, expected) => {
    const program = compile(profile(action, ["SCMP_ACT_KILL", "read", "openat2"]));
    expect(decision(program, { nr: FACCESSAT2 })).toBe(expected);
  });

  test("is left to the filter that says ENOSYS itself, without a preface", () => {
    const short = compile({ ...profile("SCMP_ACT_ERRNO", ...entries), defaultErrnoRet: 38 });
    const long = compile({ ...profile("SCMP_ACT_ERRNO", ...entries), defaultErrnoRet: 37 });
    expect(decision(short, { nr: FACCESSAT2 })).toBe("ERRNO 38");
    expect(decision(long, { nr: FACCESSAT2 })).toBe("ERRNO 38");
    expect(short.length).toBeLessThan(long.length);
  });

  test("counts names whatever their action: the newest that is denied on purpose isn't new", () => {
    const program = compile(
      profile("SCMP_ACT_ERRNO", ["SCMP_ACT_ALLOW", "read"], ["SCMP_ACT_ERRNO", "faccessat2"]),
    );
    expect(decision(program, { nr: FACCESSAT2 })).toBe("ERRNO 1");
    expect(decision(program, { nr: FACCESSAT2 + 1 })).toBe("ERRNO 38");
  });

  test("is one by architecture: each has its own numbers", () => {
    const program = compile({
      ...profile("SCMP_ACT_ERRNO", ["SCMP_ACT_ALLOW", "read", "openat"]),
      architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    });
    const [newest64, newest32] = [257, 295];
    expect(decision(program, { nr: newest64 + 1 })).toBe("ERRNO 38");
    expect(decision(program, { nr: X32 + newest64 })).toBe("ALLOW");
    expect(decision(program, { nr: X32 + newest64 + 1 })).toBe("ERRNO 38");
    const x86 = (nr: number) => decision(program, { nr, arch: AUDIT_ARCH.x86 });
    expect([x86(newest32), x86(newest64 + 1), x86(newest32 + 1)]).toEqual(["ALLOW", "ERRNO 1", "ERRNO 38"]);
    expect(decision(program, { nr: UNKNOWN, arch: AUDIT_ARCH.aarch64 })).toBe("KILL_THREAD");
  });

  test("on x32 is left to the filter that doesn't have x32: it kills such calls", () => {
    const program = compile(profile("SCMP_ACT_ERRNO", ...entries));
    expect(decision(program, { nr: X32 + UNKNOWN })).toBe("KILL_THREAD");
  });
});

describe("the preface by itself", () => {
  test("of no architecture is empty", () => {
    expect(newerCalls([])).toEqual([]);
  });

  test("takes x32 without x86-64, and leaves the other to the filter", () => {
    const program = preface({ arch: SCMP_ARCH_X32, number: X32 + 5 });
    const seen = [X32 + 5, X32 + 6, 5, 600].map((nr) => decision(program, { nr }));
    expect(seen).toEqual(["ALLOW", "ERRNO 38", "ALLOW", "ALLOW"]);
  });

  test("falls through to the filter from every branch of many architectures", () => {
    const tokens = [
      AUDIT_ARCH.x86,
      SCMP_ARCH_X32,
      AUDIT_ARCH.x86_64,
      AUDIT_ARCH.aarch64,
      0xc000_00f3,
      0xc000_0015,
    ];
    const program = preface(
      ...tokens.map((arch, i) => ({ arch, number: (arch === SCMP_ARCH_X32 ? X32 : 0) + 100 + i })),
    );
    tokens.forEach((token, i) => {
      const [arch, bit] = token === SCMP_ARCH_X32 ? [AUDIT_ARCH.x86_64, X32] : [token, 0];
      expect(decision(program, { nr: bit + 100 + i, arch })).toBe("ALLOW");
      expect(decision(program, { nr: bit + 101 + i, arch })).toBe("ERRNO 38");
    });
    expect(decision(program, { nr: 5000, arch: 0x28 })).toBe("ALLOW");
  });

  test("compares numbers unsigned: −1, which a tracer writes to skip a call, is no call of x86-64", () => {
    const program = preface({ arch: AUDIT_ARCH.x86, number: 400 });
    expect(decision(program, { nr: -1, arch: AUDIT_ARCH.x86 })).toBe("ERRNO 38");
  });
});
