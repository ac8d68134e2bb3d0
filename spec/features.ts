/**
 * features.md and features-linux.md: what a runtime knows, whether or not the host has it. Absent and null are
 * "not told". A function builds the schema, because only `features` needs it and each command would pay for it.
 */
import * as v from "valibot";
import { text, textLike, textMap, texts } from "./common.ts";
import { MEMORY_POLICY_FLAGS, MEMORY_POLICY_MODES } from "./linux.ts";
import { NAMESPACE_TYPES } from "./namespaces.ts";
import { SECCOMP_ACTIONS, SECCOMP_ARCHITECTURES, SECCOMP_FLAGS, SECCOMP_OPERATORS } from "./seccomp.ts";

function listOf<const Names extends readonly string[]>(legal: Names) {
  return v.nullish(v.array(v.picklist(legal)));
}

function flags<const Name extends string>(...names: Name[]) {
  const flag = v.nullish(v.boolean());
  return v.nullish(
    v.object(Object.fromEntries(names.map((name) => [name, flag])) as Record<Name, typeof flag>),
  );
}

/** "Seccomp": names that `linux.seccomp` may use. */
function seccompFeaturesSchema() {
  return v.object({
    enabled: v.nullish(v.boolean()),
    actions: listOf(SECCOMP_ACTIONS),
    operators: listOf(SECCOMP_OPERATORS),
    archs: listOf(SECCOMP_ARCHITECTURES),
    /** Flags that the runtime recognizes. */
    knownFlags: listOf(SECCOMP_FLAGS),
    /** Those of them that the kernel and libseccomp have. */
    supportedFlags: listOf(SECCOMP_FLAGS),
  });
}

/** features-linux.md. */
export function linuxFeaturesSchema() {
  return v.object({
    namespaces: listOf(NAMESPACE_TYPES),
    capabilities: v.nullish(v.array(textLike(/^CAP_[A-Z_]+$/, "a capability such as CAP_CHOWN"))),
    /** Ways of managing cgroups. */
    cgroup: flags("v1", "v2", "systemd", "systemdUser", "rdma"),
    seccomp: v.nullish(seccompFeaturesSchema()),
    apparmor: flags("enabled"),
    selinux: flags("enabled"),
    intelRdt: flags("enabled", "schemata", "monitoring"),
    memoryPolicy: v.nullish(
      v.object({ modes: listOf(MEMORY_POLICY_MODES), flags: listOf(MEMORY_POLICY_FLAGS) }),
    ),
    mountExtensions: v.nullish(v.object({ idmap: flags("enabled") })),
    netDevices: flags("enabled"),
  });
}
export type LinuxFeatures = v.InferOutput<ReturnType<typeof linuxFeaturesSchema>>;

/** features.md. */
export function featuresSchema() {
  return v.object({
    /** Oldest version of the spec that `ociVersion` may name. */
    ociVersionMin: text,
    /** Newest one. */
    ociVersionMax: text,
    /** Hooks that the runtime runs. */
    hooks: v.nullish(texts),
    /** Mount options that the runtime itself understands. */
    mountOptions: v.nullish(texts),
    linux: v.nullish(linuxFeaturesSchema()),
    annotations: v.nullish(textMap),
    /** Annotations of config.json that change what the runtime does; a name that ends in `.` is a prefix. */
    potentiallyUnsafeConfigAnnotations: v.nullish(texts),
  });
}
export type Features = v.InferOutput<ReturnType<typeof featuresSchema>>;
