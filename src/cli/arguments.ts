/** The options and positional arguments of each command, and the types that its code is called with. */
import type { Arguments, Options, Positionals } from "./option.ts";

export const container = () =>
  ({
    id: { label: "ID", description: "the container's name", completes: "container" },
  }) as const satisfies Positionals;

export const newContainer = () =>
  ({
    id: { label: "ID", description: "a name for the container: letters, digits, _ + - ." },
  }) as const satisfies Positionals;

const bundle = () =>
  ({
    bundle: {
      kind: "text",
      short: "b",
      value: "DIR",
      default: ".",
      description: "the bundle: a directory with config.json and the root file system",
    },
  }) as const satisfies Options;

const format = () =>
  ({
    kind: "text",
    short: "f",
    value: "FORMAT",
    choices: ["table", "json"],
    default: "table",
    description: "table for people, json for programs",
  }) as const;

/** Who gets descriptors of the runtime's. */
const sockets = (whose: string) =>
  ({
    "console-socket": {
      kind: "text",
      value: "SOCKET",
      description: "socket that receives the terminal's master end",
    },
    "pidfd-socket": {
      kind: "text",
      value: "SOCKET",
      description: `socket that receives ${whose}'s pidfd`,
    },
  }) as const satisfies Options;

const preserved = () =>
  ({
    "preserve-fds": {
      kind: "number",
      value: "N",
      default: "0",
      description: "hand N more descriptors to the program, from 3",
    },
  }) as const satisfies Options;

/** What decides the plan of a new container; `explain` has the same. */
const planOptions = () =>
  ({
    ...bundle(),
    config: {
      kind: "text",
      short: "f",
      value: "FILE",
      default: "config.json of the bundle",
      description: "another configuration file",
    },
    "no-pivot": {
      kind: "flag",
      description:
        "enter the root by chroot instead of pivot_root, for a host whose root is a ramdisk (less isolation)",
    },
    "no-new-keyring": { kind: "flag", description: "keep the caller's session keyring" },
    ...preserved(),
  }) as const satisfies Options;

export const createOptions = () =>
  ({
    ...planOptions(),
    "pid-file": {
      kind: "text",
      value: "FILE",
      description: "write the process id of the container's init to FILE",
    },
    "no-subreaper": {
      kind: "flag",
      description: "accepted for scripts: kontena never adopts what a container leaves behind",
    },
    ...sockets("init"),
  }) as const satisfies Options;
export type CreateArguments = Arguments<ReturnType<typeof createOptions>, ReturnType<typeof newContainer>>;

export const runOptions = () =>
  ({
    ...createOptions(),
    detach: { kind: "flag", short: "d", description: "return once the program runs" },
    keep: { kind: "flag", description: "don't delete the container when its program has ended" },
  }) as const satisfies Options;
export type RunArguments = Arguments<ReturnType<typeof runOptions>, ReturnType<typeof newContainer>>;

export type ContainerArguments = Arguments<Record<never, never>, ReturnType<typeof container>>;

export const killOptions = () =>
  ({
    all: { kind: "flag", short: "a", description: "every process of the container, not only the first" },
    regex: {
      kind: "flag",
      short: "r",
      description: "ID is a regular expression, for all containers in whose name it matches",
    },
  }) as const satisfies Options;
export const killPositionals = () =>
  ({
    ...container(),
    signal: {
      label: "SIGNAL",
      description: "number or name, with or without SIG",
      optional: true,
      default: "TERM",
      completes: "signal",
    },
  }) as const satisfies Positionals;
export type KillArguments = Arguments<ReturnType<typeof killOptions>, ReturnType<typeof killPositionals>>;

export const deleteOptions = () =>
  ({
    force: {
      kind: "flag",
      short: "f",
      description:
        "kill what still runs, remove what a crash left, and don't mind if there is no such container",
    },
    regex: {
      kind: "flag",
      short: "r",
      description: "ID is a regular expression, for all containers in whose name it matches",
    },
  }) as const satisfies Options;
export type DeleteArguments = Arguments<ReturnType<typeof deleteOptions>, ReturnType<typeof container>>;

export const listOptions = () =>
  ({
    format: format(),
    quiet: { kind: "flag", short: "q", description: "names only, one a line" },
  }) as const satisfies Options;
export type ListArguments = Arguments<ReturnType<typeof listOptions>>;

export const execOptions = () =>
  ({
    process: {
      kind: "text",
      short: "p",
      value: "FILE",
      description: "JSON of the whole process, as in config.json, in the place of COMMAND",
    },
    detach: { kind: "flag", short: "d", description: "return once the program runs" },
    "pid-file": { kind: "text", value: "FILE", description: "write the process id to FILE" },
    tty: { kind: "flag", short: "t", description: "give the program a terminal" },
    ...sockets("the process"),
    cwd: { kind: "text", value: "DIR", description: "working directory in the container" },
    env: {
      kind: "text",
      short: "e",
      many: true,
      value: "NAME=VALUE",
      description: "one more variable of the environment; may be given several times",
    },
    user: { kind: "text", short: "u", value: "UID[:GID]", description: "ids of the program, as numbers" },
    "additional-gids": {
      kind: "text",
      short: "g",
      many: true,
      value: "GID",
      description: "an additional group; may be given several times",
    },
    cap: {
      kind: "text",
      short: "c",
      many: true,
      value: "CAP",
      description: "one more capability; may be given several times",
    },
    "no-new-privs": { kind: "flag", description: "no execve gains privileges" },
    apparmor: { kind: "text", value: "PROFILE", description: "AppArmor profile of the program" },
    "process-label": { kind: "text", value: "LABEL", description: "SELinux label of the program" },
    cgroup: {
      kind: "text",
      many: true,
      value: "[CONTROLLER,...:]PATH",
      description:
        "a cgroup below the container's own, on v1 also of some controllers; may be given several times",
    },
    ...preserved(),
    "ignore-paused": {
      kind: "flag",
      description: "also in a paused container: the program waits until it is resumed",
    },
  }) as const satisfies Options;
export const execPositionals = () =>
  ({
    ...container(),
    command: {
      label: "COMMAND",
      description: "the program and its arguments",
      optional: true,
      many: true,
      raw: true,
    },
  }) as const satisfies Positionals;
export type ExecArguments = Arguments<ReturnType<typeof execOptions>, ReturnType<typeof execPositionals>>;

export const psOptions = () => ({ format: format() }) as const satisfies Options;
export const psPositionals = () =>
  ({
    ...container(),
    options: {
      label: "PS-OPTION",
      description: "words for ps(1), whose lines about other processes are left out",
      optional: true,
      many: true,
      raw: true,
    },
  }) as const satisfies Positionals;
export type PsArguments = Arguments<ReturnType<typeof psOptions>, ReturnType<typeof psPositionals>>;

const interval = () =>
  ({
    kind: "text",
    value: "DURATION",
    description: "time between two samples, such as 500ms, 5s or 1m30s; a number alone counts seconds",
  }) as const;

export const eventsOptions = () =>
  ({
    interval: { ...interval(), default: "5s" },
    stats: { kind: "flag", description: "print the statistics of now, and end" },
  }) as const satisfies Options;
export type EventsArguments = Arguments<ReturnType<typeof eventsOptions>, ReturnType<typeof container>>;

export const statsOptions = () =>
  ({
    format: format(),
    interval: { ...interval(), default: "1s" },
    "no-stream": { kind: "flag", description: "print one sample, and end" },
    all: { kind: "flag", short: "a", description: "containers that have stopped, too" },
  }) as const satisfies Options;
export const statsPositionals = () =>
  ({
    ids: {
      label: "ID",
      description: "the containers",
      optional: true,
      many: true,
      default: "all that run",
      completes: "container",
    },
  }) as const satisfies Positionals;
export type StatsArguments = Arguments<ReturnType<typeof statsOptions>, ReturnType<typeof statsPositionals>>;

export const specOptions = () =>
  ({
    ...bundle(),
    file: {
      kind: "text",
      short: "f",
      value: "FILE",
      default: "config.json",
      description: "the file to write, from the bundle",
    },
    rootless: {
      kind: "flag",
      description: "for a container that isn't started by root: with a user namespace",
    },
  }) as const satisfies Options;
export type SpecArguments = Arguments<ReturnType<typeof specOptions>>;

export const explainOptions = () =>
  ({
    ...planOptions(),
    format: {
      kind: "text",
      value: "FORMAT",
      choices: ["text", "json"],
      default: "text",
      description: "text for people, json for programs",
    },
  }) as const satisfies Options;
export const explainPositionals = () =>
  ({
    id: {
      label: "ID",
      description: "the name that the container would have",
      optional: true,
      default: "example",
    },
  }) as const satisfies Positionals;
export type ExplainArguments = Arguments<
  ReturnType<typeof explainOptions>,
  ReturnType<typeof explainPositionals>
>;

export const nsOptions = () => ({ format: format() }) as const satisfies Options;
export type NsArguments = Arguments<ReturnType<typeof nsOptions>, ReturnType<typeof container>>;

export const completionPositionals = () =>
  ({
    shell: { label: "SHELL", description: "bash, zsh or fish", completes: "shell" },
  }) as const satisfies Positionals;
export type CompletionArguments = Arguments<Record<never, never>, ReturnType<typeof completionPositionals>>;
