/** File systems by fsopen(2), fsconfig(2), fsmount(2): mounted, attached nowhere, and the kernel names what it refuses. */
import type { Mount } from "../../spec/mounts.ts";
import { type Buffer, type Call, cell, type Failure, type Step } from "../init/step.ts";
import { AT_FDCWD, AT_RECURSIVE } from "../kernel/consts/fcntl.ts";
import { FSCONFIG, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC, OPEN_TREE } from "../kernel/consts/mount.ts";
import { setAttributes } from "./attach.ts";
import { hasNamespace, isRootOfAll, type PlanInput } from "./input.ts";
import type { ParsedOptions } from "./options.ts";

/**
 * File systems of which the kernel has one instance for all mounts: `ro` is then a property of the mount alone, or it
 * would make the host's read-only as well (or fail).
 */
export const SHARED_INSTANCE: ReadonlySet<string> = new Set([
  "proc",
  "sysfs",
  "cgroup",
  "cgroup2",
  "mqueue",
  "devtmpfs",
  "securityfs",
  "debugfs",
  "tracefs",
  "bpf",
]);

/** What a file system needs in a user namespace, or else the kernel says EPERM. */
const NEEDS: Readonly<Record<string, string>> = {
  proc: "in a user namespace a new procfs needs a pid namespace of its own, and a host of which no parts of /proc are covered",
  sysfs: "in a user namespace a new sysfs needs a network namespace of its own",
  mqueue: "in a user namespace a new mqueue needs an IPC namespace of its own",
};

/** What is mounted when the kernel doesn't let init mount a file system. */
export interface Instead {
  /** A directory of the host, bound with all that is mounted below it. */
  source: string | Buffer;
  name: string;
  why: string;
}

/**
 * The host's own in the place of a file system that may not be mounted anew. A sysfs shows a network namespace, a mqueue
 * an IPC namespace: the user namespace that owns it must be the container's. With that of the host, what the host has
 * mounted is the same; runc's users write such a bind into the config, crun does it by itself.
 */
export function insteadOf(input: PlanInput, type: string): Instead | undefined {
  const { config, host } = input;
  if (!hasNamespace(config, "user") && isRootOfAll(host)) return undefined;
  const sources: Record<string, string> = { sysfs: "/sys", mqueue: "/dev/mqueue" };
  const source = sources[type];
  return source === undefined ? undefined : { source, name: source, why: NEEDS[type] ?? "" };
}

function bindInstead(
  { source, name, why }: Instead,
  flags: number,
  at: string,
  save: string,
  fail: Failure,
): Step[] {
  const open: Call = {
    call: "open_tree",
    args: [AT_FDCWD, source, OPEN_TREE.OPEN_TREE_CLONE | OPEN_TREE.OPEN_TREE_CLOEXEC | AT_RECURSIVE],
    why: `${why}: the host's ${name} takes its place`,
    at,
    save,
    fail: {
      ...fail,
      message: `${fail.message}: cannot bind the host's ${name} instead`,
      hints: { ENOENT: why },
    },
  };
  const [flag] = setAttributes(save, { set: flags, clear: 0 }, at, fail, true);
  return flag === undefined ? [{ ...open, after: "leave" }] : [open, { ...flag, after: "leave" }];
}

type Asked = Pick<ParsedOptions, "set" | "data" | "flags">;

/** A file system of the given type, configured and mounted, but attached nowhere; the descriptor is saved as `save`. */
export function openFileSystem(
  mount: Pick<Mount, "type" | "source"> & Partial<Pick<Mount, "destination">>,
  options: Asked,
  at: string,
  save: string,
  fail: Failure,
  instead?: Instead,
): Step[] {
  const steps = newFileSystem(mount, options, at, save, fail);
  if (instead === undefined) return steps;
  // Which of the calls refuses differs: fsopen of sysfs, create of mqueue, fsmount when parts of the host's are covered.
  const mayRefuse = ({ call, args }: Call) => call !== "fsconfig" || args[1] === FSCONFIG.FSCONFIG_CMD_CREATE;
  const on = { EPERM: bindInstead(instead, options.set, at, save, fail) };
  return [{ block: steps.map((step) => (mayRefuse(step) ? { ...step, on } : step)) }];
}

function newFileSystem(
  mount: Pick<Mount, "type" | "source"> & Partial<Pick<Mount, "destination">>,
  options: Asked,
  at: string,
  save: string,
  fail: Failure,
): Call[] {
  const type = mount.type ?? "none";
  const context = `${save} context`;
  // What kontena adds by itself comes from the whole of `at`, not from a property below it.
  const isEntry = mount.destination !== undefined;
  const place = (property: string) => (isEntry ? `${at}.${property}` : at);
  const why = NEEDS[type];
  const told: Failure = why === undefined ? fail : { ...fail, hints: { EPERM: why } };
  const config = (
    command: number,
    key: string | number,
    value: string | number,
    what: string,
    where: string,
  ): Call => ({
    call: "fsconfig",
    args: [cell(context), command, key, value, 0],
    why: what,
    at: where,
    fail: told,
    log: context,
  });
  const flags = SHARED_INSTANCE.has(type)
    ? options.flags.filter((f) => f !== "ro" && f !== "rw")
    : options.flags;
  return [
    {
      call: "fsopen",
      args: [type, FSOPEN_CLOEXEC],
      why: `a new ${type} file system`,
      at: place("type"),
      save: context,
      fail: {
        ...fail,
        hints: {
          ENODEV: `the kernel has no file system type "${type}", see /proc/filesystems`,
          ...told.hints,
        },
      },
    },
    config(FSCONFIG.FSCONFIG_SET_STRING, "source", sourceOf(mount), "its source", place("source")),
    ...flags.map((f) => config(FSCONFIG.FSCONFIG_SET_FLAG, f, 0, `option ${f}`, place("options"))),
    ...options.data.map(({ key, value, index }) => {
      const where = index === undefined ? at : place(`options[${index}]`);
      return value === undefined
        ? config(FSCONFIG.FSCONFIG_SET_FLAG, key, 0, `option ${key}`, where)
        : config(FSCONFIG.FSCONFIG_SET_STRING, key, value, `option ${key}=${value}`, where);
    }),
    config(FSCONFIG.FSCONFIG_CMD_CREATE, 0, 0, "create it", at),
    {
      call: "fsmount",
      args: [cell(context), FSMOUNT_CLOEXEC, options.set],
      why: "a mount of it, attached nowhere yet",
      at: place("options"),
      save,
      fail: told,
      log: context,
    },
  ];
}

/** What a file system without a device shows as its source: anything but nothing. */
export function sourceOf({ source, type }: Pick<Mount, "type" | "source">): string {
  return source || (type ?? "none");
}
