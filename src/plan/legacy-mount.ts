/**
 * mount(2), for what fsconfig(2) can't say: the flags MS_I_VERSION and MS_SILENT, and strings longer than 255 bytes (overlay
 * with many layers). By "." from the destination's descriptor, so that no path is looked up.
 */
import type { Mount } from "../../spec/mounts.ts";
import { cell, type Failure, type Step } from "../init/step.ts";
import { MOUNT_ATTR, MOUNT_ATTR__ATIME, MS } from "../kernel/consts/mount.ts";
import { flagsOf, setAttributes, setPropagation } from "./attach.ts";
import { type Destination, openInRoot, openOrMake } from "./destination.ts";
import { SHARED_INSTANCE, sourceOf } from "./filesystem.ts";
import type { ParsedOptions } from "./options.ts";

/** fsconfig(2) copies a string of at most 256 bytes, its NUL among them. */
const FSCONFIG_STRING = 255;
/** mount(2) copies one page of data, its NUL among them, and cuts off what is longer. */
export const MOUNT_DATA = 4095;

const bytes = (text: string) => new TextEncoder().encode(text).length;
/** UTF-8 takes at most three bytes for a unit of UTF-16. */
const tooLong = (text = "") => text.length * 3 > FSCONFIG_STRING && bytes(text) > FSCONFIG_STRING;

export function needsMount2(mount: Mount, options: ParsedOptions): boolean {
  return (
    options.bits !== 0 ||
    tooLong(mount.source) ||
    options.data.some(({ key, value }) => tooLong(key) || tooLong(value))
  );
}

/** All data options, as mount(2) takes them. */
export function mountData({ data }: ParsedOptions): string {
  return data.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`)).join();
}

/** Bytes of that. */
export function mountDataSize(options: ParsedOptions): number {
  return bytes(mountData(options));
}

/** Flags of the mount that have another bit in mount(2); the first four have the same. */
const OTHER_BITS: readonly (readonly [attribute: number, flag: number])[] = [
  [MOUNT_ATTR.MOUNT_ATTR_NODIRATIME, MS.MS_NODIRATIME],
  [MOUNT_ATTR.MOUNT_ATTR_NOSYMFOLLOW, MS.MS_NOSYMFOLLOW],
];
const SAME_BITS = MS.MS_RDONLY | MS.MS_NOSUID | MS.MS_NODEV | MS.MS_NOEXEC;

/** The words for fsconfig(2) as bits; a later one wins. */
const SUPERBLOCK: Readonly<Record<string, readonly [bit: number, given: boolean]>> = {
  sync: [MS.MS_SYNCHRONOUS, true],
  async: [MS.MS_SYNCHRONOUS, false],
  dirsync: [MS.MS_DIRSYNC, true],
  lazytime: [MS.MS_LAZYTIME, true],
  nolazytime: [MS.MS_LAZYTIME, false],
  mand: [MS.MS_MANDLOCK, true],
  nomand: [MS.MS_MANDLOCK, false],
};

export function mountFlags(options: ParsedOptions): number {
  const set = flagsOf(options);
  let flags = options.bits | (set & SAME_BITS);
  for (const [attribute, flag] of OTHER_BITS) if ((set & attribute) !== 0) flags |= flag;
  const atime = set & MOUNT_ATTR__ATIME;
  if (atime === MOUNT_ATTR.MOUNT_ATTR_NOATIME) flags |= MS.MS_NOATIME;
  if (atime === MOUNT_ATTR.MOUNT_ATTR_STRICTATIME) flags |= MS.MS_STRICTATIME;
  for (const name of options.flags) {
    const [bit, given] = SUPERBLOCK[name] ?? [0, false];
    flags = given ? flags | bit : flags & ~bit;
  }
  return flags;
}

export function legacyMount(
  mount: Mount,
  options: ParsedOptions,
  place: Destination,
  at: string,
  fail: Failure,
  guard: readonly Step[],
): Step[] {
  const type = mount.type ?? "none";
  const mounted = `${at} mount`;
  const data = mountData(options);
  const flags = mountFlags(options);
  const forTheMountAlone = SHARED_INSTANCE.has(type) && (flags & MS.MS_RDONLY) !== 0;
  return [
    openOrMake(place),
    ...guard,
    { call: "fchdir", args: [cell(place.save)], why: "to the destination", at: place.at, fail },
    {
      call: "mount",
      args: [
        sourceOf(mount),
        ".",
        type,
        forTheMountAlone ? flags & ~MS.MS_RDONLY : flags,
        data === "" ? 0 : data,
      ],
      why: "with flags or data that fsconfig(2) doesn't take",
      at,
      fail: {
        ...fail,
        hints: {
          ENODEV: `the kernel has no file system type "${type}", see /proc/filesystems`,
          EINVAL: "an option or its value is wrong; the kernel's log (dmesg) may say which",
        },
      },
    },
    openInRoot({ ...place, save: mounted, why: "what is there now" }),
    ...(forTheMountAlone
      ? setAttributes(mounted, { set: MOUNT_ATTR.MOUNT_ATTR_RDONLY, clear: 0 }, at, fail)
      : []),
    ...setPropagation(mounted, options, at, fail),
  ];
}
