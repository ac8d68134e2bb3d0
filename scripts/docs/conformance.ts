#!/usr/bin/env bun
/**
 * Writes docs/conformance.md: runs the conformance suite against kontena, runc and crun, and puts their results side by
 * side. Needs root, and runc and crun beside the built executable.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Result } from "../../test/conformance/suite.ts";

const TOP = join(import.meta.dir, "../..");
const RUNTIMES = ["kontena", "runc", "crun"] as const;
type Results = Record<(typeof RUNTIMES)[number], Result[]>;

function run(runtime: string, directory: string): Result[] {
  const json = join(directory, `${runtime}.json`);
  const command = [join(TOP, "test/conformance/run"), "--runtime", runtime, "--quiet", "--json", json];
  Bun.spawnSync(command, { stdio: ["ignore", "inherit", "inherit"] });
  return (JSON.parse(readFileSync(json, "utf8")) as { results: Result[] }).results;
}

/** The first line of what `--version` says. */
function version(command: string[]): string {
  return Bun.spawnSync(command).stdout.toString().split("\n")[0]?.trim() ?? "";
}

const SIGNS = { pass: "yes", fail: "**no**", skip: "–" } as const;
const cell = (text: string) =>
  text.replaceAll("|", "\\|").replaceAll("\n", " ").replaceAll("*", "\\*").replaceAll("<", "&lt;");

/** What a reader of a failure wants: its first words, without the runtime's log format and this run's ids. */
function shorten(reason: string): string {
  const plain = reason
    .replace(/time="[^"]*" level=\w+ msg=/g, "")
    .replace(/\/?conf-\d+-\d+-\d+/g, "ID")
    .replace(/\/tmp\/kontena-conformance-\w+\/\d+/g, "");
  return plain.length > 160 ? `${plain.slice(0, 160)}…` : plain;
}

/** Why a row's outcomes differ: what the case knows, or what was seen. */
function explain(row: Record<string, Result>): string {
  return RUNTIMES.filter((name) => row[name]?.outcome === "fail")
    .map((name) => `${name}: ${cell(row[name]?.differs?.[name] ?? shorten(row[name]?.reason ?? ""))}`)
    .join("; ");
}

function* rowsOf(results: Results): Generator<Record<(typeof RUNTIMES)[number], Result>> {
  for (let i = 0; i < results.kontena.length; i++)
    yield {
      kontena: results.kontena[i] as Result,
      runc: results.runc[i] as Result,
      crun: results.crun[i] as Result,
    };
}

function page(results: Results, versions: string[]): string {
  const rows = [...rowsOf(results)];
  const count = (name: (typeof RUNTIMES)[number], outcome: string) =>
    results[name].filter((result) => result.outcome === outcome).length;
  const lines: string[] = [];
  let section = "";
  for (const row of rows) {
    const { at, name, level, says } = row.kontena;
    if (at !== section) {
      section = at;
      lines.push(
        "",
        `### ${at}`,
        "",
        "| level | what holds | kontena | runc | crun | |",
        "| --- | --- | --- | --- | --- | --- |",
      );
    }
    const signs = RUNTIMES.map((runtime) => SIGNS[row[runtime].outcome]).join(" | ");
    const skipped = row.kontena.outcome === "skip" ? cell(row.kontena.reason ?? "") : "";
    lines.push(`| ${level} | ${cell(name)} (${cell(says)}) | ${signs} | ${explain(row) || skipped} |`);
  }
  const differing = rows.filter(
    ({ kontena, runc, crun }) =>
      kontena.outcome === "fail" || (runc.outcome === "fail" && crun.outcome === "fail"),
  );
  const alone = differing.map((row) => {
    const signs = RUNTIMES.map((runtime) => SIGNS[row[runtime].outcome]).join(" | ");
    return `| ${row.kontena.at} | ${cell(row.kontena.name)} | ${signs} | ${explain(row)} |`;
  });
  return `${HEAD}
| | ${versions.join(" | ")} |
| --- | --- | --- | --- |
| pass | ${RUNTIMES.map((name) => count(name, "pass")).join(" | ")} |
| fail | ${RUNTIMES.map((name) => count(name, "fail")).join(" | ")} |
| not decided here | ${RUNTIMES.map((name) => count(name, "skip")).join(" | ")} |

## Where kontena differs from both, or breaks a sentence

| place in the spec | what holds | kontena | runc | crun | why |
| --- | --- | --- | --- | --- | --- |
${alone.join("\n")}

${RULES}
## All cases
${lines.join("\n")}
`;
}

const HEAD = `# Conformance

<!-- Made by scripts/docs/conformance.ts from a run of test/conformance; don't edit. -->

How kontena, and as controls Debian 12's runc and crun, keep to the sentences of [runtime-spec 1.3](https://github.com/opencontainers/runtime-spec). Each case is one sentence; it is checked through the runtime's command line alone, by what a busybox sees inside the container and what /proc says outside.

\`\`\`sh
test/conformance/run                        # dist/kontena
test/conformance/run --runtime runc         # or crun, or a path
test/conformance/run --filter seccomp --jobs 1
scripts/docs/conformance.ts                 # all three, and this page
\`\`\`

runc 1.1 and crun 1.8 are older than parts of the spec; such a row says so. A dash is a case that this machine can't decide (it lacks a controller, a capability, a security module) or a runtime hasn't the command for. All ran on the same machine, with cgroup v1 alone in view, since crun 1.8 refuses hybrid hosts.
`;

const RULES = `## Where engines and the spec disagree

- **delete of a created container.** The spec makes it an error. runc and crun remove such a container, and containerd, Docker and Podman rely on that to clean up after a create that they have given up. kontena removes it.
- **process at create.** The spec needs \`process\` only when \`start\` is called. All three want it at \`create\`: the waiting init is made for its program's user.
- **status of hooks.** The spec has \`creating\` until create returns. runc says \`created\` to prestart hooks, and tools look for that; the cases take both.
- **default file systems.** The spec says that /proc, /sys, /dev/pts and /dev/shm should be there. All three mount what the config lists, which engines always do, and add nothing to it.

Sentences that bind the author of a config, other platforms, or nobody in particular have no case.
`;

if (import.meta.main) {
  const directory = mkdtempSync(join(tmpdir(), "kontena-docs-"));
  const results = Object.fromEntries(RUNTIMES.map((name) => [name, run(name, directory)])) as Results;
  rmSync(directory, { recursive: true });
  const versions = [[join(TOP, "dist/kontena")], ["runc"], ["crun"]].map((command) =>
    version([...command, "--version"]),
  );
  writeFileSync(join(TOP, "docs/conformance.md"), page(results, versions));
  // A reason that no longer holds misleads.
  for (const row of rowsOf(results))
    for (const name of RUNTIMES)
      if (row[name].outcome === "pass" && row[name].differs?.[name]) {
        writeSync(2, `${name} passes now: ${row[name].at}: ${row[name].name}\n`);
        process.exitCode = 1;
      }
}
