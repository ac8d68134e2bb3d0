/**
 * The order of a container's birth: one list. Each line is a facility; why it stands where it does is said beside it.
 * docs/architecture.md walks it, and a test pins it.
 */

import type { Phase, Step } from "../init/step.ts";
import { boundingSet, dropCapabilities, keepCapabilities, setCapabilities } from "./capabilities.ts";
import { sweep } from "./destination.ts";
import { devices } from "./devices.ts";
import { type Handle, planHandles } from "./handles.ts";
import { inherited, signals } from "./inherited.ts";
import type { PlanInput } from "./input.ts";
import { birthFlags, isStaged, joins } from "./join.ts";
import { joinCgroups } from "./join-cgroup.ts";
import { sessionKeyring } from "./keyring.ts";
import { mountLabelCheck } from "./labels.ts";
import { memoryPolicy } from "./memory-policy.ts";
import { mounts } from "./mounts.ts";
import { cgroupNamespace } from "./namespaces.ts";
import { awaitDevices, loopback, networkNamespace } from "./network.ts";
import { park } from "./park.ts";
import { maskPaths, prepareMasks, readonlyPaths } from "./paths.ts";
import { BORN, CREATED, IN_CGROUP, JOINED, pauseForHooks } from "./pauses.ts";
import { personality } from "./personality.ts";
import {
  closeDescriptors,
  execute,
  last,
  lookUpProgram,
  noNewPrivileges,
  workingDirectory,
} from "./process.ts";
import { setLimits } from "./rlimits.ts";
import { enterRoot, prepareRoot, readonlyRoot } from "./root.ts";
import { ioPriority, scheduler } from "./scheduling.ts";
import { LISTENER_FIFO_CELL, loadFilter } from "./seccomp.ts";
import { terminal } from "./terminal.ts";
import { seesHostsProc, throughProcfs } from "./through-procfs.ts";
import { timeNamespace } from "./time.ts";
import { becomeRoot, notDumpable, setIds, setUmask } from "./user.ts";
import { uts } from "./uts.ts";

/** What a container is, as data. */
export interface Plan {
  /** CLONE_NEW* for clone3. */
  namespaces: number;
  /** Descriptors that the runtime opens for init. */
  handles: Handle[];
  create: Phase[];
  start: Phase[];
}

export const phase = (name: string, ...steps: Step[][]): Phase => ({ phase: name, steps: steps.flat() });

/** Config → plan. Pure: the same input gives the same plan. */
export function planContainer(input: PlanInput): Plan {
  return {
    namespaces: birthFlags(input.config),
    handles: planHandles(input),
    create: [
      phase("birth", joins(input), networkNamespace(input), [isStaged(input.config) ? JOINED : BORN]),
      // Root of the user namespace first, since all that follows needs its capabilities; non-dumpable right after.
      phase("user", becomeRoot(input), notDumpable()),
      phase("inherited", inherited()),
      phase("network", [{ block: loopback(input) }], awaitDevices(input)),
      // Through the host's /proc, which is there until the root is entered.
      phase("time", timeNamespace(input)),
      phase("root", mountLabelCheck(input), prepareRoot(input), prepareMasks(input)),
      phase("mounts", mounts(input, "before cgroups")),
      // The namespace's root is the cgroup that its creator is in; a mount of type cgroup shows it.
      phase("cgroup", [IN_CGROUP], joinCgroups(input), cgroupNamespace(input)),
      phase("cgroup mounts", mounts(input, "from cgroups on")),
      // After the mounts: /dev is usually one of them.
      phase("devices", devices(input)),
      // All is mounted now, and nothing that hooks bring is covered: masks, parameters and the read-only root come later.
      phase("hooks", pauseForHooks(input.config)),
      // /dev is whole, and writable still.
      phase("terminal", terminal(input)),
      // Before /proc/sys becomes read-only, and while the host's /proc is there to fall back on.
      phase("procfs", throughProcfs(input, seesHostsProc(input))),
      // Behind the labels: with SELinux the keyring gets the program's.
      phase("keyring", sessionKeyring(input)),
      // A file's mask is the host's /dev/null, so this comes while the host can still be seen.
      phase("paths", maskPaths(input), readonlyPaths(input), readonlyRoot(input)),
      phase("pivot", enterRoot(input)),
      phase("uts", uts(input)),
      // No descriptor of the host is open when paths of the config are followed from here on (CVE-2024-21626).
      phase("process", sweep("all"), workingDirectory(input), sweep("all"), lookUpProgram(input)),
      phase("created", [CREATED]),
    ],
    start: [
      // Before init waits: the runtime has the state to write meanwhile.
      phase("bounding set", boundingSet(input)),
      phase("park", park(input)),
      ...program(input, LISTENER_FIFO_CELL),
    ],
  };
}

/**
 * What makes a process the program, behind its bounding set: a container's first one when it is started, and one that `exec`
 * adds. `agent` is the cell of the descriptor by which it hears that the seccomp agent has its listener.
 */
export function program(input: PlanInput, agent: string): Phase[] {
  return [
    phase("signals", signals(input)),
    phase("limits", setLimits(input)),
    // After the limits, which say how far a caller without CAP_SYS_NICE may go.
    phase("attributes", scheduler(input), ioPriority(input), memoryPolicy(input), personality(input)),
    phase("umask", setUmask(input)),
    // The ids need CAP_SETUID and CAP_SETGID: they go before the capabilities do.
    phase("identity", keepCapabilities(input), setIds(input), setCapabilities(input)),
    phase("privileges", noNewPrivileges(input)),
    // The filter last: each call behind it is one more that it could deny.
    phase(
      "execute",
      last([...closeDescriptors(input), ...loadFilter(input, agent), ...dropCapabilities(input)]),
      execute(input),
    ),
  ];
}
