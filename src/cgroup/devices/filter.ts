/** v2 has no files for devices: an eBPF program on the container's cgroup answers (cgroup-v2.rst, "Device controller"). */

import {
  attachDeviceFilter,
  loadDeviceFilter,
  openProgram,
  programName,
  queryDeviceFilters,
} from "../../kernel/bpf.ts";
import { errnoName, errnoText } from "../../kernel/errno.ts";
import { closeSync, openSync } from "../../kernel/fs.ts";
import { encodeInstructions } from "./instruction.ts";
import { deviceProgram } from "./program.ts";
import type { Rule } from "./rules.ts";

/** How our program is found again among those of others, systemd's for one. */
const NAME = "kontena_devices";

export interface FilterFailure {
  syscall: string;
  errno: string;
  message: string;
}

/** Puts the rules in force, at once in the place of those before. @returns why that failed */
export function filterDevices(directory: string, rules: readonly Rule[]): FilterFailure | undefined {
  const program = load(rules);
  if (typeof program !== "number") return program;
  const cgroup = openSync(directory, "r");
  const before = findOwn(cgroup);
  try {
    const result = attachDeviceFilter(cgroup, program, before);
    return result < 0 ? failure("attach the device filter", -result) : undefined;
  } finally {
    for (const fd of [program, cgroup, ...(before === undefined ? [] : [before])]) closeSync(fd);
  }
}

function failure(what: string, errno: number, more = ""): FilterFailure {
  const name = errnoName(errno);
  return { syscall: "bpf", errno: name, message: `cannot ${what}: ${errnoText(name)}${more}` };
}

function load(rules: readonly Rule[]): number | FilterFailure {
  const instructions = encodeInstructions(deviceProgram(rules));
  const program = loadDeviceFilter(instructions, NAME, new Uint8Array(0));
  if (program >= 0) return program;
  const log = new Uint8Array(65536);
  const again = loadDeviceFilter(instructions, NAME, log);
  if (again >= 0) return again;
  const words = new TextDecoder().decode(log.subarray(0, log.indexOf(0))).trim();
  return failure("load the device filter", -again, words === "" ? "" : `; the verifier said: ${words}`);
}

/** A descriptor of the program that this cgroup has of us. */
function findOwn(cgroup: number): number | undefined {
  const ids = queryDeviceFilters(cgroup);
  if (typeof ids === "number") return undefined;
  for (const id of ids) {
    const program = openProgram(id);
    if (program < 0) continue;
    if (programName(program) === NAME) return program;
    closeSync(program);
  }
  return undefined;
}
