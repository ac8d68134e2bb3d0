/** File systems on block devices. */
import { afterAll, expect } from "bun:test";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, type TestConfig, testWhen } from "./helpers.ts";
import { rootfsTools } from "./rootfs-helpers.ts";

const box = openBox("devmounts");
const { mountsWith, expectRefused } = rootfsTools(box);

const output = (...command: string[]) => {
  const { exitCode, stdout } = Bun.spawnSync(command);
  return exitCode === 0 ? stdout.toString().trim() : undefined;
};

/** An ext4 file system on a loop device; undefined where there is no such thing to be had. */
function makeDevice(): string | undefined {
  if (process.geteuid?.() !== 0 || !Bun.which("mkfs.ext4") || !Bun.which("losetup")) return undefined;
  const image = join(box.directory, "image");
  writeFileSync(image, "");
  truncateSync(image, 8 * 1024 * 1024);
  if (output("mkfs.ext4", "-q", image) === undefined) return undefined;
  return output("losetup", "--find", "--show", image);
}

const device = makeDevice();
afterAll(() => {
  if (device !== undefined) output("losetup", "--detach", device);
});
const test = testWhen(device !== undefined);

const disk = (...options: string[]) => ({
  patch: (config: TestConfig) => {
    config.mounts.push({ destination: "/disk", type: "ext4", source: device as string, options });
  },
});

test("a block device is mounted though the container's own device rules don't allow it", () => {
  const mounted = mountsWith(disk("noatime", "ro", "lazytime", "errors=continue"))["/disk"];
  expect(mounted).toMatchObject({ type: "ext4", options: ["ro", "noatime"] });
  expect(mounted?.superOptions).toContain("lazytime");
});

test("an option that its file system doesn't know is an error in the kernel's words", () => {
  expectRefused(
    box.bundle(disk("noatime", "errrors=x")),
    'mounts[7].options[1]: cannot mount "ext4" on /disk: invalid argument',
    "Unknown parameter 'errrors'",
  );
});

test("a device of another kind of file system is an error that says so", () => {
  const b = box.bundle({
    patch: (config) => {
      config.mounts.push({ destination: "/disk", type: "xfs", source: device as string });
    },
  });
  expectRefused(b, 'mounts[7]: cannot mount "xfs" on /disk');
});
