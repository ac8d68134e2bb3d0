/** Signals that a foreground command passes on to the program that it waits for. */
import { SIG_IGN, SIGCHLD, SIGSET_SIZE } from "../kernel/consts/signal.ts";
import { syscall } from "../kernel/libc.ts";
import { encodeStruct } from "../kernel/structs.ts";
import type { Runtime } from "./runtime.ts";

/**
 * What people and supervisors send, by number. Left out: those that no one can catch, those that mean something to this
 * process itself (SIGCHLD; SIGTTIN and SIGTTOU, which stop a job of the background that wants the terminal, and with a handler
 * have it try for ever; SIGPWR, with which its garbage collector stops threads), and faults.
 */
const FORWARDED = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGCONT: 18,
  SIGTSTP: 20,
  SIGWINCH: 28,
} as const;

/**
 * A caller that ignores SIGCHLD has left that to this process, and then the kernel keeps no child's status (wait(2)). The
 * program gets the signal as it should be anyway.
 */
export function heedChildren(): void {
  const standard = encodeStruct("sigaction", {});
  const now = standard.slice();
  syscall("rt_sigaction", SIGCHLD, 0, now, SIGSET_SIZE);
  if (new DataView(now.buffer).getBigUint64(0, true) === SIG_IGN)
    syscall("rt_sigaction", SIGCHLD, standard, 0, SIGSET_SIZE);
}

/** Passes signals on, by `send`, until the returned function is called. `send` says false when the program is gone. */
export function forwardSignals(
  send: (signal: number) => boolean,
  runtime: Pick<Runtime, "debug">,
): () => void {
  const names = Object.keys(FORWARDED) as (keyof typeof FORWARDED)[];
  const forward = (name: NodeJS.Signals) => {
    const number = FORWARDED[name as keyof typeof FORWARDED];
    if (!send(number)) runtime.debug(`${name} came too late`);
  };
  for (const name of names) process.on(name, forward);
  return () => {
    for (const name of names) process.off(name, forward);
  };
}
