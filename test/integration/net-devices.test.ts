/** linux.netDevices, in network namespaces of the tests: their veth pairs stand for the host's devices. */
import { afterEach, expect } from "bun:test";
import { readlinkSync } from "node:fs";
import type { Subprocess } from "bun";
import { asNobody, openBox, rootless, type TestBundle, type TestConfig, testNeeding } from "./helpers.ts";

const box = openBox("netdev");
const test = testNeeding("root", "busybox", "iproute2");

const namespaces: Subprocess[] = [];
afterEach(() => {
  for (const holder of namespaces.splice(0)) holder.kill("SIGKILL");
});

/** A new network namespace, there as long as a process that sleeps in it; the path that leads to it. */
function makeNamespace(): string {
  const holder = Bun.spawn(["unshare", "--net", "sh", "-c", "echo; exec sleep 1000"], { stdout: "pipe" });
  namespaces.push(holder);
  const own = readlinkSync("/proc/self/ns/net");
  const path = `/proc/${holder.pid}/ns/net`;
  // It has the pid before it has the namespace.
  while (readlinkSync(path) === own) Bun.sleepSync(1);
  return path;
}

let host = "";
const inNamespace = (path: string) => ["nsenter", `--net=${path}`];

function ip(path: string, ...args: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...inNamespace(path), "ip", ...args]);
  if (exitCode !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
  return stdout.toString();
}

/** A host of its own, with the pair v0, v1 and addresses on v0. */
function makeHost(): void {
  host = makeNamespace();
  const inHost = (words: string) => ip(host, ...words.split(" "));
  inHost("link add v0 type veth peer name v1");
  inHost("link set v0 address 02:00:00:00:00:01 mtu 1400 up");
  inHost("addr add 10.1.2.3/24 broadcast 10.1.2.255 dev v0");
  inHost("addr add 10.9.9.9 peer 10.9.9.8/32 dev v0");
  inHost("addr add 10.1.2.4/24 dev v0 valid_lft 600 preferred_lft 600");
  inHost("addr add 169.254.1.1/16 scope link dev v0");
  inHost("addr add fd00::5/64 dev v0 nodad");
}

const withDevices = (netDevices: NonNullable<TestConfig["linux"]["netDevices"]>) => (config: TestConfig) => {
  config.linux.netDevices = netDevices;
};
const runInHost = (b: TestBundle) =>
  box.kontena(["run", "--bundle", b.directory, b.id], { before: inNamespace(host) });
const SHOW = "busybox ip addr show | busybox grep -v lft";

interface Address {
  family: string;
  local: string;
  address?: string;
  prefixlen: number;
  broadcast?: string;
  scope: string;
}
interface Device {
  ifname: string;
  flags: string[];
  mtu: number;
  address: string;
  addr_info: Address[];
}
const devicesIn = (path: string) => JSON.parse(ip(path, "-j", "addr", "show")) as Device[];
const hostDevices = () => devicesIn(host).filter(({ ifname }) => ifname !== "lo");
const globals = ({ addr_info }: Device) =>
  addr_info
    .filter(({ scope }) => scope === "global")
    .map(
      (a) =>
        `${a.local}${a.address ? ` peer ${a.address}` : ""}/${a.prefixlen}${a.broadcast ? ` brd ${a.broadcast}` : ""}`,
    );

test("a device moves with its MAC address, MTU and permanent global addresses, and is up", () => {
  makeHost();
  const b = box.bundle({ args: ["sleep", "1000"], patch: withDevices({ v0: {} }) });
  expect(box.kontena(["create", "--bundle", b.directory, b.id], { before: inNamespace(host) })).toMatchObject(
    {
      status: 0,
      stderr: "",
    },
  );
  expect(hostDevices().map(({ ifname }) => ifname)).toEqual(["v1"]);
  const { pid = 0 } = box.state(b.id);
  const inside = devicesIn(`/proc/${pid}/ns/net`);
  const v0 = inside.find(({ ifname }) => ifname === "v0");
  expect(v0).toMatchObject({ mtu: 1400, address: "02:00:00:00:00:01" });
  expect(v0?.flags).toContain("UP");
  expect(globals(v0 as Device)).toEqual([
    "10.1.2.3/24 brd 10.1.2.255",
    "10.9.9.9 peer 10.9.9.8/32",
    "fd00::5/64",
  ]);
});

test("a device gets another name in the container, or one that the kernel completes", () => {
  makeHost();
  const patch = withDevices({ v0: { name: "outside" }, v1: { name: "eth%d" } });
  const { stdout, stderr, status } = runInHost(box.bundle({ args: SHOW, patch }));
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^\d+: outside@\S+: <\S*UP/m);
  expect(stdout).toMatch(/^\d+: eth0@\S+: <\S*UP/m);
  expect(stdout).toContain("inet 10.1.2.3/24");
});

test("a new user namespace is no hindrance", () => {
  makeHost();
  const patch = (config: TestConfig) => {
    withDevices({ v0: { name: "inside" } })(config);
    config.linux.namespaces?.push({ type: "user" });
    const mappings = [{ containerID: 0, hostID: 0, size: 65536 }];
    config.linux.uidMappings = mappings;
    config.linux.gidMappings = mappings;
  };
  expect(runInHost(box.bundle({ args: SHOW, patch })).stdout).toContain("inside@");
});

test("a network namespace that is joined takes devices too, but not under a name that it has", () => {
  makeHost();
  const other = makeNamespace();
  ip(other, "link", "add", "taken", "type", "bridge");
  const joining = (devices: NonNullable<TestConfig["linux"]["netDevices"]>) => (config: TestConfig) => {
    withDevices(devices)(config);
    const network = config.linux.namespaces?.find(({ type }) => type === "network");
    Object.assign(network ?? {}, { path: other });
  };
  const refused = box.bundle({ patch: joining({ v1: {}, v0: { name: "taken" } }) });
  const { status, stderr } = runInHost(refused);
  expect(status).toBe(1);
  expect(stderr).toContain("linux.netDevices.v0: the container has a network device taken already");
  expect(
    hostDevices()
      .map(({ ifname }) => ifname)
      .sort(),
  ).toEqual(["v0", "v1"]);

  const patch = joining({ v0: { name: "mine" } });
  expect(runInHost(box.bundle({ args: "true", patch })).status).toBe(0);
  // It isn't the container's end that would take it away again.
  expect(devicesIn(other).map(({ ifname }) => ifname)).toContain("mine");
});

test("a device that isn't there is an error, and no other has moved", () => {
  makeHost();
  const { status, stderr } = runInHost(box.bundle({ patch: withDevices({ v0: {}, v9: {} }) }));
  expect(status).toBe(1);
  expect(stderr).toContain("linux.netDevices.v9: there is no network device v9");
  expect(
    hostDevices()
      .map(({ ifname }) => ifname)
      .sort(),
  ).toEqual(["v0", "v1"]);
});

test("the loopback interface can't be moved, and the kernel's reason is told", () => {
  makeHost();
  const { status, stderr } = runInHost(box.bundle({ patch: withDevices({ lo: { name: "lo2" } }) }));
  expect(status).toBe(1);
  expect(stderr).toContain("linux.netDevices.lo: cannot move network device lo into the container");
  expect(box.ids()).toEqual([]);
});

test.each([
  ["in the runtime", (config: TestConfig) => Object.assign(config.process, { args: ["/not/there"] }), 127],
  ["in init", (config: TestConfig) => config.mounts.push({ destination: "/x", type: "no-such-type" }), 1],
] as const)("when create fails later, %s, the devices are back as they were", (_, spoil, expected) => {
  makeHost();
  const temporary = "10.1.2.4/24";
  const now = () =>
    hostDevices()
      .map((d) => ({
        name: d.ifname,
        isUp: d.flags.includes("UP"),
        addresses: globals(d).filter((address) => !address.startsWith(temporary)),
      }))
      .sort((one, other) => one.name.localeCompare(other.name));
  const before = now();
  const patch = (config: TestConfig) => {
    withDevices({ v1: { name: "a" }, v0: { name: "b" } })(config);
    spoil(config);
  };
  const { status, stderr } = runInHost(box.bundle({ patch }));
  expect(status).toBe(expected);
  expect(stderr).not.toContain("undone");
  expect(now()).toEqual(before);
  expect(box.ids()).toEqual([]);
});

test("the container's own network namespace can't be the runtime's", () => {
  makeHost();
  const patch = (config: TestConfig) => {
    withDevices({ v0: {} })(config);
    const network = config.linux.namespaces?.find(({ type }) => type === "network");
    Object.assign(network ?? {}, { path: host });
  };
  const { status, stderr } = runInHost(box.bundle({ patch }));
  expect(status).toBe(1);
  expect(stderr).toContain("the runtime's own");
});

test("explain names the devices that will move", () => {
  const b = box.bundle({ patch: withDevices({ v0: { name: "eth0" } }) });
  const { stdout } = box.kontena(["explain", "--bundle", b.directory]);
  expect(stdout).toContain("move network device v0 into the container as eth0");
  expect(stdout).toContain("[linux.netDevices.v0]");
});

testNeeding(
  "root",
  "busybox",
  "iproute2",
  "setpriv",
  "user namespaces",
)("a caller without rights on the network is told what it takes, and the device stays", () => {
  makeHost();
  const b = box.bundle({
    patch: (config) => {
      rootless(config);
      withDevices({ v0: {} })(config);
    },
  });
  const user = asNobody(box, b);
  const { status, stderr } = box.kontena(["run", "--bundle", b.directory, b.id], {
    ...user,
    before: [...inNamespace(host), ...(user.before ?? [])],
  });
  expect(status).toBe(1);
  expect(stderr).toContain("network namespace");
  expect(stderr).toContain("CAP_NET_ADMIN");
  expect(
    hostDevices()
      .map(({ ifname }) => ifname)
      .sort(),
  ).toEqual(["v0", "v1"]);
});
