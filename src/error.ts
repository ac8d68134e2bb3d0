/**
 * The one error of kontena: data first, its English sentence second.
 * Everything that a caller may want to act on is a field; `formatError` is the only place that makes a line of it.
 */

/** Stable words for what went wrong; `docs/errors.md` explains each, and a test holds the two together. */
export const ERROR_CODES = {
  USAGE: "the command line is wrong",
  BUNDLE_INVALID: "the bundle directory or its config.json can't be read",
  CONFIG_SYNTAX: "config.json isn't JSON",
  CONFIG_INVALID: "config.json breaks a rule of the runtime-spec",
  CONFIG_NOT_APPLIED: "config.json asks for a property that this version doesn't apply yet",
  ID_INVALID: "the container's id has a form that isn't allowed",
  ID_IN_USE: "a container with this id exists already",
  NOT_FOUND: "no container has this id",
  WRONG_STATUS: "the container's status doesn't allow the operation",
  STATE_INVALID: "the state directory holds something that kontena didn't write",
  HOST_UNSUPPORTED: "the kernel or the machine lacks something that kontena needs",
  PERMISSION: "the caller lacks the right to do this",
  NAMESPACE_FAILED: "a namespace couldn't be created or joined",
  ID_MAPPING_FAILED: "the user namespace's id mappings couldn't be written",
  CGROUP_FAILED: "a cgroup couldn't be made, entered or removed",
  RESOURCE_FAILED: "a limit of linux.resources couldn't be applied",
  RDT_FAILED: "a group of the resctrl file system couldn't be made or entered",
  ROOT_FAILED: "the root file system couldn't be set up",
  MOUNT_FAILED: "a mount couldn't be made",
  DEVICE_FAILED: "a device node couldn't be made",
  PATH_PROTECTION_FAILED: "a masked or read-only path couldn't be set up",
  NETWORK_FAILED: "a network device couldn't be moved into the container",
  HOSTNAME_FAILED: "the hostname or domainname couldn't be set",
  SYSCTL_FAILED: "a kernel parameter couldn't be set",
  LABEL_FAILED: "an AppArmor profile or an SELinux label couldn't be set",
  SECCOMP_FAILED: "the seccomp filter couldn't be compiled, loaded or handed over",
  PROCESS_FAILED: "a property of the process couldn't be applied",
  HOOK_FAILED: "a hook of the config failed",
  EXEC_NOT_FOUND: "the program isn't there",
  EXEC_NOT_EXECUTABLE: "the program is there but can't be executed",
  EXEC_FAILED: "the kernel refused to execute the program",
  INIT_DIED: "the container's init ended before it had done its work",
  INTERNAL: "a fault of kontena itself",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** One thing that is wrong with a document: where, what, and what would be legal. */
export interface Problem {
  /** JSON path from the document's top, as in `mounts[3].options[0]`; `""` is the document itself. */
  at: string;
  message: string;
  /** What would be right, for a person. */
  hint?: string;
}

export interface ErrorDetails {
  /** Place in config.json (`mounts[3].options`), when the failure comes from there. */
  at?: string;
  /** Name of the system call as in its man page. */
  syscall?: string;
  /** Name of the error number as in errno(3), for example `ENOENT`. */
  errno?: string;
  /** The file that it was about. */
  path?: string;
  /** What to do next. */
  hint?: string;
  /** All problems, when there are several (`CONFIG_INVALID`, `CONFIG_NOT_APPLIED`). */
  problems?: Problem[];
}

export class KontenaError extends Error {
  override readonly name = "KontenaError";
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: ErrorDetails = {},
  ) {
    super(message);
  }
}

/** The exit status of a command that ends with this error: a shell's 127 and 126 for a program that can't be run. */
export function exitStatus(error: unknown, otherwise = 1): number {
  if (!(error instanceof KontenaError)) return otherwise;
  switch (error.code) {
    case "EXEC_NOT_FOUND":
      return 127;
    case "EXEC_NOT_EXECUTABLE":
    case "EXEC_FAILED":
      return 126;
    default:
      return otherwise;
  }
}

/** The text of an error on one line, without the leading `kontena: `; problems follow on lines of their own. */
export function formatError(error: unknown): string {
  if (!(error instanceof KontenaError)) return error instanceof Error ? error.message : String(error);
  const { at, hint, problems } = error.details;
  const head = at ? `${at}: ${error.message}` : error.message;
  const lines = (problems ?? []).map(
    (p) => `  ${p.at || "config.json"}: ${p.message}${p.hint ? ` (${p.hint})` : ""}`,
  );
  return [hint ? `${head} (${hint})` : head, ...lines].join("\n");
}

/** The error as JSON for programs: `--log-format json` and `--format json`. */
export function errorToJson(error: unknown): Record<string, unknown> {
  if (!(error instanceof KontenaError)) return { code: "INTERNAL", message: formatError(error) };
  return { code: error.code, message: error.message, ...error.details };
}
