import { GLOBAL_OPTIONS } from "./globals.ts";
import { usageLine } from "./interpret.ts";
import { GROUPS, type Options, type ReadyCommand } from "./option.ts";
import { loadYargs } from "./slow.ts";
import { allCommands, readyCommands } from "./table.ts";

const WIDTH = 100;
const TYPES = { flag: "boolean", text: "string", number: "number" } as const;

const OPENING = `kontena runs a program in a container: its own hostname, files, processes and limits.

From nothing to a container:
  mkdir -p web/rootfs/bin && cp /bin/busybox web/rootfs/bin/sh    a root file system: one static program
  kontena spec -b web                                             web/config.json says what to run, and how
  kontena explain -b web                                          what would happen, call by call
  sudo kontena run -b web web1                                    a shell in container web1

The like of \`unshare --uts --pid --fork chroot web/rootfs sh\`, but with everything that config.json says.`;

function list(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length)) + 3;
  return rows.map(([name, text]) => `  ${name.padEnd(width)}${text}`).join("\n");
}

function commandList(): string {
  const groups = Object.entries(GROUPS).map(([key, title]) => {
    const rows = readyCommands().filter((command) => command.group === key);
    return `${title}:\n${list(rows.map((command) => [command.name, command.summary]))}`;
  });
  const later = allCommands()
    .filter((command) => command.later)
    .map((command) => command.name);
  return [...groups, `Not in this version yet: ${later.join(", ")}`].join("\n\n");
}

function settings(options: Options): Record<string, object> {
  const rows = Object.entries(options).filter(([, option]) => !option.later);
  return Object.fromEntries(
    rows.map(([name, o]) => [
      name,
      {
        type: TYPES[o.kind],
        description: o.description,
        ...(o.short !== undefined && { alias: o.short }),
        ...(o.choices && { choices: o.choices }),
        ...(o.default !== undefined && { defaultDescription: o.default }),
      },
    ]),
  );
}

function wrap(text: string, width: number): string {
  return text.replace(new RegExp(`(?![^\\n]{1,${width}}$)([^\\n]{1,${width}}) `, "g"), "$1\n");
}

function positionalList(command: ReadyCommand): string | undefined {
  const rows = Object.values(command.positionals).map(
    (row) => [row.label, row.description + (row.default ? ` (default: ${row.default})` : "")] as const,
  );
  return rows.length > 0 ? list(rows) : undefined;
}

/** The paragraph that yargs makes of options; it would strip the indentation of any other text, so that is put around it. */
async function optionList(title: string, options: Options): Promise<string | undefined> {
  const rows = settings(options);
  if (Object.keys(rows).length === 0) return undefined;
  const yargs = (await loadYargs(WIDTH))([]).detectLocale(false).help(false).version(false).wrap(WIDTH);
  return (await yargs.options(rows).group(Object.keys(rows), title).getHelp()).trim();
}

async function commandHelp(command: ReadyCommand): Promise<(string | undefined)[]> {
  const global = Object.keys(settings(GLOBAL_OPTIONS)).filter(
    (name) => !Object.hasOwn(command.options, name),
  );
  return [
    `Usage: ${usageLine(command)}`,
    wrap(command.description, WIDTH),
    positionalList(command),
    await optionList("Options:", command.options),
    `Options of every command (kontena --help explains them):\n${wrap(`  ${global.map((name) => `--${name}`).join(" ")}`, WIDTH)}`,
    `Examples:\n${command.examples.map(([line, effect]) => `  ${line}\n      ${effect}`).join("\n")}`,
  ];
}

/** The text of `kontena --help`, or of a command's. */
export async function helpText(command?: ReadyCommand): Promise<string> {
  const parts = command
    ? await commandHelp(command)
    : [
        OPENING,
        "Usage: kontena [OPTION]... COMMAND ...",
        commandList(),
        await optionList("Options of every command, before or after it:", GLOBAL_OPTIONS),
        "kontena COMMAND --help explains a command, with examples.",
      ];
  return `${parts.filter((part) => part !== undefined).join("\n\n")}\n`;
}
