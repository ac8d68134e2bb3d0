/** Rules of config-linux.md that a schema can't say, but for resources. */
import { describeValue, type Problem } from "./common.ts";
import type { Config } from "./config.ts";
import { idMappingsAreRanges } from "./id-mappings.ts";
import type { NamespaceType } from "./namespaces.ts";
import { numberListFault } from "./number-list.ts";
import { inside, longPath } from "./problems.ts";
import { duplicates } from "./process-checks.ts";
import type { SeccompAction } from "./seccomp.ts";
import { sysctlName, sysctlNamespace, sysctlPath } from "./sysctl.ts";

/** Whether the container has a namespace of its own or joins one; else it stays in the runtime's. */
export function hasNamespace(config: Config, type: NamespaceType): boolean {
  return config.linux?.namespaces?.some((namespace) => namespace.type === type) ?? false;
}

/** What has to be an absolute path, and isn't one that the kernel takes. */
export function notAbsolute(path: string, at: string): Problem[] {
  return path.startsWith("/")
    ? longPath(path, at)
    : [{ at, message: `expected an absolute path, received ${describeValue(path)}` }];
}

function needsNamespace(config: Config, type: NamespaceType, at: string): Problem[] {
  if (hasNamespace(config, type)) return [];
  const message = `needs a ${type} namespace, or the host's own would change`;
  return [{ at, message, hint: `add {"type": "${type}"} to linux.namespaces` }];
}

/** "Namespaces": a type may be there only once. */
export function namespacesAreDistinct({ linux }: Config): Problem[] {
  return duplicates(
    (linux?.namespaces ?? []).map(({ type }) => type),
    (index) => `linux.namespaces[${index}].type`,
  );
}

/** "Namespaces": a path is absolute. */
export function namespacePathsAreAbsolute({ linux }: Config): Problem[] {
  return (linux?.namespaces ?? []).flatMap(({ path }, index) =>
    path === undefined ? [] : notAbsolute(path, `linux.namespaces[${index}].path`),
  );
}

/** "User namespace mappings": they are those of a user namespace. */
export function idMappingsHaveUserNamespace(config: Config): Problem[] {
  return (["uidMappings", "gidMappings"] as const).flatMap((name) =>
    config.linux?.[name]?.length ? needsNamespace(config, "user", `linux.${name}`) : [],
  );
}

/** "Offset for Time Namespace": they are those of a new time namespace; time_namespaces(7) has the range. */
export function timeOffsetsHaveTimeNamespace(config: Config): Problem[] {
  const offsets = Object.entries(config.linux?.timeOffsets ?? {});
  if (offsets.length === 0) return [];
  const at = "linux.timeOffsets";
  const joins = config.linux?.namespaces?.some((n) => n.type === "time" && n.path !== undefined) ?? false;
  if (joins) return [{ at, message: "can't be set for a time namespace that is there already" }];
  const tooMany = offsets.flatMap(([clock, { nanosecs = 0 }]): Problem[] =>
    nanosecs < 1e9
      ? []
      : [{ at: `${at}.${clock}.nanosecs`, message: "expected less than a second, 1000000000" }],
  );
  return [...needsNamespace(config, "time", at), ...tooMany];
}

/** dev_valid_name of net/core/dev.c; at most one `%d`, for a number that the kernel chooses. */
function isDeviceName(name: string): boolean {
  if (name === "." || name === ".." || /[/:\s]/.test(name)) return false;
  const length = new TextEncoder().encode(name).length;
  return length > 0 && length < 16 && /^[^%]*(%d[^%]*)?$/.test(name);
}

/** "Network Devices": names are such as devices have, and each is unique in the container. */
export function netDevicesHaveNames({ linux }: Config): Problem[] {
  const devices = Object.entries(linux?.netDevices ?? {});
  const names = devices.map(([host, { name }]) => name || host);
  const wrong = (at: string, name: string): Problem[] =>
    isDeviceName(name)
      ? []
      : [{ at, message: `${JSON.stringify(name)} is not a name that a network device can have` }];
  return devices.flatMap(([host, { name }], i) => {
    const at = inside("linux.netDevices", host);
    const chosen = names[i] as string;
    const isTwice = !chosen.includes("%d") && names.indexOf(chosen) < i;
    return [
      ...wrong(at, host),
      ...(name ? wrong(`${at}.name`, name) : []),
      ...(isTwice
        ? [{ at, message: `is the second network device with the name ${chosen} in the container` }]
        : []),
    ];
  });
}

/** linux/kdev_t.h: 12 bits for the major number, 20 for the minor. */
const HIGHEST = { major: 0xfff, minor: 0xfffff } as const;

/** "Devices": major and minor are required unless the type is p, and are numbers that a device can have; the path is a full one. */
export function devicesAreWhole({ linux }: Config): Problem[] {
  return (linux?.devices ?? []).flatMap((device, index) => {
    const at = `linux.devices[${index}]`;
    const numbers = (["major", "minor"] as const).flatMap((name): Problem[] => {
      const number = device[name];
      if (device.type === "p") return [];
      if (number === undefined)
        return [{ at: `${at}.${name}`, message: `is required for a device of type ${device.type}` }];
      if (number >= 0 && number <= HIGHEST[name]) return [];
      return [
        { at: `${at}.${name}`, message: `expected a number from 0 to ${HIGHEST[name]}, received ${number}` },
      ];
    });
    return [...notAbsolute(device.path, `${at}.path`), ...numbers];
  });
}

function sysctlProblems(config: Config, name: string, at: string): Problem[] {
  if (sysctlPath(name) === undefined) return [{ at, message: "isn't the name of a kernel parameter" }];
  const dotted = sysctlName(name);
  if (dotted === "kernel.hostname") {
    const hint = "the config's own property `hostname` does it";
    return [{ at, message: "can't be set beside the container's hostname", hint }];
  }
  const type = sysctlNamespace(dotted);
  if (type) return needsNamespace(config, type, at);
  return [{ at, message: "is a parameter of the whole host, which a container can't set for itself" }];
}

/** "Sysctl" sets parameters for the container: one that no namespace of its own holds would be set for the host. */
export function sysctlsAreNamespaced(config: Config): Problem[] {
  return Object.keys(config.linux?.sysctl ?? {}).flatMap((name) =>
    sysctlProblems(config, name, inside("linux.sysctl", name)),
  );
}

/** "Sysctl": one parameter under both its names would have the value of either. */
export function sysctlsAreDistinct({ linux }: Config): Problem[] {
  const names = Object.keys(linux?.sysctl ?? {});
  return duplicates(names.map(sysctlName), (index) => inside("linux.sysctl", names[index] ?? ""));
}

/** "Masked Paths" and "Readonly Paths": the values must be absolute paths. */
export function protectedPathsAreAbsolute({ linux }: Config): Problem[] {
  return (["maskedPaths", "readonlyPaths"] as const).flatMap((name) =>
    (linux?.[name] ?? []).flatMap((path, index) => notAbsolute(path, `linux.${name}[${index}]`)),
  );
}

/** Names in the root of the resctrl file system that are no groups'. */
const RESCTRL_NAMES = [".", "..", "info", "mon_data", "mon_groups"];

/** "IntelRdt": closID is a sub-directory's name; `/` is the root group. */
export function closIdIsName({ linux }: Config): Problem[] {
  const id = linux?.intelRdt?.closID;
  if (!id || id === "/") return [];
  if (!id.includes("/") && !RESCTRL_NAMES.includes(id)) return [];
  const message = `expected a directory's name, or "/" for the root group, received ${JSON.stringify(id)}`;
  return [{ at: "linux.intelRdt.closID", message }];
}

/** "Personality": no flag is supported. */
export function personalityHasNoFlags({ linux }: Config): Problem[] {
  if (!linux?.personality?.flags?.length) return [];
  return [{ at: "linux.personality.flags", message: "expected no flags: the spec defines none" }];
}

/** Highest number of a memory node: CONFIG_NODES_SHIFT is 10 at most. */
const MOST_NODE = 1023;

/** "Memory policy": nodes are a list; which modes take some, and which flags, is set_mempolicy(2)'s. */
export function memoryPolicyIsSettable({ linux }: Config): Problem[] {
  const policy = linux?.memoryPolicy;
  if (policy === undefined) return [];
  const { mode, nodes = "", flags = [] } = policy;
  const fault = numberListFault(nodes, MOST_NODE);
  if (fault !== undefined) return [{ at: "linux.memoryPolicy.nodes", message: fault }];
  const problems: Problem[] = [];
  const none = nodes.trim() === "";
  const takesNone = mode === "MPOL_DEFAULT" || mode === "MPOL_LOCAL";
  if (takesNone && !none)
    problems.push({ at: "linux.memoryPolicy.nodes", message: `${mode} takes no nodes` });
  if (!takesNone && none && mode !== "MPOL_PREFERRED")
    problems.push({ at: "linux.memoryPolicy.nodes", message: `is required with ${mode}` });
  if (flags.includes("MPOL_F_STATIC_NODES") && flags.includes("MPOL_F_RELATIVE_NODES"))
    problems.push({
      at: "linux.memoryPolicy.flags",
      message: "nodes are either static or relative, not both",
    });
  return problems;
}

function errnoProblem(action: SeccompAction, errno: number | undefined, at: string): Problem[] {
  if (errno === undefined || action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE") return [];
  return [{ at, message: `has a meaning only with SCMP_ACT_ERRNO or SCMP_ACT_TRACE, not with ${action}` }];
}

/** "Seccomp": an errno for an action that doesn't support one must fail. */
export function seccompErrnosHaveUse({ linux }: Config): Problem[] {
  const { seccomp } = linux ?? {};
  if (!seccomp) return [];
  return [
    ...errnoProblem(seccomp.defaultAction, seccomp.defaultErrnoRet, "linux.seccomp.defaultErrnoRet"),
    ...(seccomp.syscalls ?? []).flatMap(({ action, errnoRet }, index) =>
      errnoProblem(action, errnoRet, `linux.seccomp.syscalls[${index}].errnoRet`),
    ),
  ];
}

/** linux/seccomp.h: SECCOMP_RET_DATA has 16 bits, and the kernel takes an error number above MAX_ERRNO for another one. */
const LARGEST_DATA = 65535;
const MAX_ERRNO = 4095;

function largeErrno(action: SeccompAction, errno: number | undefined, at: string): Problem[] {
  const most = action === "SCMP_ACT_ERRNO" ? MAX_ERRNO : LARGEST_DATA;
  if (errno === undefined || errno <= most) return [];
  return [{ at, message: `expected at most ${most} with ${action}, received ${errno}` }];
}

/** System calls have six arguments. */
const MOST_ARGUMENTS = 6;

/** "Seccomp": what a filter has no room for, and libseccomp or the kernel would cut. */
export function seccompRulesFit({ linux }: Config): Problem[] {
  const { seccomp } = linux ?? {};
  if (!seccomp) return [];
  return [
    ...largeErrno(seccomp.defaultAction, seccomp.defaultErrnoRet, "linux.seccomp.defaultErrnoRet"),
    ...(seccomp.syscalls ?? []).flatMap(({ action, errnoRet, args = [] }, index) => [
      ...largeErrno(action, errnoRet, `linux.seccomp.syscalls[${index}].errnoRet`),
      ...args.flatMap((arg, i) =>
        arg.index < MOST_ARGUMENTS
          ? []
          : [
              {
                at: `linux.seccomp.syscalls[${index}].args[${i}].index`,
                message: `expected an integer from 0 to ${MOST_ARGUMENTS - 1}, received ${arg.index}`,
              },
            ],
      ),
    ]),
  ];
}

/** unix(7): `sun_path` has room for 108 bytes, the NUL included. */
const SOCKET_PATH_BYTES = 107;

/** "Seccomp": listenerPath is the path of a socket. */
export function seccompListenerFits({ linux }: Config): Problem[] {
  const path = linux?.seccomp?.listenerPath ?? "";
  const length = path.length * 3 <= SOCKET_PATH_BYTES ? 0 : new TextEncoder().encode(path).length;
  if (length <= SOCKET_PATH_BYTES) return [];
  const message = `expected at most ${SOCKET_PATH_BYTES} bytes, the longest path of a socket, received ${length}`;
  return [{ at: "linux.seccomp.listenerPath", message }];
}

function notifies({ linux }: Config): boolean {
  const { defaultAction, syscalls = [] } = linux?.seccomp ?? {};
  return defaultAction === "SCMP_ACT_NOTIFY" || syscalls.some(({ action }) => action === "SCMP_ACT_NOTIFY");
}

/** "Seccomp": SCMP_ACT_NOTIFY sends its descriptor to listenerPath; listenerMetadata may not be set without that. */
export function seccompListenerIsNamed(config: Config): Problem[] {
  const { listenerPath, listenerMetadata } = config.linux?.seccomp ?? {};
  if (listenerPath) return [];
  const problems: Problem[] = [];
  if (notifies(config)) {
    problems.push({ at: "linux.seccomp.listenerPath", message: "is required with SCMP_ACT_NOTIFY" });
  }
  if (listenerMetadata) {
    problems.push({ at: "linux.seccomp.listenerMetadata", message: "may not be set without listenerPath" });
  }
  return problems;
}

/** "Seccomp": listenerPath is ignored when nothing uses SCMP_ACT_NOTIFY. */
export function seccompListenerIsUsed(config: Config): Problem[] {
  if (!config.linux?.seccomp?.listenerPath || notifies(config)) return [];
  return [{ at: "linux.seccomp.listenerPath", message: "has no effect without SCMP_ACT_NOTIFY" }];
}

/** seccomp(2): a flag about notifications, which a filter without any may not have. */
export function seccompFlagsAreUsed(config: Config): Problem[] {
  const flags = config.linux?.seccomp?.flags ?? [];
  const index = flags.indexOf("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
  if (index < 0 || notifies(config)) return [];
  return [{ at: `linux.seccomp.flags[${index}]`, message: "has no effect without SCMP_ACT_NOTIFY" }];
}

/** seccomp_rule_add(3): `valueTwo` belongs to the masked comparison; 0 stands there often, and means nothing. */
export function seccompSecondValuesAreUsed({ linux }: Config): Problem[] {
  return (linux?.seccomp?.syscalls ?? []).flatMap(({ args = [] }, index) =>
    args.flatMap(({ op, valueTwo = 0 }, i) =>
      op === "SCMP_CMP_MASKED_EQ" || BigInt(valueTwo) === 0n
        ? []
        : [
            {
              at: `linux.seccomp.syscalls[${index}].args[${i}].valueTwo`,
              message: `has no effect with ${op}`,
            },
          ],
    ),
  );
}

export const LINUX_CHECKS = [
  namespacesAreDistinct,
  namespacePathsAreAbsolute,
  idMappingsHaveUserNamespace,
  idMappingsAreRanges,
  timeOffsetsHaveTimeNamespace,
  devicesAreWhole,
  netDevicesHaveNames,
  sysctlsAreNamespaced,
  sysctlsAreDistinct,
  protectedPathsAreAbsolute,
  closIdIsName,
  personalityHasNoFlags,
  memoryPolicyIsSettable,
  seccompErrnosHaveUse,
  seccompRulesFit,
  seccompListenerIsNamed,
  seccompListenerFits,
] as const;

export const LINUX_WARNINGS = [
  seccompListenerIsUsed,
  seccompFlagsAreUsed,
  seccompSecondValuesAreUsed,
] as const;
