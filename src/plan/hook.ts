/** A hook (config.md, "POSIX-platform Hooks") as a process: where it runs, what it is given, and execve. */
import type { Config } from "../../spec/config.ts";
import type { Hook } from "../../spec/hooks.ts";
import { LAST_CALL } from "../init/memory.ts";
import { cell, type Failure, type Pause, type Step } from "../init/step.ts";
import { CLOSE_RANGE } from "../kernel/consts/fcntl.ts";
import { type EnterInput, enterContainer } from "./exec.ts";
import type { Handle } from "./handles.ts";
import { CALLERS_UMASK, inherited, signals } from "./inherited.ts";
import type { Host } from "./input.ts";
import { enterCgroups } from "./join-cgroup.ts";
import { type Plan, phase } from "./order.ts";
import { setLimits } from "./rlimits.ts";
import { becomeRoot } from "./user.ts";

/** Cells of the descriptors that become the hook's standard input, output and error. */
export const STREAMS = ["hook's input", "hook's output", "hook's error"] as const;

export interface HookInput {
  hook: Hook;
  /** Its place, `hooks.createRuntime[0]`. */
  at: string;
  /** Directory that it runs in. */
  cwd: string;
  host: Host;
  /** The container's config, for what the process is in there. */
  config: Config;
  /** Into the container's namespaces; none for a hook that stays in the runtime's. */
  enter?: EnterInput;
}

const BORN: Pause = { pause: "born", why: "wait for the runtime", silent: true };

function streams(at: string): Step[] {
  return STREAMS.map((name, fd) => ({
    call: "dup3",
    args: [cell(name), fd, 0],
    why: fd === 0 ? "the container's state to read" : "what it says goes into the error, should it fail",
    at,
    fail: { code: "INTERNAL", message: "cannot give the hook its streams" },
  }));
}

/** The hook gets no descriptor but the three, and nothing of the runtime's environment. */
function run({ hook, at, cwd }: HookInput): Step[] {
  const { path, args, env = [] } = hook;
  const fail: Failure = { code: "HOOK_FAILED", message: `cannot run the hook ${path}`, path };
  return [
    { call: "chdir", args: [cwd], why: "where it runs", at, fail: { ...fail, path: cwd } },
    {
      call: "close_range",
      args: [3, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC],
      why: "no other descriptor reaches the hook",
      save: LAST_CALL,
      fail: { code: "INTERNAL", message: "cannot close descriptors" },
    },
    {
      call: "execve",
      args: [path, { strings: args?.length ? args : [path] }, { strings: env }],
      why: "the hook",
      at: `${at}.path`,
      fail,
    },
  ];
}

export function planHook(input: HookInput, handles: Handle[]): Pick<Plan, "handles" | "create" | "start"> {
  const { enter, config, host } = input;
  const inside = enter === undefined ? [] : enterContainer(enter);
  const process = { config: { ...config, process: { cwd: "/" } }, host };
  return {
    handles,
    create: [
      phase("birth", [BORN]),
      phase("cgroup", enterCgroups(enter?.cgroups ?? [])),
      phase("enter", inside),
      phase("user", enter === undefined ? [] : becomeRoot(process, config.process?.user)),
      phase("inherited", inherited()),
      phase("streams", streams(input.at)),
      phase("signals", signals(process)),
      phase("limits", setLimits(process)),
      phase("umask", [
        {
          call: "umask",
          args: [cell(CALLERS_UMASK)],
          why: "the caller's",
          fail: { code: "INTERNAL", message: "cannot set the umask" },
        },
      ]),
      phase("execute", run(input)),
    ],
    start: [],
  };
}
