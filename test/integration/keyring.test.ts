/** The session keyring of a container's processes. */
import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { openBox, type TestBundle, test, testNeeding } from "./helpers.ts";

const box = openBox("keyring");

/** Keyrings that the program may see, as `perm uid name`: proc_keys(5). */
function keyringsIn(b: TestBundle, ...options: string[]): string[] {
  const { status, stdout, stderr } = box.run(b, ...options);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[7] === "keyring")
    .map((words) => `${words[4]} ${words[5]} ${(words[8] ?? "").replace(/:$/, "")}`);
}

const bundle = (userNamespace = false) =>
  box.bundle({
    args: "cat /proc/keys",
    fill: (rootfs) => {
      if (userNamespace) Bun.spawnSync(["chown", "-R", "100000:100000", rootfs]);
    },
    patch: (config) => {
      config.linux.maskedPaths = [];
      if (!userNamespace) return;
      config.linux.namespaces?.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    },
  });

const testKeys = existsSync("/proc/keys") ? test : test.skip;

testKeys("is one of the container's own, by its name", () => {
  const b = bundle();
  expect(keyringsIn(b)).toContain(`3f1b0000 0 _ses.${b.id}`);
});

testKeys("--no-new-keyring makes none", () => {
  const b = bundle();
  expect(keyringsIn(b, "--no-new-keyring").join("\n")).not.toContain(`_ses.${b.id}`);
});

testKeys("a second container of the same plan has its own", () => {
  const [one, two] = [bundle(), bundle()];
  expect(keyringsIn(one)).toContain(`3f1b0000 0 _ses.${one.id}`);
  const again = { ...two, directory: one.directory };
  expect(keyringsIn(again)).toContain(`3f1b0000 0 _ses.${two.id}`);
});

if (existsSync("/proc/keys"))
  testNeeding(
    "root",
    "busybox",
    "user namespaces",
  )("in a user namespace it belongs to its root", () => {
    const b = bundle(true);
    expect(keyringsIn(b)).toContain(`3f130008 0 _ses.${b.id}`);
  });
