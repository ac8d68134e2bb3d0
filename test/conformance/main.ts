/** `test/conformance/run`: the suite as a command. */
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { CASES } from "./cases/index.ts";
import { removeCgroups } from "./lab.ts";
import type { Runtime } from "./runtime.ts";
import { type Result, runCases } from "./suite.ts";

const USAGE = `usage: test/conformance/run [--runtime kontena|runc|crun|PATH] [--jobs N] [--filter WORD] [--json FILE] [--list] [--quiet]
`;

const print = (text: string) => writeSync(1, text);

function findRuntime(word: string): Runtime {
  const built = resolve(import.meta.dir, "../../dist/kontena");
  const path = word === "kontena" ? built : word.includes("/") ? resolve(word) : Bun.which(word);
  if (!path || !existsSync(path)) throw new Error(`no runtime ${word} here`);
  return { name: basename(path), path };
}

function tell(result: Result): void {
  print(`${result.outcome}  ${result.at}  ${result.name}\n`);
  if (result.reason) print(`      ${result.reason.replaceAll("\n", "\n      ")}\n`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      runtime: { type: "string", default: "kontena" },
      jobs: { type: "string", default: "3" },
      filter: { type: "string", default: "" },
      json: { type: "string" },
      list: { type: "boolean" },
      quiet: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help) return print(USAGE) && 0;
  const cases = CASES.filter((one) => `${one.at} ${one.name}`.includes(values.filter));
  if (values.list) {
    for (const one of cases) print(`${one.level}\t${one.at}\t${one.name}\n`);
    return 0;
  }
  if (process.geteuid?.() !== 0) throw new Error("the suite runs as root");
  const runtime = findRuntime(values.runtime);
  const directory = mkdtempSync(join(tmpdir(), "kontena-conformance-"));
  // Containers in user namespaces look in as other users.
  chmodSync(directory, 0o755);
  try {
    const results = await runCases(
      runtime,
      cases,
      directory,
      Number(values.jobs),
      values.quiet ? undefined : tell,
    );
    if (values.json) writeFileSync(values.json, JSON.stringify({ runtime, results }));
    const count = (outcome: string) => results.filter((result) => result.outcome === outcome).length;
    print(`${runtime.name}: ${count("pass")} pass, ${count("fail")} fail, ${count("skip")} skip\n`);
    return count("fail") === 0 ? 0 : 1;
  } finally {
    // crun 1.8 leaves those of a create that failed.
    removeCgroups(`conf-${process.pid}-`);
    rmSync(directory, { recursive: true, force: true });
  }
}

process.exitCode = await main();
