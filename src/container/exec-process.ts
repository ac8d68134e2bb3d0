/** What `exec` runs: its options, and the process that they make of the container's own. */
import type { Config } from "../../spec/config.ts";
import type { Process } from "../../spec/process.ts";
import { KontenaError } from "../error.ts";
import { isAbsolute } from "../path.ts";
import type { ConsoleOptions } from "./console-socket.ts";
import type { Stdio } from "./stdio.ts";

export interface ExecOptions extends ConsoleOptions {
  /** The program and its arguments, unless `process` has those. */
  args: readonly string[];
  /** A whole process in the form of config.json, in the place of the container's own. */
  process?: Process;
  cwd?: string;
  /** Added to the environment, `NAME=value` each. */
  env?: readonly string[];
  user?: { uid: number; gid?: number };
  /** Added to the process's own. */
  additionalGids?: readonly number[];
  /** Capabilities that are added to all five sets, by name. */
  capabilities?: readonly string[];
  noNewPrivileges?: boolean;
  apparmorProfile?: string;
  selinuxLabel?: string;
  /** A cgroup below the container's own; on v1 also some, `CONTROLLERS:PATH` each, the others staying the container's own. */
  cgroup?: string | readonly string[];
  /** Also in a paused container; the process stands still until that goes on. */
  ignorePaused?: boolean;
  pidFile?: string;
  /** Socket that gets the process's pidfd (SCM_RIGHTS). */
  pidfdSocket?: string;
  /** Its standard streams; this process's own unless given. */
  stdio?: Stdio;
  /** Give it a terminal, of this size unless `process` says another. */
  terminal?: boolean;
  size?: { rows: number; columns: number };
  /** How many descriptors from 3 on the program inherits. */
  preserveFds?: number;
}

/** The last user and group there is: the next, −1, means "as it is" to setresuid(2), which would be the runtime's own. */
export const MAX_ID = 0xffff_fffe;

function checkIds({ user, additionalGids = [] }: ExecOptions): void {
  for (const id of [user?.uid ?? 0, user?.gid ?? 0, ...additionalGids])
    if (!(Number.isInteger(id) && id >= 0 && id <= MAX_ID))
      throw new KontenaError("USAGE", `exec: ${id} is no id: those are integers from 0 to ${MAX_ID}`);
}

/** What the kernel takes as it is meant. The config's own was checked when the container was made. */
function checkTexts({ args, env = [], cwd = "" }: ExecOptions): void {
  for (const text of [...args, ...env, cwd])
    if (typeof text !== "string" || text.includes("\0") || !text.isWellFormed())
      throw new KontenaError(
        "USAGE",
        `exec: ${JSON.stringify(text)} is no text that a program could be given`,
      );
  for (const entry of env)
    if (entry.indexOf("=") < 1)
      throw new KontenaError("USAGE", `exec: the variable ${JSON.stringify(entry)} isn't NAME=VALUE`);
}

/** The process to run: the one that was given, or the container's own with other arguments, and what the options change. */
export function processOf(config: Config, options: ExecOptions): Process {
  const own = options.process ?? config.process ?? { cwd: "/" };
  const { args, cwd, env = [], user, additionalGids, capabilities = [], noNewPrivileges } = options;
  checkIds(options);
  checkTexts(options);
  const merged: Process = { ...own };
  // A whole process says its program too; only one without any leaves it to the words.
  if (args.length > 0 && options.process?.args === undefined) merged.args = [...args];
  if (cwd !== undefined) {
    if (!isAbsolute(cwd))
      throw new KontenaError("USAGE", `exec: the working directory "${cwd}" isn't an absolute path`);
    merged.cwd = cwd;
  }
  if (env.length > 0) merged.env = withVariables(own.env ?? [], env);
  if (user !== undefined || additionalGids !== undefined) {
    const { additionalGids: groups, ...rest } = own.user ?? {};
    const all = [...new Set([...(groups ?? []), ...(additionalGids ?? [])])];
    merged.user = { ...rest, ...user, ...(all.length === 0 ? {} : { additionalGids: all }) };
  }
  if (capabilities.length > 0) merged.capabilities = withCapabilities(own, capabilities);
  if (options.apparmorProfile !== undefined) merged.apparmorProfile = options.apparmorProfile;
  if (options.selinuxLabel !== undefined) merged.selinuxLabel = options.selinuxLabel;
  if (noNewPrivileges) merged.noNewPrivileges = true;
  // A terminal is asked for by its own option; the container's own process had another one.
  if (options.process === undefined) delete merged.terminal;
  if (options.terminal) merged.terminal = true;
  const { size } = options;
  if (size !== undefined && options.process?.consoleSize === undefined)
    merged.consoleSize = { height: size.rows, width: size.columns };
  return merged;
}

const nameOf = (variable: string) => variable.slice(0, variable.indexOf("="));

/** Each name once: of two, getenv(3) takes the first, and a shell the last. */
function withVariables(own: readonly string[], added: readonly string[]): string[] {
  const names = new Map(added.map((variable) => [nameOf(variable), variable]));
  return [...own.filter((variable) => !names.has(nameOf(variable))), ...names.values()];
}

const SETS = ["bounding", "permitted", "effective", "inheritable", "ambient"] as const;

export const capabilityName = (name: string): string => (name.startsWith("CAP_") ? name : `CAP_${name}`);

/** As runc does: to the four sets, and to the ambient one when there are inheritable capabilities already. */
function withCapabilities(
  { capabilities = {} }: Process,
  added: readonly string[],
): NonNullable<Process["capabilities"]> {
  const names = added.map(capabilityName);
  const sets = SETS.map((set) => {
    const own = capabilities[set] ?? [];
    const skip =
      set === "inheritable" || (set === "ambient" && (capabilities.inheritable ?? []).length === 0);
    return [set, skip ? own : [...new Set([...own, ...names])]] as const;
  });
  return Object.fromEntries(sets);
}
