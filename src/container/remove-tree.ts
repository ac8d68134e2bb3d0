/** A state directory with more in it than kontena has put there. Loaded then: names may be no text, which node:fs can. */
import { rmSync } from "node:fs";

/** Removes it and all below; symlinks are removed, not followed. */
export function removeTree(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}
