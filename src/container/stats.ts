/** stats: what many containers use, sample by sample. */
import { type Sample, sampler } from "../cgroup/stats/sample.ts";
import { KontenaError } from "../error.ts";
import { directoryOf, loadState, readState, type StoredState } from "./directory.ts";
import { idsOf } from "./list.ts";
import type { Runtime } from "./runtime.ts";
import { hasProcess, type Status, statusOf } from "./state.ts";

export interface ContainerStats extends Sample {
  id: string;
  status: Status;
  /** Host pid of the first process; 0 when there is none. */
  pid: number;
  /** Percent of one CPU since the last sample; undefined in the first one. */
  cpuPercent?: number;
}

export interface StatsOptions {
  /** Empty for all containers that have a process. */
  ids: readonly string[];
  /** Those that have stopped, too. */
  all?: boolean;
}

interface Watched {
  state: StoredState;
  read: () => Sample;
  last?: { cpu: bigint; at: number };
}

/**
 * Each call of the function that it gives takes a sample, with one row for each container, sorted by id. Of the containers that
 * were named, one that is deleted meanwhile is left out.
 * @throws KontenaError NOT_FOUND, STATE_INVALID for an id that is named
 */
export function openStats(runtime: Runtime, { ids, all }: StatsOptions): () => ContainerStats[] {
  for (const id of ids) loadState(runtime, id);
  const watched = new Map<string, Watched>();
  return () => {
    const now = ids.length > 0 ? [...new Set(ids)].sort() : idsOf(runtime);
    for (const id of watched.keys()) if (!now.includes(id)) watched.delete(id);
    const rows = now.flatMap((id) => take(runtime, watched, id) ?? []);
    return all || ids.length > 0 ? rows : rows.filter(({ status }) => hasProcess(status));
  };
}

/** Undefined for a container that is gone, and for one whose state is broken, which is a warning. */
function take(runtime: Runtime, watched: Map<string, Watched>, id: string): ContainerStats | undefined {
  const directory = directoryOf(runtime, id);
  try {
    const known = watched.get(id);
    let status = known === undefined ? undefined : statusOf(directory, known.state);
    // One that is being made has more to say later, and the name of one that has ended may have a new owner.
    const isCurrent = known !== undefined && status !== undefined && hasProcess(status);
    const state = isCurrent ? known.state : readState(directory);
    if (state === undefined) return undefined;
    if (!isCurrent) status = statusOf(directory, state);
    const one = isCurrent ? known : watch(state);
    watched.set(id, one);
    return row(one, status ?? "stopped");
  } catch (error) {
    watched.delete(id);
    if (!(error instanceof KontenaError)) throw error;
    runtime.warn(error.message);
    return undefined;
  }
}

function watch(state: StoredState): Watched {
  return { state, read: state.cgroup === undefined ? () => ({}) : sampler(state.cgroup) };
}

function row(one: Watched, status: Status): ContainerStats {
  const { id, pid } = one.state;
  if (!hasProcess(status)) return { id, status, pid: 0 };
  const at = performance.now();
  const sample = one.read();
  const { last } = one;
  if (sample.cpu !== undefined) one.last = { cpu: sample.cpu, at };
  if (sample.cpu === undefined || last === undefined || at <= last.at) return { id, status, pid, ...sample };
  const used = Number(sample.cpu - last.cpu) / 1e6;
  return { id, status, pid, ...sample, cpuPercent: Math.max(0, (100 * used) / (at - last.at)) };
}
