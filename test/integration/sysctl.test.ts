/** Kernel parameters: those of the container's namespaces, set before its /proc becomes read-only, and never the host's. */
import { expect } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, type TestConfig, test, testNeeding } from "./helpers.ts";

const box = openBox("sysctl");

const SOMAXCONN = "/proc/sys/net/core/somaxconn";
const hosts = (path: string) => readFileSync(path, "utf8").trim();

function runWith(sysctl: Record<string, string>, script: string, patch?: (config: TestConfig) => void) {
  const b = box.bundle({
    args: script,
    patch: (config) => {
      config.linux.sysctl = sysctl;
      patch?.(config);
    },
  });
  const { status, stdout, stderr } = box.run(b);
  return { status, stdout, stderr };
}

test("parameters of each of the container's namespaces are set, in either form, and the host's stay", () => {
  const before = [SOMAXCONN, "/proc/sys/kernel/shm_rmid_forced", "/proc/sys/kernel/domainname"].map(hosts);
  const finished = runWith(
    {
      "net.core.somaxconn": "1234",
      "net/ipv4/ping_group_range": "0 7",
      "kernel.shm_rmid_forced": before[1] === "1" ? "0" : "1",
      "kernel.domainname": "example.org",
    },
    "cd /proc/sys; cat net/core/somaxconn net/ipv4/ping_group_range kernel/shm_rmid_forced kernel/domainname",
  );
  expect(finished).toEqual({
    status: 0,
    stdout: `1234\n0\t7\n${before[1] === "1" ? "0" : "1"}\nexample.org\n`,
    stderr: "",
  });
  expect([SOMAXCONN, "/proc/sys/kernel/shm_rmid_forced", "/proc/sys/kernel/domainname"].map(hosts)).toEqual(
    before,
  );
});

test("they are set although /proc/sys is read-only for the program", () => {
  const script = `cat ${SOMAXCONN}; echo 1 2>/dev/null >${SOMAXCONN} || echo refused`;
  const finished = runWith({ "net.core.somaxconn": "1234" }, script, (config) => {
    expect(config.linux.readonlyPaths).toContain("/proc/sys");
  });
  expect(finished).toMatchObject({ status: 0, stdout: "1234\nrefused\n" });
});

test("a /proc that isn't one gets nothing: no file of it, and no file that its links lead to (CVE-2019-16884)", () => {
  const b = box.bundle({
    args: "cat /proc/sys/net/core/somaxconn /target",
    patch: (config) => {
      config.mounts = config.mounts.filter(({ destination }) => destination !== "/proc");
      config.linux.sysctl = { "net.core.somaxconn": "1234" };
      config.linux.maskedPaths = [];
      config.linux.readonlyPaths = [];
    },
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "proc/sys/net/core"), { recursive: true });
      writeFileSync(join(rootfs, "target"), "as it was\n");
      symlinkSync("/target", join(rootfs, "proc/sys/net/core/somaxconn"));
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "as it was\nas it was\n" });
});

test("the failure of one names it, the value, and what the kernel said", () => {
  expect(runWith({ "net.nosuch.thing": "1" }, "true").stderr).toContain(
    'linux.sysctl["net.nosuch.thing"]: cannot set the kernel parameter net.nosuch.thing to "1": no such file or directory (this kernel has no such parameter',
  );
  expect(runWith({ "net.core.somaxconn": "many" }, "true").stderr).toContain(
    'linux.sysctl["net.core.somaxconn"]: cannot set the kernel parameter net.core.somaxconn to "many": invalid argument',
  );
});

test("a parameter of the host, and a name that leads to one, are refused before anything is done", () => {
  const before = hosts("/proc/sys/vm/swappiness");
  for (const name of ["vm.swappiness", "net/../vm/swappiness", "net.//.vm.swappiness"]) {
    const finished = runWith({ [name]: "1" }, "true");
    expect(finished).toMatchObject({ status: 1, stdout: "" });
    expect(finished.stderr).toContain(`linux.sysctl["${name}"]`);
  }
  expect(hosts("/proc/sys/vm/swappiness")).toBe(before);
});

test("a network namespace that is the host's after all is refused, and its parameters stay", () => {
  const before = hosts(SOMAXCONN);
  const finished = runWith({ "net.core.somaxconn": "1234" }, "true", (config) => {
    const own = config.linux.namespaces?.filter(({ type }) => type !== "network") ?? [];
    config.linux.namespaces = [...own, { type: "network", path: `/proc/${process.pid}/ns/net` }];
  });
  expect(finished).toMatchObject({ status: 1, stdout: "" });
  expect(finished.stderr).toContain('linux.sysctl["net.core.somaxconn"]');
  expect(hosts(SOMAXCONN)).toBe(before);
});

testNeeding(
  "root",
  "busybox",
  "user namespaces",
)(
  "in a user namespace they are set with its rights, and without a pid namespace through the host's procfs",
  () => {
    const script = "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/domainname";
    for (const dropped of ["none", "pid"]) {
      const b = box.bundle({
        args: script,
        fill: (rootfs) => Bun.spawnSync(["chown", "-R", "100000:100000", rootfs]),
        patch: (config) => {
          config.linux.namespaces = [
            ...(config.linux.namespaces ?? []).filter(({ type }) => type !== dropped),
            { type: "user" },
          ];
          config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
          config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
          config.linux.sysctl = { "net.core.somaxconn": "1234", "kernel.domainname": "inside" };
          config.mounts = [
            ...(dropped === "pid"
              ? [{ destination: "/proc", type: "bind", source: "/proc", options: ["rbind"] }]
              : [{ destination: "/proc", type: "proc", source: "proc" }]),
          ];
          config.linux.maskedPaths = [];
          config.linux.readonlyPaths = [];
        },
      });
      const { status, stdout, stderr } = box.run(b);
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "1234\ninside\n", stderr: "" });
    }
  },
);
