/** Where systemd will make a container's cgroup, known before it does. */
import type { Host } from "../../plan/input.ts";
import { controlGroup, instanceFor, systemd } from "./manager.ts";
import { scopeName } from "./names.ts";

/** Path below the hierarchy's mount point. @throws KontenaError CONFIG_INVALID, HOST_UNSUPPORTED */
export function systemdPath(
  cgroupsPath: string | undefined,
  id: string,
  host: Pick<Host, "uid" | "firstUserNamespace">,
): string {
  const instance = instanceFor(host);
  const { path } = scopeName(cgroupsPath, id, instance);
  return `${controlGroup(systemd(instance))}${path}`;
}
