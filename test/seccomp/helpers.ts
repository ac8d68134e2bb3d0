/** What the tests of filters share. */
import { test as bunTest } from "bun:test";
import { readFileSync } from "node:fs";
import type { Seccomp, SeccompAction, SeccompSyscall } from "../../spec/seccomp.ts";
import { libseccompVersion } from "../../src/kernel/libseccomp.ts";
import { ARCH } from "../../src/kernel/syscalls.ts";
import { compileProgram } from "../../src/seccomp/program.ts";

function hasLibrary(): boolean {
  try {
    return libseccompVersion() !== "";
  } catch {
    console.warn("tests are skipped: libseccomp is missing (Debian's libseccomp2)");
    return false;
  }
}

/** The numbers in these tests are those of x86-64. */
export const test = bunTest.skipIf(!hasLibrary() || ARCH !== "x64");

export const compile = (seccomp: Seccomp, debug: (message: string) => void = () => {}) =>
  compileProgram(seccomp, debug);

/** A profile of entries like `["SCMP_ACT_KILL", "read", "write"]`. */
export function profile(
  defaultAction: SeccompAction,
  ...entries: [SeccompAction, ...string[]][]
): Seccomp & { syscalls: SeccompSyscall[] } {
  return { defaultAction, syscalls: entries.map(([action, ...names]) => ({ action, names })) };
}

/** Debian's golang-github-containers-common: the profile of Podman and Buildah. */
export const PROFILE = "/usr/share/containers/seccomp.json";

interface Conditions {
  arches?: string[];
  caps?: string[];
}
interface EngineProfile {
  defaultAction: SeccompAction;
  defaultErrnoRet?: number;
  archMap: { architecture: string; subArchitectures: string[] | null }[];
  syscalls: (SeccompSyscall & { includes?: Conditions; excludes?: Conditions })[];
}

/** The profile as an engine hands it to a runtime: conditions on architecture and capabilities are resolved. */
export function engineProfile(capabilities: readonly string[] = []): Seccomp {
  const { archMap, syscalls, defaultAction, defaultErrnoRet } = JSON.parse(
    readFileSync(PROFILE, "utf8"),
  ) as EngineProfile;
  const native = archMap.find(({ architecture }) => architecture === "SCMP_ARCH_X86_64");
  const isOn = ({ arches = [], caps = [] }: Conditions) =>
    arches.includes("amd64") || caps.some((cap) => capabilities.includes(cap));
  const asks = ({ arches = [], caps = [] }: Conditions = {}) => arches.length + caps.length > 0;
  const chosen = syscalls.filter(
    ({ includes = {}, excludes = {} }) => (!asks(includes) || isOn(includes)) && !isOn(excludes),
  );
  return {
    defaultAction,
    ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
    architectures: ["SCMP_ARCH_X86_64", ...(native?.subArchitectures ?? [])] as Seccomp["architectures"] & {},
    syscalls: chosen.map(({ names, action, args, errnoRet }) => ({
      names,
      action,
      ...(args?.length ? { args } : {}),
      ...(errnoRet === undefined ? {} : { errnoRet }),
    })),
  };
}
