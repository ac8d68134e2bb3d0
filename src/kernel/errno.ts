/** Error numbers of Linux by name: those that something here asks for. All of them are in errno-table.ts. */
import type { ERRNOS } from "./errno-table.ts";

export type ErrnoName = keyof typeof ERRNOS;

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  E2BIG: 7,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENOTTY: 25,
  EFBIG: 27,
  EROFS: 30,
  EPIPE: 32,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ENODATA: 61,
  EOPNOTSUPP: 95,
  ECONNRESET: 104,
  ETIMEDOUT: 110,
  ESTALE: 116,
} as const satisfies Partial<typeof ERRNOS>;

/** Loaded when there is an error to tell. */
const table = () => require("./errno-table.ts") as typeof import("./errno-table.ts");

let names: Map<number, string> | undefined;

/** Name of an error number (positive), or `errno N` for one that has none. */
export function errnoName(number: number): string {
  names ??= new Map(Object.entries(table().ERRNOS).map(([name, n]) => [n, name]));
  return names.get(number) ?? `errno ${number}`;
}

/** The usual words for an error name, in lower case ("no such file or directory"); the name itself where there are none. */
export function errnoText(name: string): string {
  return table().TEXT[name as ErrnoName] ?? name;
}
