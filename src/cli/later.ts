import type { LaterCommand } from "./option.ts";

/** Commands of runc and crun that this version names and refuses, `--help` included: engines ask so whether a command is there. */
export const LATER_COMMANDS: readonly LaterCommand[] = [
  { name: "checkpoint", summary: "save a running container to disk", later: true },
  { name: "restore", summary: "bring a saved container back", later: true },
];
