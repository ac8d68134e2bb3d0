import { expect, test } from "bun:test";
import { CLONE } from "../../src/kernel/consts/sched.ts";
import { awaitDevices, loopback, netDevices, networkNamespace } from "../../src/plan/network.ts";
import { callsIn, inputOf, short, structAt, withNamespaces } from "./helpers.ts";

const own = inputOf({ linux: withNamespaces("network") });
const shared = inputOf({ linux: withNamespaces("uts") });

test("a new network namespace is made by init itself, and its loopback interface is brought up", () => {
  expect(callsIn(networkNamespace(own)).map(short)).toEqual([`unshare(${CLONE.CLONE_NEWNET})`]);
  const [socket, ioctl] = callsIn(loopback(own));
  expect(socket?.call).toBe("socket");
  expect(socket?.on).toEqual({ EAFNOSUPPORT: "leave" });
  expect(ioctl?.args[1]).toBe(0x8914);
  expect(structAt(ioctl, 2, "ifreq_flags")).toEqual({ name: "lo", flags: 0x41 });
});

test("the host's interfaces are never touched", () => {
  expect([...networkNamespace(shared), ...loopback(shared)]).toEqual([]);
  const joined = inputOf({ linux: { namespaces: [{ type: "network", path: "/proc/1/ns/net" }] } });
  expect([...networkNamespace(joined), ...loopback(joined)]).toEqual([]);
});

test("devices are moved by the runtime, while init waits in its network namespace; without any it doesn't wait", () => {
  const linux = {
    ...withNamespaces("network"),
    netDevices: { eth0: {}, "a.b": { name: "eth%d" }, c: { name: "" } },
  };
  const input = inputOf({ linux });
  expect(awaitDevices(input)).toEqual([{ pause: "network", why: expect.any(String) }]);
  expect(netDevices(input.config)).toEqual([
    { from: "eth0", to: "eth0", at: "linux.netDevices.eth0" },
    { from: "a.b", to: "eth%d", at: 'linux.netDevices["a.b"]' },
    { from: "c", to: "c", at: "linux.netDevices.c" },
  ]);
  expect(awaitDevices(own)).toEqual([]);
});
