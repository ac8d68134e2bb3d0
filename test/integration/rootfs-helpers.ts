/** Looking at a container's mounts, and at what must not have happened to the host. */
import { expect } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Box, BundleOptions, TestBundle, TestConfig } from "./helpers.ts";

export interface MountLine {
  options: string[];
  optional: string[];
  type: string;
  superOptions: string[];
}

/** mountinfo by mount point (proc(5)); of several at one point, the last. */
export function parseMounts(mountinfo: string): Record<string, MountLine> {
  const lines = mountinfo
    .trim()
    .split("\n")
    .map((line): [string, MountLine] => {
      const [before, after] = line.split(" - ") as [string, string];
      const [, , , , point, options, ...optional] = before.split(" ") as string[];
      const [type, , superOptions] = after.split(" ") as string[];
      return [
        point ?? "",
        {
          options: (options ?? "").split(","),
          optional,
          type: type ?? "",
          superOptions: (superOptions ?? "").split(","),
        },
      ];
    });
  return Object.fromEntries(lines);
}

export const writable = (config: TestConfig) => {
  config.root.readonly = false;
};

export function rootfsTools(box: Box) {
  /** The container's mount table, by mount point. */
  function mountsWith(options: Omit<BundleOptions, "args"> = {}): Record<string, MountLine> {
    return parseMounts(box.outputOf({ ...options, args: ["cat", "/proc/self/mountinfo"] }));
  }

  /** A directory of the host, outside of every bundle, with a file in it. */
  function outsideDirectory(): string {
    const path = join(box.directory, box.next());
    mkdirSync(path);
    writeFileSync(join(path, "file"), "from the host\n");
    return path;
  }

  function expectRefused(b: TestBundle, ...texts: string[]): void {
    const before = readFileSync("/proc/self/mountinfo", "utf8");
    const { status, stderr } = box.create(b);
    expect(status).toBe(1);
    for (const text of texts) expect(stderr).toContain(text);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(before);
    expect(box.ids()).toEqual([]);
  }

  return { mountsWith, outsideDirectory, expectRefused };
}
