/**
 * Mount options as rows (config.md, "Linux mount options"): one table that plans, `features` and error texts read.
 * What no row names is data for the file system; `acl` and `noacl` among that, since only file systems know what they mean.
 */
import { MOUNT_ATTR, MOUNT_ATTR__ATIME, MOUNT_ATTR_RELATIME, MS } from "../kernel/consts/mount.ts";

interface Row {
  /** Bits of MOUNT_ATTR_* to set and to clear on the mount; on all of its tree when `tree` is true. */
  set?: number;
  clear?: number;
  tree?: true;
  /** Flag for the file system itself, as fsconfig(2) takes it. */
  flag?: string;
  /** A bit of the file system itself that only mount(2) takes, and whether it is given. */
  bit?: number;
  given?: boolean;
  /** Bind mount: of this mount, or with what is mounted below. */
  bind?: "one" | "recursive";
  /** Propagation type, and whether it goes down the tree. */
  propagation?: number;
  recursive?: true;
  /** The ids of the mount are mapped; with what is mounted below when true. */
  idmap?: { recursive: boolean };
  /** Words that have no value. */
  word?: Word;
}

/** `copyUp` is tmpcopyup; the last three are crun's. */
type Word = "remount" | "copyUp" | "copySymlink" | "sourceNoFollow" | "destinationNoFollow";

const A = MOUNT_ATTR;

/** A mode of access time replaces the one before: all its bits are cleared first. */
const atime = (value: number): Row => ({ set: value, clear: MOUNT_ATTR__ATIME });
const propagation = (name: string, type: number): [string, Row][] => [
  [name, { propagation: type }],
  [`r${name}`, { propagation: type, recursive: true }],
];

/** Properties of a mount: each may be asked for of the whole tree by an `r` before its name (Linux 5.12). */
const ATTRIBUTES: [string, Row][] = [
  ["ro", { set: A.MOUNT_ATTR_RDONLY }],
  ["rw", { clear: A.MOUNT_ATTR_RDONLY }],
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
];

const ROWS: [string, Row][] = [
  ["defaults", {}],
  ...ATTRIBUTES.map(([name, row]): [string, Row] => [
    name,
    name === "ro" || name === "rw" ? { ...row, flag: name } : row,
  ]),
  ...ATTRIBUTES.map(([name, row]): [string, Row] => [`r${name}`, { ...row, tree: true }]),
  ["sync", { flag: "sync" }],
  ["async", { flag: "async" }],
  ["dirsync", { flag: "dirsync" }],
  ["lazytime", { flag: "lazytime" }],
  ["nolazytime", { flag: "nolazytime" }],
  ["mand", { flag: "mand" }],
  ["nomand", { flag: "nomand" }],
  ["iversion", { bit: MS.MS_I_VERSION, given: true }],
  ["noiversion", { bit: MS.MS_I_VERSION, given: false }],
  ["silent", { bit: MS.MS_SILENT, given: true }],
  ["loud", { bit: MS.MS_SILENT, given: false }],
  ["bind", { bind: "one" }],
  ["rbind", { bind: "recursive" }],
  ["remount", { word: "remount" }],
  ["tmpcopyup", { word: "copyUp" }],
  ["idmap", { idmap: { recursive: false } }],
  ["ridmap", { idmap: { recursive: true } }],
  ["copy-symlink", { word: "copySymlink" }],
  ["src-nofollow", { word: "sourceNoFollow" }],
  ["dest-nofollow", { word: "destinationNoFollow" }],
  ...propagation("private", MS.MS_PRIVATE),
  ...propagation("shared", MS.MS_SHARED),
  ...propagation("slave", MS.MS_SLAVE),
  ...propagation("unbindable", MS.MS_UNBINDABLE),
];

let table: Map<string, Row> | undefined;

/** Every option that this version applies by itself. */
export const MOUNT_OPTIONS: readonly string[] = ROWS.map(([name]) => name);

/** Changes of MOUNT_ATTR_* bits. A mode of access time clears its whole field, as mount_setattr(2) wants it. */
export interface Attributes {
  set: number;
  clear: number;
}

export interface ParsedOptions extends Attributes {
  /** The same for the whole tree of mounts, after that of its top. */
  tree: Attributes;
  flags: string[];
  /** MS_* bits of the file system that only mount(2) takes. */
  bits: number;
  bind: "one" | "recursive" | undefined;
  /** Ids are mapped; `text` is a mapping in crun's grammar. */
  idmap: { recursive: boolean; index: number; text?: string } | undefined;
  words: ReadonlySet<Word>;
  propagation: { type: number; recursive: boolean }[];
  /** `key=value` and bare words for the file system. */
  data: {
    key: string;
    value?: string;
    /** Place among the options; none for what kontena adds. */
    index?: number;
  }[];
  /** Places of the options that are the file system's own: a bind mount can't change those. */
  superblock: number[];
}

function change(attributes: Attributes, { set = 0, clear = 0 }: Row): void {
  attributes.set = (attributes.set & ~clear) | set;
  attributes.clear = (attributes.clear & ~set) | clear;
  if (clear === MOUNT_ATTR__ATIME) attributes.clear |= MOUNT_ATTR__ATIME;
}

/**
 * Data as mount(2) would read it: a comma parts options, but not one behind a backslash (overlay's way to have one in a
 * path) or in quotes (SELinux's). Configs for other runtimes, which join all with commas, so mean the same here.
 */
export function splitData(option: string): string[] {
  if (!option.includes(",")) return [option];
  return option.match(/(?:\\.|"[^"]*"|[^,\\])+/g) ?? [option];
}

function addData(parsed: ParsedOptions, option: string, index: number): void {
  for (const part of splitData(option)) {
    const equals = part.indexOf("=");
    const key = equals < 0 ? part : part.slice(0, equals);
    parsed.data.push({ key, index, ...(equals < 0 ? {} : { value: part.slice(equals + 1) }) });
  }
}

/** crun's way to give the mappings with the option. */
const IDMAP = /^(r?idmap)=(.*)$/s;

/** Reads the options from first to last; a later one wins over an earlier one. */
export function parseOptions(options: readonly string[]): ParsedOptions {
  table ??= new Map(ROWS);
  const words = new Set<Word>();
  const parsed: ParsedOptions = {
    set: 0,
    clear: 0,
    tree: { set: 0, clear: 0 },
    flags: [],
    bits: 0,
    bind: undefined,
    idmap: undefined,
    words,
    propagation: [],
    data: [],
    superblock: [],
  };
  options.forEach((option, index) => {
    const map = IDMAP.exec(option);
    const row = table?.get(map?.[1] ?? option);
    if (row === undefined) {
      addData(parsed, option, index);
      return;
    }
    change(row.tree ? parsed.tree : parsed, row);
    if (row.flag !== undefined) parsed.flags.push(row.flag);
    if (row.bit !== undefined) parsed.bits = row.given ? parsed.bits | row.bit : parsed.bits & ~row.bit;
    if (row.bind !== undefined) parsed.bind = row.bind;
    if (row.idmap !== undefined)
      parsed.idmap = { ...row.idmap, index, ...(map?.[2] === undefined ? {} : { text: map[2] }) };
    if (row.word !== undefined) words.add(row.word);
    if (row.propagation !== undefined)
      parsed.propagation.push({ type: row.propagation, recursive: row.recursive ?? false });
    if (row.bit !== undefined || (row.flag !== undefined && row.set === undefined && row.clear === undefined))
      parsed.superblock.push(index);
  });
  return parsed;
}
