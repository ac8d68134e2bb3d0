/** explain: what create and start would do, in order, and why; nothing is done. */

import { deviceRules, rulesFor } from "../cgroup/devices/rules.ts";
import { textOf } from "../cgroup/devices/v1.ts";
import type { Facts, Item } from "../cgroup/item.ts";
import { resourceItems } from "../cgroup/resources.ts";
import { CLONE } from "../kernel/consts/sched.ts";
import { SOCK_FILTER_SIZE } from "../kernel/consts/seccomp.ts";
import { describe, flagNames, toText } from "../plan/describe.ts";
import type { Handle } from "../plan/handles.ts";
import type { Mapped } from "../plan/idmap.ts";
import { isNew, type PlanInput } from "../plan/input.ts";
import { groupsDenied, MAPPINGS, takesHelper } from "../plan/mappings.ts";
import { netDevices } from "../plan/network.ts";
import { limits } from "../plan/rlimits.ts";
import { type CreateOptions, type Prepared, prepare } from "./prepare.ts";
import type { Runtime } from "./runtime.ts";

export interface Explained {
  text: string;
  json: unknown;
}

/** A descriptor that init is born with. */
function handleText(handle: Handle): string {
  switch (handle.kind) {
    case "given":
      return `hand over descriptor ${handle.fd}`;
    case "console":
      return "connect to the socket of --console-socket, or to this process in the foreground";
    case "namespace":
      return `open the ${handle.type} namespace ${handle.path}`;
    case "tree": {
      const ids = handle.idMap === undefined ? "" : `, its ids mapped by ${mappedText(handle.idMap.mapped)}`;
      return `open_tree ${handle.source}${handle.recursive ? " and all below" : ""}${ids}`;
    }
    case "device":
      return `make the ${handle.type} file system of ${handle.source}, mounted nowhere yet`;
    case "mapping":
      return `open a user namespace with ${mappedText(handle.mapped)}`;
  }
}

function mappedText(mapped: Mapped): string {
  if ("path" in mapped) return `the user namespace ${mapped.path}`;
  const text = (list: Extract<Mapped, { uidMappings: unknown }>["uidMappings"]) =>
    list.map((m) => `${m.containerID} ${m.hostID} ${m.size}`).join(", ");
  return `uid_map ${text(mapped.uidMappings)}, gid_map ${text(mapped.gidMappings)}`;
}

/** Limits by their controllers: in which files they end up depends on what the kernel has, which shows in a cgroup only. */
function limitSteps({ config, host }: PlanInput): { phase: string; what: string; at: string }[] {
  const { resources = {}, devices } = config.linux ?? {};
  const facts: Facts = {
    where: (v1, v2 = v1) => {
      if (host.hierarchies.some(({ options }) => options.includes(v1))) return 1;
      return v2 !== "" && host.hierarchies.some(({ version }) => version === 2) ? 2 : undefined;
    },
    read: () => "0",
  };
  const limitOf = (item: Item) => {
    if ("file" in item) return `set ${item.controller} to ${item.value}`;
    return "refused" in item ? `refuse it: ${item.refused}` : item.notice;
  };
  const rules = deviceRules(resources.devices ?? rulesFor(devices));
  return [
    ...resourceItems(resources, facts).map((item) => ({ phase: "cgroup", what: limitOf(item), at: item.at })),
    {
      phase: "cgroup",
      what: `devices, of which the last rule counts: ${rules.map((rule) => `${rule.allow ? "allow" : "forbid"} ${textOf(rule)}`).join(", ")}`,
      at: "linux.resources.devices",
    },
  ];
}

function mappingSteps(input: PlanInput): { phase: string; what: string; at: string }[] {
  if (!isNew(input.config, "user")) return [];
  const denied = {
    phase: "birth",
    what: "write deny to the process's setgroups, without which the kernel takes no gid_map from this caller",
    at: "linux.gidMappings",
  };
  const written = MAPPINGS.map((name) => {
    const ranges = (input.config.linux?.[name] ?? []).map((m) => `${m.containerID} ${m.hostID} ${m.size}`);
    const [file, helper] = name === "uidMappings" ? ["uid_map", "newuidmap"] : ["gid_map", "newgidmap"];
    const by = takesHelper(input, name) ? `, by ${helper}` : "";
    return {
      phase: "birth",
      what: `write ${ranges.join(", ")} to the process's ${file}${by}`,
      at: `linux.${name}`,
    };
  });
  return [...(groupsDenied(input) ? [denied] : []), ...written];
}

/** What the runtime's own process does around init's batches, in words. */
function ownSteps({ input, plan }: Prepared): { phase: string; what: string; at?: string }[] {
  const { config, cgroupPath, host } = input;
  const flags = flagNames(plan.namespaces, CLONE);
  const raised = limits(input).filter((l) => l.at !== undefined);
  const { seccomp } = input;
  return [
    ...(seccomp === undefined
      ? []
      : [
          {
            phase: "filter",
            what: `compile a filter of ${seccomp.program.length / SOCK_FILTER_SIZE} instructions, or find it among those that are kept`,
            at: "linux.seccomp",
          },
        ]),
    { phase: "state", what: "lock the id, write the state `creating`, make the exec FIFO" },
    ...(cgroupPath === undefined || input.cgroupManager === "systemd"
      ? []
      : host.hierarchies.map((h) => ({
          phase: "cgroup",
          what: `mkdir ${h.mountpoint}${cgroupPath}`,
          at: "linux.cgroupsPath",
        }))),
    ...(cgroupPath === undefined ? [] : limitSteps(input)),
    ...plan.handles.map((handle) => ({
      phase: "birth",
      what: handleText(handle),
      ...("at" in handle ? { at: handle.at } : {}),
    })),
    {
      phase: "birth",
      what: `clone3(${flags}) and execute init, a sealed memfd of one page`,
      at: "linux.namespaces",
    },
    ...(cgroupPath !== undefined && input.cgroupManager === "systemd"
      ? [
          {
            phase: "birth",
            what: `systemd starts the scope ${cgroupPath}, with the process in it`,
            at: "linux.cgroupsPath",
          },
        ]
      : []),
    ...mappingSteps(input),
    ...(config.process?.oomScoreAdj === undefined
      ? []
      : [
          {
            phase: "birth",
            what: `write ${config.process.oomScoreAdj} to the process's oom_score_adj`,
            at: "process.oomScoreAdj",
          },
        ]),
    ...raised.map((l) => ({
      phase: "birth",
      what: `raise the hard limit of ${l.name} to ${l.hard}, when it is lower`,
      ...(l.at === undefined ? {} : { at: l.at }),
    })),
    ...(config.linux?.intelRdt === undefined
      ? []
      : [
          {
            phase: "birth",
            what: `write the process's number to the tasks of resctrl group ${config.linux.intelRdt.closID || "CONTAINER-ID"}`,
            at: "linux.intelRdt",
          },
        ]),
    ...netDevices(config).map(({ from, to, at }) => ({
      phase: "network",
      what: `move network device ${from} into the container${to === from ? "" : ` as ${to}`}, with its addresses, and bring it up`,
      at,
    })),
  ];
}

export function explain(runtime: Runtime, options: CreateOptions): Explained {
  const prepared = prepare(runtime, options);
  const { plan, bundle, input } = prepared;
  const own = ownSteps(prepared);
  const lines = own.map(
    ({ phase, what, at }) => `  ${phase}\n    ${what}${at === undefined ? "" : `\n        [${at}]`}`,
  );
  const text = [
    `bundle ${bundle.path}, root ${input.rootfs}`,
    "",
    "create, the runtime",
    ...lines,
    "",
    toText("create, init", plan.create),
    "",
    toText("start, init", plan.start),
  ].join("\n");
  return {
    text,
    json: {
      bundle: bundle.path,
      rootfs: input.rootfs,
      namespaces: flagNames(plan.namespaces, CLONE),
      runtime: own,
      create: describe(plan.create),
      start: describe(plan.start),
    },
  };
}
