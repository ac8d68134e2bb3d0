/** Limits put in force: what every container has to pass by on its way isn't here, but in limits.ts. */
import type { Resources } from "../../spec/resources.ts";
import type { Cgroup, CgroupRequest } from "./cgroup.ts";
import { checkResources, factsOf, keepContents, writeAll, writesOf } from "./control.ts";
import { applyDevices } from "./devices/apply.ts";
import { deviceRules, forbidsByName, type Rule } from "./devices/rules.ts";
import { unifiedOf } from "./directories.ts";
import type { Facts, Write } from "./item.ts";
import { mergeResources, neededControllers, resourceItems, restOf, touchedBy } from "./resources.ts";
import { enableControllers } from "./v2/controllers.ts";

/** The v2 controllers of the container's cgroup enabled, and facts about it. */
function prepared(cgroup: Cgroup, resources: Resources): Facts {
  const directory = unifiedOf(cgroup);
  if (directory === undefined) return factsOf(cgroup);
  const needed = neededControllers(resources);
  // Beside v1, v2 has what nobody has asked for.
  if (needed.size === 0 && cgroup.hierarchies.length > 1) return factsOf(cgroup);
  const top = directory.slice(0, directory.length - cgroup.path.length) || "/";
  return factsOf(cgroup, enableControllers(top, directory, needed));
}

/** Before there is a process. @throws KontenaError RESOURCE_FAILED */
export function applyBefore(
  cgroup: Cgroup,
  resources: Resources | undefined,
  warn: CgroupRequest["warn"],
): void {
  const facts = prepared(cgroup, resources ?? {});
  if (resources !== undefined) writeAll(cgroup, checkResources(resources, facts, warn), "before");
}

/** When init is born: what no process could be born under. @throws KontenaError RESOURCE_FAILED */
export function applyAfter(cgroup: Cgroup, resources: Resources): void {
  writeAll(cgroup, writesOf(resources, factsOf(cgroup)), "after");
}

/** Tells another manager of limits, which it writes to the files as well. @returns what tells it those from before */
export type Tell = (touched: Resources, facts: Facts) => () => void;

/**
 * A change while the container runs; `cgroup.resources` has the whole afterwards.
 * @throws KontenaError RESOURCE_FAILED, or what `tell` throws; then the limits from before hold
 */
export function updateLimits(
  cgroup: Cgroup,
  change: Resources,
  warn: CgroupRequest["warn"],
  tell?: Tell,
): void {
  const before = cgroup.resources ?? {};
  const all = mergeResources(before, change);
  const touched = touchedBy(change, all);
  const facts = prepared(cgroup, touched);
  const writes = checkResources(touched, facts, warn);
  warnOfOverruled(change, writes, facts, warn);
  const back: (() => void)[] = [];
  try {
    back.push(changeDevices(cgroup, change, before, warn));
    back.push(keepContents(cgroup, writes, facts));
    if (tell !== undefined) back.push(tellOf(tell, cgroup, touched, all, facts));
    // Translated again after the manager's writes: an idle cgroup takes no weight.
    writeAll(cgroup, tell === undefined ? writes : writesOf(touched, facts), "update");
  } catch (error) {
    // The manager's values are less exact than those of the files.
    for (const step of back.toReversed()) step();
    throw error;
  }
  cgroup.resources = all;
}

/** systemd writes all of its files when a controller comes along: those that aren't touched get their contents again. */
function tellOf(tell: Tell, cgroup: Cgroup, touched: Resources, all: Resources, facts: Facts): () => void {
  const others = keepContents(cgroup, writesOf(restOf(all, touched), facts), facts);
  const back = tell(touched, facts);
  others();
  return () => {
    back();
    others();
  };
}

/** What a value is for: a file, or a device in a file. */
const targetOf = ({ file, value }: Write) => (value.includes(":") ? `${file} ${value.split(" ", 1)}` : file);

/** A change that `unified` from before takes back would else be ignored in silence. */
function warnOfOverruled(
  { unified = {}, ...named }: Resources,
  writes: readonly Write[],
  facts: Facts,
  warn: CgroupRequest["warn"],
): void {
  const targets = new Set(writesOf(named, facts).map(targetOf));
  for (const write of writes) {
    const { at, file, value } = write;
    if (!at.startsWith("linux.resources.unified[") || file in unified || !targets.has(targetOf(write)))
      continue;
    const hint = "`unified` counts last: change it there";
    warn(`${file} stays as it is: ${value}`, { at, hint });
  }
}

/**
 * The list that the container has already isn't written again: engines hand over the whole of `linux.resources`, and others
 * may have allowed it more since.
 * @returns what takes it back
 */
function changeDevices(
  cgroup: Cgroup,
  { devices }: Resources,
  before: Resources,
  warn: CgroupRequest["warn"],
): () => void {
  const [now, then] = [before.devices ?? [], devices ?? []].map(deviceRules) as [Rule[], Rule[]];
  const same = before.devices !== undefined && JSON.stringify(now) === JSON.stringify(then);
  if (devices === undefined || same) return () => {};
  return applyDevices(cgroup, then, { asked: true, fresh: false, before: now, warn });
}

/** Whether a container can do without a cgroup: no limit, and no device forbidden by name (see devices/apply.ts). */
export function asksForNothing(resources: Resources): boolean {
  const none: Facts = { where: () => undefined, read: () => undefined };
  const limits = resourceItems(resources, none).filter((item) => !("notice" in item));
  return limits.length === 0 && !forbidsByName(deviceRules(resources.devices ?? []));
}
