import { expect, test } from "bun:test";
import { $ } from "bun";
import { MAN_PATH, manPage } from "../../scripts/docs/man.ts";
import { completionScript, SHELLS } from "../../src/cli/completion.ts";
import { GLOBAL_OPTIONS } from "../../src/cli/globals.ts";
import { helpText } from "../../src/cli/help.ts";
import type { OptionSpec } from "../../src/cli/option.ts";
import { allCommands, readyCommands } from "../../src/cli/table.ts";
import { versionText } from "../../src/cli/version.ts";

const commands = readyCommands().map((command) => [command.name, command] as const);
const usable = (options: Record<string, OptionSpec>): string[] =>
  Object.keys(options).filter((name) => !options[name]?.later);

test("every command of runc and crun is there, to be done or to be refused", () => {
  const theirs =
    "checkpoint create delete events exec features kill list pause ps restore resume run spec start state update";
  expect(allCommands().map((command) => command.name)).toEqual(expect.arrayContaining(theirs.split(" ")));
  expect(new Set(allCommands().map((command) => command.name)).size).toBe(allCommands().length);
});

test.each(commands)("%s has a summary, a description and examples that name it", (name, command) => {
  expect(command.summary).toMatch(/^[a-z].*[^.]$/);
  expect(command.description).toMatch(/^[A-Z].*\.$/s);
  expect(command.examples.length).toBeGreaterThan(0);
  for (const [line] of command.examples) expect(line).toContain(`kontena ${name}`);
});

test.each(commands)("the letters of %s are unique, the global ones included", (_, command) => {
  const options: Record<string, OptionSpec> = { ...GLOBAL_OPTIONS, ...command.options };
  const letters = Object.values(options).flatMap((option) => option.short ?? []);
  expect(letters).toEqual([...new Set(letters)]);
  for (const letter of letters) expect(letter).toMatch(/^[a-z]$/i);
});

test.each(commands)("the options of %s are described, and those with a value name it", (_, command) => {
  for (const option of Object.values<OptionSpec>({ ...GLOBAL_OPTIONS, ...command.options })) {
    expect(option.description).toMatch(/^\S.*[^.]$/);
    expect(option.value === undefined).toBe(option.kind === "flag");
  }
});

test.each(commands)("an optional argument of %s comes after the required ones", (_, command) => {
  const optional = Object.values(command.positionals).map((row) => row.optional === true);
  expect(optional).toEqual([...optional].sort());
});

test("top-level help names every command and option, and begins with what kontena is", async () => {
  const text = await helpText();
  expect(text).toStartWith("kontena runs a program in a container");
  for (const { name } of allCommands()) expect(text).toMatch(new RegExp(`\\b${name}\\b`));
  for (const name of usable(GLOBAL_OPTIONS)) expect(text).toContain(`--${name}`);
});

test.each(commands)("help of %s shows its options and examples, in lines that fit", async (name, command) => {
  const text = await helpText(command);
  expect(text).toStartWith(`Usage: kontena ${name}`);
  for (const option of usable(command.options)) expect(text).toContain(`--${option}`);
  for (const [line] of command.examples) expect(text).toContain(`  ${line}\n`);
  for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(110);
});

test.each(SHELLS.map((shell) => [shell]))(
  "the %s script knows all that can be used, and nothing that can't",
  (shell) => {
    const script = completionScript(shell);
    for (const [name, command] of commands) {
      expect(script).toContain(name);
      for (const option of usable(command.options))
        expect(script).toContain(shell === "fish" ? `-l ${option}` : `--${option}`);
    }
    expect(script).not.toContain("checkpoint");
  },
);

/** What bash offers for a command line whose last word is being typed. */
async function complete(...words: string[]): Promise<string[]> {
  const script = `${completionScript("bash")}
kontena() { printf 'c1\\nc2\\n'; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kontena; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return (await $`bash -c ${script} bash kontena ${words}`.text()).trim().split("\n");
}

test("bash completes commands, options, values, containers and signals", async () => {
  expect(await complete("cr")).toEqual(["create"]);
  expect(await complete("--root", "/r", "sta")).toEqual(["start", "state", "stats"]);
  expect(await complete("run", "--det")).toEqual(["--detach"]);
  expect(await complete("list", "--format", "j")).toEqual(["json"]);
  expect(await complete("list", "--format", "=", "t")).toEqual(["table"]);
  expect(await complete("delete", "--force", "")).toEqual(["c1", "c2"]);
  expect(await complete("stats", "c1", "c")).toEqual(["c1", "c2"]);
  expect(await complete("kill", "c1", "US")).toEqual(["USR1", "USR2"]);
  expect(await complete("completion", "z")).toEqual(["zsh"]);
});

test("the manual page is up to date (else: scripts/docs/man.ts)", async () => {
  expect(await Bun.file(MAN_PATH).text()).toBe(manPage());
});

test("the version has runc's lines, which engines print and read", () => {
  expect(versionText()).toMatch(/^kontena version \d+\.\d+\.\d+\S*\ncommit: \S+\nspec: 1\.3\.0\nbun: \S+\n$/);
});
