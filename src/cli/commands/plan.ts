import type { CreateOptions } from "../../container/create.ts";
import { mentions } from "../../kernel/environ.ts";
import { resolve } from "../../path.ts";
import type { CreateArguments } from "../arguments.ts";
import { listenFds, notifySocket } from "../service.ts";

type PlanArguments = Pick<
  CreateArguments,
  "bundle" | "config" | "no-pivot" | "no-new-keyring" | "preserve-fds"
>;

/** What `create`, `run` and `explain` ask of the container layer alike. Paths are the caller's, so they are made absolute here. */
export function planOptions(id: string, args: PlanArguments): CreateOptions {
  // Who makes all variables into an object looks at each of them; few callers are services.
  const env = mentions("NOTIFY_SOCKET", "LISTEN_FDS") ? process.env : {};
  const notify = notifySocket(env);
  return {
    id,
    bundle: resolve(args.bundle ?? "."),
    noPivot: args["no-pivot"],
    noNewKeyring: args["no-new-keyring"],
    preserveFds: args["preserve-fds"] ?? 0,
    listenFds: listenFds(env, process.pid),
    ...(notify !== undefined && { notifySocket: notify }),
    ...(args.config !== undefined && { config: resolve(args.config) }),
  };
}

/** The above and what only concerns a container that is really made. */
export function createOptions(args: CreateArguments): CreateOptions {
  const pidFile = args["pid-file"];
  const consoleSocket = args["console-socket"];
  const pidfdSocket = args["pidfd-socket"];
  return {
    ...planOptions(args.id, args),
    ...(pidFile !== undefined && { pidFile: resolve(pidFile) }),
    ...(consoleSocket !== undefined && { consoleSocket: resolve(consoleSocket) }),
    ...(pidfdSocket !== undefined && { pidfdSocket: resolve(pidfdSocket) }),
  };
}
