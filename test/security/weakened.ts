/**
 * Deliberately weakened builds: the sources with one protection taken out, run by Bun. An attack that fails against the
 * built executable has to succeed against such a build; otherwise it is no attack, and its test could never fail.
 */
import { cpSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Box } from "../integration/helpers.ts";

const TOP = join(import.meta.dir, "../..");

/** A piece of a source file, and what stands in its place. The piece is there exactly once. */
export interface Weakening {
  file: string;
  from: string;
  to: string;
}

/**
 * Makes such builds, in the box's directory, which goes at the end of its file's tests: the command that runs one.
 * @throws Error when the sources have no such protection any more
 */
export const weakenedIn =
  (box: Box) =>
  (...changes: readonly Weakening[]): string[] => {
    const directory = mkdtempSync(join(box.directory, "weakened-"));
    for (const name of ["src", "spec", "package.json"])
      cpSync(join(TOP, name), join(directory, name), { recursive: true });
    symlinkSync(join(TOP, "node_modules"), join(directory, "node_modules"));
    for (const { file, from, to } of changes) {
      const path = join(directory, file);
      const parts = readFileSync(path, "utf8").split(from);
      if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${from}`);
      writeFileSync(path, parts.join(to));
    }
    return [process.execPath, join(directory, "src/cli/main.ts")];
  };

/** Protections that more than one test takes out. */
export const WITHOUT = {
  dumpable: {
    file: "src/plan/user.ts",
    from: "args: [PR.PR_SET_DUMPABLE, 0, 0, 0, 0]",
    to: "args: [PR.PR_SET_DUMPABLE, 1, 0, 0, 0]",
  },
  /** Paths in the root are followed as the host sees them. */
  resolveInRoot: {
    file: "src/plan/destination.ts",
    from: "const IN_ROOT = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;",
    to: "const IN_ROOT = 0;",
  },
  /** What symlinks in the image lead to at destinations is looked up on the host. */
  factsInRoot: {
    file: "src/container/root-facts.ts",
    from: "resolve: RESOLVE.RESOLVE_IN_ROOT",
    to: "resolve: 0",
  },
} as const satisfies Record<string, Weakening>;
