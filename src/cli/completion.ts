/** Completion scripts for shells, made from the command table. Only the names of containers are asked for while typing. */
import { GLOBAL_OPTIONS } from "./globals.ts";
import type { OptionSpec, Options, ReadyCommand } from "./option.ts";
import { SIGNALS } from "./signals.ts";
import { readyCommands } from "./table.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** The completion script for a shell. */
export function completionScript(shell: Shell): string {
  if (shell === "bash") return bash();
  if (shell === "zsh") return zsh();
  return fish();
}

type Named = readonly [name: string, option: OptionSpec];
const LIST_IDS = "kontena list -q 2>/dev/null";
const signalNames = Object.keys(SIGNALS).join(" ");

function usable(options: Options): Named[] {
  return Object.entries(options).filter(([, option]) => !option.later);
}

function after(command: ReadyCommand): Named[] {
  return usable({ ...GLOBAL_OPTIONS, ...command.options });
}

/** Whether the last positional takes any number of words. */
const takesMany = (command: ReadyCommand): boolean =>
  Object.values(command.positionals).at(-1)?.many === true;

const spellings = ([name, { short }]: Named): string[] => [...(short ? [`-${short}`] : []), `--${name}`];

/** Kinds of positionals in order, as the scripts need them: container, signal, shell or nothing. */
function kinds(command: ReadyCommand): string[] {
  return Object.values(command.positionals).map((row) => row.completes ?? "none");
}

function bashWords(source: string): string {
  return `COMPREPLY=($(compgen -W "${source}" -- "$cur"))`;
}

/** What to offer after `previous`, the option before the cursor; one `case` for each command, so that -f can differ. */
function bashValues(options: Named[]): string {
  const branches = options
    .filter(([, option]) => option.kind !== "flag")
    .map((named) => {
      const [, { choices, value }] = named;
      const action = choices
        ? bashWords(choices.join(" "))
        : value === "DIR"
          ? 'COMPREPLY=($(compgen -d -- "$cur"))'
          : value === "FILE"
            ? 'COMPREPLY=($(compgen -f -- "$cur"))'
            : ":";
      return `        ${spellings(named).join("|")}) ${action}; return ;;`;
    });
  return branches.join("\n");
}

function bash(): string {
  const cases = readyCommands().map((command) => {
    const options = after(command);
    const sources: Record<string, string> = {
      container: `$(${LIST_IDS})`,
      signal: signalNames,
      shell: SHELLS.join(" "),
    };
    const positionals = kinds(command)
      .map((kind, i, all) => {
        const at = takesMany(command) && i === all.length - 1 ? "*" : String(i);
        return sources[kind] ? `        ${at}) ${bashWords(sources[kind])} ;;` : "";
      })
      .filter(Boolean)
      .join("\n");
    return `    ${command.name})
      case $prev in
${bashValues(options)}
      esac
      if [[ $cur == -* ]]; then ${bashWords(options.flatMap(spellings).join(" "))}; return; fi
      case $count in
${positionals}
      esac ;;`;
  });
  const globals = usable(GLOBAL_OPTIONS);
  const withValue = globals.filter(([, o]) => o.kind !== "flag").flatMap(spellings);
  return `# bash completion for kontena: source <(kontena completion bash)
_kontena() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command= count=0 i
  if [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  if [[ $cur == = ]]; then cur= prev=\${COMP_WORDS[COMP_CWORD-1]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${withValue.join("|")}) ((i++)); if [[ \${COMP_WORDS[i]} == = ]]; then ((i++)); fi ;;
      -*|=) ;;
      *) if [[ -z $command ]]; then command=\${COMP_WORDS[i]}; else ((count++)); fi ;;
    esac
  done
  case $command in
    "")
      case $prev in
${bashValues(globals)}
      esac
      ${bashWords(`${[...readyCommands().map((c) => c.name), ...globals.flatMap(spellings)].join(" ")}`)} ;;
${cases.join("\n")}
  esac
}
complete -F _kontena kontena
`;
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** _arguments reads : [ ] in descriptions as its own signs. */
const zshText = (text: string): string => text.replace(/[[\]:]/g, (sign) => `\\${sign}`);

function zshOption(named: Named): string[] {
  const [, { description, kind, choices, value }] = named;
  const what = choices
    ? `(${choices.join(" ")})`
    : value === "DIR"
      ? "_files -/"
      : value === "FILE"
        ? "_files"
        : " ";
  const tail = kind === "flag" ? "" : `:${value ?? "VALUE"}:${what}`;
  return spellings(named).map((form) => {
    const sign = kind === "flag" ? "" : form.startsWith("--") ? "=" : "+";
    return quote(`${form}${sign}[${zshText(description)}]${tail}`);
  });
}

function zsh(): string {
  const actions: Record<string, string> = {
    container: "_kontena_ids",
    signal: `(${signalNames})`,
    shell: `(${SHELLS.join(" ")})`,
    none: " ",
  };
  const cases = readyCommands().map((command) => {
    const rows = kinds(command).map((kind, i, all) => {
      const at = takesMany(command) && i === all.length - 1 ? "*" : String(i + 1);
      return quote(`${at}:${kind}:${actions[kind]}`);
    });
    return `    ${command.name}) _arguments ${[...after(command).flatMap(zshOption), ...rows].join(" \\\n      ")} ;;`;
  });
  const commands = readyCommands().map((c) => quote(`${c.name}:${zshText(c.summary)}`));
  return `#compdef kontena
# zsh completion for kontena: kontena completion zsh > "\${fpath[1]}/_kontena"
_kontena_ids() { compadd -- \${(f)"$(${LIST_IDS})"} }
_kontena() {
  local context state line curcontext=$curcontext
  local -a commands=(
    ${commands.join("\n    ")}
  )
  _arguments -C ${usable(GLOBAL_OPTIONS).flatMap(zshOption).join(" \\\n    ")} \\
    '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      curcontext=\${curcontext%:*}-$line[1]:
      case $line[1] in
${cases.join("\n")}
      esac ;;
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _kontena "$@"; else compdef _kontena kontena; fi
`;
}

const fishText = (text: string): string => `'${text.replace(/[\\']/g, (sign) => `\\${sign}`)}'`;

function fishOption(condition: string, [name, option]: Named): string {
  const parts = ["complete -c kontena", condition, `-l ${name}`];
  if (option.short) parts.push(`-s ${option.short}`);
  if (option.kind !== "flag") parts.push("-r");
  if (option.choices) parts.push(`-f -a ${fishText(option.choices.join(" "))}`);
  else if (option.value === "DIR") parts.push("-f -a '(__fish_complete_directories)'");
  else if (option.value === "FILE") parts.push("-F");
  parts.push(`-d ${fishText(option.description)}`);
  return parts.filter(Boolean).join(" ");
}

function fish(): string {
  const names = readyCommands().map((command) => command.name);
  const none = `-n 'not __fish_seen_subcommand_from ${names.join(" ")}'`;
  const sources: Record<string, string> = {
    container: `'(${LIST_IDS})'`,
    signal: fishText(signalNames),
    shell: fishText(SHELLS.join(" ")),
  };
  const lines = readyCommands().flatMap((command) => {
    const seen = `-n '__fish_seen_subcommand_from ${command.name}'`;
    return [
      `complete -c kontena ${none} -a ${command.name} -d ${fishText(command.summary)}`,
      ...usable(command.options).map((named) => fishOption(seen, named)),
      ...kinds(command)
        .filter((kind) => sources[kind])
        .map((kind) => `complete -c kontena ${seen} -a ${sources[kind]}`),
    ];
  });
  const globals = usable(GLOBAL_OPTIONS).map((named) => fishOption("", named));
  return `# fish completion for kontena: kontena completion fish > ~/.config/fish/completions/kontena.fish
complete -c kontena -f
${[...globals, ...lines].join("\n")}
`;
}
