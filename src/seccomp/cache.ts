/**
 * Compiled programs, kept below the state root in `@seccomp`: a profile of an engine takes libseccomp tens of milliseconds,
 * and is the same for all of its containers. A file is named by the hash of everything that enters the program, and ends in
 * the hash of its own bytes. Nothing here is a reason to fail: what can't be read is compiled again.
 */

import { codeOf, isOwn } from "../kernel/files.ts";
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "../kernel/fs.ts";
import { join } from "../path.ts";

/** An engine has a handful of profiles. */
const MOST_KEPT = 32;
/** A SHA-256, in hexadecimal. */
const NAME = /^[0-9a-f]{64}$/;
const HASH_SIZE = 32;

export const hashOf = (...parts: (string | Uint8Array)[]): Uint8Array => {
  const hash = new Bun.CryptoHasher("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** The program of this name; undefined when there is none that is whole, and that nobody but the caller and root can have written. */
export function readProgram(directory: string, name: string): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openSync(join(directory, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES", "ELOOP"].includes(codeOf(error))) return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || !isOwn(stat) || !isOwn(statSync(directory))) return undefined;
    const content = readFileSync(fd);
    const program = content.subarray(0, -HASH_SIZE);
    const isWhole =
      content.length > HASH_SIZE && Buffer.compare(content.subarray(-HASH_SIZE), hashOf(program)) === 0;
    return isWhole ? program : undefined;
  } finally {
    closeSync(fd);
  }
}

/** Keeps a program, whole or not at all; the oldest makes room. */
export function keepProgram(directory: string, name: string, program: Uint8Array): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (!isOwn(statSync(directory))) return;
  makeRoom(directory);
  const temporary = join(directory, `${name}.${process.pid}.new`);
  writeFileSync(temporary, Buffer.concat([program, hashOf(program)]), { mode: 0o600, flag: "wx" });
  renameSync(temporary, join(directory, name));
}

/** What a killed process has left goes too. */
function makeRoom(directory: string): void {
  const age = (name: string) => statSync(join(directory, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const names = readdirSync(directory);
  const kept = names
    .filter((name) => NAME.test(name))
    .map((name) => ({ name, time: age(name) }))
    .sort((one, other) => other.time - one.time)
    .slice(0, MOST_KEPT - 1)
    .map(({ name }) => name);
  const now = Date.now();
  for (const name of names) {
    // One that is being written by another process is young.
    const isDead = !NAME.test(name) && age(name) < now - 60_000;
    if (isDead || (NAME.test(name) && !kept.includes(name))) rmSync(join(directory, name), { force: true });
  }
}
