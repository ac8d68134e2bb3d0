/** Bundle, host and options → the planner's input: what the config means here. */

import type { Config } from "../../spec/config.ts";
import type { Mount } from "../../spec/mounts.ts";
import { KontenaError } from "../error.ts";
import { readlinkSync } from "../kernel/fs.ts";
import { hasAny } from "../lists.ts";
import { join, normalize } from "../path.ts";
import { type Host, hasNamespace, isNew, type PlanInput } from "../plan/input.ts";
import { isBind } from "../plan/source.ts";
import type { Bundle } from "./bundle.ts";
import type { ConsoleOptions } from "./console-socket.ts";
import type { Runtime } from "./runtime.ts";
import type { Stdio } from "./stdio.ts";

export interface CreateOptions extends ConsoleOptions {
  id: string;
  /** Directory of the bundle. */
  bundle: string;
  /** Another config file than the bundle's config.json. */
  config?: string;
  /** Gets init's pid, as the host sees it, in decimal. */
  pidFile?: string;
  /** Socket that gets init's pidfd (SCM_RIGHTS). */
  pidfdSocket?: string;
  /** Its standard streams; this process's own unless given. */
  stdio?: Stdio;
  noPivot?: boolean;
  noNewKeyring?: boolean;
  /** How many descriptors from 3 on the program inherits. */
  preserveFds?: number;
  /** How many of the service manager's sockets come first, from 3 on (sd_listen_fds(3)). */
  listenFds?: number;
  /** Where the service manager waits for the program's READY (sd_notify(3)). */
  notifySocket?: string;
}

/** All descriptors from 3 on that the program inherits. */
export function preservedOf({ preserveFds = 0, listenFds = 0 }: Partial<CreateOptions>): number {
  return listenFds + preserveFds;
}

/**
 * Without root's rights no other namespace can be made, so a user namespace is added that maps the program's user to the
 * caller, as its owner would write it. The config file stays as it is; `explain` shows what was added.
 */
function impliedUserNamespace(runtime: Runtime, config: Config, host: Host): Config {
  const namespaces = config.linux?.namespaces ?? [];
  if (!runtime.rootless || host.uid === 0 || namespaces.length === 0 || hasNamespace(config, "user"))
    return config;
  runtime.debug("not root: adding a user namespace that maps root to the caller");
  return { ...config, linux: { ...config.linux, namespaces: [...namespaces, { type: "user" }] } };
}

/** A user namespace without mappings maps root to the caller, the one mapping that needs no rights. */
function defaultMappings(config: Config, host: Host): Config {
  if (!isNew(config, "user")) return config;
  const own = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
  const { uidMappings = [], gidMappings = [] } = config.linux ?? {};
  return {
    ...config,
    linux: {
      ...config.linux,
      uidMappings: uidMappings.length > 0 ? uidMappings : own(host.uid),
      gidMappings: gidMappings.length > 0 ? gidMappings : own(host.gid),
    },
  };
}

/**
 * Where the container's cgroup lies below each hierarchy; a path that leaves it is refused. A relative one is below what is
 * delegated to the caller, or else the same as an absolute one.
 */
export function cgroupPathOf(asked: string | undefined, id: string, delegated = ""): string {
  if (asked === undefined || asked === "") return `${delegated}/kontena-${id}`;
  const path = normalize(asked.startsWith("/") ? asked : `${delegated}/${asked}`).replace(/\/$/, "");
  if (path === "" || asked.split("/").includes(".."))
    throw new KontenaError("CONFIG_INVALID", `"${asked}" is not a path of a cgroup of its own`, {
      at: "linux.cgroupsPath",
    });
  return path;
}

/** The same by the manager; `asked` is linux.cgroupsPath, which means another thing to systemd. */
export function cgroupPathFor(
  { cgroupManager }: Runtime,
  asked: string | undefined,
  id: string,
  host: Pick<Host, "uid" | "firstUserNamespace" | "delegated">,
): string | undefined {
  if (cgroupManager === "disabled") return undefined;
  if (cgroupManager === "cgroupfs") return cgroupPathOf(asked, id, host.delegated);
  const { systemdPath } =
    require("../cgroup/systemd/place.ts") as typeof import("../cgroup/systemd/place.ts");
  return systemdPath(asked, id, host);
}

/** The source of a bind mount may be relative to the bundle (config.md, "Mounts"). */
export function absoluteSources(config: Config, bundle: string): Config {
  const { mounts } = config;
  if (mounts === undefined || !hasAny(mounts, isRelativeBind)) return config;
  return {
    ...config,
    mounts: mounts.map((m) => (isRelativeBind(m) ? { ...m, source: join(bundle, m.source ?? "") } : m)),
  };
}

function isRelativeBind(mount: Mount): boolean {
  return mount.source !== undefined && !mount.source.startsWith("/") && isBind(mount);
}

/**
 * The descriptors to preserve have to be the caller's. Bun opens some of its own as it starts, at the lowest numbers that
 * are free: one that the caller didn't pass may be such a one.
 */
export function checkPreserved(options: Partial<CreateOptions>): void {
  const count = preservedOf(options);
  const { listenFds = 0 } = options;
  if (!(Number.isSafeInteger(count) && count >= 0 && listenFds >= 0 && count >= listenFds))
    throw new KontenaError("USAGE", `${count - listenFds} is no number of descriptors to preserve`);
  for (let fd = 3; fd < 3 + count; fd++) {
    let target: string | undefined;
    try {
      target = readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // told below
    }
    if (target !== undefined && !/^anon_inode:\[(eventpoll|eventfd)\]$/.test(target)) continue;
    const listened = fd < 3 + listenFds;
    const option = listened ? `LISTEN_FDS=${listenFds}` : `--preserve-fds ${count - listenFds}`;
    const [first, last] = listened ? [3, 2 + listenFds] : [3 + listenFds, 2 + count];
    throw new KontenaError("USAGE", `${option}: descriptor ${fd} isn't open`, {
      hint: `it means descriptors ${first} to ${last}, all of them`,
    });
  }
}

/** The spec leaves open what a program without a list of capabilities has: none, as with runc and crun. */
function withCapabilities(config: Config): Config {
  if (config.process === undefined || config.process.capabilities !== undefined) return config;
  return { ...config, process: { ...config.process, capabilities: {} } };
}

/**
 * What a service manager tells by variables, made true for the program: sockets begin at 3, and it is process 1
 * (sd_listen_fds(3)).
 */
function withServiceVariables(config: Config, { listenFds = 0 }: CreateOptions): Config {
  if (listenFds === 0 || config.process === undefined) return config;
  const env = (config.process.env ?? []).filter((entry) => !/^LISTEN_(FDS|PID)=/.test(entry));
  env.push(`LISTEN_FDS=${listenFds}`, "LISTEN_PID=1");
  return { ...config, process: { ...config.process, env } };
}

function withNotify(runtime: Runtime, { id }: CreateOptions, config: Config): Config {
  const { withNotifySocket } = require("./notify.ts") as typeof import("./notify.ts");
  const more = withNotifySocket(config, join(runtime.root, id));
  if (more === config)
    runtime.warn("NOTIFY_SOCKET is not passed on to a container without a mount namespace of its own");
  return more;
}

const loadSysctl = () => require("./sysctl.ts") as typeof import("./sysctl.ts");

/** The planner's input, for a config that has been checked. */
export function toInput(runtime: Runtime, options: CreateOptions, bundle: Bundle, host: Host): PlanInput {
  const given = absoluteSources(bundle.config, bundle.path);
  const mapped = defaultMappings(impliedUserNamespace(runtime, given, host), host);
  const served = withServiceVariables(withCapabilities(mapped), options);
  const config = options.notifySocket === undefined ? served : withNotify(runtime, options, served);
  // At every create, kept plan or not: what a path means can change.
  if (config.linux?.sysctl !== undefined) loadSysctl().checkSysctls(config);
  return {
    id: options.id,
    config,
    host,
    rootfs: bundle.rootfs,
    cgroupManager: runtime.cgroupManager,
    cgroupPath: cgroupPathFor(runtime, config.linux?.cgroupsPath, options.id, host),
    preserveFds: preservedOf(options),
    noPivot: options.noPivot ?? false,
    noNewKeyring: options.noNewKeyring ?? false,
  };
}
