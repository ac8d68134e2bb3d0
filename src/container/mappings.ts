/** The id mappings of the container's user namespace (user_namespaces(7)): written from outside by the parent, if it is new. */

import type { IdMapping } from "../../spec/common.ts";
import { KontenaError } from "../error.ts";
import { errnoText } from "../kernel/errno.ts";
import { codeOf, readText } from "../kernel/files.ts";
import { writeFileSync } from "../kernel/fs.ts";
import { pageSize } from "../kernel/page.ts";
import { isNew, type PlanInput } from "../plan/input.ts";
import { groupsDenied, MAPPINGS, type MappingsName, takesHelper } from "../plan/mappings.ts";

const FILE = { uidMappings: "uid_map", gidMappings: "gid_map" } as const;

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
      ...hintOf(errno, text),
    });
  }
}

function hintOf(errno: string, text: string): { hint?: string } {
  if (errno === "EPERM") return { hint: "the host's ids can be mapped by who has CAP_SETUID and CAP_SETGID" };
  if (errno === "EINVAL" && text.length >= pageSize())
    return {
      hint: `the kernel takes less than a page, and these are ${text.length} bytes: use fewer ranges`,
    };
  return {};
}

const lines = (mappings: readonly IdMapping[]) =>
  mappings.map((m) => `${m.containerID} ${m.hostID} ${m.size}\n`).join("");

function writeOne(input: PlanInput, pid: number, name: MappingsName): void {
  const mappings = input.config.linux?.[name] ?? [];
  if (!takesHelper(input, name)) {
    write(pid, FILE[name], lines(mappings), `linux.${name}`);
    return;
  }
  // Loaded for the few that need it.
  const { writeByHelper } = require("./id-helper.ts") as typeof import("./id-helper.ts");
  const { uid, gid } = input.host;
  writeByHelper(pid, name, mappings, { uid, own: name === "uidMappings" ? uid : gid });
}

/**
 * Those of a new user namespace are written. One that is joined has its own; a config that has mappings besides, as
 * containerd writes it for the containers of a pod, has to mean the same.
 * @throws KontenaError ID_MAPPING_FAILED
 */
export function mapIds(input: PlanInput, pid: number): void {
  const { config } = input;
  if (isNew(config, "user")) {
    if (groupsDenied(input)) write(pid, "setgroups", "deny", "linux.gidMappings");
    for (const name of MAPPINGS) writeOne(input, pid, name);
    return;
  }
  for (const name of MAPPINGS) checkOne(config.linux?.[name] ?? [], pid, name);
}

/** user_namespaces(7): the kernel keeps ranges in an order of its own. */
function checkOne(mappings: readonly IdMapping[], pid: number, name: MappingsName): void {
  if (mappings.length === 0) return;
  const given = lines(mappings).trim().split("\n").sort();
  const real = readText(`/proc/${pid}/${FILE[name]}`).trim().split("\n").map(words).sort();
  if (given.join() === real.join()) return;
  throw new KontenaError("ID_MAPPING_FAILED", "the user namespace that is joined has other mappings", {
    at: `linux.${name}`,
    hint: `it maps ${real.join(", ")} (inside, outside, how many); they can be left out`,
  });
}

const words = (line: string) => line.trim().replace(/ +/g, " ");
