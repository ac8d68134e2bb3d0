/** What init tells the kernel through files of procfs, with one procfs for all of it. */
import type { Step } from "../init/step.ts";
import { sweep } from "./destination.ts";
import { hasNamespace, isNew, type PlanInput } from "./input.ts";
import { hasLabels, labels } from "./labels.ts";
import { openProcfs } from "./procfs.ts";
import { sysctls, sysctlsNeedProcfs } from "./sysctl.ts";

/** Whether /proc is the host's until the root is entered. */
export function seesHostsProc({ config }: Pick<PlanInput, "config">): boolean {
  return !hasNamespace(config, "mount") || isNew(config, "mount");
}

/** `hosts`: whether /proc is the host's here, and can be fallen back on. */
export function throughProcfs(input: PlanInput, hosts: boolean): Step[] {
  const steps = [...sysctls(input), ...labels(input)];
  const forSysctl = sysctlsNeedProcfs(input);
  if (!forSysctl && !hasLabels(input)) return steps;
  const { apparmorProfile } = input.config.process ?? {};
  const at = forSysctl
    ? "linux.sysctl"
    : apparmorProfile
      ? "process.apparmorProfile"
      : "process.selinuxLabel";
  const procfs = openProcfs(
    at,
    {
      code: forSysctl ? "SYSCTL_FAILED" : "LABEL_FAILED",
      message: "cannot get a procfs to write to",
      hints: { EPERM: "a user namespace needs a pid namespace of its own for that" },
    },
    hosts,
  );
  return [procfs, ...steps, ...sweep("temporary")];
}
