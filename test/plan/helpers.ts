/** Fixed facts and small configs: plans are pure, so these tests need no root and no particular machine. */
import type { Config } from "../../spec/config.ts";
import { type Arg, type Call, calls, type Phase, type Step } from "../../src/init/step.ts";
import { CAPABILITIES } from "../../src/kernel/consts/capability.ts";
import type { StructName, StructValues } from "../../src/kernel/structs.ts";
import type { Hierarchy, Host, PlanInput } from "../../src/plan/input.ts";
import type { Plan } from "../../src/plan/order.ts";

export const ALL_CAPABILITIES = (1n << BigInt(CAPABILITIES.length)) - 1n;

export const UNIFIED: Hierarchy = { version: 2, mountpoint: "/sys/fs/cgroup", options: [] };

/** A machine of the time between v1 and v2, with two controllers in one hierarchy. */
export const HYBRID: readonly Hierarchy[] = [
  { version: 1, mountpoint: "/sys/fs/cgroup/cpu,cpuacct", options: ["cpu", "cpuacct"] },
  { version: 1, mountpoint: "/sys/fs/cgroup/memory", options: ["memory"] },
  { version: 1, mountpoint: "/sys/fs/cgroup/systemd", options: ["name=systemd"] },
  { version: 2, mountpoint: "/sys/fs/cgroup/unified", options: [] },
];

export const HOST: Host = {
  uid: 0,
  gid: 0,
  permitted: ALL_CAPABILITIES,
  bounding: ALL_CAPABILITIES,
  lastCap: CAPABILITIES.length - 1,
  ignoredSignals: [13, 25],
  nofile: { soft: 1024n, hard: 1048576n },
  firstUserNamespace: true,
  hierarchies: [UNIFIED],
  sources: {},
};

/** What a caller without any rights finds. */
export const USER_HOST: Host = { ...HOST, uid: 1000, gid: 1000, permitted: 0n };

type Change = Omit<Partial<PlanInput>, "config" | "host"> & { host?: Partial<Host> };

export function inputOf(config: Partial<Config>, { host, ...change }: Change = {}): PlanInput {
  return {
    config: { ociVersion: "1.3.0", ...config },
    id: "c1",
    rootfs: "/bundle/rootfs",
    cgroupManager: "cgroupfs",
    cgroupPath: "/kontena-c1",
    preserveFds: 0,
    noPivot: false,
    noNewKeyring: false,
    ...change,
    host: { ...HOST, ...host },
  };
}

/** `linux` with new namespaces of these types. */
export function withNamespaces(...types: string[]): NonNullable<Config["linux"]> {
  return { namespaces: types.map((type) => ({ type })) } as NonNullable<Config["linux"]>;
}

/** Every call of the steps, those of blocks and branches included. */
export const callsIn = (steps: readonly Step[]): Call[] => [...calls(steps)];

/** The steps of a phase by its name. */
export function phaseOf(plan: Plan, name: string): readonly Step[] {
  const found = [...plan.create, ...plan.start].find(({ phase }) => phase === name);
  if (found === undefined) throw new Error(`the plan has no phase ${name}`);
  return found.steps;
}

export const phaseNames = (phases: readonly Phase[]) => phases.map(({ phase }) => phase);

/** A call as `name(args)` for short comparisons: cells as `<name>`, structs as their values, buffers as `&name`. */
export function short(call: Call): string {
  return `${call.call}(${call.args.map(shortArg).join(", ")})${call.save === undefined ? "" : ` = ${call.save}`}`;
}

function shortArg(arg: Arg): string {
  if (typeof arg === "string") return JSON.stringify(arg);
  if (typeof arg !== "object") return String(arg);
  if ("cell" in arg) return `<${arg.cell}>`;
  if ("buffer" in arg) return arg.text === undefined ? `&${arg.buffer}` : JSON.stringify(arg.text);
  if ("strings" in arg) return JSON.stringify(arg.strings);
  if ("words" in arg) return `{${arg.words.map(shortArg).join(", ")}}`;
  return "bytes" in arg ? arg.name : arg.struct;
}

/** The value of the struct at argument `index`. */
export function structAt<N extends StructName>(
  call: Call | undefined,
  index: number,
  name: N,
): StructValues[N] {
  const arg = call?.args[index];
  if (typeof arg !== "object" || !("struct" in arg) || arg.struct !== name)
    throw new Error(`${call?.call}: argument ${index} is no ${name}`);
  return arg.value as StructValues[N];
}
