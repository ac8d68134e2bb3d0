import { expect, test } from "bun:test";
import type { Config } from "../../spec/config.ts";
import type { Device } from "../../spec/devices.ts";
import type { Call, Step } from "../../src/init/step.ts";
import { deviceChecks, devices } from "../../src/plan/devices.ts";
import { callsIn, inputOf, short, withNamespaces } from "./helpers.ts";

const CONFIG: Partial<Config> = { linux: withNamespaces("mount") };
const topLevel = (steps: readonly Step[]) => steps.filter((s): s is Call => "call" in s);

test("the default devices of the spec are made with their numbers, for everybody to read and write", () => {
  const made = topLevel(devices(inputOf(CONFIG))).filter((c) => c.call === "mknodat");
  const device = (major: number, minor: number) => (major << 8) | minor;
  expect(made.map((c) => c.args.slice(1))).toEqual([
    ["null", 0o020666, device(1, 3)],
    ["zero", 0o020666, device(1, 5)],
    ["full", 0o020666, device(1, 7)],
    ["random", 0o020666, device(1, 8)],
    ["urandom", 0o020666, device(1, 9)],
    ["tty", 0o020666, device(5, 0)],
  ]);
});

test("the links of runtime-linux.md are there, and /dev/ptmx leads to the container's own pts", () => {
  const links = topLevel(devices(inputOf(CONFIG))).filter((c) => c.call === "symlinkat");
  expect(Object.fromEntries(links.map((c) => [c.args[2], c.args[0]]))).toEqual({
    fd: "/proc/self/fd",
    stdin: "/proc/self/fd/0",
    stdout: "/proc/self/fd/1",
    stderr: "/proc/self/fd/2",
    ptmx: "pts/ptmx",
  });
  for (const link of links) expect(link.on).toEqual({ EEXIST: "next" });
});

test("what stands in a device's place is looked at, without following a link, and checked afterwards", () => {
  const input = inputOf(CONFIG);
  const looks = callsIn(devices(input)).filter((c) => c.call === "statx");
  expect(looks.map((c) => c.args[2])).toEqual(Array.from({ length: 6 }, () => 0x100));
  const buffers = looks.map((c) => (c.args[4] as { buffer: string }).buffer);
  expect(deviceChecks(input).map((c) => c.before)).toEqual(buffers);
  expect(deviceChecks(input)[0]).toMatchObject({ path: "/dev/null", major: 1, minor: 3 });
});

test.each([
  ["in a user namespace of its own", { linux: withNamespaces("mount", "user") }, true],
  ["when the caller is in a container itself", CONFIG, false],
] as const)("%s the host's device is bound where mknod is refused", (_, config, firstUserNamespace) => {
  const list = callsIn(devices(inputOf(config as Partial<Config>, { host: { firstUserNamespace } })));
  const of = list.filter((c) => c.args.includes("null") || c.args.includes("/dev/null"));
  const bind = list.find((c) => short(c).startsWith("move_mount(<tree /dev/null>")) as Call;
  const looks = `statx(</dev>, "null", 256, 2047, &`;
  expect([...of, bind].map(short)).toEqual([
    `mknodat(</dev>, "null", ${0o020666}, ${(1 << 8) | 3})`,
    `${looks}statx /dev/null)`,
    `mknodat(</dev>, "null", ${0o100644}, 0)`,
    'openat2(</dev>, "null", open_how, 24) = file /dev/null',
    'open_tree(-100, "/dev/null", 524289) = tree /dev/null',
    // Once for a host that has none, once for what is bound.
    `${looks}statx of what is bound to /dev/null)`,
    `${looks}statx of what is bound to /dev/null)`,
    'move_mount(<tree /dev/null>, "", <file /dev/null>, "", 68)',
  ]);
  expect(of[0]?.after).toBe("leave");
  expect(Object.keys(of[0]?.on ?? {})).toEqual(["EEXIST", "EPERM"]);
});

test("root of the first user namespace isn't helped around a refused mknod: that is a failure", () => {
  for (const call of callsIn(devices(inputOf(CONFIG)))) expect(call.on?.EPERM).toBeUndefined();
});

test.each([
  [{ destination: "/dev", source: "/dev", options: ["rbind"] }],
  [{ destination: "/dev/", source: "/dev", options: ["bind"] }],
  [{ destination: "dev", source: "/dev", type: "bind" }],
  [{ destination: "/x/../dev", source: "/dev", type: "bind" }],
])("with the host's /dev bound nothing is made in it: %j", (mount) => {
  const input = inputOf({ ...CONFIG, mounts: [mount] });
  expect(devices(input)).toEqual([]);
  expect(deviceChecks(input)).toEqual([]);
});

test("another bind below /dev doesn't make /dev the host's", () => {
  const mounts = [{ destination: "/dev/shm", source: "/dev/shm", options: ["bind"] }];
  expect(devices(inputOf({ ...CONFIG, mounts })).length).toBeGreaterThan(6);
});

test("without a mount namespace nothing is made: /dev would be the host's", () => {
  const input = inputOf({ linux: withNamespaces("uts", "pid") });
  expect(devices(input)).toEqual([]);
  expect(deviceChecks(input)).toEqual([]);
});

const DEVICE: Device = { type: "c", path: "/srv/node", major: 10, minor: 229 };
const withDevices = (list: Device[], more: Partial<Config> = {}, types = ["mount"]) =>
  inputOf({ ...more, linux: { ...withNamespaces(...types), devices: list } });
const EEXIST = (call: Call | undefined) => callsIn(call?.on?.EEXIST as Step[]);

test("a device of the config: its directory is found or made inside the root, the node made in it", () => {
  const input = withDevices([DEVICE]);
  const list = callsIn(devices(input)).filter((c) => c.at?.startsWith("linux.devices[0]"));
  const [open, ...rest] = list;
  expect(open?.call).toBe("openat2");
  expect(open?.args.slice(0, 2)).toEqual([{ cell: "root" }, "srv"]);
  expect(Object.keys(open?.on ?? {})).toEqual(["ENOENT", "EAGAIN"]);
  expect(rest.map(short).slice(-4)).toEqual([
    `mknodat(<linux.devices[0] directory>, "node", ${0o020666}, ${(10 << 8) | 229})`,
    'statx(<linux.devices[0] directory>, "node", 256, 2047, &statx linux.devices[0])',
    'openat2(<linux.devices[0] directory>, "node", open_how, 24) = node linux.devices[0]',
    'fchownat(<node linux.devices[0]>, "", 0, 0, 4096)',
  ]);
});

test.each([
  [{ ...DEVICE, type: "u" }, 0o020666, (10 << 8) | 229],
  [{ ...DEVICE, type: "b", fileMode: 0o640 }, 0o060640, (10 << 8) | 229],
  // Minor numbers of more than 8 bits lie above the major's.
  [{ ...DEVICE, type: "b", major: 259, minor: 0x12345 }, 0o060666, 0x12310345],
  [{ type: "p", path: "/srv/node", fileMode: 0o600 }, 0o010600, 0],
  // Engines leave the file type in.
  [{ ...DEVICE, fileMode: 0o020600 }, 0o020600, (10 << 8) | 229],
] as [Device, number, number][])("type, mode and number of %j", (device, mode, number) => {
  const made = callsIn(devices(withDevices([device]))).find((c) => c.args[1] === "node");
  expect(made?.args.slice(2)).toEqual([mode, number]);
});

test("a new node gets its owner by descriptor; one that was there is only looked at", () => {
  const list = callsIn(devices(withDevices([{ ...DEVICE, uid: 5, gid: 6 }])));
  const made = list.find((c) => c.call === "mknodat" && c.args[1] === "node");
  expect(EEXIST(made).map((c) => [c.call, c.after])).toEqual([["statx", "leave"]]);
  const at = list.findIndex((c) => c.call === "fchownat");
  expect(short(list[at - 1] as Call)).toBe(
    'openat2(<linux.devices[0] directory>, "node", open_how, 24) = node linux.devices[0]',
  );
  expect(short(list[at] as Call)).toBe('fchownat(<node linux.devices[0]>, "", 5, 6, 4096)');
});

test("a default device that the config describes is made as it says, once", () => {
  const input = withDevices([{ type: "c", path: "/dev/../dev/null", major: 1, minor: 3, fileMode: 0o600 }]);
  const made = callsIn(devices(input)).filter((c) => c.call === "mknodat" && c.args[1] === "null");
  expect(made.map((c) => c.args[2])).toEqual([0o020600]);
  expect(deviceChecks(input).filter((c) => c.path === "/dev/null")).toEqual([
    expect.objectContaining({ at: "linux.devices[0]", mode: 0o600, mayBeEmpty: false }),
  ]);
});

test("the host's /dev/ptmx in the config is the link to the container's own", () => {
  const input = withDevices([{ type: "c", path: "/dev/ptmx", major: 5, minor: 2 }]);
  const list = callsIn(devices(input)).filter((c) => c.args.includes("ptmx"));
  expect(list.map((c) => c.call)).toEqual(["symlinkat"]);
});

test("in a user namespace a device is bound, and keeps the host's owner; a FIFO is made", () => {
  const input = withDevices(
    [
      { ...DEVICE, path: "/dev/fuse", uid: 5 },
      { type: "p", path: "/srv/fifo", uid: 5 },
    ],
    {},
    ["mount", "user"],
  );
  const list = callsIn(devices(input));
  expect(list.filter((c) => c.call === "open_tree").map((c) => c.args[1])).toContain("/dev/fuse");
  expect(list.filter((c) => c.call === "fchownat").map((c) => c.at)).toEqual(["linux.devices[1]"]);
  const [fuse, fifo] = deviceChecks(input);
  expect(fuse).toMatchObject({ mayBeEmpty: true, after: "statx of what is bound to linux.devices[0]" });
  expect(fuse?.uid).toBeUndefined();
  expect(fifo).toMatchObject({ type: "p", mayBeEmpty: false, uid: 5 });
});

test("a caller without CAP_MKNOD binds too", () => {
  const { config } = withDevices([DEVICE]);
  const list = callsIn(devices(inputOf(config, { host: { permitted: 0n } })));
  expect(list.filter((c) => c.call === "open_tree").length).toBe(7);
});

test("in the host's own /dev nothing is made: what the config lists is looked for; elsewhere it is made", () => {
  const mounts = [{ destination: "/dev", source: "/dev", options: ["rbind"] }];
  const input = withDevices([{ ...DEVICE, path: "/dev/fuse", fileMode: 0o600 }, DEVICE], { mounts });
  const list = callsIn(devices(input));
  const ofHost = list.filter((c) => c.at?.startsWith("linux.devices[0]"));
  expect(ofHost.map((c) => c.call)).toEqual(["openat2", "statx"]);
  expect(ofHost[0]?.on?.ENOENT).toBeUndefined();
  expect(list.filter((c) => c.call === "mknodat").map((c) => c.args[1])).toEqual(["node"]);
  expect(deviceChecks(input).map((c) => [c.path, c.mode])).toEqual([
    ["/dev/fuse", undefined],
    ["/srv/node", undefined],
  ]);
});

test("devices with equal paths are looked at apart", () => {
  const checks = deviceChecks(withDevices([DEVICE, { ...DEVICE, minor: 1 }]));
  expect(new Set(checks.map((c) => c.before)).size).toBe(checks.length);
});
