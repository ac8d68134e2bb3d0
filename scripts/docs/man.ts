#!/usr/bin/env bun
/** Writes docs/man/kontena.8 from the command table. */
import { GLOBAL_OPTIONS } from "../../src/cli/globals.ts";
import { usageLine } from "../../src/cli/interpret.ts";
import { GROUPS, type Options, type ReadyCommand } from "../../src/cli/option.ts";
import { allCommands, readyCommands } from "../../src/cli/table.ts";

export const MAN_PATH = `${import.meta.dir}/../../docs/man/kontena.8`;

/** roff takes a leading . or ' for a request, a backslash for an escape, and a bare - for a typographic hyphen. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/gm, "\\&$1");
}

function optionRows(options: Options): string {
  return Object.entries(options)
    .filter(([, option]) => !option.later)
    .map(([name, o]) => {
      const value =
        o.kind === "flag" ? "" : ` \\fI${roff(o.choices ? o.choices.join("|") : (o.value ?? "VALUE"))}\\fR`;
      const forms = [...(o.short ? [`-${o.short}`] : []), `--${name}`].map((form) => `\\fB${roff(form)}\\fR`);
      const text = roff(`${o.description}${o.default === undefined ? "" : ` (default: ${o.default})`}`);
      return `.TP\n${forms.join(", ")}${value}\n${text}`;
    })
    .join("\n");
}

function commandSection(command: ReadyCommand): string {
  const arguments_ = Object.values(command.positionals).map(
    (row) =>
      `.TP\n\\fI${row.label}\\fR\n${roff(row.description + (row.default ? ` (default: ${row.default})` : ""))}`,
  );
  const examples = command.examples.map(
    ([line, effect]) => `.PP\n${roff(effect)}:\n.PP\n.EX\n    ${roff(line)}\n.EE`,
  );
  return [
    `.SS ${roff(usageLine(command))}`,
    `${roff(command.summary)}.`,
    `.PP\n${roff(command.description)}`,
    ...arguments_,
    optionRows(command.options),
    ...examples,
  ]
    .filter(Boolean)
    .join("\n");
}

/** The manual page, in man(7). */
export function manPage(): string {
  const groups = Object.entries(GROUPS).map(([key, title]) => {
    const commands = readyCommands().filter((command) => command.group === key);
    return `.SH ${title.toUpperCase()}\n${commands.map(commandSection).join("\n")}`;
  });
  const later = allCommands()
    .filter((command) => command.later)
    .map((command) => command.name);
  return `.\\" Made by scripts/docs/man.ts from the command table; don't edit.
.TH KONTENA 8 "" kontena "System administration"
.SH NAME
kontena \\- run programs in OCI containers
.SH SYNOPSIS
\\fBkontena\\fR [\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...
.SH DESCRIPTION
kontena runs a program in a container: its own hostname, files, processes and limits.
It reads a bundle, a directory with \\fBconfig.json\\fR and a root file system, as the OCI runtime\\-spec describes it.
.SH OPTIONS OF EVERY COMMAND
They may stand before the command or after it.
${optionRows(GLOBAL_OPTIONS)}
${groups.join("\n")}
.SH EXIT STATUS
0 when the command did its work.
126 when the program of the container can't be executed, 127 when it isn't there, 1 for any other error.
\\fBkontena run\\fR ends with the status of the program, or 128 + the number of the signal that ended it.
.SH ENVIRONMENT
.TP
\\fBXDG_RUNTIME_DIR\\fR
the state of containers is in kontena below it when the caller isn't root; empty counts as unset
.TP
\\fBNO_COLOR\\fR
when not empty, messages have no colour
.SH NOTES
Not in this version yet, and refused: ${roff(later.join(", "))}.
.SH SEE ALSO
\\fBunshare\\fR(1), \\fBnsenter\\fR(1), \\fBnamespaces\\fR(7), \\fBcgroups\\fR(7), \\fBcapabilities\\fR(7), \\fBseccomp\\fR(2)
`;
}

if (import.meta.main) await Bun.write(MAN_PATH, manPage());
