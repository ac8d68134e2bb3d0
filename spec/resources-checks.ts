/** Rules of config-linux.md, "Control groups", that a schema can't say. Places are relative to the resources. */
import type { Problem } from "./common.ts";
import { inside } from "./problems.ts";
import type { Resources } from "./resources.ts";

/** The greatest numbers that a device of Linux can have (MINORBITS, linux/kdev_t.h). */
const MOST = { major: 4095, minor: 1048575 } as const;

/** "Allowed Device list": the type is a, c or b, the access made of r, w and m; a negative number means any. */
export function deviceRulesAreKnown({ devices = [] }: Resources): Problem[] {
  return devices.flatMap(({ type, access, ...numbers }, index) => {
    const problems: Problem[] = [];
    for (const part of ["major", "minor"] as const)
      if ((numbers[part] ?? 0) > MOST[part]) {
        const message = `expected an integer up to ${MOST[part]}, received ${numbers[part]}`;
        problems.push({ at: `devices[${index}].${part}`, message });
      }
    // Engines written in Go write an unset string as "".
    if (type && !["a", "c", "b"].includes(type)) {
      problems.push({ at: `devices[${index}].type`, message: `expected one of a, c, b; received "${type}"` });
    }
    if (access !== undefined && !/^[rwm]*$/.test(access)) {
      const message = `expected letters out of r, w, m; received "${access}"`;
      problems.push({ at: `devices[${index}].access`, message });
    }
    return problems;
  });
}

/** "Memory": swappiness is 0 to 100. */
export function swappinessIsInRange({ memory }: Resources): Problem[] {
  const swappiness = memory?.swappiness ?? 0;
  if (swappiness <= 100) return [];
  return [{ at: "memory.swappiness", message: `expected an integer from 0 to 100, received ${swappiness}` }];
}

/** "CPU": burst is no larger than a positive quota. */
export function burstFitsQuota({ cpu }: Resources): Problem[] {
  const { burst = 0, quota = 0 } = cpu ?? {};
  if (quota <= 0 || burst <= quota) return [];
  return [{ at: "cpu.burst", message: `${burst} is above the quota ${quota}` }];
}

/** "Block IO": an entry of weightDevice has weight, leafWeight or both. */
export function weightDevicesHaveWeight({ blockIO }: Resources): Problem[] {
  return (blockIO?.weightDevice ?? []).flatMap(({ weight, leafWeight }, index) =>
    weight === undefined && leafWeight === undefined
      ? [{ at: `blockIO.weightDevice[${index}]`, message: "needs weight, leafWeight or both" }]
      : [],
  );
}

/** "RDMA": an entry has hcaHandles, hcaObjects or both. */
export function rdmaHasLimit({ rdma = {} }: Resources): Problem[] {
  return Object.entries(rdma).flatMap(([device, { hcaHandles, hcaObjects }]) =>
    hcaHandles === undefined && hcaObjects === undefined
      ? [{ at: inside("rdma", device), message: "needs hcaHandles, hcaObjects or both" }]
      : [],
  );
}

export const RESOURCES_CHECKS = [
  deviceRulesAreKnown,
  swappinessIsInRange,
  burstFitsQuota,
  weightDevicesHaveWeight,
  rdmaHasLimit,
] as const;
