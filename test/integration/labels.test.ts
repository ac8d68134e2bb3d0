/** AppArmor and SELinux: applied where the kernel has them, told clearly where it hasn't. */
import { expect } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, readOr, type TestConfig, test, testWhen } from "./helpers.ts";

const box = openBox("labels");

const APPARMOR = readOr("/sys/module/apparmor/parameters/enabled", "").startsWith("Y");
const SELINUX = existsSync("/sys/fs/selinux/enforce");

function runWith(patch: (config: TestConfig) => void, script = "echo it ran") {
  const { status, stdout, stderr } = box.run(box.bundle({ args: script, patch }));
  return { status, stdout, stderr };
}

test("empty strings, which engines write, ask for nothing", () => {
  const finished = runWith((config) => {
    config.process.apparmorProfile = "";
    config.process.selinuxLabel = "";
    config.linux.mountLabel = "";
  });
  expect(finished).toEqual({ status: 0, stdout: "it ran\n", stderr: "" });
});

test("the profile unconfined can be had everywhere", () => {
  const finished = runWith((config) => {
    config.process.apparmorProfile = "unconfined";
  });
  expect(finished).toEqual({ status: 0, stdout: "it ran\n", stderr: "" });
});

testWhen(!APPARMOR)("a profile on a kernel without AppArmor fails create, and says so", () => {
  const finished = runWith((config) => {
    config.process.apparmorProfile = "docker-default";
  });
  expect(finished).toMatchObject({ status: 1, stdout: "" });
  expect(finished.stderr).toMatch(
    /^kontena: process\.apparmorProfile: cannot use the AppArmor profile "docker-default": .*AppArmor/,
  );
});

testWhen(APPARMOR)("a profile that isn't loaded fails create by its name", () => {
  const finished = runWith((config) => {
    config.process.apparmorProfile = "kontena-no-such-profile";
  });
  expect(finished).toMatchObject({ status: 1, stdout: "" });
  expect(finished.stderr).toContain("no profile of this name is loaded");
});

testWhen(!SELINUX)("a label on a kernel without SELinux fails create, and says so", () => {
  const finished = runWith((config) => {
    config.process.selinuxLabel = "system_u:system_r:container_t:s0";
  });
  expect(finished).toMatchObject({ status: 1, stdout: "" });
  expect(finished.stderr).toContain("process.selinuxLabel: SELinux isn't switched on here");
});

testWhen(!SELINUX)("so does a label for the mounts", () => {
  const finished = runWith((config) => {
    config.linux.mountLabel = "system_u:object_r:container_file_t:s0";
  });
  expect(finished).toMatchObject({ status: 1, stdout: "" });
  expect(finished.stderr).toContain("linux.mountLabel: SELinux isn't switched on here");
});

testWhen(!APPARMOR)(
  "exec says the same of a profile, and takes unconfined, whatever /proc of the container is",
  () => {
    const b = box.bundle({
      args: ["sleep", "100"],
      patch: (config) => {
        config.mounts = config.mounts.filter(({ destination }) => destination !== "/proc");
        config.linux.maskedPaths = [];
        config.linux.readonlyPaths = [];
      },
      fill: (rootfs) => {
        const attributes = join(rootfs, "proc/thread-self/attr/apparmor");
        mkdirSync(attributes, { recursive: true });
        writeFileSync(join(attributes, "exec"), "as it was");
      },
    });
    expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
    expect(box.kontena(["start", b.id])).toMatchObject({ status: 0, stderr: "" });
    const exec = (profile: string) => box.kontena(["exec", "--apparmor", profile, b.id, "echo", "it ran"]);
    expect(exec("unconfined")).toMatchObject({ status: 0, stdout: "it ran\n", stderr: "" });
    const refused = exec("docker-default");
    expect(refused.stdout).toBe("");
    expect(refused.stderr).toContain('cannot use the AppArmor profile "docker-default"');
    expect(readOr(join(b.rootfs, "proc/thread-self/attr/apparmor/exec"), "")).toBe("as it was");
  },
);
