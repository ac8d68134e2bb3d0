/**
 * Another process in a container (`kontena exec`): born outside, it joins the container's cgroup and namespaces, and then
 * becomes its program by the same steps as a container's first one.
 */

import type { User } from "../../spec/process.ts";
import { SOCKET } from "../init/memory.ts";
import { cell, type Pause, type Step } from "../init/step.ts";
import { boundingSet } from "./capabilities.ts";
import { sweep } from "./destination.ts";
import type { Handle } from "./handles.ts";
import { inherited } from "./inherited.ts";
import { type Hierarchy, hasNamespace, type PlanInput } from "./input.ts";
import { leaveGroups, secondStage } from "./join.ts";
import { enterCgroups } from "./join-cgroup.ts";
import { sessionKeyring } from "./keyring.ts";
import { NAMESPACES } from "./namespaces.ts";
import { type Plan, phase, program } from "./order.ts";
import { JOINED } from "./pauses.ts";
import { lookUpProgram, workingDirectory } from "./process.ts";
import { terminalInside } from "./terminal.ts";
import { throughProcfs } from "./through-procfs.ts";
import { becomeRoot, notDumpable } from "./user.ts";

/** Cell of the pidfd of the container's init: setns(2) joins all of its namespaces at once by it (Linux 5.8). */
export const CONTAINER = "container";
/** Cell of the container's root directory, where its mount namespace doesn't tell it. */
export const CONTAINER_ROOT = "root of the container";

/** The runtime raises its limits. */
const BORN: Pause = { pause: "born", why: "wait for what only the runtime can do", silent: true };
/** The runtime chooses among what was found. */
export const FOUND: Pause = { pause: "found", why: "the program has been looked for" };

export interface EnterInput {
  /** CLONE_NEW* of the namespaces that differ from the runtime's. */
  namespaces: number;
  /** Whether the root has to be entered by chroot: no mount namespace, or one without pivot_root. */
  chroot: boolean;
  /** The container's cgroups of v1, which the process enters by itself. */
  cgroups: readonly (Hierarchy & { tasks: string })[];
  /** That of the container's own program. */
  user?: User;
}

export type ExecInput = PlanInput & EnterInput;

/**
 * Into the namespaces of the process that the pidfd `CONTAINER` names, and its root. Non-dumpable before that: from then on
 * the container's processes can see this one (CVE-2016-9962). A pid namespace takes a second stage.
 */
export function enterContainer({ namespaces, chroot }: Pick<EnterInput, "namespaces" | "chroot">): Step[] {
  const fail = {
    code: "NAMESPACE_FAILED",
    message: "cannot enter the container's namespaces",
    hints: { ESRCH: "the container has just ended", EPERM: "act as the container's owner or as root" },
  } as const;
  const root: Step[] = [
    { call: "fchdir", args: [cell(CONTAINER_ROOT)], why: "the container's root directory", fail },
    { call: "chroot", args: ["."], why: "it is `/` for this process", fail },
  ];
  return [
    ...notDumpable(),
    ...((namespaces & NAMESPACES.user.flag) === 0 ? [] : [leaveGroups()]),
    ...(namespaces === 0
      ? []
      : [
          {
            call: "setns",
            args: [cell(CONTAINER), namespaces],
            why: "into the namespaces of the container's init, all at once",
            fail,
          } satisfies Step,
        ]),
    ...(chroot ? root : []),
    ...((namespaces & NAMESPACES.pid.flag) === 0 ? [] : [...secondStage(0, undefined), JOINED]),
  ];
}

/** sched_setaffinity(2) with a list of CPUs as config.json has it. */
function affinity(list: string | undefined, which: "initial" | "final"): Step[] {
  if (list === undefined || list.trim() === "") return [];
  const mask = cpuMask(list);
  return [
    {
      call: "sched_setaffinity",
      args: [0, mask.length, { bytes: mask, name: `CPUs ${list}` }],
      why: which === "initial" ? "until it is in the container's cgroup" : "in the container's cgroup",
      at: `process.execCPUAffinity.${which}`,
      fail: {
        code: "PROCESS_FAILED",
        message: `cannot run on the CPUs ${list}`,
        hints: { EINVAL: "none of them is online and in the cgroup's cpuset" },
      },
    },
  ];
}

/** `0-3,7` as the kernel's cpumask: bit N for CPU N, in whole words. */
export function cpuMask(list: string): Uint8Array {
  const cpus = list.split(/[\s,]+/).filter(Boolean);
  const ranges = cpus.map((part) => part.split("-").map(Number) as [number, number?]);
  const last = Math.max(...ranges.map(([from, to]) => to ?? from));
  const mask = new Uint8Array(8 * Math.ceil((last + 1) / 64));
  for (const [from, to = from] of ranges)
    for (let cpu = from; cpu <= to; cpu++) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  return mask;
}

/** Config (with the process to execute in the place of the container's own) → plan. There is no `start`: nothing parks. */
export function planExec(input: ExecInput, handles: Handle[]): Pick<Plan, "handles" | "create" | "start"> {
  const { initial, final } = input.config.process?.execCPUAffinity ?? {};
  return {
    handles,
    create: [
      phase("birth", affinity(initial, "initial"), [BORN]),
      phase("cgroup", enterCgroups(input.cgroups), affinity(final, "final")),
      // Outside, where /proc is the host's (CVE-2019-16884): labels wait for the program's execve, whatever is entered before.
      phase("procfs", throughProcfs(input, true)),
      phase("enter", enterContainer(input)),
      phase("user", hasNamespace(input.config, "user") ? becomeRoot(input, input.user) : []),
      phase("inherited", inherited()),
      phase("terminal", terminalInside(input)),
      phase("keyring", sessionKeyring(input)),
      phase("process", sweep("all"), workingDirectory(input), sweep("all"), lookUpProgram(input)),
      phase("found", [FOUND]),
      phase("bounding set", boundingSet(input)),
      ...program(input, SOCKET),
    ],
    start: [],
  };
}
