/** The network interfaces of a container, counted by the kernel: /proc/PID/net/dev (proc(5)). */

import type { NetworkInterface } from "../cgroup/stats/runc.ts";
import { readText } from "../kernel/files.ts";
import { readlinkSync } from "../kernel/fs.ts";

/** All but the loopback interface. */
export function parseInterfaces(text: string): NetworkInterface[] {
  return text
    .split("\n")
    .slice(2)
    .flatMap((line) => {
      const at = line.indexOf(":");
      const name = line.slice(0, at).trim();
      if (at < 0 || name === "lo") return [];
      const counters = line
        .slice(at + 1)
        .trim()
        .split(/\s+/)
        .map(BigInt);
      const value = (i: number) => counters[i] ?? 0n;
      return [
        {
          Name: name,
          RxBytes: value(0),
          RxPackets: value(1),
          RxErrors: value(2),
          RxDropped: value(3),
          TxBytes: value(8),
          TxPackets: value(9),
          TxErrors: value(10),
          TxDropped: value(11),
        },
      ];
    });
}

/** Null when the container shares the network with this process, or has no interface: what is counted wouldn't be its own. */
export function readInterfaces(pid: number): NetworkInterface[] | null {
  try {
    if (readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync("/proc/self/ns/net")) return null;
    const found = parseInterfaces(readText(`/proc/${pid}/net/dev`));
    return found.length > 0 ? found : null;
  } catch {
    return null;
  }
}
