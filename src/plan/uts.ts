/** The UTS namespace: hostname and domainname (config.md, "Hostname" and "Domainname"; uts_namespaces(7)). */
import type { Step } from "../init/step.ts";
import type { PlanInput } from "./input.ts";

/** sethostname(2) and setdomainname(2) take the name's length in bytes, without a NUL. */
export function uts({ config }: PlanInput): Step[] {
  const steps: Step[] = [];
  const { hostname, domainname } = config;
  if (hostname !== undefined)
    steps.push({
      call: "sethostname",
      args: [hostname, Buffer.byteLength(hostname)],
      why: "the container's own hostname",
      at: "hostname",
      fail: { code: "HOSTNAME_FAILED", message: `cannot set the hostname "${hostname}"` },
    });
  if (domainname !== undefined)
    steps.push({
      call: "setdomainname",
      args: [domainname, Buffer.byteLength(domainname)],
      why: "the container's own NIS domain name",
      at: "domainname",
      fail: { code: "HOSTNAME_FAILED", message: `cannot set the domainname "${domainname}"` },
    });
  return steps;
}
