/** What a plan is made from: the config, facts about the host, and the caller's options. Data only. */

import type { Config } from "../../spec/config.ts";
import { hasAny } from "../lists.ts";

/** One cgroup v1 hierarchy, or the v2 one. */
export interface Hierarchy {
  version: 1 | 2;
  /** Where it is mounted on the host. */
  mountpoint: string;
  /** v1: what names it at mount time, controllers (`cpu`, `cpuacct`) or `name=systemd`; empty on v2. */
  options: readonly string[];
}

/**
 * What a path of the config is. A symlink is one only where it isn't to be followed; what it says follows the blank. Of a
 * destination it is the mode, in octal, that a tmpfs there gets, or where its symlinks lead if that isn't there yet.
 */
export type SourceKind =
  | "directory"
  | "file"
  | `link ${string}`
  | `mode ${string}`
  | `place ${string}`
  | `home ${string}`;

/** Facts about the host and the caller, gathered once before planning. */
export interface Host {
  /** Effective ids of the caller. */
  uid: number;
  gid: number;
  /** The caller's permitted and bounding capabilities, a bit each. */
  permitted: bigint;
  bounding: bigint;
  /** Highest capability that the kernel knows. */
  lastCap: number;
  /** Signals that this process ignores, and that would stay ignored in the program. */
  ignoredSignals: readonly number[];
  /** RLIMIT_NOFILE of this process's parent: Bun has raised its own. */
  nofile: { soft: bigint; hard: bigint } | undefined;
  /** Whether the caller is in the machine's first user namespace, and not in a container itself. */
  firstUserNamespace: boolean;
  hierarchies: readonly Hierarchy[];
  /** Path of the v2 cgroup below which a caller who isn't root may make others; absent for root, and where there is none. */
  delegated?: string;
  /** What paths of the config are, by their names in source.ts. */
  sources: Readonly<Record<string, SourceKind>>;
}

/** linux.seccomp, compiled. */
export interface SeccompFilter {
  /** A program of the classic BPF, `struct sock_filter`s of 8 bytes. */
  program: Uint8Array;
  /** SECCOMP_FILTER_FLAG_*. */
  flags: number;
  /** Whether the kernel gives a descriptor that an agent answers through (SCMP_ACT_NOTIFY). */
  listener: boolean;
}

export interface PlanInput {
  /** The container's. What of the plan depends on it is filled in for each container. */
  id: string;
  config: Config;
  host: Host;
  /** There when the config has linux.seccomp. */
  seccomp?: SeccompFilter;
  /** Absolute path of the root file system on the host. */
  rootfs: string;
  cgroupManager: "cgroupfs" | "systemd" | "disabled";
  /** Path of the container's cgroup below each hierarchy's mount point, begins with `/`. */
  cgroupPath: string | undefined;
  /** Descriptors from 3 on that the program inherits. */
  preserveFds: number;
  noPivot: boolean;
  /** The caller's session keyring stays. */
  noNewKeyring: boolean;
}

/** Whether the caller is root in the machine's first user namespace: nobody has more rights. */
export const isRootOfAll = ({ uid, firstUserNamespace }: Pick<Host, "uid" | "firstUserNamespace">): boolean =>
  uid === 0 && firstUserNamespace;

/** What steps that make a process what it is need of it, whether it is a container's first one or not. */
export type ProcessInput = Pick<PlanInput, "config" | "host">;

/** Whether the config asks for a new namespace of this type. */
export function isNew(config: Config, type: string): boolean {
  return hasAny(config.linux?.namespaces ?? [], (n) => n.type === type && n.path === undefined);
}

/** Whether the container has a namespace of this type that isn't the runtime's: a new or a joined one. */
export function hasNamespace(config: Config, type: string): boolean {
  return hasAny(config.linux?.namespaces ?? [], (n) => n.type === type);
}

/** Place of the namespace of this type in the config. */
export function namespaceAt(config: Config, type: string): string {
  const index = config.linux?.namespaces?.findIndex((n) => n.type === type) ?? -1;
  return index < 0 ? "linux.namespaces" : `linux.namespaces[${index}]`;
}
