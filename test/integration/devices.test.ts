/** The default devices and links of /dev. */
import { expect } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, test } from "./helpers.ts";
import { rootfsTools, writable } from "./rootfs-helpers.ts";

const box = openBox("devices");
const { expectRefused } = rootfsTools(box);

const DEVICES = { null: "1:3", zero: "1:5", full: "1:7", random: "1:8", urandom: "1:9", tty: "5:0" };

test("the default devices are there, for everybody to use", () => {
  const names = Object.keys(DEVICES);
  const output = box.outputOf({ args: `cd /dev; stat -c '%n %F %t:%T %a %u:%g' ${names.join(" ")}` });
  expect(output.trim().split("\n")).toEqual(
    Object.entries(DEVICES).map(([name, number]) => `${name} character special file ${number} 666 0:0`),
  );
});

test("the default devices do what they are for", () => {
  const output = box.outputOf({
    args: "cat /dev/null; busybox head -c 3 /dev/zero | wc -c; echo x 2>&1 >/dev/full | busybox grep -o 'No space'; busybox head -c 2 /dev/urandom | wc -c",
  });
  expect(output.split("\n").map((line) => line.trim())).toEqual(["3", "No space", "2", ""]);
});

test("the links of /dev are there", () => {
  const output = box.outputOf({
    args: "cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done",
  });
  expect(output.trim().split("\n")).toEqual([
    "/proc/self/fd",
    "/proc/self/fd/0",
    "/proc/self/fd/1",
    "/proc/self/fd/2",
    "pts/ptmx",
  ]);
});

test("the modes of devices don't depend on the caller's umask", () => {
  const b = box.bundle({ args: ["stat", "-c", "%a", "/dev/null"] });
  const options = { before: ["sh", "-c", 'umask 077; exec "$0" "$@"'] };
  expect(box.kontena(["run", "--bundle", b.directory, b.id], options).stdout).toBe("666\n");
});

test("a file in the place of a default device is refused", () => {
  const b = box.bundle({
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "dev"));
      writeFileSync(join(rootfs, "dev/null"), "not a device");
    },
    patch: (config) => {
      config.mounts = config.mounts.filter((m) => !m.destination.startsWith("/dev"));
      writable(config);
    },
  });
  expectRefused(b, "/dev/null", "1:3");
});
