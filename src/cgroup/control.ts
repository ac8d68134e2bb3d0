/** Control files: written with the kernel's own answer, and the limits of a container applied by them. */

import type { Resources } from "../../spec/resources.ts";
import { KontenaError, type Problem } from "../error.ts";
import { ERRNO, errnoName, errnoText } from "../kernel/errno.ts";
import { readText, writeControl, writeControls } from "../kernel/files.ts";
import { join } from "../path.ts";
import type { Cgroup, CgroupRequest } from "./cgroup.ts";
import { controllerOf, unifiedOf } from "./directories.ts";
import type { Facts, Item, Notice, Refusal, Write } from "./item.ts";
import { resourceItems } from "./resources.ts";
import { undoOf } from "./undo.ts";

function directoryFor(
  cgroup: Cgroup,
  { controller, version }: Pick<Write, "controller" | "version">,
): string {
  const directory = version === 2 ? unifiedOf(cgroup) : controllerOf(cgroup, controller);
  return directory as string;
}

/** Facts about a container's cgroup that is there. `missing` says why controllers of v2 aren't. */
export function factsOf(cgroup: Cgroup, missing: ReadonlyMap<string, string> = new Map()): Facts {
  const unified = unifiedOf(cgroup);
  const read = (path: string) => {
    try {
      return readText(path).trim();
    } catch {
      return undefined;
    }
  };
  let handedDown: string[] | undefined;
  const inUnified = (name: string) => {
    handedDown ??= read(join(unified ?? "", "cgroup.controllers"))?.split(" ") ?? [];
    return name === "cgroup" || handedDown.includes(name);
  };
  return {
    where: (v1, v2 = v1) => {
      if (controllerOf(cgroup, v1) !== undefined) return 1;
      return unified !== undefined && inUnified(v2) ? 2 : undefined;
    },
    why: (controller) => missing.get(controller),
    read: (controller, file) => {
      const directory = controllerOf(cgroup, controller) ?? unified;
      return directory === undefined ? undefined : read(join(directory, file));
    },
  };
}

const isWrite = (item: Item): item is Write => "file" in item;

/** Before a process is born, after that what it couldn't be born under, or all of it while the container runs. */
export type Moment = "before" | "after" | "update";

/** Refuses and warns before anything is written. @throws KontenaError RESOURCE_FAILED, with all that are refused */
export function checkResources(resources: Resources, facts: Facts, warn: CgroupRequest["warn"]): Write[] {
  const items = resourceItems(resources, facts);
  refuse(items.filter((item): item is Refusal => "refused" in item));
  for (const { notice, at } of items.filter((item): item is Notice => "notice" in item)) warn(notice, { at });
  return items.filter(isWrite);
}

export const writesOf = (resources: Resources, facts: Facts): Write[] =>
  resourceItems(resources, facts).filter(isWrite);

/** Writes those of the moment. @throws KontenaError RESOURCE_FAILED */
export function writeAll(cgroup: Cgroup, writes: readonly Write[], moment: Moment): void {
  for (const write of writes)
    if (moment === "update" || (write.late ?? false) === (moment === "after")) apply(cgroup, write);
}

/** @returns what brings the contents again that the files of these writes have now */
export function keepContents(cgroup: Cgroup, writes: readonly Write[], facts: Facts): () => void {
  const kept = writes.flatMap((write) => {
    const now = facts.read(write.controller, write.file);
    if (now === undefined) return [];
    const effective = now === "" ? facts.read(write.controller, `${write.file}.effective`) : undefined;
    return [[pathOf(cgroup, write), undoOf(write, now, effective)] as const];
  });
  return () => {
    for (const [path, values] of kept.toReversed()) writeControls(path, values);
  };
}

function refuse(refusals: readonly Refusal[]): void {
  const [first] = refusals;
  if (first === undefined) return;
  if (refusals.length === 1) {
    const { refused, at, hint } = first;
    throw new KontenaError("RESOURCE_FAILED", refused, { at, ...(hint === undefined ? {} : { hint }) });
  }
  const problems = refusals.map(
    ({ refused, at, hint }): Problem => ({ at, message: refused, ...(hint === undefined ? {} : { hint }) }),
  );
  throw new KontenaError("RESOURCE_FAILED", "limits can't be applied here", { problems });
}

const pathOf = (cgroup: Cgroup, write: Write) => join(directoryFor(cgroup, write), write.file);

function apply(cgroup: Cgroup, write: Write): void {
  const path = pathOf(cgroup, write);
  const result = writeControl(path, write.value);
  if (result < 0) throw writeFailed(path, write, -result);
}

/** What may help, by errno; the first that fits. */
const HINTS: readonly [number, RegExp, string][] = [
  [ERRNO.EBUSY, /^memory/, "more than that is in use"],
  [ERRNO.EINVAL, /^memory\.(memsw\.)?limit/, "the limit may not be above that of memory and swap together"],
  [
    ERRNO.EINVAL,
    /^cpu\.(cfs|max)/,
    "a cgroup above has less, the burst is above the quota, or it is below 1 ms",
  ],
  [ERRNO.EINVAL, /^cpu\.rt/, "the cgroup above has no such time left to give"],
  [ERRNO.EINVAL, /^cpu\.(shares|weight)/, "an idle cgroup has no other weight"],
  [ERRNO.EACCES, /^cpuset/, "the cgroup above hasn't got all of them"],
  [ERRNO.ENODEV, /^(blkio|io)\./, "there is no such block device"],
  [ERRNO.ENOENT, /./, "this kernel has no such file"],
  [ERRNO.EACCES, /./, "the caller has no right to change it"],
  [ERRNO.EPERM, /./, "the caller has no right to change it"],
  [ERRNO.EROFS, /./, "the hierarchy is mounted read-only"],
];

function writeFailed(path: string, { file, value, at }: Write, errno: number): KontenaError {
  const name = errnoName(errno);
  const hint = HINTS.find(([number, pattern]) => number === errno && pattern.test(file))?.[2];
  return new KontenaError("RESOURCE_FAILED", `cannot write ${value} to ${file}: ${errnoText(name)}`, {
    at,
    path,
    syscall: "write",
    errno: name,
    ...(hint === undefined ? {} : { hint }),
  });
}
