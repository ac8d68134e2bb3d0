/**
 * What init got from the runtime's process and must not pass on: ignored signals, the signal mask, the umask, the session.
 * The program sees what it would see had it been started directly.
 */
import type { Step } from "../init/step.ts";
import { struct } from "../init/step.ts";
import { SIG, SIGSET_SIZE } from "../kernel/consts/signal.ts";
import type { PlanInput } from "./input.ts";

export function inherited({ host }: PlanInput): Step[] {
  const fail = (message: string) => ({ code: "INTERNAL", message }) as const;
  return [
    // CLONE_CLEAR_SIGHAND leaves ignored signals ignored, and execve keeps them so: Bun ignores SIGPIPE and SIGXFSZ.
    ...host.ignoredSignals.map(
      (signal): Step => ({
        call: "rt_sigaction",
        args: [signal, struct("sigaction", {}), 0, SIGSET_SIZE],
        why: `signal ${signal} does what it does by default`,
        fail: fail("cannot reset a signal"),
      }),
    ),
    {
      call: "rt_sigprocmask",
      args: [SIG.SIG_SETMASK, struct("sigset", 0n), 0, SIGSET_SIZE],
      why: "no signal is blocked",
      fail: fail("cannot unblock signals"),
    },
    {
      call: "setsid",
      args: [],
      why: "a session of its own, so no signal comes from the caller's terminal",
      // The leader of a process group can't make a session; as a new child init never is one.
      fail: fail("cannot create a session"),
    },
    {
      call: "umask",
      args: [0],
      why: "modes of files are as the config says",
      fail: fail("cannot set the umask"),
    },
  ];
}
