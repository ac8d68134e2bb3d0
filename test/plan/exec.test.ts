import { describe, expect, test } from "bun:test";
import { CLONE } from "../../src/kernel/consts/sched.ts";
import { cpuMask, type ExecInput, planExec } from "../../src/plan/exec.ts";
import { callsIn, inputOf, short } from "./helpers.ts";

function input(change: Partial<ExecInput> = {}): ExecInput {
  return {
    ...inputOf({ process: { cwd: "/", args: ["true"], execCPUAffinity: { initial: "0", final: "1-2" } } }),
    ...{ namespaces: CLONE.CLONE_NEWNS, chroot: false, cgroups: [] },
    ...change,
  };
}

const textOf = (change: Partial<ExecInput> = {}) =>
  planExec(input(change), []).create.flatMap(({ steps }) => callsIn(steps).map(short));

describe("the plan of exec", () => {
  test("makes the process non-dumpable before it enters a namespace", () => {
    const calls = textOf();
    const dumpable = calls.indexOf("prctl(4, 0, 0, 0, 0)");
    expect(dumpable).toBeGreaterThanOrEqual(0);
    expect(dumpable).toBeLessThan(calls.indexOf("setns(<container>, 131072)"));
  });

  test("leaves the caller's groups before it enters a user namespace, which may forbid that later", () => {
    const flags = CLONE.CLONE_NEWUSER | CLONE.CLONE_NEWNS;
    const calls = textOf({ namespaces: flags });
    const groups = calls.indexOf("setgroups(0, 0)");
    expect(groups).toBeGreaterThanOrEqual(0);
    expect(groups).toBeLessThan(calls.indexOf(`setns(<container>, ${flags})`));
    expect(textOf().indexOf("setgroups(0, 0)")).toBeGreaterThan(
      textOf().indexOf("setns(<container>, 131072)"),
    );
  });

  test("enters the cgroups before the namespaces, from which their files can't be seen", () => {
    const calls = textOf({
      cgroups: [{ version: 1, mountpoint: "/c", options: ["cpu"], tasks: "/c/x/tasks" }],
    });
    const tasks = calls.findIndex((c) => c.startsWith('openat(-100, "/c/x/tasks"'));
    expect(tasks).toBeGreaterThanOrEqual(0);
    expect(tasks).toBeLessThan(calls.findIndex((c) => c.startsWith("setns(")));
  });

  test("has a second stage for a pid namespace, and only for that", () => {
    expect(textOf().some((c) => c.startsWith("clone3("))).toBe(false);
    const namespaces = CLONE.CLONE_NEWPID | CLONE.CLONE_NEWNS;
    expect(textOf({ namespaces }).some((c) => c.startsWith("clone3("))).toBe(true);
  });

  test("enters the root by chroot where the mount namespace doesn't tell it", () => {
    expect(textOf().some((c) => c.startsWith("chroot("))).toBe(false);
    const calls = textOf({ chroot: true });
    expect(calls.indexOf("fchdir(<root of the container>)")).toBe(calls.indexOf('chroot(".")') - 1);
  });

  test("sets the CPUs before and in the cgroup", () => {
    const at = planExec(input(), []).create.flatMap(({ phase, steps }) =>
      callsIn(steps)
        .filter(({ call }) => call === "sched_setaffinity")
        .map((call) => [phase, call.at]),
    );
    expect(at).toEqual([
      ["birth", "process.execCPUAffinity.initial"],
      ["cgroup", "process.execCPUAffinity.final"],
    ]);
  });
});

test.each([
  ["0", [1]],
  ["0-3,7", [0b10001111]],
  ["8, 10", [0, 0b101]],
  ["63", [0, 0, 0, 0, 0, 0, 0, 0x80]],
  ["64", [0, 0, 0, 0, 0, 0, 0, 0, 1]],
])("the CPUs %s are bits of a mask in whole words", (list, bytes) => {
  const mask = cpuMask(list);
  expect(mask.length % 8).toBe(0);
  expect([...mask.subarray(0, bytes.length)]).toEqual(bytes);
  expect([...mask.subarray(bytes.length)].every((byte) => byte === 0)).toBe(true);
});
