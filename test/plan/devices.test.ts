import { expect, test } from "bun:test";
import type { Config } from "../../spec/config.ts";
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
  expect(deviceChecks(input).map((c) => c.buffer)).toEqual(buffers);
  expect(deviceChecks(input)[0]).toMatchObject({ path: "/dev/null", major: 1, minor: 3 });
});

test.each([
  ["in a user namespace of its own", { linux: withNamespaces("mount", "user") }, true],
  ["when the caller is in a container itself", CONFIG, false],
] as const)("%s the host's device is bound where mknod is refused", (_, config, firstUserNamespace) => {
  const list = callsIn(devices(inputOf(config as Partial<Config>, { host: { firstUserNamespace } })));
  const refused = list.find((c) => c.call === "mknodat" && c.on?.EPERM !== undefined)?.on?.EPERM;
  expect(callsIn(refused as Step[]).map(short)).toEqual([
    `mknodat(</dev>, "null", ${0o100644}, 0)`,
    'openat2(</dev>, "null", open_how, 24) = file /dev/null',
    'open_tree(-100, "/dev/null", 524289) = tree /dev/null',
    'move_mount(<tree /dev/null>, "", <file /dev/null>, "", 68)',
  ]);
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
