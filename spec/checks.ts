/**
 * Rules between properties of config.json, one small function each, that need nothing of the host.
 * A rule is a function and a line in one of the lists at the end; which list says whether it refuses or warns.
 */
import type { Problem } from "./common.ts";
import type { Config } from "./config.ts";
import { HOOK_NAMES, type Hook } from "./hooks.ts";
import { hasNamespace, LINUX_CHECKS, LINUX_WARNINGS, notAbsolute } from "./linux-checks.ts";
import { longPath } from "./problems.ts";
import { environmentProblems, PROCESS_CHECKS, PROCESS_WARNINGS } from "./process-checks.ts";
import { RESOURCES_CHECKS } from "./resources-checks.ts";

/** https://semver.org/spec/v2.0.0.html, items 2, 9 and 10; the first group is the major version. */
const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*))*)?(\+[\dA-Za-z-]+(\.[\dA-Za-z-]+)*)?$/;

/** Length of the names in uname(2), without the NUL. */
const UTS_NAME_BYTES = 64;

/** "Specification version": SemVer 2.0.0. Versions before 1.0 count as 1: the spec's own example has one. */
export function versionIsSupported({ ociVersion }: Config): Problem[] {
  const match = SEMVER.exec(ociVersion);
  const at = "ociVersion";
  if (!match) {
    return [{ at, message: `expected a version such as 1.3.0, received ${JSON.stringify(ociVersion)}` }];
  }
  if (Number(match[1]) <= 1) return [];
  return [{ at, message: `expected a version below 2.0.0, received ${JSON.stringify(ociVersion)}` }];
}

/** "Hostname" and "Domainname" are set in the container's UTS namespace; without one they would be the host's. */
export function namesHaveUtsNamespace(config: Config): Problem[] {
  if (hasNamespace(config, "uts")) return [];
  return (["hostname", "domainname"] as const).flatMap((at) =>
    config[at]
      ? [
          {
            at,
            message: "needs a uts namespace, or the host's own would change",
            hint: 'add {"type": "uts"} to linux.namespaces',
          },
        ]
      : [],
  );
}

/** By itself, since linking a function that names Buffer loads it, at a tenth of a millisecond. */
function utf8Length(text: string): number {
  return Buffer.byteLength(text);
}

/** sethostname(2) and setdomainname(2) take at most 64 bytes. */
export function namesFit(config: Config): Problem[] {
  return (["hostname", "domainname"] as const).flatMap((at) => {
    const name = config[at] ?? "";
    // UTF-8 takes at most three bytes for a unit of UTF-16.
    const length = name.length * 3 <= UTS_NAME_BYTES ? 0 : utf8Length(name);
    if (length <= UTS_NAME_BYTES) return [];
    return [{ at, message: `expected at most ${UTS_NAME_BYTES} bytes, received ${length}` }];
  });
}

/** "Annotations": a key may not be the empty string. */
export function annotationsAreNamed({ annotations = {} }: Config): Problem[] {
  return Object.hasOwn(annotations, "") ? [{ at: 'annotations[""]', message: "a key may not be empty" }] : [];
}

/** "Mounts": a relative destination is deprecated, and taken from `/`. */
export function destinationsAreAbsolute({ mounts = [] }: Config): Problem[] {
  return mounts.flatMap(({ destination }, index) =>
    destination.startsWith("/")
      ? []
      : [
          {
            at: `mounts[${index}].destination`,
            message: `relative path ${JSON.stringify(destination)} is deprecated and means ${JSON.stringify(`/${destination}`)}`,
          },
        ],
  );
}

/** path_resolution(7): a path is shorter than PATH_MAX. Those that have to be absolute are looked at where that is. */
export function pathsFit({ root, mounts = [], linux }: Config): Problem[] {
  return [
    ...longPath(root?.path ?? "", "root.path"),
    ...mounts.flatMap(({ destination, source = "" }, index) => [
      ...longPath(destination, `mounts[${index}].destination`),
      ...longPath(source, `mounts[${index}].source`),
    ]),
    ...longPath(linux?.cgroupsPath ?? "", "linux.cgroupsPath"),
  ];
}

/** "POSIX-platform Mounts": uidMappings and gidMappings come together. */
export function mountMappingsComeTogether({ mounts = [] }: Config): Problem[] {
  return mounts.flatMap(({ uidMappings, gidMappings }, index) => {
    if (!uidMappings?.length === !gidMappings?.length) return [];
    const [present, absent] = uidMappings?.length
      ? ["uidMappings", "gidMappings"]
      : ["gidMappings", "uidMappings"];
    return [{ at: `mounts[${index}].${absent}`, message: `is required together with ${present}` }];
  });
}

function hookProblems(hook: Hook, at: string): Problem[] {
  return [...notAbsolute(hook.path, `${at}.path`), ...environmentProblems(hook.env, `${at}.env`)];
}

/** "POSIX-platform Hooks": path must be absolute; env has the semantics of environ(7). */
export function hooksAreRunnable({ hooks = {} }: Config): Problem[] {
  return HOOK_NAMES.flatMap((name) =>
    (hooks[name] ?? []).flatMap((hook, index) => hookProblems(hook, `hooks.${name}[${index}]`)),
  );
}

function within<T>(
  pick: (config: Config) => T | undefined,
  at: string,
  checks: readonly ((part: T) => Problem[])[],
): (config: Config) => Problem[] {
  return (config) => {
    const part = pick(config);
    if (part === undefined) return [];
    const problems = checks.flatMap((check) => check(part));
    return problems.map((problem) => ({ ...problem, at: `${at}.${problem.at}` }));
  };
}

/** What makes a config invalid. */
export const CONFIG_CHECKS: readonly ((config: Config) => Problem[])[] = [
  versionIsSupported,
  annotationsAreNamed,
  pathsFit,
  namesHaveUtsNamespace,
  namesFit,
  mountMappingsComeTogether,
  hooksAreRunnable,
  within(({ process }) => process, "process", PROCESS_CHECKS),
  ...LINUX_CHECKS,
  within(({ linux }) => linux?.resources, "linux.resources", RESOURCES_CHECKS),
];

/** What is legal but most likely not meant. */
export const CONFIG_WARNINGS: readonly ((config: Config) => Problem[])[] = [
  destinationsAreAbsolute,
  within(({ process }) => process, "process", PROCESS_WARNINGS),
  ...LINUX_WARNINGS,
];

/**
 * What a valid config lacks for `create`. "Root": required on Linux. "Process": required for start, with at least one
 * entry in args; kontena looks the program up at create, so it asks for both then.
 */
export function runnableProblems(config: Config): Problem[] {
  const problems: Problem[] = [];
  if (!config.root) problems.push({ at: "root", message: "is required to create a container" });
  if (!config.process) problems.push({ at: "process", message: "is required to create a container" });
  else if (!config.process.args?.[0]) {
    problems.push({ at: "process.args", message: "expected the program to run as the first entry" });
  }
  return problems;
}
