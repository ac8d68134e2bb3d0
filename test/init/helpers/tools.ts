/** The binutils and emulators that the machine code is checked with; any of them may be missing. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Arch } from "../../../src/kernel/syscalls.ts";

interface Tools {
  readonly as: string;
  readonly objcopy: string;
  readonly objdump: string;
  readonly objdumpFlags: readonly string[];
}

const TOOLS: Record<Arch, Tools> = {
  x64: {
    as: "as",
    objcopy: "objcopy",
    objdump: "objdump",
    objdumpFlags: ["-m", "i386:x86-64", "-M", "intel"],
  },
  arm64: {
    as: "aarch64-linux-gnu-as",
    objcopy: "aarch64-linux-gnu-objcopy",
    objdump: "aarch64-linux-gnu-objdump",
    objdumpFlags: ["-m", "aarch64"],
  },
};

/** The tools of `names` that aren't installed, as words for a test's name: `""` when all are there. */
export function missing(...names: string[]): string {
  const absent = names.filter((name) => Bun.which(name) === null);
  return absent.length === 0 ? "" : ` (skipped: no ${absent.join(", ")})`;
}

/** The same for what {@link assembleWith} and {@link disassemble} use; an `as` of the host knows only its own machine. */
export function missingFor(arch: Arch): string {
  const { as, objcopy, objdump } = TOOLS[arch];
  if (arch === "x64" && process.arch !== "x64") return " (skipped: no x86-64 binutils looked for here)";
  return missing(as, objcopy, objdump);
}

function check(command: string[], cwd: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  return stdout.toString();
}

/** Runs `use` with a new directory that is removed afterwards. */
export function inDirectory<T>(use: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "kontena-test-"));
  try {
    return use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What the GNU assembler makes of `source`. */
export function assembleWith(arch: Arch, source: string): Uint8Array {
  return inDirectory((directory) => {
    writeFileSync(join(directory, "a.s"), source);
    check([TOOLS[arch].as, "-o", "a.o", "a.s"], directory);
    check([TOOLS[arch].objcopy, "-O", "binary", "-j", ".text", "a.o", "a.bin"], directory);
    return new Uint8Array(readFileSync(join(directory, "a.bin")));
  });
}

/** The instructions of `code`, one a string, as `offset: mnemonic operands`. */
export function disassemble(arch: Arch, code: Uint8Array): string[] {
  const { objdump, objdumpFlags } = TOOLS[arch];
  const listing = inDirectory((directory) => {
    writeFileSync(join(directory, "code"), code);
    return check([objdump, "-D", "-b", "binary", ...objdumpFlags, "--no-show-raw-insn", "code"], directory);
  });
  return listing
    .split("\n")
    .filter((line) => /^\s*[0-9a-f]+:\s/.test(line))
    .map((line) =>
      line
        .replace(/\/\/.*/, "")
        .trim()
        .replace(/\s+/g, " "),
    );
}
