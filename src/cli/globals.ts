import type { Arguments, Options } from "./option.ts";

/** Options that every command has; they may stand before or after it. */
export const GLOBAL_OPTIONS = {
  root: {
    kind: "text",
    value: "DIR",
    default: "/run/kontena, or $XDG_RUNTIME_DIR/kontena when not root",
    description: "where the state of containers is kept",
  },
  log: {
    kind: "text",
    value: "FILE",
    description:
      "append errors and warnings to FILE too (file:FILE means the same); errors still go to standard error",
  },
  "log-format": {
    kind: "text",
    value: "FORMAT",
    choices: ["text", "json"],
    default: "text",
    description: "form of the log's lines; json without --log is for standard error",
  },
  "log-level": {
    kind: "text",
    value: "LEVEL",
    choices: ["error", "warning", "debug"],
    default: "warning",
    description: "what is worth a line",
  },
  debug: { kind: "flag", description: "the same as --log-level debug" },
  "cgroup-manager": {
    kind: "text",
    value: "MANAGER",
    choices: ["cgroupfs", "systemd", "disabled"],
    default: "cgroupfs",
    description: "who makes the container's cgroup: kontena itself, systemd, or nobody",
  },
  rootless: {
    kind: "text",
    value: "WHEN",
    choices: ["true", "false", "auto"],
    default: "auto",
    description: "act as for a caller without root's rights; auto looks at the user id",
  },
  "systemd-cgroup": { kind: "flag", description: "the same as --cgroup-manager systemd" },
  criu: { kind: "text", value: "FILE", later: true, description: "the criu program" },
  version: { kind: "flag", short: "v", description: "print the version" },
  help: { kind: "flag", short: "h", description: "explain the command" },
} as const satisfies Options;

export type GlobalArguments = Arguments<typeof GLOBAL_OPTIONS>;
