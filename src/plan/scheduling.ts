/** When the program gets the processor and the disk: scheduler and ioPriority (config.md, "Linux Process"; sched(7), ioprio_set(2)). */
import { type Failure, type Step, struct } from "../init/step.ts";
import { IOPRIO_CLASS, IOPRIO_CLASS_SHIFT, IOPRIO_WHO_PROCESS } from "../kernel/consts/ioprio.ts";
import { SCHED, SCHED_FLAG } from "../kernel/consts/sched.ts";
import type { ProcessInput } from "./input.ts";

/** sched_setattr(2) on init itself: the program and its children have it from there. */
export function scheduler({ config }: ProcessInput): Step[] {
  const asked = config.process?.scheduler;
  if (asked === undefined) return [];
  const flags = (asked.flags ?? []).reduce((all, name) => all | SCHED_FLAG[name], 0);
  const fail: Failure = {
    code: "PROCESS_FAILED",
    message: `cannot set the scheduling policy ${asked.policy}`,
    hints: {
      EPERM: "a real-time policy or a lower nice value needs CAP_SYS_NICE",
      EINVAL:
        asked.policy === "SCHED_FIFO" || asked.policy === "SCHED_RR"
          ? "its priority has to be 1 to 99"
          : "the kernel doesn't know the policy, or not with these values",
      EBUSY: "so much processor time isn't free",
    },
  };
  const value = {
    policy: SCHED[asked.policy],
    flags,
    nice: asked.nice ?? 0,
    priority: asked.priority ?? 0,
    runtime: BigInt(asked.runtime ?? 0),
    deadline: BigInt(asked.deadline ?? 0),
    period: BigInt(asked.period ?? 0),
  };
  return [
    {
      call: "sched_setattr",
      args: [0, struct("sched_attr", value), 0],
      why: "how the kernel schedules the program",
      at: "process.scheduler",
      fail,
    },
  ];
}

/**
 * ioprio_set(2) on init itself, whose children inherit it. Not on its process group: one that `exec` starts may be in its
 * caller's.
 */
export function ioPriority({ config }: ProcessInput): Step[] {
  const asked = config.process?.ioPriority;
  if (asked === undefined) return [];
  const { priority = 0 } = asked;
  return [
    {
      call: "ioprio_set",
      args: [IOPRIO_WHO_PROCESS, 0, (IOPRIO_CLASS[asked.class] << IOPRIO_CLASS_SHIFT) | priority],
      why: `input and output in ${asked.class}, level ${priority}`,
      at: "process.ioPriority",
      fail: {
        code: "PROCESS_FAILED",
        message: `cannot set the I/O priority ${asked.class} ${priority}`,
        hints: { EPERM: "IOPRIO_CLASS_RT needs CAP_SYS_NICE or CAP_SYS_ADMIN" },
      },
    },
  ];
}
