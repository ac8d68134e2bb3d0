/** A runtime's executable as a child process: its options are those that all three have. */
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { PATH } from "./base.ts";

export interface Runtime {
  /** kontena, runc, crun, or the name of the file. */
  name: string;
  path: string;
}

export interface Finished {
  /** Exit status; 128+N when signal N ended it. */
  status: number;
  stdout: string;
  stderr: string;
  /** Output as it is now: a container goes on writing after `create` has ended. */
  output(): string;
  errors(): string;
}

export interface CallOptions {
  stdin?: string;
  /** Words before the program's name, such as `choom -n 7 --`. */
  before?: string[];
  cwd?: string;
  globals?: string[];
  env?: Record<string, string>;
}

/** A runtime that hangs breaks its case, not the run. */
const HANGS_MS = 20_000;

/**
 * Runs a command to its end. Its output goes to files: a pipe stays open as long as the container holds it.
 * @param files a directory that isn't there yet
 */
export async function call(
  command: string[],
  files: string,
  { stdin, cwd, env }: CallOptions = {},
): Promise<Finished> {
  mkdirSync(files);
  // Not /dev/null: crun 1.8 makes the container's user its owner.
  writeFileSync(join(files, "in"), stdin ?? "");
  const stdio = [
    openSync(join(files, "in"), "r"),
    openSync(join(files, "out"), "a"),
    openSync(join(files, "err"), "a"),
  ] as [number, number, number];
  const child = Bun.spawn(command, { stdio, env: env ?? { PATH }, cwd: cwd ?? files });
  for (const fd of stdio) closeSync(fd);
  const timer = setTimeout(() => child.kill("SIGKILL"), HANGS_MS);
  await child.exited;
  clearTimeout(timer);
  const output = () => readFileSync(join(files, "out"), "utf8");
  const errors = () => readFileSync(join(files, "err"), "utf8");
  const signal = child.signalCode ? constants.signals[child.signalCode as NodeJS.Signals] : 0;
  const status = signal ? 128 + signal : (child.exitCode ?? 255);
  return { status, stdout: output(), stderr: errors(), output, errors };
}
