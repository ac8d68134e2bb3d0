/** The default devices and links of /dev, and the devices of the config. */
import { expect } from "bun:test";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../../spec/devices.ts";
import { asNobody, openBox, rootless, type TestConfig, test, testNeeding } from "./helpers.ts";
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

const withDevices =
  (...devices: Device[]) =>
  (config: TestConfig) => {
    config.linux.devices = devices;
    writable(config);
  };
const STAT = "stat -c '%n %F %t:%T %a %u:%g'";
const FUSE: Device = { type: "c", path: "/dev/fuse", major: 10, minor: 229 };

test("devices of all types are where the config wants them, with its modes and owners", () => {
  const output = box.outputOf({
    args: `${STAT} /dev/fuse /dev/loop7 /srv/a/b/fifo /dev/net/tun /unbuffered`,
    patch: withDevices(
      FUSE,
      { type: "b", path: "/dev/loop7", major: 7, minor: 7, fileMode: 0o640, uid: 1, gid: 2 },
      { type: "p", path: "/srv/a/b/fifo", fileMode: 0o600, gid: 3 },
      // As engines write it, with the file type.
      { type: "c", path: "/dev/net/tun", major: 10, minor: 200, fileMode: 0o020660 },
      { type: "u", path: "/unbuffered", major: 1, minor: 0x12345 },
    ),
  });
  expect(output.trim().split("\n")).toEqual([
    "/dev/fuse character special file a:e5 666 0:0",
    "/dev/loop7 block special file 7:7 640 1:2",
    "/srv/a/b/fifo fifo 0:0 600 0:3",
    "/dev/net/tun character special file a:c8 660 0:0",
    "/unbuffered character special file 1:12345 666 0:0",
  ]);
});

test("a device in a directory of another group belongs to root all the same", () => {
  const output = box.outputOf({
    args: `${STAT} /shared/node`,
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "shared"));
      Bun.spawnSync(["sh", "-c", 'chgrp 50 "$0"; chmod 2775 "$0"', join(rootfs, "shared")]);
    },
    patch: withDevices({ ...FUSE, path: "/shared/node" }),
  });
  expect(output).toBe("/shared/node character special file a:e5 666 0:0\n");
});

test("a default device is as the config describes it", () => {
  const output = box.outputOf({
    args: `${STAT} /dev/null /dev/zero`,
    patch: withDevices({ type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 0o600, uid: 7 }),
  });
  expect(output.trim().split("\n")).toEqual([
    "/dev/null character special file 1:3 600 7:0",
    "/dev/zero character special file 1:5 666 0:0",
  ]);
});

test("the host's /dev/ptmx in the list leads to the container's own pts", () => {
  const ptmx: Device = { type: "c", path: "/dev/ptmx", major: 5, minor: 2, fileMode: 0o666 };
  expect(box.outputOf({ args: "readlink /dev/ptmx", patch: withDevices(ptmx) })).toBe("pts/ptmx\n");
});

test("a device that is listed twice is made once; two different ones at one path are refused", () => {
  expect(box.outputOf({ args: `${STAT} /dev/fuse`, patch: withDevices(FUSE, FUSE) })).toContain("a:e5");
  expectRefused(
    box.bundle({ patch: withDevices(FUSE, { ...FUSE, minor: 1 }) }),
    "linux.devices[1]",
    "/dev/fuse",
  );
});

test("what is there already is left alone when it is the device", () => {
  const b = box.bundle({ args: `${STAT} /node`, patch: withDevices({ ...FUSE, path: "/node" }) });
  expect(box.run(b).status).toBe(0);
  expect(box.run(b).stdout).toBe("/node character special file a:e5 666 0:0\n");
});

test.each([
  ["a file", (path: string) => writeFileSync(path, ""), "is not character device 10:229"],
  ["a directory", (path: string) => mkdirSync(path), "is not character device 10:229"],
  ["a symlink", (path: string) => symlinkSync("/dev/null", path), "is not character device 10:229"],
  [
    "a device of another number",
    (path: string) => Bun.spawnSync(["mknod", path, "c", "10", "230"]),
    "is not character device 10:229",
  ],
  [
    "a device of another mode than the config's",
    (path: string) => Bun.spawnSync(["mknod", "-m", "0600", path, "c", "10", "229"]),
    "has the mode 0600, not 0660",
  ],
] as const)("%s at its path is an error that names the device", (_, make, message) => {
  const b = box.bundle({
    fill: (rootfs) => make(join(rootfs, "node")),
    patch: withDevices({ ...FUSE, path: "/node", fileMode: 0o660 }),
  });
  expectRefused(b, "linux.devices[0]", "/node exists", message);
});

test("a symlink in a device's path leads to somewhere inside, never out", () => {
  const outside = join(box.directory, "outside");
  mkdirSync(outside);
  const b = box.bundle({
    args: `${STAT} ${outside}/node`,
    fill: (rootfs) => symlinkSync(outside, join(rootfs, "link")),
    patch: withDevices({ ...FUSE, path: "/link/node" }),
  });
  // The link's end is missing inside, so nothing can be made in it, and nothing is made outside.
  expectRefused(b, "/link/node");
  expect(existsSync(join(outside, "node"))).toBe(false);
  mkdirSync(join(b.rootfs, outside), { recursive: true });
  expect(box.run(b).stdout).toBe(`${outside}/node character special file a:e5 666 0:0\n`);
  expect(existsSync(join(outside, "node"))).toBe(false);
});

const inUserNamespace =
  (...devices: Device[]) =>
  (config: TestConfig) => {
    withDevices(...devices)(config);
    config.linux.namespaces?.push({ type: "user" });
    const mappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    config.linux.uidMappings = mappings;
    config.linux.gidMappings = mappings;
    // sysfs needs a network namespace of the same owner, which it has; /dev/mqueue and cgroups aren't asked for.
    config.mounts = config.mounts.filter((m) => !["/sys/fs/cgroup", "/dev/mqueue"].includes(m.destination));
  };
const testInUserNamespace = testNeeding("root", "busybox", "user namespaces");

testInUserNamespace("in a user namespace the host's device is bound, again after a first run", () => {
  const b = box.bundle({
    args: `${STAT} /dev/full /dev/kmsg /fifo; echo x >/dev/full 2>/dev/null || echo full`,
    patch: inUserNamespace(
      { type: "c", path: "/dev/full", major: 1, minor: 7 },
      { type: "c", path: "/dev/kmsg", major: 1, minor: 11, fileMode: 0o600, uid: 0 },
      { type: "p", path: "/fifo", uid: 5, fileMode: 0o600 },
    ),
    fill: (rootfs) => {
      Bun.spawnSync(["chown", "-R", "100000:100000", rootfs]);
      Bun.spawnSync(["chmod", "755", rootfs, join(rootfs, "..")]);
    },
  });
  for (const _ of [1, 2]) {
    const { stdout, stderr } = box.run(b);
    expect(stderr).toBe("");
    expect(stdout.split("\n").map((line) => line.replace(/ \d+ \d+:\d+$/, ""))).toEqual([
      "/dev/full character special file 1:7",
      "/dev/kmsg character special file 1:b",
      "/fifo fifo 0:0",
      "full",
      "",
    ]);
    expect(stdout).toContain("/fifo fifo 0:0 600 5:0");
  }
});

testInUserNamespace("in a user namespace a device that the host hasn't at that path is refused", () => {
  const fill = (rootfs: string) => {
    Bun.spawnSync(["chown", "-R", "100000:100000", rootfs]);
  };
  const other = box.bundle({ fill, patch: inUserNamespace({ ...FUSE, path: "/dev/zero" }) });
  expectRefused(other, "linux.devices[0]", "the host's /dev/zero isn't character device 10:229");
  const missing = box.bundle({ fill, patch: inUserNamespace({ ...FUSE, path: "/dev/not-there" }) });
  expectRefused(missing, "linux.devices[0]", "the host's /dev/not-there isn't character device 10:229");
});

test("with the host's /dev bound, what the config lists has to be there, and nothing is made on the host", () => {
  const bindDev = (config: TestConfig) => {
    config.mounts = config.mounts.filter((m) => !m.destination.startsWith("/dev"));
    config.mounts.push({ destination: "/dev", type: "bind", source: "/dev", options: ["rbind", "rslave"] });
  };
  const zero: Device = { type: "c", path: "/dev/zero", major: 1, minor: 5, fileMode: 0o600 };
  const patch = (device: Device) => (config: TestConfig) => {
    withDevices(device, { ...FUSE, path: "/node" })(config);
    bindDev(config);
  };
  const output = box.outputOf({ args: "stat -c '%n %F' /dev/zero /node", patch: patch(zero) });
  expect(output).toBe("/dev/zero character special file\n/node character special file\n");
  const name = `/dev/kontena-${process.pid}`;
  expectRefused(
    box.bundle({ patch: patch({ ...FUSE, path: name }) }),
    "linux.devices[0]",
    name,
    "which is bound",
  );
  expect(existsSync(name)).toBe(false);
  expectRefused(box.bundle({ patch: patch({ ...zero, minor: 9 }) }), "/dev/zero exists and is not");
});

testNeeding(
  "root",
  "busybox",
  "setpriv",
  "user namespaces",
)("a caller without rights gets the host's devices bound, in directories that are made", () => {
  const b = box.bundle({
    args: "stat -c '%n %F %t:%T' /dev/full /srv/a/fifo; echo x >/dev/full 2>/dev/null || echo full",
    patch: (config) => {
      withDevices(
        { type: "c", path: "/dev/full", major: 1, minor: 7, fileMode: 0o666, uid: 0, gid: 0 },
        { type: "p", path: "/srv/a/fifo" },
      )(config);
      rootless(config);
    },
  });
  const user = asNobody(box, b);
  for (const _ of [1, 2]) {
    const { stdout, stderr } = box.kontena(["run", "--bundle", b.directory, b.id], user);
    expect(stderr).toBe("");
    expect(stdout).toBe("/dev/full character special file 1:7\n/srv/a/fifo fifo 0:0\nfull\n");
  }
});
