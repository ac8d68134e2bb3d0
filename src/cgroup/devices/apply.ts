/** The container's device rules put in force: v1's files where that hierarchy is, else v2's filter. */

import { KontenaError } from "../../error.ts";
import { ERRNO, errnoName, errnoText } from "../../kernel/errno.ts";
import { readText, writeControls } from "../../kernel/files.ts";
import { join } from "../../path.ts";
import type { Cgroup, CgroupRequest } from "../cgroup.ts";
import { controllerOf, unifiedOf } from "../directories.ts";
import { lacking } from "../item.ts";
import { allowsEverything, DEFAULTS, forbidsByName, type Rule } from "./rules.ts";
import { deviceWrites, parseList, textOf, toExceptions } from "./v1.ts";

const at = "linux.resources.devices";

interface Options {
  /** Whether the config has rules; without them the default ones apply where they can be. */
  asked: boolean;
  /** Whether the cgroup is new: it allows what the one above does. */
  fresh: boolean;
  warn: CgroupRequest["warn"];
}

/** @throws KontenaError RESOURCE_FAILED */
export function applyDevices(cgroup: Cgroup, rules: readonly Rule[], options: Options): void {
  if (options.fresh && allowsEverything(rules)) return;
  const v1 = controllerOf(cgroup, "devices");
  const v2 = unifiedOf(cgroup);
  if (v1 !== undefined) applyV1(v1, rules, options);
  else if (v2 !== undefined) applyV2(v2, rules, options);
  else if (options.asked) {
    const { refused, hint } = lacking(at, "devices");
    throw new KontenaError("RESOURCE_FAILED", refused, { at, ...(hint === undefined ? {} : { hint }) });
  }
}

function applyV1(directory: string, rules: readonly Rule[], { fresh }: Options): void {
  const then = toExceptions(rules);
  if ("hole" in then)
    throw new KontenaError("RESOURCE_FAILED", `cgroup v1 can't forbid ${then.hole} alone`, {
      at,
      hint: "a rule before it allows that and more: v1 takes back only whole rules",
    });
  const now = fresh ? undefined : parseList(readText(join(directory, "devices.list")));
  const defaults = new Set(DEFAULTS.map(textOf));
  for (const { file, values } of deviceWrites(now, then)) {
    const path = join(directory, file);
    writeControls(path, values).forEach((result, i) => {
      const value = values[i] ?? "";
      // In a container of another runtime: what isn't allowed above can't be allowed below, and nobody asked for it.
      if (result === 0 || (result === -ERRNO.EPERM && defaults.has(value))) return;
      const errno = errnoName(-result);
      throw new KontenaError("RESOURCE_FAILED", `cannot write ${value} to ${file}: ${errnoText(errno)}`, {
        ...{ at, path, syscall: "write", errno },
        ...(result === -ERRNO.EPERM ? { hint: "the cgroup above doesn't allow it" } : {}),
        ...(result === -ERRNO.EINVAL ? { hint: "cgroups below have exceptions of their own" } : {}),
      });
    });
  }
}

/**
 * Who isn't root of the first user namespace may not load programs. Then the container is in a user namespace, where nobody
 * can make device nodes, and its processes may open only what the caller may; so only a rule that forbids a device by name
 * has to be refused.
 */
function applyV2(directory: string, rules: readonly Rule[], { asked, warn }: Options): void {
  const { filterDevices } = require("./filter.ts") as typeof import("./filter.ts");
  const failure = filterDevices(directory, rules);
  if (failure === undefined || !asked) return;
  const { message, syscall, errno } = failure;
  if (errno === "EPERM" && !forbidsByName(rules)) {
    warn(`the device rules are left out: ${message}`, { at });
    return;
  }
  throw new KontenaError("RESOURCE_FAILED", message, {
    ...{ at, syscall, errno },
    ...(errno === "EPERM" ? { hint: "it needs root in the machine's first user namespace" } : {}),
  });
}
