/**
 * linux.intelRdt (config-linux.md, "IntelRdt"): the container's group in the resctrl file system, which shares out the
 * processor's cache and memory bandwidth (Documentation/filesystems/resctrl.rst, Linux 4.10).
 */

import type { IntelRdt } from "../../spec/linux.ts";
import { KontenaError } from "../error.ts";
import { errnoText } from "../kernel/errno.ts";
import { codeOf, readText } from "../kernel/files.ts";
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "../kernel/fs.ts";
import { join } from "../path.ts";

const AT = "linux.intelRdt";

/** What a container has of resctrl, as its state keeps it. */
export interface RdtGroups {
  /** What its processes are in: the class of service, and the monitoring group in that. */
  groups: string[];
  /** What create makes for this container alone, the inner first. */
  made: string[];
  /** A class that create makes, and that others may have come to use. */
  shared?: string;
}

/** Decided before anything is made. */
export interface RdtPlan extends RdtGroups {
  /** What goes into the schemata file of a class that is made, a write each. */
  schemata: string[];
}

/** Where resctrl is mounted, by the text of /proc/self/mountinfo. */
export function findResctrl(mountinfo: string): string | undefined {
  const line = mountinfo.split("\n").find((l) => l.includes(" - resctrl "));
  return line
    ?.split(" ")[4]
    ?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** @throws KontenaError HOST_UNSUPPORTED when there is none */
export function resctrlRoot(mountinfo = readText("/proc/self/mountinfo")): string {
  const root = findResctrl(mountinfo);
  if (root !== undefined) return root;
  throw new KontenaError("HOST_UNSUPPORTED", "no resctrl file system is mounted", {
    at: AT,
    hint: "`mount -t resctrl resctrl /sys/fs/resctrl`, where processor and kernel have it",
  });
}

const withoutMb = (schema: string) =>
  schema
    .split("\n")
    .filter((line) => !line.trimStart().startsWith("MB:"))
    .join("\n");

/** The spec's order: both schemas as one, then `schemata`. A line on bandwidth in the cache's schema gives way to memBwSchema. */
function schemataOf({ l3CacheSchema = "", memBwSchema = "", schemata = [] }: IntelRdt): string[] {
  const cache = memBwSchema === "" ? l3CacheSchema : withoutMb(l3CacheSchema);
  const combined = [cache, memBwSchema].filter((part) => part !== "").join("\n");
  return [combined, schemata.join("\n")].filter((text) => text !== "");
}

function failed(message: string, path: string, hint?: string): KontenaError {
  return new KontenaError("RDT_FAILED", message, { at: AT, path, ...(hint === undefined ? {} : { hint }) });
}

/** What this container will have. @throws KontenaError RDT_FAILED when a group that has to be there isn't, or has other limits */
export function planRdt(rdt: IntelRdt, id: string, root: string): RdtPlan {
  const { closID, enableMonitoring } = rdt;
  const schemata = schemataOf(rdt);
  const directory = closID === "/" ? root : join(root, closID || id);
  const isThere = existsSync(directory);
  if (!closID && isThere)
    throw failed(
      `the resctrl group ${directory} exists already`,
      directory,
      "closID names one that is to be used",
    );
  if (closID && !isThere && schemata.length === 0)
    throw failed(
      `there is no resctrl group ${directory}`,
      directory,
      "without a schema, closID names a group that is there",
    );
  if (isThere && schemata.length > 0) compareSchemata(directory, schemata);
  const monitor = enableMonitoring ? [join(directory, "mon_groups", id)] : [];
  return {
    groups: [directory, ...monitor],
    made: [...monitor, ...(closID ? [] : [directory])],
    ...(closID && !isThere ? { shared: directory } : {}),
    schemata: isThere ? [] : schemata,
  };
}

/** Resource and domain → value, without the blanks and leading zeros that the kernel writes. */
function parseSchemata(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [resource = "", domains] = line.split(":", 2);
    for (const domain of (domains ?? "").split(";")) {
      const [number, value] = domain.split("=", 2);
      if (value === undefined) continue;
      values.set(
        `${resource.trim()}:${Number(number)}`,
        value
          .trim()
          .toLowerCase()
          .replace(/^0+(?=.)/, ""),
      );
    }
  }
  return values;
}

/** "runtimes MUST compare … value with schemata file, and generate an error if doesn't match" */
function compareSchemata(directory: string, wanted: readonly string[]): void {
  const path = join(directory, "schemata");
  const now = parseSchemata(read(path));
  for (const [domain, value] of parseSchemata(wanted.join("\n"))) {
    const current = now.get(domain);
    if (current === value) continue;
    throw failed(
      `the resctrl group ${directory} exists with other limits: ${domain}=${current ?? "(none)"}, not ${value}`,
      path,
    );
  }
}

function read(path: string): string {
  try {
    return readText(path);
  } catch (error) {
    throw failed(`cannot read ${path}: ${errnoText(codeOf(error))}`, path);
  }
}

/** Makes the groups and puts init into them. @throws KontenaError RDT_FAILED with the kernel's own words */
export function enterRdt({ groups, made, shared, schemata }: RdtPlan, pid: number, root: string): void {
  const [directory = root] = groups;
  for (const path of groups) {
    if (path === shared || made.includes(path))
      attempt(root, `make the resctrl group ${path}`, path, () => mkdirSync(path));
    if (path === directory) for (const text of schemata) write(root, join(path, "schemata"), text);
    joinGroup(root, path, pid);
  }
}

/** A further process of the container, the class first: a change of it takes the process out of its monitoring group. */
export function joinRdt({ groups }: RdtGroups, pid: number, root = resctrlRoot()): void {
  for (const path of groups) joinGroup(root, path, pid);
}

const joinGroup = (root: string, path: string, pid: number) => write(root, join(path, "tasks"), String(pid));

function write(root: string, path: string, text: string): void {
  attempt(root, `write ${JSON.stringify(text)} to ${path}`, path, () => writeFileSync(path, `${text}\n`));
}

function attempt(root: string, what: string, path: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw failed(`cannot ${what}: ${errnoText(codeOf(error))}`, path, lastStatus(root));
  }
}

/** Writes other limits into the class that a container is in. @throws KontenaError RDT_FAILED */
export function changeRdt({ groups }: RdtGroups, change: IntelRdt, root = resctrlRoot()): void {
  for (const text of schemataOf(change)) write(root, join(groups[0] ?? root, "schemata"), text);
}

/** Why the kernel has refused the last request: resctrl.rst, "info/last_cmd_status". */
function lastStatus(root: string): string | undefined {
  try {
    const text = readText(join(root, "info/last_cmd_status")).trim();
    return text === "ok" || text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Removes what create has made. A class that others use by now stays; who is in another group falls back to its class. */
export function leaveRdt({ made, shared }: RdtGroups, remove: (path: string) => void = rmdirSync): void {
  const inUse = (path: string) => readText(join(path, "tasks")).trim() !== "";
  for (const path of [...made, ...(shared === undefined ? [] : [shared])])
    try {
      if (path !== shared || !inUse(path)) remove(path);
    } catch (error) {
      if (codeOf(error) !== "ENOENT")
        throw failed(`cannot remove ${path}: ${errnoText(codeOf(error))}`, path);
    }
}
