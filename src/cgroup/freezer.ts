/** The freezer of v1 and v2 (cgroup-v1/freezer-subsystem.rst; cgroup-v2.rst, "cgroup.freeze"). */

import { KontenaError } from "../error.ts";
import { codeOf, readPiece, readText } from "../kernel/files.ts";
import { writeFileSync } from "../kernel/fs.ts";
import { join } from "../path.ts";
import type { Cgroup } from "./cgroup.ts";
import { controllerOf, failed, unifiedOf } from "./directories.ts";
import { walk } from "./tree.ts";

type Freezer = { version: 1 | 2; directory: string };

/** The container's freezer: that of v1 where it is mounted, else v2's own. */
function freezerOf(cgroup: Cgroup): Freezer | undefined {
  const v1 = controllerOf(cgroup, "freezer");
  if (v1 !== undefined) return { version: 1, directory: v1 };
  const v2 = unifiedOf(cgroup);
  return v2 === undefined ? undefined : { version: 2, directory: v2 };
}

/** `thawed` also where there is no freezer. `freezing` is on its way to `frozen`. */
export type Frozen = "thawed" | "freezing" | "frozen";

/** @param own without what is frozen from above */
function stateOf({ version, directory }: Freezer, own: boolean): Frozen {
  try {
    if (version === 1) {
      if (own && readPiece(join(directory, "freezer.self_freezing"))?.trim() === "0") return "thawed";
      const state = readText(join(directory, "freezer.state")).trim();
      return state === "FROZEN" ? "frozen" : state === "FREEZING" ? "freezing" : "thawed";
    }
    const asked = readText(join(directory, "cgroup.freeze")).trim() === "1";
    if (own && !asked) return "thawed";
    const frozen = /^frozen 1$/m.test(readText(join(directory, "cgroup.events")));
    return frozen ? "frozen" : asked ? "freezing" : "thawed";
  } catch {
    return "thawed";
  }
}

/** Whether the container itself was frozen, by `pause` or by whoever else wrote its freezer. */
export function ownState(cgroup: Cgroup): Frozen {
  const freezer = freezerOf(cgroup);
  return freezer === undefined ? "thawed" : stateOf(freezer, true);
}

/** Whether the container is frozen, by itself or from above. */
export function frozenState(cgroup: Cgroup): Frozen {
  const freezer = freezerOf(cgroup);
  return freezer === undefined ? "thawed" : stateOf(freezer, false);
}

/**
 * Whether a process that enters would stop at once: clone3 into such a cgroup, and with it the runtime, waits until
 * somebody thaws it.
 */
export function refuseFrozen(cgroup: Cgroup): void {
  // New, and directly below a hierarchy's root, which nobody can freeze.
  if (cgroup.path.lastIndexOf("/") === 0 && cgroup.made.length === cgroup.directories.length) return;
  // On a hybrid host either may be.
  const [v1, v2] = [controllerOf(cgroup, "freezer"), unifiedOf(cgroup)];
  const freezers: Freezer[] = [
    ...(v1 === undefined ? [] : [{ version: 1 as const, directory: v1 }]),
    ...(v2 === undefined ? [] : [{ version: 2 as const, directory: v2 }]),
  ];
  const frozen = freezers.find((freezer) => stateOf(freezer, false) !== "thawed");
  if (frozen === undefined) return;
  throw new KontenaError("CGROUP_FAILED", `the cgroup ${frozen.directory} is frozen, or one above it`, {
    at: "linux.cgroupsPath",
    path: frozen.directory,
    hint: "thaw it first",
  });
}

/** How long a task may take to stop: one in an uninterruptible sleep is waited for. */
const PATIENCE = 10_000;

/** Tries on v1 before a thaw in between. */
const REFREEZE = 25;

function setState(freezer: Freezer, freeze: boolean): void {
  const { version, directory } = freezer;
  const file = join(directory, version === 1 ? "freezer.state" : "cgroup.freeze");
  const value = version === 1 ? (freeze ? "FROZEN" : "THAWED") : freeze ? "1" : "0";
  try {
    writeFileSync(file, value);
  } catch (error) {
    throw failed(freeze ? "freeze" : "thaw", directory, { code: codeOf(error) });
  }
}

/**
 * Stops every process of the container, and those that come; returns when all stand still.
 * @throws KontenaError CGROUP_FAILED; then the container runs on
 */
export function freezeCgroup(cgroup: Cgroup): void {
  const freezer = freezerOf(cgroup);
  if (freezer === undefined)
    throw new KontenaError("CGROUP_FAILED", "the container has no cgroup that could be frozen", {
      at: "linux.cgroupsPath",
      hint: "freezing needs cgroup v2, or the v1 controller freezer",
    });
  const end = Date.now() + PATIENCE;
  let pause = 0.1;
  for (let tries = 1; ; tries++, pause = Math.min(2 * pause, 20)) {
    // On v1 a task that forks meanwhile can leave the cgroup FREEZING: it is asked again.
    setState(freezer, true);
    if (stateOf(freezer, true) === "frozen") return;
    if (Date.now() > end) break;
    // What keeps it so can wait itself for a task that has stopped already, and gets on when all go on for a moment.
    if (freezer.version === 1 && tries % REFREEZE === 0) setState(freezer, false);
    Bun.sleepSync(pause);
  }
  setState(freezer, false);
  throw new KontenaError("CGROUP_FAILED", `the cgroup ${freezer.directory} doesn't freeze`, {
    path: freezer.directory,
    hint: "a process of it is in an uninterruptible sleep",
  });
}

/** Lets the container's processes go on. */
export function thawCgroup(cgroup: Cgroup): void {
  const freezer = freezerOf(cgroup);
  if (freezer === undefined) return;
  setState(freezer, false);
  const end = Date.now() + PATIENCE;
  while (stateOf(freezer, true) !== "thawed" && Date.now() < end) Bun.sleepSync(0.1);
}

/**
 * Thaws the cgroup and all below, which the container may have frozen by itself: on v1 a frozen task takes not even SIGKILL. On
 * v2 it does, so nothing is done there.
 */
export function thawTree(cgroup: Cgroup): void {
  const top = controllerOf(cgroup, "freezer");
  if (top === undefined) return;
  const thaw = (fd: number): void => {
    // By the descriptor, since the path may be longer than the kernel takes.
    const freezer = { version: 1, directory: `/proc/self/fd/${fd}` } as const;
    if (stateOf(freezer, true) !== "thawed") setState(freezer, false);
  };
  try {
    walk(top, { enter: thaw });
  } catch (error) {
    const errno = (error instanceof KontenaError ? error.details.errno : undefined) ?? codeOf(error);
    // What is gone, going, or was never made needs no thaw.
    if (!["ENOENT", "ENODEV", "ENOTDIR", "ENAMETOOLONG"].includes(errno))
      throw failed("thaw", top, { code: errno });
  }
}
