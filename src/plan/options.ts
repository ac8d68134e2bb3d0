/**
 * Mount options as rows (config.md, "Linux mount options"): one table that plans, `features` and error texts read.
 * What no row names is data for the file system.
 */
import { MOUNT_ATTR, MOUNT_ATTR__ATIME, MOUNT_ATTR_RELATIME, MS } from "../kernel/consts/mount.ts";

interface Row {
  /** Bits of MOUNT_ATTR_* to set and to clear on the mount. */
  set?: number;
  clear?: number;
  /** Flag for the file system itself, as fsconfig(2) takes it. */
  flag?: string;
  /** Bind mount: of this mount, or with what is mounted below. */
  bind?: "one" | "recursive";
  /** Propagation type, and whether it goes down the tree. */
  propagation?: number;
  recursive?: true;
}

const A = MOUNT_ATTR;

/** A mode of access time replaces the one before: all its bits are cleared first. */
const atime = (value: number): Row => ({ set: value, clear: MOUNT_ATTR__ATIME });
const propagation = (name: string, type: number): [string, Row][] => [
  [name, { propagation: type }],
  [`r${name}`, { propagation: type, recursive: true }],
];

const ROWS: [string, Row][] = [
  ["defaults", {}],
  ["ro", { set: A.MOUNT_ATTR_RDONLY, flag: "ro" }],
  ["rw", { clear: A.MOUNT_ATTR_RDONLY, flag: "rw" }],
  ["nosuid", { set: A.MOUNT_ATTR_NOSUID }],
  ["suid", { clear: A.MOUNT_ATTR_NOSUID }],
  ["nodev", { set: A.MOUNT_ATTR_NODEV }],
  ["dev", { clear: A.MOUNT_ATTR_NODEV }],
  ["noexec", { set: A.MOUNT_ATTR_NOEXEC }],
  ["exec", { clear: A.MOUNT_ATTR_NOEXEC }],
  ["noatime", atime(A.MOUNT_ATTR_NOATIME)],
  ["atime", atime(MOUNT_ATTR_RELATIME)],
  ["relatime", atime(MOUNT_ATTR_RELATIME)],
  ["norelatime", atime(MOUNT_ATTR_RELATIME)],
  ["strictatime", atime(A.MOUNT_ATTR_STRICTATIME)],
  ["nostrictatime", atime(MOUNT_ATTR_RELATIME)],
  ["nodiratime", { set: A.MOUNT_ATTR_NODIRATIME }],
  ["diratime", { clear: A.MOUNT_ATTR_NODIRATIME }],
  ["nosymfollow", { set: A.MOUNT_ATTR_NOSYMFOLLOW }],
  ["symfollow", { clear: A.MOUNT_ATTR_NOSYMFOLLOW }],
  ["sync", { flag: "sync" }],
  ["async", { flag: "async" }],
  ["dirsync", { flag: "dirsync" }],
  ["lazytime", { flag: "lazytime" }],
  ["nolazytime", { flag: "nolazytime" }],
  ["mand", { flag: "mand" }],
  ["nomand", { flag: "nomand" }],
  ["bind", { bind: "one" }],
  ["rbind", { bind: "recursive" }],
  ...propagation("private", MS.MS_PRIVATE),
  ...propagation("shared", MS.MS_SHARED),
  ...propagation("slave", MS.MS_SLAVE),
  ...propagation("unbindable", MS.MS_UNBINDABLE),
];

/** Options of the spec that this version refuses by name rather than hand them to the file system as data. */
export const LATER_OPTIONS: readonly string[] = [
  "remount",
  "iversion",
  "noiversion",
  "silent",
  "loud",
  "acl",
  "noacl",
  "tmpcopyup",
  "idmap",
  "ridmap",
  ..."ro rw suid nosuid dev nodev exec noexec atime noatime diratime nodiratime relatime norelatime strictatime nostrictatime symfollow nosymfollow"
    .split(" ")
    .map((name) => `r${name}`),
];

let table: Map<string, Row> | undefined;

/** Every option that this version applies by itself. */
export const MOUNT_OPTIONS: readonly string[] = ROWS.map(([name]) => name);

export interface ParsedOptions {
  set: number;
  clear: number;
  flags: string[];
  bind: "one" | "recursive" | undefined;
  propagation: { type: number; recursive: boolean }[];
  /** `key=value` and bare words for the file system. */
  data: {
    key: string;
    value?: string /** Place among the options; none for what kontena adds. */;
    index?: number;
  }[];
}

/** Reads the options from first to last; a later one wins over an earlier one. */
export function parseOptions(options: readonly string[]): ParsedOptions {
  table ??= new Map(ROWS);
  const parsed: ParsedOptions = { set: 0, clear: 0, flags: [], bind: undefined, propagation: [], data: [] };
  options.forEach((option, index) => {
    const row = table?.get(option);
    if (row === undefined) {
      const equals = option.indexOf("=");
      const key = equals < 0 ? option : option.slice(0, equals);
      parsed.data.push({ key, index, ...(equals < 0 ? {} : { value: option.slice(equals + 1) }) });
      return;
    }
    const set = row.set ?? 0;
    const clear = row.clear ?? 0;
    parsed.set = (parsed.set & ~clear) | set;
    parsed.clear = (parsed.clear & ~set) | clear;
    if (clear === MOUNT_ATTR__ATIME) parsed.clear |= MOUNT_ATTR__ATIME;
    if (row.flag !== undefined) parsed.flags.push(row.flag);
    if (row.bind !== undefined) parsed.bind = row.bind;
    if (row.propagation !== undefined)
      parsed.propagation.push({ type: row.propagation, recursive: row.recursive ?? false });
  });
  return parsed;
}
