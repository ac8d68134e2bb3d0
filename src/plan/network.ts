/** The network namespace (network_namespaces(7)): a new one, with its loopback interface up as programs expect it. */
import type { Config } from "../../spec/config.ts";
import { inside } from "../../spec/problems.ts";
import { cell, type Failure, type Pause, type Step, struct } from "../init/step.ts";
import { CLONE } from "../kernel/consts/sched.ts";
import { AF_INET, IFF, SIOCSIFFLAGS, SOCK } from "../kernel/consts/socket.ts";
import { isNew, namespaceAt, type PlanInput } from "./input.ts";

const SOCKET = "network socket";

/**
 * Made by init and not by clone3: a network namespace is half the cost of a birth, and meanwhile the runtime writes the
 * state. Nothing in it depends on what the runtime does.
 */
export function networkNamespace({ config }: PlanInput): Step[] {
  if (!isNew(config, "network")) return [];
  return [
    {
      call: "unshare",
      args: [CLONE.CLONE_NEWNET],
      why: "a network namespace with nothing but a loopback interface",
      at: namespaceAt(config, "network"),
      fail: {
        code: "NAMESPACE_FAILED",
        message: "cannot create the network namespace",
        hints: { ENOSPC: "the limit on namespaces is reached, see /proc/sys/user/max_net_namespaces" },
      },
    },
  ];
}

/** netdevice(7): flags of an interface are set through any socket of its namespace. */
export function loopback({ config }: PlanInput): Step[] {
  if (!isNew(config, "network")) return [];
  const at = namespaceAt(config, "network");
  const fail: Failure = { code: "NAMESPACE_FAILED", message: "cannot bring up the loopback interface" };
  return [
    {
      call: "socket",
      args: [AF_INET, SOCK.SOCK_DGRAM | SOCK.SOCK_CLOEXEC, 0],
      why: "a way to the network namespace's interfaces",
      at,
      save: SOCKET,
      // A kernel without IPv4 has no 127.0.0.1 either.
      on: { EAFNOSUPPORT: "leave" },
      fail,
    },
    {
      call: "ioctl",
      args: [
        cell(SOCKET),
        SIOCSIFFLAGS,
        struct("ifreq_flags", { name: "lo", flags: IFF.IFF_UP | IFF.IFF_RUNNING }),
      ],
      why: "127.0.0.1 is there",
      at,
      fail,
    },
  ];
}

/** A device of the runtime's network namespace that becomes the container's ("Network Devices"). */
export interface NetDevice {
  from: string;
  /** Its name in the container, or a template with `%d` for a number that the kernel chooses. */
  to: string;
  at: string;
}

export function netDevices({ linux }: Config): NetDevice[] {
  return Object.entries(linux?.netDevices ?? {}).map(([from, { name }]) => ({
    from,
    to: name || from,
    at: inside("linux.netDevices", from),
  }));
}

export const isTemplate = (name: string) => name.includes("%d");

/** init is in its network namespace; the runtime, which is in the devices' own, moves them there. */
export const NETWORK: Pause = {
  pause: "network",
  why: "the network namespace is there, for devices to be moved into",
};

export function awaitDevices({ config }: PlanInput): Step[] {
  return netDevices(config).length === 0 ? [] : [NETWORK];
}
