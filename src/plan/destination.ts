/**
 * A place inside the root file system, as a descriptor. Always resolved by openat2(RESOLVE_IN_ROOT) from the root's own
 * descriptor: a symlink, whatever it says and whenever it was made, leads to somewhere inside (CVE-2019-16884, -2021-30465).
 */
import { posix } from "node:path";
import { type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { O, RESOLVE } from "../kernel/consts/fcntl.ts";
import { S_IF } from "../kernel/consts/stat.ts";

/** Descriptor of the root file system's top, from root.ts. */
export const ROOT = "root";

const IN_ROOT = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;
/** The kernel gives EAGAIN when something was renamed or mounted while it walked through `..`; more often is an attack. */
const RETRIES = 3;

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
}

/** The path below the root, without leading slash, `.` or `..`; `"."` for the root itself. */
export function relative(path: string): string {
  return posix.normalize(`/${path}`).slice(1).replace(/\/$/, "") || ".";
}

/** openat2 of a place in the root; `missing` is what happens when there is none. */
export function openInRoot(place: Destination, missing?: Call["on"]): Step {
  const flags = O.O_PATH | O.O_CLOEXEC | (place.kind === "directory" ? O.O_DIRECTORY : 0);
  const resolve = IN_ROOT | (place.noSymlinks ? RESOLVE.RESOLVE_NO_SYMLINKS : 0);
  const open = (retries: number): Call => ({
    call: "openat2",
    args: [cell(ROOT), relative(place.path), struct("open_how", { flags, resolve }), 24],
    why: place.why,
    at: place.at,
    save: place.save,
    on: { ...missing, ...(retries > 0 ? { EAGAIN: [open(retries - 1)] } : {}) },
    fail: place.fail,
  });
  return open(RETRIES);
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
    steps.push(openInRoot({ ...place, path, save, kind, why: `go on from /${path}` }));
    if (parent !== ROOT) steps.push(close(parent));
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
