/** The container's id (runtime.md, "State"): a name for a directory, a cgroup and a table row, and nothing else. */
import { KontenaError } from "../error.ts";

/** As runc and crun allow; with 250 bytes it fits a file name with something before it. */
const MOST = 250;
const LEGAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-";

export function isId(id: string): boolean {
  if (id === "" || id.length > MOST || id === "." || id === "..") return false;
  for (const letter of id) if (!LEGAL.includes(letter)) return false;
  return true;
}

/** @throws KontenaError ID_INVALID */
export function checkId(id: string): void {
  if (!isId(id))
    throw new KontenaError("ID_INVALID", `invalid container id ${JSON.stringify(id)}`, {
      hint: "1 to 250 of A-Z a-z 0-9 _ + . -",
    });
}
