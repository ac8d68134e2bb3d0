/** What init found out, read from plan memory when create's part is done. */

import { KontenaError } from "../error.ts";
import { bufferOffset, cellOffset, type EncodedPlan, UNSET } from "../init/memory.ts";
import { S_IF, S_IFMT } from "../kernel/consts/stat.ts";
import { errnoName, errnoText } from "../kernel/errno.ts";
import { writeSync } from "../kernel/fs.ts";
import { syscall } from "../kernel/libc.ts";
import { decodeStatx, type Statx } from "../kernel/structs.ts";
import { mapped } from "../lists.ts";
import type { DeviceCheck } from "../plan/devices.ts";
import { CWD_BUFFER, EXEC_PATH, FILE_TYPE, lookupCells } from "../plan/names.ts";

import type { Checks, ProgramCheck } from "../plan/outside.ts";
import { checkMounts } from "./mount-results.ts";

let room = new Uint8Array(0);

/** Plan memory as it is now; good until it is read for the next time. Fresh memory for each would keep the collector at work. */
export function readMemory({ bytes }: EncodedPlan, planFd: number): Uint8Array {
  if (room.length < bytes.length) room = new Uint8Array(bytes.length);
  const memory = room.subarray(0, bytes.length);
  syscall("pread64", planFd, memory, memory.length, 0);
  return memory;
}

function viewOf(memory: Uint8Array): DataView {
  return new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
}

/** A working directory outside of the root is one that the host leaked (CVE-2024-21626). */
export function checkWorkingDirectory(
  { cwd: path }: ProgramCheck,
  encoded: EncodedPlan,
  memory: Uint8Array,
): void {
  const cwd = bufferOffset(encoded, CWD_BUFFER);
  if (memory[cwd] !== "/".charCodeAt(0))
    throw new KontenaError("PROCESS_FAILED", "the working directory is outside of the container's root", {
      at: "process.cwd",
      path,
    });
}

/** @throws KontenaError when something isn't what it has to be: outside of the root, or not the device that it is named for */
export function checkResults(checks: Checks, encoded: EncodedPlan, memory: Uint8Array): void {
  checkWorkingDirectory(checks.program, encoded, memory);
  checkMounts(checks, encoded, memory);
  for (const check of checks.devices) checkDevice(check, encoded, memory);
}

const FILE_TYPES = { c: "character device", b: "block device", p: "FIFO" } as const;

function nameOf({ type, major, minor }: DeviceCheck): string {
  return type === "p" ? FILE_TYPES.p : `${FILE_TYPES[type]} ${major}:${minor}`;
}

function isDevice(found: Statx, { type, major, minor }: DeviceCheck): boolean {
  if ((found.mode & S_IFMT) !== FILE_TYPE[type]) return false;
  return type === "p" || (found.rdevMajor === major && found.rdevMinor === minor);
}

/** How what is there differs from what the config says of it, in words; undefined when it doesn't. */
function difference(found: Statx, { mode, uid, gid }: DeviceCheck): string | undefined {
  const octal = (value: number) => `0${value.toString(8)}`;
  if (mode !== undefined && (found.mode & ~S_IFMT) !== mode)
    return `has the mode ${octal(found.mode & ~S_IFMT)}, not ${octal(mode)}`;
  if (uid !== undefined && found.uid !== uid) return `belongs to user ${found.uid}, not ${uid}`;
  if (gid !== undefined && found.gid !== gid) return `belongs to group ${found.gid}, not ${gid}`;
  return undefined;
}

/** "If a file already exists at path that does not match the requested device, the runtime MUST generate an error" */
function checkDevice(check: DeviceCheck, encoded: EncodedPlan, memory: Uint8Array): void {
  const { at, path, before, after, mayBeEmpty } = check;
  const failed = (message: string, hint?: string) =>
    new KontenaError("DEVICE_FAILED", message, {
      ...(at === undefined ? {} : { at }),
      path,
      ...(hint === undefined ? {} : { hint }),
    });
  const found = decodeStatx(viewOf(memory), bufferOffset(encoded, before));
  const wasEmpty = mayBeEmpty && (found.mode & S_IFMT) === S_IF.S_IFREG && found.size === 0n;
  // All zero: the device was made, and no one had to look.
  if (found.mode !== 0 && !wasEmpty) {
    if (!isDevice(found, check)) throw failed(`${path} exists and is not ${nameOf(check)}`);
    const differs = difference(found, check);
    if (differs !== undefined)
      throw failed(`${path} exists and ${differs}`, "a file of the image isn't changed");
  }
  if (after === undefined) return;
  const bound = decodeStatx(viewOf(memory), bufferOffset(encoded, after));
  if (bound.mode === 0 || isDevice(bound, check)) return;
  throw failed(
    `cannot make ${path}: no one may make a device here, and the host's ${path} isn't ${nameOf(check)}`,
    "a device can be had only from the host's path of the same name",
  );
}

interface Look {
  path: string;
  /** Error of statx(2), "" for none. */
  missing: string;
  /** Error of faccessat2(2), "" for none. */
  refused: string;
  file: Statx;
}

function looks({ candidates }: ProgramCheck, encoded: EncodedPlan, memory: Uint8Array): Look[] {
  const view = viewOf(memory);
  const errorOf = (name: string) => {
    const result = view.getBigInt64(cellOffset(encoded, name), true);
    if (result === UNSET) return "EINVAL";
    return result < 0n ? errnoName(Number(-result)) : "";
  };
  return mapped(candidates, (path, i) => {
    const names = lookupCells(i);
    return {
      path,
      missing: errorOf(names.stat),
      refused: errorOf(names.access),
      file: decodeStatx(view, bufferOffset(encoded, names.buffer)),
    };
  });
}

/**
 * The path that execve gets: the first candidate that the user may execute.
 * @throws KontenaError EXEC_NOT_FOUND, EXEC_NOT_EXECUTABLE, in words that engines know
 */
export function chooseProgram(program: ProgramCheck, encoded: EncodedPlan, memory: Uint8Array): string {
  const { name } = program;
  const found = looks(program, encoded, memory);
  const isDirectory = ({ file }: Look) => (file.mode & S_IFMT) === S_IF.S_IFDIR;
  for (const look of found)
    if (look.missing === "" && look.refused === "" && !isDirectory(look)) return look.path;
  const at = "process.args[0]";
  const there = found.find((look) => look.missing === "" && (look.refused !== "" || name.includes("/")));
  if (there !== undefined) {
    const errno = there.refused || "EACCES";
    throw new KontenaError("EXEC_NOT_EXECUTABLE", `exec: "${there.path}": ${errnoText(errno)}`, {
      at,
      errno,
      path: there.path,
      hint: isDirectory(there) ? "it is a directory" : "the process's user has no right to execute it",
    });
  }
  if (!name.includes("/"))
    throw new KontenaError("EXEC_NOT_FOUND", `exec: "${name}": executable file not found in $PATH`, {
      at,
      errno: "ENOENT",
      hint: `looked for ${found.map((look) => look.path).join(", ")}`,
    });
  const errno = found[0]?.missing || "ENOENT";
  const code = errno === "ENOENT" || errno === "ENOTDIR" ? "EXEC_NOT_FOUND" : "EXEC_NOT_EXECUTABLE";
  throw new KontenaError(code, `exec: "${name}": ${errnoText(errno)}`, { at, errno, path: name });
}

/** Writes into plan memory which of the candidates execve is to take. @throws KontenaError as {@link chooseProgram} */
export function tellProgram(
  check: ProgramCheck,
  encoded: EncodedPlan,
  memory: Uint8Array,
  planFd: number,
): void {
  const program = new TextEncoder().encode(`${chooseProgram(check, encoded, memory)}\0`);
  writeSync(planFd, program, 0, program.length, bufferOffset(encoded, EXEC_PATH));
}
