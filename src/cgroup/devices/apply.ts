/** The container's device rules put in force: v1's files where that hierarchy is, else v2's filter. */

import { KontenaError } from "../../error.ts";
import { ERRNO, errnoName, errnoText } from "../../kernel/errno.ts";
import { readText, writeControl, writeControls } from "../../kernel/files.ts";
import { join } from "../../path.ts";
import type { Cgroup, CgroupRequest } from "../cgroup.ts";
import { controllerOf, unifiedOf } from "../directories.ts";
import { lacking } from "../item.ts";
import { allowsEverything, DEFAULTS, forbidsByName, type Rule } from "./rules.ts";
import {
  type DeviceWrites,
  deviceWrites,
  inForce,
  oppositeWrites,
  textOf,
  toExceptions,
  type Written,
} from "./v1.ts";

const at = "linux.resources.devices";

interface Options {
  /** Whether the config has rules; without them the default ones apply where they can be. */
  asked: boolean;
  /** Whether the cgroup is new: it allows what the one above does. */
  fresh: boolean;
  /** The rules that it has had so far, where they are known. */
  before?: readonly Rule[];
  warn: CgroupRequest["warn"];
}

const nothing = () => {};

/**
 * @returns what puts that in force again which was before
 * @throws KontenaError RESOURCE_FAILED; then it is in force again
 */
export function applyDevices(cgroup: Cgroup, rules: readonly Rule[], options: Options): () => void {
  if (options.fresh && allowsEverything(rules)) return nothing;
  const v1 = controllerOf(cgroup, "devices");
  const v2 = unifiedOf(cgroup);
  if (v1 !== undefined) return applyV1(v1, rules, options);
  if (v2 !== undefined) return applyV2(v2, rules, options);
  if (!options.asked) return nothing;
  const { refused, hint } = lacking(at, "devices");
  throw new KontenaError("RESOURCE_FAILED", refused, { at, ...(hint === undefined ? {} : { hint }) });
}

function applyV1(directory: string, rules: readonly Rule[], { fresh, before }: Options): () => void {
  const then = toExceptions(rules);
  if ("hole" in then)
    throw new KontenaError("RESOURCE_FAILED", `cgroup v1 can't forbid ${then.hole} alone`, {
      at,
      hint: "a rule before it allows that and more: v1 takes back only whole rules",
    });
  const now = fresh ? undefined : inForce(readText(join(directory, "devices.list")), before);
  const done: Written[] = [];
  const back = () => {
    for (const { file, values } of oppositeWrites(done, now)) writeControls(join(directory, file), values);
  };
  try {
    writeAll(directory, deviceWrites(now, then), done);
  } catch (error) {
    back();
    throw error;
  }
  return back;
}

/** Writes until one is refused. `done` gets those that weren't. */
function writeAll(directory: string, writes: readonly DeviceWrites[], done: Written[]): void {
  const defaults = new Set(DEFAULTS.map(textOf));
  for (const { file, values } of writes) {
    const path = join(directory, file);
    for (const value of values) {
      const result = writeControl(path, value);
      if (result === 0) done.push({ file, value });
      // In a container of another runtime: what isn't allowed above can't be allowed below, and nobody asked for it.
      else if (result !== -ERRNO.EPERM || !defaults.has(value)) throw refused(path, file, value, -result);
    }
  }
}

function refused(path: string, file: string, value: string, number: number): KontenaError {
  const errno = errnoName(number);
  return new KontenaError("RESOURCE_FAILED", `cannot write ${value} to ${file}: ${errnoText(errno)}`, {
    ...{ at, path, syscall: "write", errno },
    ...(number === ERRNO.EPERM ? { hint: "the cgroup above doesn't allow it" } : {}),
    ...(number === ERRNO.EINVAL ? { hint: "cgroups below have exceptions of their own" } : {}),
  });
}

/**
 * Who isn't root of the first user namespace may not load programs. Then the container is in a user namespace, where nobody
 * can make device nodes, and its processes may open only what the caller may; so only a rule that forbids a device by name
 * has to be refused.
 */
function applyV2(directory: string, rules: readonly Rule[], { asked, before, warn }: Options): () => void {
  const { filterDevices } = require("./filter.ts") as typeof import("./filter.ts");
  const failure = filterDevices(directory, rules);
  if (failure === undefined)
    return () => {
      if (before !== undefined) filterDevices(directory, before);
    };
  if (!asked) return nothing;
  const { message, syscall, errno } = failure;
  if (errno === "EPERM" && !forbidsByName(rules)) {
    warn(`the device rules are left out: ${message}`, { at });
    return nothing;
  }
  throw new KontenaError("RESOURCE_FAILED", message, {
    ...{ at, syscall, errno },
    ...(errno === "EPERM" ? { hint: "it needs root in the machine's first user namespace" } : {}),
  });
}
