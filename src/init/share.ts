/** A clone whose child has this process's memory until it executes or ends. */
import { SIG, SIGSET_SIZE } from "../kernel/consts/signal.ts";
import { buffer, type Call, type Step, struct } from "./step.ts";

const SIGNALS = "the caller's signal mask";

/** The clone between two changes of the signal mask: a signal must not run a handler of this process in the child. */
export function undisturbed(clone: Call): Step[] {
  return [
    {
      call: "rt_sigprocmask",
      args: [SIG.SIG_SETMASK, struct("sigset", ~0n), buffer(SIGNALS, 8), SIGSET_SIZE],
      why: "no signal meets the child while it shares this memory",
      fail: { code: "INTERNAL", message: "cannot block signals" },
    },
    clone,
    {
      call: "rt_sigprocmask",
      args: [SIG.SIG_SETMASK, buffer(SIGNALS, 8), 0, SIGSET_SIZE],
      why: "signals as they were",
      fail: { code: "INTERNAL", message: "cannot restore the signal mask" },
    },
  ];
}
