/** Between create and start: init waits in opening the exec FIFO, which `start` opens from the other side. */

import { PARK_ADDRESS, PARK_LENGTH, SOCKET } from "../init/memory.ts";
import { cell, type Failure, type Step } from "../init/step.ts";
import { O } from "../kernel/consts/fcntl.ts";
import { close } from "./destination.ts";
import type { PlanInput } from "./input.ts";
import { READY, STATE_DIRECTORY } from "./names.ts";
import { openListenerFifo } from "./seccomp.ts";

export const EXEC_FIFO = "exec.fifo";
const FIFO = "exec FIFO";

const fail: Failure = { code: "INTERNAL", message: "init cannot wait for start" };

export function park(input: PlanInput): Step[] {
  return [
    {
      call: "munmap",
      args: [cell(PARK_ADDRESS), cell(PARK_LENGTH)],
      why: "create's part of the plan is done with",
      fail,
    },
    close(SOCKET),
    {
      block: [
        {
          call: "openat",
          args: [cell(STATE_DIRECTORY), EXEC_FIFO, O.O_WRONLY | O.O_CLOEXEC],
          why: "wait here until `start` opens the other end",
          save: FIFO,
          fail,
        },
        ...openListenerFifo(input, STATE_DIRECTORY),
        {
          call: "write",
          args: [cell(FIFO), READY, 1],
          why: "tell `start` that init goes on; no filter is loaded yet that could stop this",
          // `start` was killed just now: wait for another one. SIGPIPE is ignored still.
          on: { EPIPE: "restart" },
          fail: { code: "INTERNAL", message: "init cannot tell `start` that it goes on" },
        },
      ],
    },
    close(STATE_DIRECTORY),
  ];
}
