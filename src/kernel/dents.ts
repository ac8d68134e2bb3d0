/** getdents(2), by descriptor, with names as the bytes that they are. */
import { call } from "./file-error.ts";

/** struct linux_dirent64: inode, offset, length of the record, type, name. */
const RECORD_LENGTH = 16;
const TYPE = 18;
const NAME = 19;
/** dirent.h: readdir(3). */
export const DT_UNKNOWN = 0;
export const DT_DIR = 4;

export interface Entry {
  /** With a NUL behind, as the kernel takes it; it may be no text. */
  name: Uint8Array;
  type: number;
  inode: number;
}

const CHUNK = 64 * 1024;
let shared: Uint8Array | undefined;

const DOT = ".".charCodeAt(0);
const isSelfOrAbove = (name: Uint8Array): boolean =>
  name[0] === DOT && (name.length === 2 || (name[1] === DOT && name.length === 3));

/** What is in a directory from where its descriptor stands, in the kernel's order. @throws FileError, with the path when there is one */
export function entriesOf(fd: number, path?: string): Entry[] {
  shared ??= new Uint8Array(CHUNK);
  const bytes = shared;
  const view = new DataView(bytes.buffer);
  const entries: Entry[] = [];
  for (;;) {
    const length = call(path, "getdents64", fd, bytes, bytes.length);
    if (length === 0) return entries;
    for (let at = 0; at < length; at += view.getUint16(at + RECORD_LENGTH, true)) {
      const name = bytes.slice(at + NAME, bytes.indexOf(0, at + NAME) + 1);
      if (isSelfOrAbove(name)) continue;
      const inode = view.getUint32(at, true) + 2 ** 32 * view.getUint32(at + 4, true);
      entries.push({ name, type: view.getUint8(at + TYPE), inode });
    }
  }
}
