/** What is measured, and with which bundle: the same for every bench. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildInitElf } from "../src/init/elf.ts";
import { machineFor } from "../src/init/machine/index.ts";
import { OP_NONE } from "../src/init/op.ts";
import { ARCH, syscallNumber } from "../src/kernel/syscalls.ts";
import type { RuntimeName } from "./report.ts";

export interface Runtime {
  name: RuntimeName;
  program: string;
  /** Where it keeps its states: beside the others', so that all write to the same file system. */
  root: string;
}

/** KONTENA_BIN, from the directory that the bench was called in; dist/kontena unless given. */
export function findKontena(): string {
  const kontena = resolve(process.env["BENCH_FROM"] ?? ".", process.env["KONTENA_BIN"] ?? "dist/kontena");
  if (!existsSync(kontena)) throw new Error(`no executable at ${kontena}: scripts/build makes it`);
  return kontena;
}

export function findRuntimes(
  directory: string,
  kontena: string,
): { found: Runtime[]; missing: RuntimeName[] } {
  const found: Runtime[] = [{ name: "kontena", program: kontena, root: join(directory, "kontena") }];
  const missing: RuntimeName[] = [];
  for (const name of ["runc", "crun"] as const) {
    const program = Bun.which(name);
    if (program === null) missing.push(name);
    else found.push({ name, program, root: join(directory, name) });
  }
  return { found, missing };
}

/** A bundle's config as far as a bench changes it. */
export interface Config {
  process: { args: string[]; terminal?: boolean };
  linux: { namespaces: { type: string }[]; cgroupsPath?: string; resources?: { memory?: { limit: number } } };
}

/**
 * What `kontena spec` writes, changed by `adapt`: a config that all three take. Its root file system has the directories of
 * the mounts and nothing else.
 */
export function makeBundle(directory: string, kontena: string, adapt: (config: Config) => void): string {
  const bundle = join(directory, "bundle");
  for (const name of ["bin", "dev", "proc", "sys"])
    mkdirSync(join(bundle, "rootfs", name), { recursive: true });
  const { exitCode, stderr } = Bun.spawnSync([kontena, "spec", "--bundle", bundle]);
  if (exitCode !== 0) throw new Error(`kontena spec: ${stderr}`);
  adaptConfig(bundle, adapt);
  return bundle;
}

export function adaptConfig(bundle: string, adapt: (config: Config) => void): void {
  const path = join(bundle, "config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as Config;
  adapt(config);
  writeFileSync(path, JSON.stringify(config));
}

/** A program that only ends: static, one page, and no compiler is needed: kontena's init, whose only op is the end. */
export function makeProgram(status: number): Uint8Array {
  return buildInitElf({
    machine: machineFor(ARCH),
    ops: () => [{ ...OP_NONE, nr: syscallNumber("exit_group"), args: [status] }],
  });
}
