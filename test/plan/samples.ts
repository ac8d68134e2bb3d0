/** The configs whose plans are kept as golden files, and on which order.test.ts checks what holds for every plan. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../spec/config.ts";
import { defaultConfig } from "../../src/container/spec.ts";
import type { PlanInput } from "../../src/plan/input.ts";
import { HYBRID, inputOf, USER_HOST, withNamespaces } from "./helpers.ts";

const example = () =>
  JSON.parse(readFileSync(join(import.meta.dir, "../../config.json.example"), "utf8")) as Config;

/** The config that `kontena spec --rootless` writes for user 1000, whoever runs the tests. */
function rootless(): Config {
  const config = structuredClone(defaultConfig({ rootless: true }));
  const own = [{ containerID: 0, hostID: 1000, size: 1 }];
  return { ...config, linux: { ...config.linux, uidMappings: own, gidMappings: own } };
}

const SAMPLES: Record<string, () => PlanInput> = {
  example: () => inputOf(example(), { rootfs: "/" }),
  default: () => inputOf(structuredClone(defaultConfig({ rootless: false }))),
  "user-namespace": () => inputOf(rootless(), { host: USER_HOST, cgroupPath: undefined }),
  "chroot-without-mount-namespace": () =>
    inputOf(
      {
        root: { path: "rootfs" },
        hostname: "chroot",
        domainname: "example.org",
        process: { cwd: "/srv/app", args: ["./serve", "--port", "80"], env: ["PATH=/bin", "A=ü"] },
        linux: withNamespaces("uts", "pid", "ipc"),
      },
      { host: { nofile: undefined, ignoredSignals: [] } },
    ),
  "chroot-by-no-pivot": () =>
    inputOf(
      {
        root: { path: "rootfs", readonly: true },
        process: { cwd: "/", args: ["/bin/true"] },
        linux: withNamespaces("mount"),
      },
      { noPivot: true, cgroupPath: undefined },
    ),
  "paths-and-binds": () =>
    inputOf(
      {
        root: { path: "rootfs", readonly: true },
        process: { cwd: "/", args: ["/bin/true"] },
        mounts: [
          { destination: "/data", source: "/host/data", options: ["rbind", "ro", "nosuid", "rprivate"] },
          { destination: "etc/hosts", type: "bind", source: "/host/hosts", options: ["noatime"] },
          {
            destination: "/var/../run//lock/",
            type: "tmpfs",
            options: ["size=64m", "nodev", "ro", "noswap"],
          },
        ],
        linux: {
          ...withNamespaces("mount"),
          maskedPaths: ["/proc/kcore", "/sys/firmware/"],
          readonlyPaths: ["/proc/sys", "/usr/../etc"],
        },
      },
      { host: { sources: { "/host/data": "directory", "/host/hosts": "file" } } },
    ),
  "mounts-of-all-kinds": () =>
    inputOf(
      {
        root: { path: "rootfs" },
        process: { cwd: "/", args: ["/bin/true"] },
        mounts: [
          { destination: "/tree", source: "/host/tree", options: ["rbind", "nosuid", "rro", "rnoatime"] },
          { destination: "/old", type: "tmpfs", options: ["iversion", "silent", "ro", "noatime", "size=1m"] },
          { destination: "/old", options: ["remount", "rw", "nosuid", "size=2m"] },
          { destination: "/tree", options: ["remount", "bind", "noexec", "private"] },
          { destination: "/etc/link", source: "/host/link", options: ["bind", "copy-symlink"] },
          {
            destination: "/etc/file",
            source: "/host/link",
            options: ["bind", "src-nofollow", "dest-nofollow"],
          },
          { destination: "/proc", source: "/proc", options: ["rbind"] },
          { destination: "/proc/stat", source: "/host/stat", options: ["bind"] },
        ],
        linux: withNamespaces("mount"),
      },
      {
        host: {
          sources: { "/host/tree": "directory", "nofollow /host/link": "link ../x", "/host/stat": "file" },
        },
      },
    ),
  "privileges-of-a-user": () =>
    inputOf(
      {
        root: { path: "rootfs" },
        process: {
          cwd: "/",
          args: ["sh"],
          user: { uid: 1000, gid: 100, additionalGids: [10, 20], umask: 0o077 },
          env: ["PATH=/bin:"],
          capabilities: {
            bounding: ["CAP_KILL", "CAP_CHOWN"],
            permitted: ["CAP_KILL"],
            effective: ["CAP_KILL"],
            inheritable: ["CAP_KILL"],
            ambient: ["CAP_KILL"],
          },
          rlimits: [
            { type: "RLIMIT_CORE", soft: 0, hard: 18446744073709551615n },
            { type: "RLIMIT_NOFILE", soft: 64, hard: 128 },
          ],
        },
        linux: withNamespaces("pid", "mount", "network"),
      },
      { preserveFds: 2 },
    ),
  "attributes-of-a-process": () =>
    inputOf({
      root: { path: "rootfs" },
      process: {
        cwd: "/",
        args: ["/bin/true"],
        oomScoreAdj: -5,
        scheduler: { policy: "SCHED_FIFO", priority: 7, flags: ["SCHED_FLAG_RESET_ON_FORK"] },
        ioPriority: { class: "IOPRIO_CLASS_BE", priority: 3 },
        execCPUAffinity: { initial: "0", final: "1-3" },
        apparmorProfile: "web",
        selinuxLabel: "system_u:system_r:container_t:s0",
      },
      linux: {
        ...withNamespaces("mount", "network", "uts"),
        memoryPolicy: { mode: "MPOL_BIND", nodes: "0,64", flags: ["MPOL_F_STATIC_NODES"] },
        sysctl: { "net.ipv4.ip_forward": "1", "kernel/domainname": "example" },
        personality: { domain: "LINUX32" },
      },
    }),
  "joined-namespaces": () =>
    inputOf({
      root: { path: "rootfs" },
      process: { cwd: "/", args: ["/bin/true"] },
      mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
      linux: {
        namespaces: [
          { type: "mount" },
          { type: "uts" },
          { type: "network", path: "/run/netns/a" },
          { type: "pid", path: "/proc/7/ns/pid" },
          { type: "user", path: "/proc/7/ns/user" },
        ],
      },
    }),
  "seccomp-with-an-agent": () =>
    inputOf(
      {
        root: { path: "rootfs" },
        process: {
          cwd: "/",
          args: ["sh"],
          user: { uid: 1000, gid: 100 },
          capabilities: { bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], effective: ["CAP_KILL"] },
        },
        linux: {
          ...withNamespaces("mount"),
          seccomp: {
            defaultAction: "SCMP_ACT_ALLOW",
            listenerPath: "/run/agent.socket",
            syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }],
          },
        },
      },
      { seccomp: { program: new Uint8Array(80), flags: 0b1100, listener: true } },
    ),
  "cgroups-v1": () =>
    inputOf(
      {
        root: { path: "rootfs" },
        process: { cwd: "/", args: ["/bin/true"] },
        mounts: [{ destination: "/sys/fs/cgroup", type: "cgroup", options: ["nosuid", "noexec", "ro"] }],
        linux: withNamespaces("mount"),
      },
      { host: { hierarchies: HYBRID } },
    ),
  "cgroups-v1-in-a-namespace": () =>
    inputOf(
      {
        root: { path: "rootfs" },
        process: { cwd: "/", args: ["/bin/true"] },
        mounts: [{ destination: "/sys/fs/cgroup", type: "cgroup", options: ["nosuid", "noexec"] }],
        linux: withNamespaces("mount", "cgroup"),
      },
      { host: { hierarchies: HYBRID } },
    ),
  devices: () =>
    inputOf({
      root: { path: "rootfs" },
      process: { cwd: "/", args: ["/bin/true"] },
      linux: {
        ...withNamespaces("mount"),
        devices: [
          { type: "c", path: "/dev/net/tun", major: 10, minor: 200, fileMode: 0o660, gid: 10 },
          { type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 0o600 },
          { type: "p", path: "/fifo" },
        ],
      },
    }),
  "shared-root-and-time": () =>
    inputOf({
      root: { path: "rootfs" },
      process: { cwd: "/", args: ["/bin/true"] },
      mounts: [{ destination: "/data", source: "/host/data", options: ["rbind", "rshared"] }],
      linux: {
        ...withNamespaces("mount", "time"),
        rootfsPropagation: "shared",
        timeOffsets: { monotonic: { secs: -5, nanosecs: 7 }, boottime: { secs: 9223372036854775807n } },
      },
    }),
};

export const SAMPLE_NAMES = Object.keys(SAMPLES);

export function sample(name: string): PlanInput {
  const make = SAMPLES[name];
  if (make === undefined) throw new Error(`no sample ${name}`);
  return make();
}
