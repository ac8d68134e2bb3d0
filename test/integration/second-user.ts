/**
 * A second user of the machine, who has no rights of root but ids in /etc/subuid and /etc/subgid. It is in files of the
 * test, which are the machine's in a mount namespace only.
 */
import { expect } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { IdMapping } from "../../spec/common.ts";
import {
  type Box,
  type BundleOptions,
  type RunOptions,
  rootless,
  type TestBundle,
  testNeeding,
} from "./helpers.ts";

export const test = testNeeding("root", "busybox", "setpriv", "user namespaces", "uidmap");

export const USER = 54321;
export const NAME = "kontena-tester";
/** The first of the user's 65536 ids. */
export const FIRST = 700000;
export const OWN: IdMapping[] = [{ containerID: 0, hostID: USER, size: 1 }];
export const RANGES: IdMapping[] = [
  ...OWN,
  { containerID: 1, hostID: FIRST, size: 1000 },
  { containerID: 5000, hostID: FIRST + 1000, size: 64536 },
];
/** Where the states of a user without XDG_RUNTIME_DIR are. */
export const FALLBACK = `/tmp/kontena-${USER}`;

export interface UserOptions {
  env?: Record<string, string>;
  /** More files of the host that are others for the user, by their paths. */
  files?: Record<string, string>;
  /** Words for setpriv(1). */
  privileges?: string[];
  uid?: number;
}

export const good = (finished: { status: number; stdout: string; stderr: string }) => {
  expect(finished).toMatchObject({ status: 0, stderr: "" });
  return finished.stdout;
};

export function secondUser(box: Box) {
  const files = join(box.directory, "etc");
  const runtimeDirectory = join(box.directory, "runtime");
  mkdirSync(files);
  mkdirSync(runtimeDirectory, { mode: 0o700 });
  const append = (name: string, line: string) =>
    writeFileSync(join(files, name), `${readFileSync(`/etc/${name}`, "utf8")}${line}\n`);
  append("passwd", `${NAME}:x:${USER}:${USER}::/:/bin/sh`);
  append("group", `${NAME}:x:${USER}:`);
  for (const name of ["subuid", "subgid"]) writeFileSync(join(files, name), `${NAME}:${FIRST}:65536\n`);
  Bun.spawnSync(["chown", "-R", `${USER}:${USER}`, runtimeDirectory]);

  /** How the user calls kontena: with an environment of its own that is all but empty, as an engine's may be. */
  function asUser({
    env = { XDG_RUNTIME_DIR: runtimeDirectory },
    files: replaced = {},
    privileges = [],
    uid = USER,
  }: UserOptions = {}): RunOptions {
    const all = {
      ...Object.fromEntries(
        ["passwd", "group", "subuid", "subgid"].map((f) => [`/etc/${f}`, join(files, f)]),
      ),
      ...replaced,
    };
    const mounts = Object.entries(all).map(([path, source]) => `mount --bind ${source} ${path}`);
    const script = `${mounts.join(" && ")} && exec setpriv --reuid ${uid} --regid ${uid} --clear-groups ${privileges.join(" ")} -- "$@"`;
    const unshare = Bun.which("unshare") as string;
    return {
      before: [unshare, "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh"],
      env,
      globals: [],
    };
  }

  function bundleOf(mappings: IdMapping[], { patch, ...options }: BundleOptions = {}): TestBundle {
    const b = box.bundle({
      ...options,
      patch: (config, directory) => {
        rootless(config);
        config.root.readonly = false;
        Object.assign(config.linux, { uidMappings: mappings, gidMappings: mappings });
        patch?.(config, directory);
      },
    });
    Bun.spawnSync(["chown", "-R", `${USER}:${USER}`, b.directory]);
    return b;
  }

  const runAs = (b: TestBundle, user: UserOptions = {}) =>
    box.kontena(["run", "--bundle", b.directory, b.id], asUser(user));

  return {
    files,
    runtimeDirectory,
    asUser,
    bundleOf,
    runAs,
    forget: () => rmSync(FALLBACK, { recursive: true, force: true }),
  };
}
