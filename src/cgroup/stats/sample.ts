/** The few counters that a live table shows, read as cheaply as can be: for hundreds of containers, many times a minute. */
import { existsSync } from "../../kernel/fs.ts";
import type { Cgroup } from "../cgroup.ts";
import { controllerOf, unifiedOf } from "../directories.ts";
import { controllersOf, filesOf } from "./read.ts";
import { parseBlkio, parseIoStat, parsePressure, parseValue, UNLIMITED } from "./text.ts";

/** A part is undefined where the host doesn't count it. */
export interface Sample {
  /** Nanoseconds of CPU time since the cgroup was made. */
  cpu?: bigint;
  memory?: {
    /** Bytes. */
    usage: bigint;
    /** Without the file pages that the kernel would drop first: what the container needs. */
    used: bigint;
    /** Undefined for none. */
    limit?: bigint;
  };
  pids?: { current: bigint; limit?: bigint };
  /** Bytes since the cgroup was made, all devices together. */
  io?: { read: bigint; write: bigint };
  /** Percent of the last ten seconds in which some task waited for it. */
  pressure?: { cpu: number; memory: number; io: number };
}

/** From here on v1 means "no limit": the largest multiple of a page of 64 KiB below 2^63. */
const V1_UNLIMITED = 0x7fff_ffff_ffff_0000n;

function limitOf(value: bigint): { limit?: bigint } {
  return value === UNLIMITED || value >= V1_UNLIMITED ? {} : { limit: value };
}

/** The value behind a key of a flat file, without taking the other hundred lines apart. */
export function flatValue(text: string, key: string): bigint {
  const lines = `\n${text}`;
  const label = `\n${key} `;
  const at = lines.indexOf(label);
  if (at < 0) return 0n;
  const end = lines.indexOf("\n", at + 1);
  return parseValue(lines.slice(at + label.length, end < 0 ? undefined : end));
}

type Part<K extends keyof Sample> = () => Required<Sample>[K];
type Parts = { [K in keyof Sample]?: Part<K> };
type Files = (file: string) => string;

function memory(usage: bigint, inactive: bigint, limit: bigint): Required<Sample>["memory"] {
  return { usage, used: usage > inactive ? usage - inactive : 0n, ...limitOf(limit) };
}

function partsV1(cgroup: Cgroup): Parts {
  const reader = (controller: string): Files | undefined => {
    const directory = controllerOf(cgroup, controller);
    return directory === undefined ? undefined : filesOf(directory);
  };
  const [cpuacct, mem, pids, blkio] = ["cpuacct", "memory", "pids", "blkio"].map(reader);
  return {
    ...(cpuacct && { cpu: () => parseValue(cpuacct("cpuacct.usage")) }),
    ...(mem && {
      memory: () =>
        memory(
          parseValue(mem("memory.usage_in_bytes")),
          flatValue(mem("memory.stat"), "total_inactive_file"),
          parseValue(mem("memory.limit_in_bytes")),
        ),
    }),
    ...(pids && { pids: () => pidsOf(pids) }),
    ...(blkio && { io: () => ioV1(blkio) }),
  };
}

function ioV1(files: Files): { read: bigint; write: bigint } {
  const total = { read: 0n, write: 0n };
  for (const { op, value } of parseBlkio(files("blkio.throttle.io_service_bytes_recursive"))) {
    if (op === "Read") total.read += value;
    if (op === "Write") total.write += value;
  }
  return total;
}

function ioV2(files: Files): { read: bigint; write: bigint } {
  const total = { read: 0n, write: 0n };
  for (const { values } of parseIoStat(files("io.stat"))) {
    total.read += values.get("rbytes") ?? 0n;
    total.write += values.get("wbytes") ?? 0n;
  }
  return total;
}

function pidsOf(files: Files): { current: bigint; limit?: bigint } {
  return { current: parseValue(files("pids.current")), ...limitOf(parseValue(files("pids.max"))) };
}

function partsV2(directory: string): Parts {
  const files = filesOf(directory);
  const controllers = controllersOf(directory);
  const some = (file: string) => parsePressure(files(file))?.some.avg10 ?? 0;
  return {
    // Counted without any controller.
    cpu: () => flatValue(files("cpu.stat"), "usage_usec") * 1000n,
    ...(controllers.has("memory") && {
      memory: () =>
        memory(
          parseValue(files("memory.current")),
          flatValue(files("memory.stat"), "inactive_file"),
          parseValue(files("memory.max")),
        ),
    }),
    ...(controllers.has("pids") && { pids: () => pidsOf(files) }),
    ...(controllers.has("io") && { io: () => ioV2(files) }),
    ...(existsSync(`${directory}/cpu.pressure`) && {
      pressure: () => ({
        cpu: some("cpu.pressure"),
        memory: some("memory.pressure"),
        io: some("io.pressure"),
      }),
    }),
  };
}

/** Finds out once what is counted, and where; the function that it gives reads each file once. */
export function sampler(cgroup: Cgroup): () => Sample {
  const unified = unifiedOf(cgroup);
  const parts: Parts = { ...(unified === undefined ? {} : partsV2(unified)), ...partsV1(cgroup) };
  return () => Object.fromEntries(Object.entries(parts).map(([name, read]) => [name, read()])) as Sample;
}
