/**
 * Namespaces that are joined by path (config-linux.md, "Namespaces"; setns(2)), and the second stage of a birth.
 *
 * A process can't move itself into a pid namespace: only its next child is in it. Nor can it join anything of the host's once
 * it is in a user namespace. So with either of these init is born in two stages: the first process joins, then makes the real
 * init with CLONE_PARENT, which leaves that one the runtime's own child, and ends.
 */

import type { Config } from "../../spec/config.ts";
import { buffer, type Call, cell, type Failure, type Step, words } from "../init/step.ts";
import { CLONE } from "../kernel/consts/sched.ts";
import type { NamespaceHandle } from "./handles.ts";
import { isNew, type PlanInput } from "./input.ts";
import { SECOND_STAGE } from "./names.ts";
import { cloneFlags, NAMESPACES, type NamespaceType } from "./namespaces.ts";
import { notDumpable } from "./user.ts";

/** mount last: paths of the host are no more after it. */
const ORDER: readonly NamespaceType[] = ["ipc", "uts", "network", "cgroup", "time", "pid", "mount"];

export function namespaceHandles({ config }: PlanInput): NamespaceHandle[] {
  return (config.linux?.namespaces ?? []).flatMap(({ type, path }, i) =>
    path === undefined
      ? []
      : [{ kind: "namespace", cell: `namespace ${type}`, type, path, at: `linux.namespaces[${i}].path` }],
  );
}

/** Whether a second process is needed for these namespaces. */
export function isStaged(config: Config): boolean {
  const joins = (config.linux?.namespaces ?? []).filter(({ path }) => path !== undefined);
  if (joins.length === 0) return false;
  return isNew(config, "user") || joins.some(({ type }) => type === "pid" || type === "user");
}

function failure({ type, path, at }: NamespaceHandle): Failure & { at: string } {
  return {
    at,
    code: "NAMESPACE_FAILED",
    message: `cannot join the ${type} namespace ${path}`,
    path,
    hints: {
      EPERM: "joining it takes CAP_SYS_ADMIN in the user namespace that it belongs to",
      EINVAL:
        type === "user"
          ? "it is the user namespace that kontena itself runs in"
          : "it can't be joined from here",
    },
  };
}

function join(handle: NamespaceHandle, on?: Call["on"]): Call {
  const { at, ...fail } = failure(handle);
  return {
    call: "setns",
    args: [cell(handle.cell), NAMESPACES[handle.type].flag],
    why:
      handle.type === "pid"
        ? "the next child is born in this pid namespace"
        : `into this ${handle.type} namespace`,
    at,
    ...(on === undefined ? {} : { on }),
    fail,
  };
}

const closed = (handle: NamespaceHandle): Call => ({
  call: "close",
  args: [cell(handle.cell)],
  why: "it is joined",
  at: handle.at,
  fail: { code: "INTERNAL", message: "cannot close a namespace's descriptor" },
});

/** Before a user namespace is joined. A caller without CAP_SETGID has to keep its groups, which the container has then already. */
export function leaveGroups(): Call {
  return {
    call: "setgroups",
    args: [0, 0],
    why: "the runtime's groups stay outside; the user namespace may forbid this later",
    on: { EPERM: "next" },
    fail: { code: "PROCESS_FAILED", message: "cannot leave the runtime's groups" },
  };
}

/**
 * With a user namespace among them: first whatever present rights allow, then that one, then the rest with the rights that
 * it gives. A descriptor that is closed already says that its namespace is joined.
 */
export function joinNamespaces(input: PlanInput): Step[] {
  const handles = namespaceHandles(input);
  const others = ORDER.flatMap((type) => handles.filter((h) => h.type === type));
  const user = handles.find(({ type }) => type === "user");
  if (user === undefined) return others.flatMap((h) => [join(h), closed(h)]);
  return [
    { ...leaveGroups(), at: user.at },
    ...others.map((h): Step => ({ block: [join(h, { EPERM: "leave" }), closed(h)] })),
    join(user),
    closed(user),
    ...others.map((h) => join(h, { EBADF: "next" })),
  ];
}

/** The second stage: `flags` are the namespaces that it is created with. The first one ends here. */
export function secondStage(flags: number, at: string | undefined): Step[] {
  // Not the call's result: that is saved by both processes, and the child's is 0.
  const pid = buffer(SECOND_STAGE, 8);
  const wanted = (flags | CLONE.CLONE_PARENT | CLONE.CLONE_PARENT_SETTID) >>> 0;
  // struct clone_args (linux/sched.h): the fourth field is parent_tid; exit_signal is the first stage's own.
  const clone = words(wanted, 0, 0, pid, 0, 0, 0, 0, 0, 0, 0);
  return [
    {
      block: [
        {
          call: "clone3",
          args: [clone, 88],
          why: "the container's process itself, a child of the runtime's",
          at,
          zero: "leave",
          fail: {
            code: "NAMESPACE_FAILED",
            message: "cannot create the container's process in its namespaces",
          },
        },
        {
          call: "exit_group",
          args: [0],
          why: "the first stage has done its work",
          fail: { code: "INTERNAL", message: "the first stage can't end" },
        },
      ],
    },
  ];
}

/** Joins, and the second stage where it takes one. */
export function joins(input: PlanInput): Step[] {
  const { config, host } = input;
  const handles = namespaceHandles(input);
  // Those who live in a joined namespace see this process at once, and what it has open. Maps of a non-dumpable process are
  // written by root alone; no other caller joins anything of the host's beside a new user namespace.
  const early = handles.length > 0 && (!isNew(config, "user") || host.uid === 0) ? notDumpable() : [];
  const steps = [...early, ...joinNamespaces(input)];
  return isStaged(config) ? [...steps, ...secondStage(cloneFlags(config), "linux.namespaces")] : steps;
}

/** What clone3 creates at birth: nothing when that is for the second stage. */
export function birthFlags(config: Config): number {
  return isStaged(config) ? 0 : cloneFlags(config);
}
