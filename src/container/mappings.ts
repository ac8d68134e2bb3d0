/** The id mappings of a new user namespace (user_namespaces(7)), written from outside by the parent. */
import { writeFileSync } from "node:fs";
import type { IdMapping } from "../../spec/common.ts";
import { KontenaError } from "../error.ts";
import { errnoText } from "../kernel/errno.ts";
import { codeOf } from "../kernel/files.ts";
import type { PlanInput } from "../plan/input.ts";

function write(pid: number, file: string, text: string, at: string): void {
  const path = `/proc/${pid}/${file}`;
  try {
    writeFileSync(path, text);
  } catch (error) {
    const errno = codeOf(error);
    throw new KontenaError("ID_MAPPING_FAILED", `cannot write ${file}: ${errnoText(errno)}`, {
      at,
      errno,
      path,
      ...(errno === "EPERM"
        ? { hint: "a user without root's rights can map only itself: one entry of size 1" }
        : {}),
    });
  }
}

const lines = (mappings: readonly IdMapping[]) =>
  mappings.map((m) => `${m.containerID} ${m.hostID} ${m.size}\n`).join("");

/** @throws KontenaError ID_MAPPING_FAILED */
export function writeMappings({ config, host }: PlanInput, pid: number): void {
  const { uidMappings = [], gidMappings = [] } = config.linux ?? {};
  write(pid, "uid_map", lines(uidMappings), "linux.uidMappings");
  // Without CAP_SETGID the kernel takes a gid mapping only from who has given up setgroups(2) first.
  if (host.uid !== 0) write(pid, "setgroups", "deny", "linux.gidMappings");
  write(pid, "gid_map", lines(gidMappings), "linux.gidMappings");
}
