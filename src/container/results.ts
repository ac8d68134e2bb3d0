/** What init found out, read from plan memory when create's part is done. */
import { KontenaError } from "../error.ts";
import { bufferOffset, cellOffset, type EncodedPlan, UNSET } from "../init/encode.ts";
import { S_IF, S_IFMT } from "../kernel/consts/stat.ts";
import { errnoName, errnoText } from "../kernel/errno.ts";
import { decodeStatx, type Statx } from "../kernel/structs.ts";
import { deviceChecks } from "../plan/devices.ts";
import type { PlanInput } from "../plan/input.ts";
import { CWD_BUFFER, candidates, lookupCells } from "../plan/process.ts";

function viewOf(memory: Uint8Array): DataView {
  return new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
}

/** @throws KontenaError when something isn't what it has to be: outside of the root, or not the device that it is named for */
export function checkResults(input: PlanInput, encoded: EncodedPlan, memory: Uint8Array): void {
  const cwd = bufferOffset(encoded, CWD_BUFFER);
  if (memory[cwd] !== "/".charCodeAt(0))
    throw new KontenaError("PROCESS_FAILED", "the working directory is outside of the container's root", {
      at: "process.cwd",
      path: input.config.process?.cwd ?? "/",
    });
  for (const check of deviceChecks(input)) {
    const found = decodeStatx(viewOf(memory), bufferOffset(encoded, check.buffer));
    // All zero: the device was made, and no one had to look.
    if (found.mode === 0) continue;
    const isDevice = (found.mode & S_IFMT) === S_IF.S_IFCHR;
    if (isDevice && found.rdevMajor === check.major && found.rdevMinor === check.minor) continue;
    throw new KontenaError(
      "DEVICE_FAILED",
      `${check.path} exists and is not character device ${check.major}:${check.minor}`,
      {
        ...(check.at === undefined ? {} : { at: check.at }),
        path: check.path,
      },
    );
  }
}

interface Look {
  path: string;
  /** Error of statx(2), "" for none. */
  missing: string;
  /** Error of faccessat2(2), "" for none. */
  refused: string;
  file: Statx;
}

function looks(input: PlanInput, encoded: EncodedPlan, memory: Uint8Array): Look[] {
  const view = viewOf(memory);
  const errorOf = (name: string) => {
    const result = view.getBigInt64(cellOffset(encoded, name), true);
    if (result === UNSET) return "EINVAL";
    return result < 0n ? errnoName(Number(-result)) : "";
  };
  return candidates(input).map((path, i) => {
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
export function chooseProgram(input: PlanInput, encoded: EncodedPlan, memory: Uint8Array): string {
  const name = input.config.process?.args?.[0] ?? "";
  const found = looks(input, encoded, memory);
  const isDirectory = ({ file }: Look) => (file.mode & S_IFMT) === S_IF.S_IFDIR;
  const right = found.find((look) => look.missing === "" && look.refused === "" && !isDirectory(look));
  if (right !== undefined) return right.path;
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
