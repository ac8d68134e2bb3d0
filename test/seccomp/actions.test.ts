import { describe, expect, test } from "bun:test";
import type { Seccomp } from "../../spec/seccomp.ts";
import { SECCOMP_FILTER_FLAG as FLAG } from "../../src/kernel/consts/seccomp.ts";
import { actionNumber, filterFlags } from "../../src/seccomp/actions.ts";

test("actions are the kernel's numbers; data only where an action has a use for it", () => {
  expect(actionNumber("SCMP_ACT_KILL_PROCESS", 5)).toBe(0x8000_0000);
  expect(actionNumber("SCMP_ACT_KILL")).toBe(0);
  expect(actionNumber("SCMP_ACT_ERRNO", 38)).toBe(0x0005_0026);
  expect(actionNumber("SCMP_ACT_ERRNO")).toBe(0x0005_0001);
  expect(actionNumber("SCMP_ACT_TRACE", 65535)).toBe(0x7ff0_ffff);
  expect(actionNumber("SCMP_ACT_ALLOW", 3)).toBe(0x7fff_0000);
});

describe("flags", () => {
  const plain = (flags?: Seccomp["flags"]): Seccomp => ({
    defaultAction: "SCMP_ACT_ALLOW",
    ...(flags === undefined ? {} : { flags }),
  });
  const notifying = (flags?: Seccomp["flags"]): Seccomp => ({
    ...plain(flags),
    syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
  });

  test("are SPEC_ALLOW without a list, and none with an empty one", () => {
    expect(filterFlags(plain())).toBe(FLAG.SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    expect(filterFlags(plain([]))).toBe(0);
  });

  test("get a listener by a notification, and only then keep what is about it", () => {
    const wait = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] as const;
    expect(filterFlags(plain([...wait]))).toBe(0);
    expect(filterFlags(notifying([...wait]))).toBe(
      FLAG.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | FLAG.SECCOMP_FILTER_FLAG_NEW_LISTENER,
    );
  });

  test("a listener together with TSYNC wants the latter's failures as an errno", () => {
    expect(filterFlags(notifying(["SECCOMP_FILTER_FLAG_TSYNC"]))).toBe(
      FLAG.SECCOMP_FILTER_FLAG_TSYNC |
        FLAG.SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
        FLAG.SECCOMP_FILTER_FLAG_NEW_LISTENER,
    );
    expect(filterFlags(plain(["SECCOMP_FILTER_FLAG_TSYNC"]))).toBe(FLAG.SECCOMP_FILTER_FLAG_TSYNC);
  });
});
