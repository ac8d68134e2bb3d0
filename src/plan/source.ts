/** Sources of bind mounts, and symlinks among them. Small, since a plan that is remembered needs this too; and what destinations lead to. */

import type { Mount } from "../../spec/mounts.ts";
import { hasAny } from "../lists.ts";
import type { PlanInput, SourceKind } from "./input.ts";

/** A bind mount is one by its type, or by an option whatever its type is (config.md, "Mounts"). */
export function isBind({ type, options }: Pick<Mount, "type" | "options">): boolean {
  return type === "bind" || hasAny(options ?? [], (option) => option === "bind" || option === "rbind");
}

/** Whether the source's own symlink is meant, not what it leads to (crun's options). */
export function meansLink({ options = [] }: Mount): boolean {
  return options.some((option) => option === "src-nofollow" || option === "copy-symlink");
}

/** The name of a source among the host's facts: a symlink that isn't followed has another one. */
export function sourceName(mount: Mount): string {
  const source = mount.source ?? "";
  return meansLink(mount) ? `nofollow ${source}` : source;
}

export const isLink = (kind: SourceKind | undefined): kind is `link ${string}` =>
  kind?.startsWith("link ") ?? false;
/** What a bind mount's destination is made as. */
export function destinationKind(kind: SourceKind | undefined): "directory" | "file" {
  return kind === "file" || isLink(kind) ? "file" : "directory";
}

/** What the symlink says. */
export const targetOf = (kind: `link ${string}`): string => kind.slice("link ".length);

/** Where init puts what a symlink says that was there before: it has to be the same (copy-symlink). */
export const linkBuffer = (at: string) => `link ${at}`;

/** A symlink that is copied: what has to be there in the end. */
export interface CopiedLink {
  at: string;
  destination: string;
  target: string;
  /** Where init puts what was there before. */
  buffer: string;
}

export function copiedLinks({ config, host }: PlanInput): CopiedLink[] {
  return (config.mounts ?? []).flatMap((mount, i) => {
    if (!mount.options?.includes("copy-symlink")) return [];
    const kind = host.sources[sourceName(mount)];
    if (!isLink(kind)) return [];
    const at = `mounts[${i}]`;
    return [{ at, destination: mount.destination, target: targetOf(kind), buffer: linkBuffer(at) }];
  });
}

/** The name of a tmpfs's destination among the facts: it keeps the mode of the directory that it covers. */
export const modeName = (mount: Mount) => `mode of ${mount.destination}`;

/** The name of a file system's device among the facts. */
export const deviceName = ({ source }: Mount) => `device ${source}`;

/** The name of a destination that leads to another place, by symlinks of the image. */
export const placeName = (mount: Mount) => `place of ${mount.destination}`;

/** The path of the destination: where symlinks lead to what isn't there, that place, or it couldn't be made. */
export function destinationOf({ host }: PlanInput, mount: Mount): string {
  const fact = host.sources[placeName(mount)];
  return fact === undefined ? mount.destination : `/${fact.slice("place ".length)}`;
}

/** Refused with a symlink in their path: proc and sysfs (mounts.ts), and whatever is to be /proc. */
const noSymlinks = ({ type, destination }: Mount) =>
  type === "proc" || type === "sysfs" || /^\/*proc\/*$/.test(destination);

const isInside = (path: string, other: string) => `${path}/`.startsWith(`${other.replace(/\/+$/, "")}/`);

/** Whether the plan depends on what the image has at the destination: no mount before it has covered that. */
export function isOnImage(mounts: readonly Mount[], index: number): boolean {
  const mount = mounts[index] as Mount;
  const { destination, options = [] } = mount;
  if (noSymlinks(mount) || options.includes("remount") || options.includes("dest-nofollow")) return false;
  return !mounts.slice(0, index).some((m) => isInside(destination, m.destination));
}

/** The tmpfs mounts that have the mode of the directory in the image, as runc and crun do it: without one of their own. */
export function takesMode(mounts: readonly Mount[], index: number): boolean {
  const { type, options = [] } = mounts[index] as Mount;
  return type === "tmpfs" && !options.some((o) => /(^|,)mode=/.test(o)) && isOnImage(mounts, index);
}
