/** The config that each case changes: that of `spec` of all three runtimes, in what they have in common. */

/** A config as JSON; cases put wrong things into it too. */
export type Draft = Record<string, unknown>;

/** Changes of a config by path: `process.user.uid`, `mounts.+` to append; undefined removes. */
export type Changes = Record<string, unknown>;

export const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

export function baseConfig(): Draft {
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ["true"],
      env: [`PATH=${PATH}`, "TERM=xterm"],
      cwd: "/",
      capabilities: {
        bounding: CAPABILITIES,
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
      },
      noNewPrivileges: true,
    },
    root: { path: "rootfs" },
    hostname: "conformance",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      {
        destination: "/dev",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
      },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
      },
      {
        destination: "/dev/shm",
        type: "tmpfs",
        source: "shm",
        options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
      },
      {
        destination: "/dev/mqueue",
        type: "mqueue",
        source: "mqueue",
        options: ["nosuid", "noexec", "nodev"],
      },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
    ],
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore", "/proc/timer_list", "/proc/scsi", "/sys/firmware"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

/** Its namespaces with some left out, changed or added. */
export function namespaces(change: Record<string, string | false>): { type: string; path?: string }[] {
  const types = ["pid", "network", "ipc", "uts", "mount"].filter((type) => change[type] !== false);
  const added = Object.keys(change).filter((type) => change[type] !== false && !types.includes(type));
  return [...types, ...added].map((type) => {
    const path = change[type];
    return path ? { type, path } : { type };
  });
}

/** Sets each path of the changes in the config. */
export function change(config: Draft, changes: Changes): Draft {
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.split(".");
    const last = keys.pop() as string;
    let place = config;
    for (const key of keys) {
      place[key] ??= {};
      place = place[key] as Draft;
    }
    if (last === "+") (place as unknown as unknown[]).push(...([] as unknown[]).concat(value));
    else if (value === undefined) delete place[last];
    else place[last] = value;
  }
  return config;
}
