/**
 * A place inside the root file system, as a descriptor. Always resolved by openat2(RESOLVE_IN_ROOT) from the root's own
 * descriptor: a symlink, whatever it says and whenever it was made, leads to somewhere inside (CVE-2019-16884, -2021-30465).
 */

import { type Arg, type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { O, RESOLVE } from "../kernel/consts/fcntl.ts";
import { S_IF } from "../kernel/consts/stat.ts";
import { normalize } from "../path.ts";
import { ABOVE, ABOVE_SLOTS, BELOW, LOWEST, ROOT, type Slot } from "./names.ts";

/** Gives the descriptor in cell `from` the number of a slot. */
export function keepAs(slot: Slot, from: string, at: string | undefined): Step {
  return {
    call: "dup3",
    args: [cell(from), cell(slot), O.O_CLOEXEC],
    why: `${slot}: kept until the root is entered`,
    at,
    fail: { code: "INTERNAL", message: `cannot keep the descriptor of the ${slot}` },
  };
}

/** Closes every descriptor but those that init keeps; two calls in the place of one for each. */
export function sweep(of: "temporary" | "all"): Step[] {
  const range = (from: string, to: Arg): Step => ({
    call: "close_range",
    args: [cell(from), to, 0],
    why: of === "all" ? "nothing that leads to the host stays open" : "what was opened has done its work",
    fail: { code: "INTERNAL", message: "cannot close descriptors" },
  });
  return [range(LOWEST, cell(BELOW)), range(of === "all" ? ABOVE_SLOTS : ABOVE, 0xffffffff)];
}

/** Blocks of steps that open descriptors, with a sweep after every few, so that no limit on open files is met. */
export function swept(blocks: readonly (readonly Step[])[]): Step[] {
  const EVERY = 8;
  return blocks.flatMap((block, i): Step[] => {
    const last = i === blocks.length - 1;
    return [{ block }, ...(last || i % EVERY === EVERY - 1 ? sweep("temporary") : [])];
  });
}

const IN_ROOT = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;
export interface Destination {
  /** Path inside the container. */
  path: string;
  kind: "directory" | "file" | "any";
  /** Cell for the descriptor. */
  save: string;
  at: string | undefined;
  why: string;
  fail: Failure;
  /** Refuse a path with a symlink in it. */
  noSymlinks?: boolean;
  /** A symlink at the end of the path is the place itself. */
  noFollow?: boolean;
}

/** The path below the root, without leading slash, `.` or `..`; `"."` for the root itself. */
export function relative(path: string): string {
  return normalize(`/${path}`).slice(1).replace(/\/$/, "") || ".";
}

/**
 * openat2 of a place in the root; `missing` is what happens when there is none. EAGAIN means that something was renamed or
 * mounted while the kernel walked through `..`: each one takes such an act at that very moment, so asking again ends.
 */
export function openInRoot(place: Destination, missing?: Call["on"]): Call {
  const flags =
    O.O_PATH |
    O.O_CLOEXEC |
    (place.kind === "directory" ? O.O_DIRECTORY : 0) |
    (place.noFollow ? O.O_NOFOLLOW : 0);
  const resolve = IN_ROOT | (place.noSymlinks ? RESOLVE.RESOLVE_NO_SYMLINKS : 0);
  return {
    call: "openat2",
    args: [cell(ROOT), relative(place.path), struct("open_how", { flags, resolve }), 24],
    why: place.why,
    at: place.at,
    save: place.save,
    on: { ...missing, EAGAIN: "again" },
    fail: place.fail,
  };
}

/**
 * The same, leaving the block when nothing is there: no such name, or a file where a directory would have to be. An op has
 * room for two expected errors, and these are three, so the call stands here twice.
 */
export function openIfThere(place: Destination): Step {
  const first = openInRoot(place, { ENOENT: "leave" });
  return { ...first, otherwise: [openInRoot(place, { ENOTDIR: "leave" })] };
}

/** Opens the place, and makes it first when it is missing: directories 0755, a file empty. */
export function openOrMake(place: Destination): Step {
  return openInRoot(place, { ENOENT: make(place) });
}

/** Component by component; each directory is opened anew from the root, so that no symlink leads out between two. */
function make(place: Destination): Step[] {
  const parts = relative(place.path).split("/");
  const steps: Step[] = [];
  let parent = ROOT;
  parts.forEach((name, i) => {
    const last = i === parts.length - 1;
    const file = last && place.kind === "file";
    const path = parts.slice(0, i + 1).join("/");
    const save = last ? place.save : `${place.save} /${path}`;
    steps.push({
      call: file ? "mknodat" : "mkdirat",
      args: file ? [cell(parent), name, S_IF.S_IFREG | 0o644, 0] : [cell(parent), name, 0o755],
      why: `make /${path}, which is missing`,
      at: place.at,
      on: { EEXIST: "next" },
      fail: { ...place.fail, path: `/${path}`, message: `${place.fail.message}: cannot make /${path}` },
    });
    const kind = last ? place.kind : "directory";
    const noFollow = last && (place.noFollow ?? false);
    steps.push(openInRoot({ ...place, path, save, kind, noFollow, why: `go on from /${path}` }));
    parent = save;
  });
  return steps;
}

/** close(2) of a descriptor that isn't needed any more. */
export function close(name: string): Step {
  return {
    call: "close",
    args: [cell(name)],
    why: `${name} has done its work`,
    fail: { code: "INTERNAL", message: `cannot close ${name}` },
  };
}
