/** Filters that deny what init has yet to do: `start` and `run` tell the truth all the same. */
import { describe, expect } from "bun:test";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Seccomp } from "../../spec/seccomp.ts";
import { openBox, type TestConfig, test } from "./helpers.ts";
import { denying } from "./seccomp-helpers.ts";

const box = openBox("denies");

const bundleWith = (seccomp: Seccomp, more?: (config: TestConfig) => void) =>
  box.bundle({
    args: ["/bin/true"],
    patch: (config) => {
      config.linux.seccomp = seccomp;
      more?.(config);
    },
  });

describe.each(["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"] as const)(
  "%s on write and exit_group",
  (action) => {
    const seccomp = denying(action, "write", "writev", "exit_group", "exit", "pwrite64");

    test.each([true, false])(
      "an execve that fails is told, and init is gone (noNewPrivileges %p)",
      (noNewPrivileges) => {
        const bundle = bundleWith(seccomp, (config) => {
          config.process.noNewPrivileges = noNewPrivileges;
        });
        expect(box.create(bundle).status).toBe(0);
        rmSync(join(bundle.rootfs, "bin/true"));
        const { status, stderr } = box.kontena(["start", bundle.id]);
        expect(status).toBe(127);
        expect(stderr).toContain("process.args: exec /bin/true: no such file or directory");
        expect(box.state(bundle.id).status).toBe("stopped");
        // Whoever asks later is told the same.
        expect(box.kontena(["start", bundle.id])).toMatchObject({ status: 127, stderr });
      },
    );
  },
);

test("execve that the filter denies: start fails with its error, and says what may be the reason", () => {
  const bundle = bundleWith(denying("SCMP_ACT_ERRNO", "execve", "write", "exit_group"));
  expect(box.create(bundle).status).toBe(0);
  const { status, stderr } = box.kontena(["start", bundle.id]);
  expect(status).toBe(126);
  expect(stderr).toContain("exec /bin/true: operation not permitted");
  expect(stderr).toContain("the filter of linux.seccomp may deny execve");
  expect(existsSync(join(box.root, bundle.id, "exec.fifo"))).toBe(true);
});

test.each(["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] as const)(
  "execve with %s: run fails, and names the filter",
  (action) => {
    const { status, stderr } = box.run(bundleWith(denying(action, "execve")));
    expect(status).toBe(1);
    expect(stderr).toContain("linux.seccomp: the container's init ended before the program ran");
    expect(stderr).toContain("its seccomp filter killed it");
  },
);

test("without noNewPrivileges capset comes after the filter: one that denies it does no harm, one that kills is told", () => {
  const privileged = (config: TestConfig) => {
    config.process.noNewPrivileges = false;
  };
  expect(box.run(bundleWith(denying("SCMP_ACT_ERRNO", "capset"), privileged)).status).toBe(0);
  const { status, stderr } = box.run(bundleWith(denying("SCMP_ACT_KILL", "capset"), privileged));
  expect(status).toBe(1);
  expect(stderr).toContain("its seccomp filter killed it");
  // With noNewPrivileges execve is the only call left.
  const onlyExecve: Seccomp = {
    defaultAction: "SCMP_ACT_KILL",
    syscalls: [{ names: ["execve"], action: "SCMP_ACT_ALLOW" }],
  };
  const bundle = bundleWith(onlyExecve, (config) => {
    config.process.noNewPrivileges = true;
  });
  // The program itself is killed, at its first call.
  expect(box.run(bundle)).toMatchObject({ status: 159, stderr: "" });
});

test("the capabilities of the program are right when the filter denies the last capset", () => {
  const sets = (names: string[]) =>
    box.outputOf({
      args: ["tail", "-n", "+1", "/proc/self/status"],
      patch: (config) => {
        if (names.length > 0) config.linux.seccomp = denying("SCMP_ACT_ERRNO", ...names);
        config.process.noNewPrivileges = false;
        config.process.user = { uid: 1000, gid: 0 };
        const all = ["CAP_KILL", "CAP_CHOWN"];
        config.process.capabilities = {
          ...{ bounding: all, permitted: all, effective: all, inheritable: all },
          ambient: ["CAP_CHOWN"],
        };
      },
    });
  const lines = (text: string) => text.split("\n").filter((line) => line.startsWith("Cap"));
  expect(lines(sets(["capset"]))).toEqual(lines(sets([])));
});
