/**
 * Bundle → encoded plan, and the memory of it.
 *
 * A plan is a pure function of what it is made from, so it can be kept: when the config, the facts about the host and the
 * options are the same to the byte, schemas, planner and encoder are not even loaded. A program that makes many containers
 * of one bundle has its plans in this process; `run` keeps the last few on disk, beside the states, for the next command.
 * What differs from container to container — its cgroup's path, the numbers of descriptors — is filled in.
 */

import type { Config } from "../../spec/config.ts";
import { mayRound, parseJson } from "../../spec/json.ts";
import type { Asked } from "../cgroup/asked.ts";
import type { Problem } from "../error.ts";
import type { Kit } from "../init/loader.ts";
import { callOf, type EncodedPlan, PLAN_BASE } from "../init/memory.ts";
import { type Step, stepsOf } from "../init/step.ts";
import { join } from "../path.ts";
import type { Handle } from "../plan/handles.ts";
import type { PlanInput } from "../plan/input.ts";
import type { Lookup } from "../plan/lookups.ts";
import type { Plan } from "../plan/order.ts";
import type { Outside } from "../plan/outside.ts";
import { cgroupRoom } from "../plan/texts.ts";
import { GIVEN } from "./birth.ts";
import { type Bundle, type BundleText, readBundle, withRoot } from "./bundle.ts";
import type { KnownCall, KnownCalls } from "./failure.ts";
import { gatherHost, type HostFacts, sourceKinds } from "./host.ts";
import { checkId } from "./id.ts";
import { type CreateOptions, cgroupPathFor, checkPreserved, toInput } from "./input.ts";
import { buildOf, keepPlan, readPlan } from "./plan-store.ts";
import type { Runtime } from "./runtime.ts";
import { seccompFact, withFilter } from "./seccomp.ts";

/** A pause, without the words; `silent`: init doesn't say that it has come so far. */
export interface Waiting {
  pause: string;
  silent: boolean;
}

/** A plan as `create` goes by it: the same for every container with the same key. */
export interface Parts {
  /** CLONE_NEW* for clone3. */
  namespaces: number;
  handles: readonly Handle[];
  /** Where init waits, in order. */
  pauses: readonly Waiting[];
  encoded: EncodedPlan;
  /** What init is born with. */
  kit: Kit;
  /** What is done and looked at beside init. */
  outside: Outside;
  /** What is asked of the cgroup. */
  asked: Asked;
  /** The call of an op, by its address in decimal. */
  known(address: string): KnownCall | undefined;
  /** The calls of `start`, as JSON of {@link KnownCalls}; put together when it is asked for, as those of `known` are. */
  startCalls(): Uint8Array;
}

/** What `create` needs. */
export interface Compiled extends Parts {
  bundle: Bundle;
  input: PlanInput;
  /** How the plan is remembered; none for one that was made in another way. */
  key?: string;
  /** The key of the plan that this one took the place of. */
  base?: string;
  /** Keeps on disk what later commands can use, when the state root is there. */
  keep?(): void;
}

/** A plan in memory or on disk. */
export interface Remembered extends Parts {
  /** What of the host the plan depends on, and what that was. */
  lookups: readonly Lookup[];
  sources: PlanInput["host"]["sources"];
  warnings: Problem[];
  /** The config has numbers that JSON.parse alone would round. */
  mayRound: boolean;
  /** It comes from the disk. */
  isStored?: true;
}

/** Both sections, with room for the numbers of descriptors that are known only at birth. */
export function encode(plan: Pick<Plan, "handles" | "create" | "start">): EncodedPlan {
  const given = Object.fromEntries(
    [...GIVEN, ...plan.handles.map(({ cell }) => cell)].map((name) => [name, 0]),
  );
  const { encodePlan } = require("../init/encode.ts") as typeof import("../init/encode.ts");
  return encodePlan({ create: stepsOf(plan.create), start: stepsOf(plan.start) }, given);
}

function pausesIn(steps: readonly Step[]): Waiting[] {
  return steps.flatMap((step) => {
    if ("block" in step) return pausesIn(step.block);
    return "pause" in step ? [{ pause: step.pause, silent: step.silent ?? false }] : [];
  });
}

/** Where init waits in create's part. */
export function pausesOf({ create }: Pick<Plan, "create">): Waiting[] {
  return pausesIn(stepsOf(create));
}

/** Encodes a plan. */
export function compilePlan(runtime: Runtime, bundle: Bundle, input: PlanInput, plan: Plan): Compiled {
  const { outsideOf } = require("../plan/outside.ts") as typeof import("../plan/outside.ts");
  const { askedOf } = require("../cgroup/asked.ts") as typeof import("../cgroup/asked.ts");
  const encoded = encode(plan);
  return {
    bundle,
    input,
    namespaces: plan.namespaces,
    handles: plan.handles,
    pauses: pausesOf(plan),
    encoded,
    kit: kitFor(runtime, input, plan),
    outside: outsideOf(input),
    asked: askedOf(input.config),
    known: (address) => callOf(encoded, address),
    startCalls: () => startCallsOf(encoded),
  };
}

function startCallsOf({ ops, parkedSize }: EncodedPlan): Uint8Array {
  const known: KnownCalls = {};
  for (const { address, call } of ops) {
    const { call: name, at, fail } = call;
    if (address < PLAN_BASE + parkedSize && fail !== undefined) known[address] = { call: name, at, fail };
  }
  return new TextEncoder().encode(JSON.stringify(known));
}

/** Keeps the plan of a container for later commands, if it isn't the first of its kind, and the one that it came from; never a reason to fail. */
export function storePlan(runtime: Runtime, { key, base }: Compiled): void {
  for (const each of [base, key]) {
    const plan = each === undefined ? undefined : memory.get(each);
    if (plan === undefined || plan.isStored) continue;
    keepPlan(runtime, each as string, plan);
  }
}

/** For a birth as create has it: plan memory, the conversation's socket and the state directory are handed over, and handles. */
function kitFor(
  runtime: Runtime,
  { preserveFds, host }: PlanInput,
  { namespaces, handles }: Pick<Plan, "namespaces" | "handles">,
): Kit {
  const { kitOf } = require("./kit-store.ts") as typeof import("./kit-store.ts");
  const handed = 3 + handles.length;
  return kitOf(runtime, { namespaces, lastCap: host.lastCap, preserved: preserveFds, handed });
}

/** More than a handful of bundles at a time is a program's own affair. */
const MOST_IN_MEMORY = 64;
const memory = new Map<string, Remembered>();

/** Reads a bundle and gives its plan, from memory when it is there. @throws KontenaError for whatever is wrong with it */
export function compile(runtime: Runtime, options: CreateOptions): Compiled {
  checkId(options.id);
  const text = readBundle(options.bundle, options.config);
  checkPreserved(options);
  const facts = gatherHost();
  const key = keyOf(runtime, options, text, facts);
  const known = memory.get(key) ?? readPlan(runtime, key);
  const again = known === undefined ? undefined : recall(runtime, options, text, facts, known);
  if (known !== undefined && again !== undefined) {
    remember(key, known);
    return { ...again, key };
  }
  // Loaded here and not above: the schemas and the planner are most of the program.
  const { prepareBundle } = require("./prepare.ts") as typeof import("./prepare.ts");
  const warnings: Problem[] = [];
  const { bundle, lookups, input, plan } = prepareBundle(runtime, options, text, facts, (warning) => {
    warnings.push(warning);
    tell(runtime, warning);
  });
  const compiled = compilePlan(runtime, bundle, input, plan);
  remember(key, toRemembered(compiled, lookups, warnings));
  return { ...compiled, key, keep: () => keepKits(runtime) };
}

function keepKits(runtime: Runtime): void {
  const kits = require("./kit-store.ts") as typeof import("./kit-store.ts");
  kits.keepKits(runtime);
}

function toRemembered(
  { bundle, input, key: _, base: __, keep: ___, ...parts }: Compiled,
  lookups: readonly Lookup[],
  warnings: Problem[],
): Remembered {
  return { ...parts, lookups, sources: input.host.sources, warnings, mayRound: mayRound(bundle.text) };
}

const isFor = (plan: Remembered, sources: Remembered["sources"]) =>
  JSON.stringify(sources) === JSON.stringify(plan.sources);

/**
 * Another plan for the same container, in which something is otherwise than the facts had said. It is remembered too,
 * beside the first one.
 * @param what is otherwise, in a word
 */
export function compileVariant(
  runtime: Runtime,
  { bundle, key: base }: Compiled,
  what: string,
  input: PlanInput,
): Compiled {
  const key = base === undefined ? undefined : `${base}\0${what}`;
  const keys = base === undefined || key === undefined ? {} : { base, key };
  const known = key === undefined ? undefined : (memory.get(key) ?? readPlan(runtime, key));
  if (key !== undefined && known !== undefined && isFor(known, input.host.sources)) {
    remember(key, known);
    return { ...known, bundle, input, ...keys };
  }
  const { planContainer } = require("../plan/order.ts") as typeof import("../plan/order.ts");
  const whole = withFilter(runtime, input);
  const compiled = compilePlan(runtime, bundle, whole, planContainer(whole));
  // It is asked for with answers, never with questions: those are the first plan's.
  if (key !== undefined) remember(key, toRemembered(compiled, [], []));
  return { ...compiled, ...keys };
}

function tell(runtime: Runtime, { message, at, hint }: Problem): void {
  runtime.warn(message, { at, ...(hint ? { hint } : {}) });
}

function remember(key: string, plan: Remembered): void {
  memory.delete(key);
  memory.set(key, plan);
  const [oldest] = memory.keys();
  if (memory.size > MOST_IN_MEMORY && oldest !== undefined) memory.delete(oldest);
}

/** A remembered plan for this container; undefined when a bind mount's source is another kind of file now. */
function recall(
  runtime: Runtime,
  options: CreateOptions,
  text: BundleText,
  facts: HostFacts,
  plan: Remembered,
): Compiled | undefined {
  // The same text was checked when the plan was made.
  const config = (plan.mayRound ? parseJson(text.text) : JSON.parse(text.text)) as Config;
  const bundle = withRoot(text, config);
  const sources = sourceKinds(plan.lookups, bundle.rootfs);
  if (!isFor(plan, sources)) return undefined;
  for (const warning of plan.warnings) tell(runtime, warning);
  return { ...plan, bundle, input: toInput(runtime, options, bundle, { ...facts, sources }) };
}

/** Everything that a plan depends on, as one text: plans are the same when it is. */
function keyOf(runtime: Runtime, options: CreateOptions, text: BundleText, facts: HostFacts): string {
  const { hierarchies, nofile, ignoredSignals } = facts;
  // A path of a cgroup has room in steps: the container's name counts by its length.
  const path = cgroupPathFor(runtime, undefined, options.id, facts) ?? "";
  let room = 0;
  let mounted = "";
  for (const h of hierarchies) {
    room = Math.max(room, roomOf(h.mountpoint + path));
    mounted += `${h.version} ${h.mountpoint} ${h.options.join()}\0`;
  }
  return [
    buildOf() ?? "",
    ...[facts.uid, facts.gid, facts.permitted, facts.bounding, facts.lastCap, facts.firstUserNamespace],
    ...[ignoredSignals.join(), facts.delegated, nofile?.soft, nofile?.hard, mounted],
    ...[runtime.rootless, runtime.cgroupManager, options.preserveFds, options.listenFds],
    // The directory of its socket is the container's own.
    options.notifySocket === undefined ? "" : join(runtime.root, options.id),
    ...[options.noPivot, options.noNewKeyring, room],
    ...[seccompFact(text.text), text.path, text.text],
  ].join("\0");
}

function roomOf(directory: string): number {
  return cgroupRoom(`${directory}/tasks`) + cgroupRoom(directory);
}
