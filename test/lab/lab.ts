/**
 * Tests in a machine of the lab: files of ordinary tests run there, one boot for all of them, and each of their tests is
 * told here as a test of its own.
 */
import { test as bunTest, expect, setDefaultTimeout } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * On some virtual machines a trap costs ten times as much, and user-mode Linux takes half an hour for what is a matter of minutes
 * elsewhere; but all tests together have twenty minutes. So this is all that the files of a machine have, and those that come too
 * late are told as skipped. What hangs is not among them: a test has a limit of its own, and fails.
 */
const FILES_SECONDS = 330;
const LIMIT_SECONDS = FILES_SECONDS + 120;
/** timeout(1) has ended it. */
const TOO_LATE = 124;
setDefaultTimeout((LIMIT_SECONDS + 300) * 1000);

/** What runs a machine, and where it comes from. */
const PROGRAMS = {
  v2: { "linux.uml": "user-mode-linux", modprobe: "kmod" },
  systemd: {
    "qemu-system-x86_64": "qemu-system-x86",
    mmdebstrap: "mmdebstrap",
    mke2fs: "e2fsprogs",
    modprobe: "kmod",
  },
} as const;

export type Machine = keyof typeof PROGRAMS;

export interface Files {
  /** Test files below test/ that root runs. */
  root: readonly string[];
  /** Those that uid 1000 runs. */
  user?: readonly string[];
}

interface Told {
  outcome: "pass" | "fail" | "skip";
  name: string;
  /** What was printed before its line. */
  text: string;
}

function missing(machine: Machine): string | undefined {
  if (process.arch !== "x64") return "the lab's machines are x86-64";
  if (process.geteuid?.() !== 0) return "only root can run it";
  const absent = Object.entries(PROGRAMS[machine]).find(([program]) => Bun.which(program) === null);
  return absent === undefined ? undefined : `no ${absent[0]}; Debian's ${absent[1]} has it`;
}

/** `(pass) name [1.00ms]` of bun test's output; a machine has no colors. */
export function parseResults(output: string): Told[] {
  const told: Told[] = [];
  let text: string[] = [];
  for (const line of output.split("\n")) {
    const [, outcome, name = ""] = /^\((pass|fail|skip)\) (.*?)(?: \[[\d.]+m?s\])?$/.exec(line) ?? [];
    if (outcome === undefined) {
      text.push(line);
      continue;
    }
    told.push({ outcome: outcome as Told["outcome"], name, text: text.join("\n").trim() });
    text = [];
  }
  return told;
}

interface Run {
  file: string;
  who: "root" | "user";
  /** Of bun test. */
  status: number;
  output: string;
}

/** Boots the machine and runs the files there; what bun test printed for each of them, and how it ended. */
async function boot(machine: Machine, files: Files): Promise<Run[]> {
  const runs = (["root", "user"] as const).flatMap((who) =>
    (files[who] ?? []).map((file) => ({ file, who })),
  );
  const out = mkdtempSync(join(tmpdir(), "kontena-lab-"));
  const script = runs.map(
    ({ file, who }, i) => `left=$((${FILES_SECONDS} - SECONDS)); [ $left -gt 0 ] || exit 0
${who === "user" ? "as-user " : ""}timeout $left bun test --timeout 150000 ./test/${file} >$LAB_OUT/${i} 2>&1; echo $? >$LAB_OUT/${i}.status`,
  );
  try {
    const command = [join(import.meta.dir, "run"), "-t", String(LIMIT_SECONDS), "-o", out, machine];
    const child = Bun.spawn([...command, script.join("\n")], { stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    if ((await child.exited) !== 0)
      throw new Error(`test/lab/run ended with ${child.exitCode}: ${stderr}\n${stdout}`);
    return runs.map((run, i) => {
      const read = (name: string) =>
        existsSync(join(out, name)) ? readFileSync(join(out, name), "utf8") : "";
      return { ...run, output: read(String(i)), status: Number(read(`${i}.status`) || TOO_LATE) };
    });
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** What bun test told of a file in the machine, as tests of their own. */
function tell(machine: Machine, { file, who, status, output }: Run): void {
  const told = parseResults(output);
  const place = `lab ${machine}${who === "user" ? ", uid 1000" : ""}: ${file}`;
  for (const { outcome, name, text } of told)
    bunTest.skipIf(outcome === "skip")(`${place}: ${name}`, () => {
      if (outcome === "fail") throw new Error(text);
    });
  if (status === TOO_LATE) {
    const reason = `too slow a machine: it was not done within ${FILES_SECONDS} s`;
    bunTest.skip(`${place}: the rest of its tests (skipped: ${reason})`, () => {});
    return;
  }
  bunTest(`${place} has tests, and all hold`, () => {
    expect(told.length, output).toBeGreaterThan(0);
    if (told.every(({ outcome }) => outcome !== "fail")) expect(status, output).toBe(0);
  });
}

/** Runs the files in the machines now, which run at the same time, and tells their tests. */
export async function testIn(machines: Readonly<Record<Machine, Files>>): Promise<void> {
  const able = (Object.keys(machines) as Machine[]).filter((machine) => {
    const reason = missing(machine);
    const files = Object.values(machines[machine]).flat().join(", ");
    if (reason !== undefined) bunTest.skip(`lab ${machine}: ${files} (skipped: ${reason})`, () => {});
    return reason === undefined;
  });
  const booted = await Promise.allSettled(able.map((machine) => boot(machine, machines[machine])));
  booted.forEach((result, i) => {
    const machine = able[i] as Machine;
    if (result.status === "fulfilled") for (const run of result.value) tell(machine, run);
    else
      bunTest(`lab ${machine}: the machine runs`, () => {
        throw result.reason;
      });
  });
}
