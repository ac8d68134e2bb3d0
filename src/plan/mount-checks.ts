/** Rules for mounts that need the table of options: what is refused before anything is done, and what is said of the rest. */
import type { Config } from "../../spec/config.ts";
import type { Mount } from "../../spec/mounts.ts";
import { didYouMean } from "../../spec/nearest.ts";
import type { Problem } from "../error.ts";
import { resolve } from "../path.ts";
import { idMapOf } from "./idmap.ts";
import { MOUNT_DATA, mountDataSize, needsMount2 } from "./legacy-mount.ts";
import { MOUNT_OPTIONS, type ParsedOptions, parseOptions } from "./options.ts";
import { procProblems } from "./proc-guard.ts";
import { isBind } from "./source.ts";

type Check = (mount: Mount, options: ParsedOptions, at: string) => Problem[];

const one = (at: string, message: string, hint?: string): Problem[] => [
  { at, message, ...(hint === undefined ? {} : { hint }) },
];
const placeOf = (mount: Mount, at: string, name: string) => `${at}.options[${mount.options?.indexOf(name)}]`;

/** A bind mount has no file system of its own to give data to: an option that no row knows would be lost. */
const bindData: Check = (mount, { data }, at) => {
  if (!isBind(mount)) return [];
  return data.map(({ key, index }) => ({
    at: `${at}.options[${index}]`,
    message: `"${mount.options?.[index ?? -1]}" is not an option of a bind mount`,
    ...didYouMean(key, MOUNT_OPTIONS),
  }));
};

/** Its file systems are made as the host has them. */
const cgroupData: Check = (mount, { data }, at) => {
  if (isBind(mount) || (mount.type !== "cgroup" && mount.type !== "cgroup2")) return [];
  return data.map(({ index }) => ({
    at: `${at}.options[${index}]`,
    message: `"${mount.options?.[index ?? -1]}" is not an option of a cgroup mount`,
  }));
};

const hasType: Check = (mount, { words }, at) => {
  if (isBind(mount) || words.has("remount") || (mount.type ?? "none") !== "none") return [];
  return one(
    `${at}.type`,
    "is required: a file system type as in /proc/filesystems",
    "or a bind mount is meant: add bind or rbind to its options",
  );
};

const hasSource: Check = (mount, { words }, at) => {
  if (!isBind(mount) || words.has("remount") || mount.source) return [];
  return one(`${at}.source`, "is required for a bind mount");
};

/** mount(2), which takes what fsconfig(2) doesn't, would cut the data off in silence. */
const dataFits: Check = (mount, options, at) => {
  if (isBind(mount) || options.words.has("remount") || !needsMount2(mount, options)) return [];
  const size = mountDataSize(options);
  if (size <= MOUNT_DATA) return [];
  return one(`${at}.options`, `the kernel takes at most ${MOUNT_DATA} bytes of options, these are ${size}`);
};

const bitsWithRemount: Check = (mount, { words, bits }, at) => {
  if (!words.has("remount") || bits === 0) return [];
  const name = mount.options?.findLast((o) => o === "iversion" || o === "silent") ?? "";
  return one(placeOf(mount, at, name), `${name} can't be changed by a remount`);
};

/** The root is entered by its own mount: what is put on top of that would be seen by nobody. */
export const isRootItself = (path: string): boolean => resolve("/", path) === "/";

const notOnRoot: Check = ({ destination }, { words }, at) =>
  !words.has("remount") && isRootItself(destination)
    ? one(
        `${at}.destination`,
        "the container's root can't be covered by a mount",
        "root.path says what is mounted there; options of its own are changed by a remount",
      )
    : [];

const linkWords: Check = (mount, { words }, at) => {
  const names = (["copySymlink", "sourceNoFollow"] as const).filter((w) => words.has(w));
  if (names.length > 0 && !isBind(mount))
    return one(`${at}.options`, "copy-symlink and src-nofollow are options of bind mounts");
  if (words.has("copySymlink") && (words.has("sourceNoFollow") || words.has("destinationNoFollow")))
    return one(placeOf(mount, at, "copy-symlink"), "copy-symlink excludes src-nofollow and dest-nofollow");
  return [];
};

const copyUp: Check = (mount, options, at) => {
  if (!options.words.has("copyUp")) return [];
  const place = placeOf(mount, at, "tmpcopyup");
  if (mount.type !== "tmpfs" || isBind(mount)) return one(place, "is an option of a tmpfs");
  if (options.words.has("remount")) return one(place, "a tmpfs is filled when it is made, not by a remount");
  if (needsMount2(mount, options))
    return one(place, "can't go together with iversion, silent or options of more than 255 bytes");
  return [];
};

const CHECKS: readonly Check[] = [
  notOnRoot,
  bindData,
  cgroupData,
  hasType,
  hasSource,
  dataFits,
  bitsWithRemount,
  linkWords,
  copyUp,
];

function idMapProblems(config: Config, mount: Mount, options: ParsedOptions, at: string): Problem[] {
  const map = idMapOf(config, mount, options, at);
  if (map === undefined) return [];
  if ("message" in map) return [map];
  const place = options.idmap === undefined ? at : `${at}.options[${options.idmap.index}]`;
  if (!isBind(mount) && (mount.type === "cgroup" || mount.type === "cgroup2"))
    return one(place, "the ids of a cgroup mount can't be mapped");
  if (options.words.has("remount"))
    return one(place, "ids are mapped when a mount is made, not by a remount");
  if (needsMount2(mount, options) && !isBind(mount))
    return one(place, "ids can't be mapped together with iversion, silent or options of more than 255 bytes");
  return [];
}

/** What makes the mounts of a config impossible. */
export function mountProblems(config: Config): Problem[] {
  const own = (config.mounts ?? []).flatMap((mount, i) => {
    const options = parseOptions(mount.options ?? []);
    const at = `mounts[${i}]`;
    return [
      ...CHECKS.flatMap((check) => check(mount, options, at)),
      ...idMapProblems(config, mount, options, at),
    ];
  });
  return [...own, ...procProblems(config)];
}

/**
 * Options of a file system on a bind mount, which has none of its own: mount(2) ignores them, and so do runc and crun, whose
 * users' configs have them. Here that is at least said.
 */
export function mountWarnings({ mounts = [] }: Config): Problem[] {
  return mounts.flatMap((mount, i) => {
    if (!isBind(mount)) return [];
    return parseOptions(mount.options ?? []).superblock.map((index) => ({
      at: `mounts[${i}].options[${index}]`,
      message: `${mount.options?.[index]} is an option of a file system, which a bind mount can't change: it has no effect`,
    }));
  });
}
