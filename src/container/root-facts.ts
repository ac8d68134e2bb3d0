/**
 * What the image has at the destinations of mounts, as far as the plan depends on it. It is only looked at, and no symlink of
 * the image leads out of it; init will resolve each path anew.
 */

import { AT_FDCWD, O, RESOLVE } from "../kernel/consts/fcntl.ts";
import { ERRNO } from "../kernel/errno.ts";
import { closeSync, fstatSync } from "../kernel/fs.ts";
import { rawSyscall } from "../kernel/libc.ts";
import { encodeStruct } from "../kernel/structs.ts";
import type { SourceKind } from "../plan/input.ts";
import type { Lookup } from "../plan/lookups.ts";

const how = () =>
  encodeStruct("open_how", { flags: O.O_PATH | O.O_CLOEXEC, resolve: RESOLVE.RESOLVE_IN_ROOT });

/** A descriptor, or −errno. */
function openInRoot(root: number, path: string): number {
  const bytes = how();
  return rawSyscall("openat2", root, path, bytes, bytes.length);
}

/** The mode of a directory, in octal. */
function modeOf(directory: number): string | undefined {
  const stats = fstatSync(directory);
  return stats.isDirectory() ? (stats.mode & 0o7777).toString(8) : undefined;
}

/** A path in the kernel is at most this long, its NUL included. */
const PATH_MAX = 4096;
/** As many symlinks as the kernel follows (path_resolution(7)). */
const MOST_LINKS = 40;

/** What a symlink in the root says; undefined for anything else, or nothing. */
function linkAt(root: number, directory: string, name: string): string | undefined {
  const parent = openInRoot(root, directory || ".");
  if (parent < 0) return undefined;
  const target = new Uint8Array(PATH_MAX);
  const length = rawSyscall("readlinkat", parent, name, target, target.length);
  closeSync(parent);
  return length > 0 ? new TextDecoder().decode(target.subarray(0, length)) : undefined;
}

/** The path without symlinks, whether something is there or not. */
export function resolveInRoot(root: number, path: string): string | undefined {
  const rest = path.split("/");
  let done: string[] = [];
  for (let links = 0; rest.length > 0; ) {
    const name = rest.shift() as string;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      done.pop();
      continue;
    }
    const target = linkAt(root, done.join("/"), name);
    if (target === undefined) {
      done.push(name);
      continue;
    }
    links += 1;
    if (links > MOST_LINKS) return undefined;
    if (target.startsWith("/")) done = [];
    rest.unshift(...target.split("/"));
  }
  return done.join("/");
}

/**
 * Where a destination leads that isn't there: a symlink of the image may point to what is still to be made, as
 * /etc/resolv.conf does in many images.
 */
function missingPlace(root: number, path: string): string | undefined {
  const resolved = resolveInRoot(root, path);
  return resolved === undefined || resolved === path ? undefined : resolved;
}

type ImageLookup = Extract<Lookup, { of: "image" }>;

function lookAt(
  facts: Record<string, SourceKind>,
  root: number,
  { path, name, mode: modeName }: ImageLookup,
) {
  const found = openInRoot(root, path);
  if (found >= 0) {
    const mode = modeName === undefined ? undefined : modeOf(found);
    if (modeName !== undefined && mode !== undefined) facts[modeName] = `mode ${mode}`;
    closeSync(found);
    return;
  }
  const place = found === -ERRNO.ENOENT ? missingPlace(root, path) : undefined;
  if (place !== undefined) facts[name] = `place ${place}`;
}

/** Adds the answers to `facts`. */
export function addRootFacts(
  facts: Record<string, SourceKind>,
  lookups: readonly ImageLookup[],
  rootfs: string,
): void {
  if (lookups.length === 0) return;
  const root = rawSyscall("openat", AT_FDCWD, rootfs, O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC, 0);
  if (root < 0) return;
  try {
    for (const lookup of lookups) lookAt(facts, root, lookup);
  } finally {
    closeSync(root);
  }
}
