/**
 * Mounts (config.md, "Mounts"): each is made detached, by fsopen/fsmount or open_tree, and then moved to the descriptor of
 * its destination. Between the two no path is looked up again, so a symlink that is swapped in changes nothing.
 */
import type { Mount } from "../../spec/mounts.ts";
import type { Failure, Step } from "../init/step.ts";
import { attach, flagsOf } from "./attach.ts";
import { bind } from "./bind.ts";
import { cgroupMount } from "./cgroup.ts";
import { copyUpPause } from "./copy-up.ts";
import { type Destination, openOrMake, swept } from "./destination.ts";
import { insteadOf, openFileSystem } from "./filesystem.ts";
import { checkedIdMap, mapIds } from "./idmap.ts";
import type { PlanInput } from "./input.ts";
import { mountContext } from "./labels.ts";
import { legacyMount, needsMount2 } from "./legacy-mount.ts";
import { isDevice } from "./mount-handles.ts";
import { type ParsedOptions, parseOptions } from "./options.ts";
import { guardSteps } from "./proc-guard.ts";
import { remount } from "./remount.ts";
import { destinationOf, isBind, modeName } from "./source.ts";

/** Written to by runtimes and trusted by them: a symlink in its path would let the image choose where (CVE-2019-19921). */
const NO_SYMLINKS = new Set(["proc", "sysfs"]);

const isCgroup = ({ type }: Mount) => type === "cgroup" || type === "cgroup2";

/** All mounts in their order, or one of two parts: those before the first one that needs the container's cgroup, and the rest. */
export function mounts(input: PlanInput, part: "all" | "before cgroups" | "from cgroups on" = "all"): Step[] {
  const all = input.config.mounts ?? [];
  const found = all.findIndex((mount) => isCgroup(mount) && !isBind(mount));
  const border = found < 0 ? all.length : found;
  const blocks = all.map((mount, i) => () => oneMount(input, mount, i));
  const [from, to] = { all: [0], "before cgroups": [0, border], "from cgroups on": [border] }[part];
  return swept(blocks.slice(from, to).map((make) => make()));
}

function oneMount(input: PlanInput, mount: Mount, index: number): Step[] {
  const at = `mounts[${index}]`;
  const options = parseOptions(mount.options ?? []);
  if (options.words.has("remount"))
    return remount((input.config.mounts ?? []).slice(0, index), mount, options, at);
  if (isBind(mount)) return bind(input, mount, options, at);
  if (isCgroup(mount)) return cgroupMount(input, mount, options, at);
  return fileSystem(input, mount, options, at);
}

/** A tmpfs without a mode of its own has that of the directory that it covers. */
function modeOf({ host }: PlanInput, mount: Mount): ParsedOptions["data"] {
  const fact = host.sources[modeName(mount)];
  return fact === undefined ? [] : [{ key: "mode", value: fact.slice("mode ".length) }];
}

/** fsopen, a fsconfig for each option, create, fsmount: the kernel names the option that it doesn't like. */
function fileSystem(input: PlanInput, mount: Mount, options: ParsedOptions, at: string): Step[] {
  const type = mount.type ?? "none";
  const path = mount.destination;
  const fail: Failure = { code: "MOUNT_FAILED", message: `cannot mount "${type}" on ${path}`, path };
  const mounted = `${at} mount`;
  const place: Destination = {
    path: destinationOf(input, mount),
    kind: "directory",
    save: `${at} destination`,
    at: `${at}.destination`,
    why: "the mount's destination",
    fail,
    noFollow: options.words.has("destinationNoFollow"),
    ...(NO_SYMLINKS.has(type) ? { noSymlinks: true } : {}),
  };
  const guard = guardSteps(mount, at, place.save, mounted, fail);
  const legacy = needsMount2(mount, options);
  const data = [...modeOf(input, mount), ...options.data, ...mountContext(input, type, legacy)];
  if (legacy) return legacyMount(mount, { ...options, data }, place, at, fail, guard);
  const asked = { set: flagsOf(options), flags: options.flags, data };
  return [
    ...(isDevice(input, mount, options)
      ? []
      : openFileSystem(mount, asked, at, mounted, fail, insteadOf(input, type))),
    openOrMake(place),
    ...guard,
    ...copyUpPause(mount, at),
    ...(checkedIdMap(input.config, mount, options) === undefined ? [] : [mapIds(mounted, at, fail)]),
    ...attach(mounted, place.save, options, at, fail),
  ];
}
