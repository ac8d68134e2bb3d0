/** The options of update, those of runc: one for each limit, or all limits as JSON. */
import type { container } from "./arguments.ts";
import type { Arguments, Options } from "./option.ts";

export const updateOptions = () =>
  ({
    resources: {
      kind: "text",
      short: "r",
      value: "FILE",
      description: "all changes as JSON of linux.resources, from FILE, or - for standard input",
    },
    "blkio-weight": { kind: "text", value: "NUMBER", description: "weight of block I/O, 10 to 1000" },
    "cpu-period": { kind: "text", value: "MICROSECONDS", description: "length of a period of CPU time" },
    "cpu-quota": {
      kind: "text",
      value: "MICROSECONDS",
      description: "CPU time in a period; -1 for no limit",
    },
    "cpu-burst": {
      kind: "text",
      value: "MICROSECONDS",
      description: "unused CPU time that may be used up later",
    },
    "cpu-share": {
      kind: "text",
      value: "NUMBER",
      description: "share of CPU time beside other containers, 1024 being usual",
    },
    "cpu-rt-period": {
      kind: "text",
      value: "MICROSECONDS",
      description: "length of a period of real-time scheduling (cgroup v1)",
    },
    "cpu-rt-runtime": {
      kind: "text",
      value: "MICROSECONDS",
      description: "real-time scheduling in a period (cgroup v1)",
    },
    "cpu-idle": {
      kind: "text",
      value: "NUMBER",
      description: "1 for CPU time that nobody else wants, 0 as usual",
    },
    "cpuset-cpus": { kind: "text", value: "LIST", description: "CPUs to run on, as in 0-2,4" },
    "cpuset-mems": { kind: "text", value: "LIST", description: "memory nodes to use" },
    memory: { kind: "text", value: "BYTES", description: "memory, with a suffix as in 64m; -1 for no limit" },
    "memory-reservation": {
      kind: "text",
      value: "BYTES",
      description: "memory that is kept when it gets scarce",
    },
    "memory-swap": { kind: "text", value: "BYTES", description: "memory and swap together; -1 for no limit" },
    "kernel-memory": {
      kind: "text",
      value: "BYTES",
      description: "no limit of its own any more: told, and not applied",
    },
    "kernel-memory-tcp": { kind: "text", value: "BYTES", description: "memory of TCP buffers (cgroup v1)" },
    "pids-limit": { kind: "text", value: "NUMBER", description: "processes and threads; -1 for no limit" },
    "l3-cache-schema": { kind: "text", value: "TEXT", description: "Intel RDT: parts of the L3 cache" },
    "mem-bw-schema": { kind: "text", value: "TEXT", description: "Intel RDT: memory bandwidth" },
  }) as const satisfies Options;
export type UpdateArguments = Arguments<ReturnType<typeof updateOptions>, ReturnType<typeof container>>;
