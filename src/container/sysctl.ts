/** Kernel parameters that would be set for the host after all (config-linux.md, "Sysctl"). */

import type { Config } from "../../spec/config.ts";
import { inside } from "../../spec/problems.ts";
import { sysctlName, sysctlNamespace } from "../../spec/sysctl.ts";
import { KontenaError } from "../error.ts";
import { statSync } from "../kernel/fs.ts";
import { NAMESPACES } from "../plan/namespaces.ts";

/**
 * A joined namespace can be the runtime's own, which holds the host's parameters.
 * @throws KontenaError CONFIG_INVALID for a parameter that would be set there
 */
export function checkSysctls({ linux }: Config): void {
  const names = Object.keys(linux?.sysctl ?? {});
  for (const { type, path } of linux?.namespaces ?? []) {
    const name = names.find((one) => sysctlNamespace(sysctlName(one)) === type);
    if (name === undefined || path === undefined || !isOwnNamespace(NAMESPACES[type].file, path)) continue;
    throw new KontenaError(
      "CONFIG_INVALID",
      `would be set for the host, whose ${type} namespace ${path} is`,
      {
        at: inside("linux.sysctl", name),
        path,
      },
    );
  }
}

/** A path that can't be looked at is one that can't be joined, which is told there. */
function isOwnNamespace(file: string, path: string): boolean {
  try {
    const [own, other] = [statSync(`/proc/self/ns/${file}`), statSync(path)];
    return own.ino === other.ino && own.dev === other.dev;
  } catch {
    return false;
  }
}
