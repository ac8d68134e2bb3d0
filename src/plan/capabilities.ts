/** Capabilities (config.md, "Linux Process"; capabilities(7)): five sets, exactly as asked. */
import { type Call, type Step, struct } from "../init/step.ts";
import {
  _LINUX_CAPABILITY_VERSION_3,
  CAPABILITIES,
  type CapabilityName,
} from "../kernel/consts/capability.ts";
import { PR, PR_CAP_AMBIENT } from "../kernel/consts/prctl.ts";
import { hasNamespace, type PlanInput } from "./input.ts";
import { needsPrivilege } from "./seccomp.ts";

/** Number of a capability, −1 for a name that no kernel knows. */
export function capabilityNumber(name: string): number {
  return CAPABILITIES.indexOf(name as CapabilityName);
}

const SYS_ADMIN = 1n << BigInt(CAPABILITIES.indexOf("CAP_SYS_ADMIN"));

type SetName = "bounding" | "effective" | "inheritable" | "permitted" | "ambient";
export type CapabilitySets = Record<SetName, bigint>;

/** Capabilities that were asked for and can't be had: the spec wants a warning, not a failure. */
export interface Refused {
  at: string;
  name: string;
  why: string;
}

/** The capabilities that the program could have: all of them in a user namespace of its own, else the caller's. */
function available({ config, host }: PlanInput): bigint {
  const known = (1n << BigInt(host.lastCap + 1)) - 1n;
  return hasNamespace(config, "user") ? known : host.permitted & host.bounding & known;
}

/** The sets of the config as bits, less what the kernel doesn't know or the caller doesn't have. */
export function capabilitySets(input: PlanInput): { sets: CapabilitySets; refused: Refused[] } {
  const sets: CapabilitySets = { bounding: 0n, effective: 0n, inheritable: 0n, permitted: 0n, ambient: 0n };
  const refused: Refused[] = [];
  const have = available(input);
  const asked = input.config.process?.capabilities ?? {};
  for (const name of Object.keys(sets) as SetName[])
    (asked[name] ?? []).forEach((capability, i) => {
      const number = capabilityNumber(capability);
      const at = `process.capabilities.${name}[${i}]`;
      if (number < 0 || number > input.host.lastCap)
        refused.push({ at, name: capability, why: "this kernel doesn't know it" });
      else if ((have & (1n << BigInt(number))) === 0n)
        refused.push({ at, name: capability, why: "the caller doesn't have it" });
      else sets[name] |= 1n << BigInt(number);
    });
  // The kernel refuses what breaks these rules of capset(2) and prctl(2); what can't be granted isn't a failure.
  const within = (name: SetName, limit: bigint, why: string) => {
    (asked[name] ?? []).forEach((capability, i) => {
      const bit = 1n << BigInt(Math.max(0, capabilityNumber(capability)));
      if ((sets[name] & bit) === 0n || (limit & bit) !== 0n) return;
      refused.push({ at: `process.capabilities.${name}[${i}]`, name: capability, why });
    });
    sets[name] &= limit;
  };
  within("effective", sets.permitted, "it isn't in the permitted set");
  within("inheritable", sets.bounding, "it isn't in the bounding set");
  within(
    "ambient",
    sets.permitted & sets.inheritable,
    "it isn't in both the permitted and the inheritable set",
  );
  return { sets, refused };
}

const failure = (what: string) => ({ code: "PROCESS_FAILED" as const, message: `cannot ${what}` });

/** Drops from the bounding set what isn't in it: needs CAP_SETPCAP, so it comes before the ids change. */
export function boundingSet(input: PlanInput): Step[] {
  if (input.config.process?.capabilities === undefined) return [];
  const { sets } = capabilitySets(input);
  const steps: Step[] = [];
  for (let number = 0; number <= input.host.lastCap; number++) {
    if ((sets.bounding & (1n << BigInt(number))) !== 0n) continue;
    // One that isn't in the caller's own bounding set can't come back.
    if (!hasNamespace(input.config, "user") && (input.host.bounding & (1n << BigInt(number))) === 0n)
      continue;
    steps.push({
      call: "prctl",
      args: [PR.PR_CAPBSET_DROP, number, 0, 0, 0],
      why: `no program in the container can gain ${CAPABILITIES[number] ?? `capability ${number}`}`,
      at: "process.capabilities.bounding",
      fail: failure("drop a capability from the bounding set"),
    });
  }
  return steps;
}

/** Whether init has capabilities to care for when it changes its ids: some for the program, or one for its own last call. */
const caresFor = (input: PlanInput): boolean =>
  input.config.process?.capabilities !== undefined ||
  // Without a list, root's are the program's, and another user has none: but the filter's loading needs one.
  (needsPrivilege(input) && (input.config.process?.user?.uid ?? 0) !== 0);

/** Keeps the permitted set while the uid changes from 0 to the program's. */
export function keepCapabilities(input: PlanInput): Step[] {
  if (!caresFor(input)) return [];
  return [
    {
      call: "prctl",
      args: [PR.PR_SET_KEEPCAPS, 1, 0, 0, 0],
      why: "the change of uid doesn't take the capabilities away",
      fail: failure("keep capabilities across the change of user"),
    },
  ];
}

function capset({ effective, permitted, inheritable }: CapabilitySets, why: string): Call {
  const header = struct("cap_user_header", { version: _LINUX_CAPABILITY_VERSION_3, pid: 0 });
  return {
    call: "capset",
    args: [header, struct("cap_user_data", { effective, permitted, inheritable })],
    why,
    at: "process.capabilities",
    fail: failure("set the capabilities"),
  };
}

/**
 * The remaining four sets; execve takes KEEPCAPS away again. A filter that is loaded without no_new_privs needs
 * CAP_SYS_ADMIN until then, if the caller has it: {@link dropCapabilities} is for afterwards.
 */
export function setCapabilities(input: PlanInput): Step[] {
  if (!caresFor(input)) return [];
  const { sets } = capabilitySets(input);
  const more = needsPrivilege(input) ? available(input) & SYS_ADMIN : 0n;
  const raised = { ...sets, effective: sets.effective | more, permitted: sets.permitted | more };
  const why =
    more === 0n
      ? "the effective, permitted and inheritable sets"
      : "the effective, permitted and inheritable sets, and CAP_SYS_ADMIN for the filter";
  const steps: Step[] = [capset(raised, why)];
  CAPABILITIES.forEach((name, number) => {
    if ((sets.ambient & (1n << BigInt(number))) === 0n) return;
    steps.push({
      call: "prctl",
      args: [PR.PR_CAP_AMBIENT, PR_CAP_AMBIENT.PR_CAP_AMBIENT_RAISE, number, 0, 0],
      why: `${name} survives execve of any program`,
      at: "process.capabilities.ambient",
      fail: failure(`raise the ambient capability ${name}`),
    });
  });
  return steps;
}

/** What the filter's loading needed goes; nothing that the program could have is affected. */
export function dropCapabilities(input: PlanInput): Step[] {
  if (!needsPrivilege(input) || !caresFor(input)) return [];
  const { sets } = capabilitySets(input);
  const drop = capset(sets, "CAP_SYS_ADMIN has loaded the filter, and goes");
  // execve makes the program's permitted and effective sets of the other three, whatever init's own are (capabilities(7),
  // "Transformation of capabilities"): a filter that denies this call does no harm.
  return [{ ...drop, otherwise: "next" }];
}
