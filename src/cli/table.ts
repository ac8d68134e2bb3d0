/**
 * The command line as data: the fast parser, yargs, `--help`, shell completion and the manual page are all made from this table.
 * Names and letters are those of runc 1.1 and crun 1.8, so that scripts written for either work.
 */
import {
  completionPositionals,
  container,
  createOptions,
  deleteOptions,
  eventsOptions,
  execOptions,
  execPositionals,
  explainOptions,
  explainPositionals,
  killOptions,
  killPositionals,
  listOptions,
  newContainer,
  nsOptions,
  psOptions,
  psPositionals,
  runOptions,
  specOptions,
  statsOptions,
  statsPositionals,
} from "./arguments.ts";
import { LATER_COMMANDS } from "./later.ts";
import type { CommandSpec, ReadyCommand } from "./option.ts";
import { updateOptions } from "./update-arguments.ts";

/** A row is made when it is asked for: all of them take a quarter of a millisecond, and a command needs its own. */
const READY_COMMANDS: Readonly<Record<string, () => ReadyCommand>> = {
  run: () => ({
    name: "run",
    group: "life",
    summary: "create a container, start it, wait for its end and delete it",
    description:
      "The whole life of a container in one command. The exit status is that of its program, or 128 + the number of the signal that ended it.",
    examples: [
      ["kontena run -b /srv/web web1", "runs the bundle /srv/web in the foreground, as container web1"],
      [
        "kontena run -d --pid-file /run/web1.pid web1",
        "returns at once; the bundle is the current directory",
      ],
    ],
    positionals: newContainer(),
    options: runOptions(),
    load: () => require("./commands/run.ts") as typeof import("./commands/run.ts"),
  }),
  create: () => ({
    name: "create",
    group: "life",
    summary: "make a container ready, without starting its program",
    description:
      "Reads the bundle, makes namespaces, mounts, devices and the cgroup, and leaves init waiting in there. Networks and the like can be added now; `kontena start` then runs the program.",
    examples: [
      [
        "kontena create -b /srv/web --pid-file web1.pid web1",
        "makes container web1; init's process id is in web1.pid",
      ],
    ],
    positionals: newContainer(),
    options: createOptions(),
    load: () => require("./commands/create.ts") as typeof import("./commands/create.ts"),
  }),
  start: () => ({
    name: "start",
    group: "life",
    summary: "run the program of a created container",
    description:
      "Lets the waiting init execute the program of config.json. If that fails, start fails, and says why.",
    examples: [["kontena start web1", "runs the program of web1 and returns"]],
    positionals: container(),
    options: {},
    load: () => require("./commands/start.ts") as typeof import("./commands/start.ts"),
  }),
  exec: () => ({
    name: "exec",
    group: "life",
    summary: "run another program in a container",
    description:
      "Starts COMMAND in the namespaces and the cgroup of a container, with the environment, the user and the rights of the container's own process unless options change them. The exit status is COMMAND's, 128 + the number of the signal that ended it, 126 or 127 when it can't be executed or isn't there, and 255 for every other failure.",
    examples: [
      ["kontena exec web1 ps", "runs ps in web1"],
      ["kontena exec -u 1000 -e LANG=C web1 sh -c 'id; env'", "runs a script as user 1000"],
    ],
    positionals: execPositionals(),
    options: execOptions(),
    load: () => require("./commands/exec.ts") as typeof import("./commands/exec.ts"),
    // As runc has it: 1 is what many a program exits with.
    failureStatus: 255,
  }),
  kill: () => ({
    name: "kill",
    group: "life",
    summary: "send a signal to a container",
    description:
      "Sends SIGNAL to the container's first process, or to all of them. The first process of a pid namespace ignores signals that it has no handler for, except KILL and STOP.",
    examples: [
      ["kontena kill web1", "asks web1 to end (TERM)"],
      ["kontena kill --all web1 KILL", "ends every process of web1"],
    ],
    positionals: killPositionals(),
    options: killOptions(),
    load: () => require("./commands/kill.ts") as typeof import("./commands/kill.ts"),
  }),
  pause: () => ({
    name: "pause",
    group: "life",
    summary: "freeze a container",
    description:
      "Stops every process of the container where it stands, without a signal that it could see. Memory stays as it is, and no CPU time is used until `kontena resume`.",
    examples: [["kontena pause web1", "freezes web1; its status is then paused"]],
    positionals: container(),
    options: {},
    load: () => require("./commands/pause.ts") as typeof import("./commands/pause.ts"),
  }),
  resume: () => ({
    name: "resume",
    group: "life",
    summary: "let a frozen container go on",
    description: "Lets the processes of a container that `kontena pause` has frozen go on.",
    examples: [["kontena resume web1", "lets web1 go on"]],
    positionals: container(),
    options: {},
    load: () => require("./commands/resume.ts") as typeof import("./commands/resume.ts"),
  }),
  update: () => ({
    name: "update",
    group: "life",
    summary: "change the limits of a container while it runs",
    description:
      "Changes the limits that are named, and leaves the others as they are: memory, CPU time, processes, block I/O, device rules. If one can't be applied, the ones from before hold.",
    examples: [
      ["kontena update --memory 128m --pids-limit 50 web1", "gives web1 128 MiB and 50 processes"],
      ['echo \'{"cpu": {"quota": 50000}}\' | kontena update -r - web1', "half a CPU for web1"],
    ],
    positionals: container(),
    options: updateOptions(),
    load: () => require("./commands/update.ts") as typeof import("./commands/update.ts"),
  }),
  delete: () => ({
    name: "delete",
    group: "life",
    summary: "remove a stopped container",
    description: "Removes the cgroup and the state of a container whose program has ended. The bundle stays.",
    examples: [
      ["kontena delete web1", "removes web1, which has stopped"],
      ["kontena delete --force web1", "removes web1 in any state"],
    ],
    positionals: container(),
    options: deleteOptions(),
    load: () => require("./commands/delete.ts") as typeof import("./commands/delete.ts"),
  }),
  list: () => ({
    name: "list",
    group: "look",
    summary: "list the containers",
    description: "Lists the containers of the state directory (--root).",
    examples: [
      ["kontena list", "a table of all containers"],
      ["kontena list -q", "their names, for a script"],
    ],
    positionals: {},
    options: listOptions(),
    load: () => require("./commands/list.ts") as typeof import("./commands/list.ts"),
  }),
  state: () => ({
    name: "state",
    group: "look",
    summary: "print the state of a container as JSON",
    description:
      "Prints what the runtime-spec calls the state: ociVersion, id, status (creating, created, running, paused, stopped), pid, bundle, annotations.",
    examples: [["kontena state web1", "prints the state of web1"]],
    positionals: container(),
    options: {},
    load: () => require("./commands/state.ts") as typeof import("./commands/state.ts"),
  }),
  ps: () => ({
    name: "ps",
    group: "look",
    summary: "list the processes of a container",
    description:
      "Lists all processes of the container, with their ids on the host: the table of `ps -ef`, which isn't needed for it. Words after ID are given to ps(1) as they are; its table must have a column PID. With --format json it is an array of process ids.",
    examples: [
      ["kontena ps web1", "a table of the processes of web1"],
      ["kontena ps --format json web1", "their process ids, for a program"],
      ["kontena ps web1 -eo pid,rss,args", "the columns that ps(1) can show"],
    ],
    positionals: psPositionals(),
    options: psOptions(),
    load: () => require("./commands/ps.ts") as typeof import("./commands/ps.ts"),
  }),
  events: () => ({
    name: "events",
    group: "look",
    summary: "print statistics and out-of-memory events as JSON",
    description:
      "Prints what the container uses, every 5 seconds, and each time that the kernel kills in it for want of memory. One JSON object a line, in the form of `runc events`; it ends with the container.",
    examples: [
      ["kontena events web1", "goes on until web1 ends"],
      ["kontena events --stats web1", "the statistics of now"],
    ],
    positionals: container(),
    options: eventsOptions(),
    load: () => require("./commands/events.ts") as typeof import("./commands/events.ts"),
  }),
  stats: () => ({
    name: "stats",
    group: "look",
    summary: "show what containers use, all in one table",
    description:
      "Shows CPU (100% is one processor), memory without the cache that the kernel would drop first, processes, bytes read and written, and, where the kernel counts it, the share of time in which something waited for CPU, memory or disk in the last ten seconds. On a terminal the table is drawn anew at each interval, until Ctrl-C. With --format json each sample is an array on a line of its own.",
    examples: [
      ["kontena stats", "a live table of all running containers"],
      ["kontena stats --no-stream web1 web2", "one sample of two containers"],
      ["kontena stats --format json --interval 10s", "a line of JSON every 10 seconds"],
    ],
    positionals: statsPositionals(),
    options: statsOptions(),
    load: () => require("./commands/stats.ts") as typeof import("./commands/stats.ts"),
  }),
  ns: () => ({
    name: "ns",
    group: "look",
    summary: "show which namespaces a container has of its own",
    description:
      "A namespace is the container's own, or it is shared with the host: what is shared isn't isolated.",
    examples: [["kontena ns web1", "lists the namespaces of web1"]],
    positionals: container(),
    options: nsOptions(),
    load: () => require("./commands/ns.ts") as typeof import("./commands/ns.ts"),
  }),
  explain: () => ({
    name: "explain",
    group: "look",
    summary: "print what create would do, and do nothing",
    description:
      "Prints the plan of a bundle: every system call in order, with the property of config.json that it comes from. Nothing is made or changed.",
    examples: [["kontena explain -b /srv/web", "prints the plan of the bundle /srv/web"]],
    positionals: explainPositionals(),
    options: explainOptions(),
    load: () => require("./commands/explain.ts") as typeof import("./commands/explain.ts"),
  }),
  features: () => ({
    name: "features",
    group: "look",
    summary: "say as JSON what kontena knows",
    description:
      "Prints the features document of the runtime-spec: versions, namespaces, capabilities, mount options, hooks, seccomp and the rest that a config may use. It says what kontena can do, whatever this host has.",
    examples: [["kontena features", "prints the document, which engines read before they use a property"]],
    positionals: {},
    options: {},
    load: () => require("./commands/features.ts") as typeof import("./commands/features.ts"),
  }),
  spec: () => ({
    name: "spec",
    group: "prepare",
    summary: "write a config.json to start from",
    description:
      "Writes a complete config.json that runs `sh` from the directory rootfs beside it. An existing file is never overwritten.",
    examples: [["mkdir -p web/rootfs && kontena spec -b web", "writes web/config.json"]],
    positionals: {},
    options: specOptions(),
    load: () => require("./commands/spec.ts") as typeof import("./commands/spec.ts"),
  }),
  completion: () => ({
    name: "completion",
    group: "prepare",
    summary: "print a completion script for a shell",
    description: "Prints a script that teaches bash, zsh or fish the commands, options and container names.",
    examples: [
      ["source <(kontena completion bash)", "completion in this bash"],
      ["kontena completion fish > ~/.config/fish/completions/kontena.fish", "completion in every fish"],
    ],
    positionals: completionPositionals(),
    options: {},
    load: () => require("./commands/completion.ts") as typeof import("./commands/completion.ts"),
  }),
};

/** The commands that this version can do. */
export function readyCommands(): readonly ReadyCommand[] {
  return Object.values(READY_COMMANDS).map((row) => row());
}

/** Every command, those of later versions last. */
export function allCommands(): readonly CommandSpec[] {
  return [...readyCommands(), ...LATER_COMMANDS];
}

let last: CommandSpec | undefined;

/** The command of this name, or undefined. */
export function findCommand(name: string): CommandSpec | undefined {
  if (last?.name !== name) last = find(name);
  return last;
}

function find(name: string): CommandSpec | undefined {
  // Of what every object has, such as `constructor`, nothing is a row.
  const row = Object.keys(READY_COMMANDS).includes(name) ? READY_COMMANDS[name] : undefined;
  return row === undefined ? LATER_COMMANDS.find((command) => command.name === name) : row();
}
