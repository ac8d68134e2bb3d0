/**
 * The filter of system calls (config-linux.md, "Seccomp"; seccomp(2)): the last thing that init does before execve, since
 * every call after it has to pass it.
 */

import type { Config } from "../../spec/config.ts";
import type { Problem } from "../error.ts";
import { buffer, type Call, cell, type Failure, type Step, words } from "../init/step.ts";
import { O } from "../kernel/consts/fcntl.ts";
import { SECCOMP_FILTER_FLAG, SECCOMP_SET_MODE_FILTER, SOCK_FILTER_SIZE } from "../kernel/consts/seccomp.ts";
import type { PlanInput, SeccompFilter } from "./input.ts";
import { LISTENER, LISTENER_FIFO } from "./names.ts";

const AT = "linux.seccomp";

export const LISTENER_FIFO_CELL = "listener FIFO";

/**
 * The call by which init waits until the agent has the listener. A filter that sent this one to the agent would stop init for
 * good when the runtime is killed before the agent has anything to answer through: end of file is how init hears of that.
 */
const HAND_OVER_CALL = "read";

/** @throws RangeError when nobody has compiled the config's filter: a container without it must not come to be */
export function filterIn({ config, seccomp }: PlanInput): SeccompFilter | undefined {
  if (config.linux?.seccomp !== undefined && seccomp === undefined)
    throw new RangeError("the filter of linux.seccomp isn't compiled");
  return seccomp;
}

/** Whether the filter is loaded with CAP_SYS_ADMIN instead of no_new_privs; seccomp(2) wants one of them. */
export function needsPrivilege(input: PlanInput): boolean {
  return filterIn(input) !== undefined && input.config.process?.noNewPrivileges !== true;
}

/** What the kernel says of a call between the filter and the program, when the filter is the reason. */
export const filterHints = (input: PlanInput, call: string) =>
  filterIn(input) === undefined ? {} : { EPERM: `the filter of ${AT} may deny ${call}` };

/** While init waits for `start`: its end of the FIFO, which `start` has opened before it lets init go on. */
export function openListenerFifo(input: PlanInput, directory: string): Step[] {
  if (filterIn(input)?.listener !== true) return [];
  return [
    {
      call: "openat",
      args: [cell(directory), LISTENER_FIFO, O.O_RDONLY | O.O_CLOEXEC],
      why: "here `start` will say that the agent has the filter's listener",
      at: `${AT}.listenerPath`,
      save: LISTENER_FIFO_CELL,
      fail: { code: "INTERNAL", message: "init cannot wait for the seccomp agent" },
    },
  ];
}

/** The filter; when it has an agent, init then waits for a byte from the descriptor in the cell `agent`. */
export function loadFilter(input: PlanInput, agent: string): Step[] {
  const filter = filterIn(input);
  if (filter === undefined) return [];
  const load: Call = {
    call: "seccomp",
    args: [SECCOMP_SET_MODE_FILTER, filter.flags, program(filter)],
    why: "from here on the filter decides about each call",
    at: AT,
    fail: {
      code: "SECCOMP_FAILED",
      message: "cannot load the seccomp filter",
      hints: {
        EACCES: "without process.noNewPrivileges the caller needs CAP_SYS_ADMIN",
        EINVAL: invalid(filter),
        EBUSY: "kontena itself runs under a filter with a listener, and the kernel has room for one",
        EMFILE: "RLIMIT_NOFILE leaves no room for the listener",
        ENOSYS: "this kernel has no seccomp filters",
      },
    },
  };
  return filter.listener ? [{ ...load, save: LISTENER }, ...handOver(agent)] : [load];
}

function invalid({ flags }: SeccompFilter): string {
  const wait = SECCOMP_FILTER_FLAG.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  if ((flags & wait) !== 0) return "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19";
  return "this kernel has no seccomp filters, or doesn't know one of the flags";
}

/** `struct sock_fprog`: the number of instructions, and where they are. */
function program({ program: bytes }: SeccompFilter) {
  return words(bytes.length / SOCK_FILTER_SIZE, { bytes, name: "BPF program" });
}

const CANCELLED: Failure = {
  code: "SECCOMP_FAILED",
  message: "the runtime ended before it had handed the seccomp listener over",
  plain: true,
};

/** init waits until the runtime has taken the listener out of its table, with pidfd_getfd(2), and given it to the agent. */
function handOver(agent: string): Step[] {
  const at = `${AT}.listenerPath`;
  const said = buffer("said of the listener", 8);
  return [
    {
      call: HAND_OVER_CALL,
      args: [cell(agent), said, 1],
      why: "wait until the runtime has handed the listener to the agent; its end is init's end",
      at,
      // Nobody will answer: the failure of a call that can't succeed is how that gets into the record.
      zero: [
        {
          call: HAND_OVER_CALL,
          args: [-1, said, 1],
          why: "no one is there to answer for the filter",
          at,
          fail: CANCELLED,
        },
      ],
      fail: {
        code: "SECCOMP_FAILED",
        message: "init cannot wait until the agent has the seccomp listener",
        hints: { EPERM: `the filter denies ${HAND_OVER_CALL}, by which init waits` },
      },
    },
    {
      call: "close",
      args: [cell(LISTENER)],
      why: "only the agent's is left: when it goes, calls that wait for it get ENOSYS instead of waiting for ever",
      at,
      // execve closes it too, if the filter lets nothing else do so.
      otherwise: "next",
    },
  ];
}

/**
 * What init's wait for the agent rules out. runc refuses the action on `write` and as the default, for the same reason with
 * other calls.
 */
export function notifyProblems({ linux }: Config): Problem[] {
  const seccomp = linux?.seccomp;
  if (seccomp === undefined) return [];
  const { defaultAction, syscalls = [] } = seccomp;
  const message = `SCMP_ACT_NOTIFY can't decide about ${HAND_OVER_CALL}(2): init waits with it until the agent has its listener`;
  const hint = `allow ${HAND_OVER_CALL} in an entry of its own, without args`;
  const problems: Problem[] = [];
  let isDecided = false;
  syscalls.forEach(({ names, action, args = [] }, i) => {
    const index = names.indexOf(HAND_OVER_CALL);
    if (index < 0) return;
    if (action === "SCMP_ACT_NOTIFY")
      problems.push({ at: `${AT}.syscalls[${i}].names[${index}]`, message, hint });
    else if (args.length === 0) isDecided = true;
  });
  if (defaultAction === "SCMP_ACT_NOTIFY" && !isDecided)
    problems.push({ at: `${AT}.defaultAction`, message, hint });
  return problems;
}
