/**
 * What init got from the runtime's process and must not pass on: ignored signals, the signal mask, the umask, the session.
 * The program sees what it would see had it been started directly.
 */

import { type Step, struct } from "../init/step.ts";
import { PR } from "../kernel/consts/prctl.ts";
import { SIG, SIGSET_SIZE } from "../kernel/consts/signal.ts";
import type { PlanInput } from "./input.ts";
import { INIT_NAME } from "./names.ts";

/** Cell of the umask that init was born with: the caller's. */
export const CALLERS_UMASK = "the caller's umask";

const fail = (message: string) => ({ code: "INTERNAL", message }) as const;

/** What init itself runs with. */
export function inherited(): Step[] {
  return [
    {
      call: "prctl",
      args: [PR.PR_SET_NAME, INIT_NAME, 0, 0, 0],
      why: "who it is, for people and for `state`, until the program gives it another name",
      fail: fail("cannot set init's name"),
    },
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
      why: "modes of files are as the config says; the caller's is kept for the program",
      save: CALLERS_UMASK,
      fail: fail("cannot set the umask"),
    },
  ];
}

/** What the program runs with. Until then init is better off with SIGPIPE ignored: see park.ts. */
export function signals({ host }: Pick<PlanInput, "host">): Step[] {
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
  ];
}
