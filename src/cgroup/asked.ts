/** What a config asks of the container's cgroup, as data: it is kept with a plan, and the rules for devices aren't gone through again. */
import type { Config } from "../../spec/config.ts";
import type { Resources } from "../../spec/resources.ts";
import { allowsEverything, deviceRules, rulesFor } from "./devices/rules.ts";
import { type DeviceWrites, deviceWrites, toExceptions } from "./devices/v1.ts";

export interface Asked {
  /** What the state keeps for updates: `linux.resources`, and rules for the devices of `linux.devices`. */
  resources?: Resources;
  /**
   * What makes the rules for devices hold in a new cgroup of v1, which allows what the one above does. Absent when v1 can't
   * express them.
   */
  newDevices?: readonly DeviceWrites[];
}

export function askedOf({ linux }: Pick<Config, "linux">): Asked {
  const { resources, devices } = linux ?? {};
  const asked = resources?.devices ?? rulesFor(devices);
  const all = asked.length === 0 ? resources : { ...resources, devices: asked };
  const newDevices = newDevicesOf(deviceRules(asked));
  return {
    ...(all === undefined ? {} : { resources: all }),
    ...(newDevices === undefined ? {} : { newDevices }),
  };
}

function newDevicesOf(rules: ReturnType<typeof deviceRules>): DeviceWrites[] | undefined {
  if (allowsEverything(rules)) return [];
  const then = toExceptions(rules);
  return "hole" in then ? undefined : deviceWrites(undefined, then);
}
