/** Kernel parameters of the container's namespaces (config-linux.md, "Sysctl"; sysctl(8)). */
import { inside } from "../../spec/problems.ts";
import { sysctlName, sysctlPath } from "../../spec/sysctl.ts";
import { cell, type Failure, type Step } from "../init/step.ts";
import { close } from "./destination.ts";
import type { PlanInput } from "./input.ts";
import { openForWriting } from "./procfs.ts";

function failure(name: string, value: string): Failure {
  return {
    code: "SYSCTL_FAILED",
    message: `cannot set the kernel parameter ${name} to ${JSON.stringify(value)}`,
    path: `/proc/sys/${sysctlPath(name) ?? ""}`,
    hints: {
      ENOENT: "this kernel has no such parameter, or not for a namespace, or its module isn't loaded",
      EINVAL: "the kernel doesn't take this value",
      ERANGE: "the kernel doesn't take this value",
      EACCES: "the container's user namespace has no right to it",
      EPERM: "the container's user namespace has no right to it",
      EROFS: "/proc is read-only where kontena runs",
    },
  };
}

/** Written by init, since the kernel looks at the writer's namespaces. */
function set(name: string, value: string, at: string): Step[] {
  const fail = failure(name, value);
  // The file belongs to the host's root, whatever the namespace; the system call asks the namespace's owner.
  if (sysctlName(name) === "kernel.domainname")
    return [
      {
        call: "setdomainname",
        args: [value, Buffer.byteLength(value)],
        why: `the kernel parameter ${name}`,
        at,
        fail,
      },
    ];
  const file = `${at} file`;
  return [
    openForWriting(`sys/${sysctlPath(name) ?? ""}`, {
      why: `the kernel parameter ${name}`,
      at,
      save: file,
      fail,
    }),
    {
      call: "write",
      args: [cell(file), value, Buffer.byteLength(value)],
      why: `is ${value} in the container`,
      at,
      fail,
    },
    close(file),
  ];
}

/** Whether a procfs is needed for it. */
export function sysctlsNeedProcfs({ config }: Pick<PlanInput, "config">): boolean {
  return Object.keys(config.linux?.sysctl ?? {}).some((name) => sysctlName(name) !== "kernel.domainname");
}

export function sysctls({ config }: Pick<PlanInput, "config">): Step[] {
  return Object.entries(config.linux?.sysctl ?? {}).flatMap(([name, value]) =>
    set(name, value, inside("linux.sysctl", name)),
  );
}
