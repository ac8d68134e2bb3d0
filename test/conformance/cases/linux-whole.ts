/** Whole configs as engines and validation tools write them: everything at once. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { namespaces } from "../base.ts";
import { type Case, equal, holds, section } from "../case.ts";
import { cgroupPath } from "../cgroups.ts";
import { done, field, mountAt, parseMounts } from "../lab.ts";
import { CGROUP_V2 } from "../needs.ts";

const CGROUP_MOUNT = {
  destination: "/sys/fs/cgroup",
  type: "cgroup",
  source: "cgroup",
  options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
};

/** Properties of many kinds, none of which may get in another's way. */
const ALL = {
  hostname: "whole",
  "process.cwd": "/tmp",
  "process.user": { uid: 1000, gid: 1000, additionalGids: [5], umask: 0o22 },
  "process.rlimits": [{ type: "RLIMIT_NOFILE", soft: 512, hard: 1024 }],
  "process.oomScoreAdj": 500,
  "root.readonly": true,
  "linux.namespaces": namespaces({ cgroup: "" }),
  "linux.sysctl": { "net.ipv4.ip_forward": "1" },
  "linux.resources": {
    devices: [{ allow: false, access: "rwm" }],
    memory: { limit: 256 << 20 },
    cpu: { shares: 512 },
    pids: { limit: 100 },
  },
  "linux.seccomp": {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    syscalls: [{ names: ["swapon", "swapoff", "reboot"], action: "SCMP_ACT_ERRNO" }],
  },
  "linux.rootfsPropagation": "private",
  "linux.devices": [{ type: "c", path: "/dev/extra", major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 }],
  annotations: { "com.example.key": "value" },
  "mounts.+": CGROUP_MOUNT,
};

export const WHOLE_CASES: Case[] = [
  ...section("runtime.md#lifecycle", "MUST", "the environment is made according to config.json", [
    {
      name: "properties of all kinds together",
      async check(lab) {
        const script =
          "hostname; pwd; ulimit -n; cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_forward /proc/self/status";
        const { text } = await lab.lived(script, { changes: ALL });
        equal(text.split("\n").slice(0, 5), ["whole", "/tmp", "512", "500", "1"], "first lines");
        const found = ["Uid", "Seccomp", "NoNewPrivs"].map((name) => field(text, name).split("\t")[0]);
        equal(found, ["1000", "2", "1"], "status");
      },
    },
    {
      name: "a container runs from a bundle whose root file system is the bundle itself",
      async check(lab) {
        const b = lab.bundle(["/bin/sh", "-c", "hostname > /tmp/out"], { changes: { "root.path": "." } });
        const bundle = b.rootfs;
        writeFileSync(join(bundle, "config.json"), JSON.stringify(b.config));
        done(await lab.command(["create", "--bundle", bundle, b.id]), "create");
        done(await lab.start(b), "start");
        const last = await lab.reaches(b, "stopped");
        equal(last.bundle, bundle, "bundle");
        equal(await Bun.file(join(bundle, "tmp/out")).text(), "conformance\n", "what the program wrote");
        done(await lab.remove(b), "delete");
      },
    },
    {
      name: "a minimal config runs: version, root, args, cwd, a mount namespace",
      async check(lab) {
        const b = lab.bundle([], {
          text: () =>
            JSON.stringify({
              ociVersion: "1.0.2",
              root: { path: "rootfs" },
              process: { user: { uid: 0, gid: 0 }, cwd: "/", args: ["/bin/echo", "ran"] },
              linux: { namespaces: [{ type: "mount" }, { type: "pid" }] },
            }),
        });
        equal(done(await lab.run(b), "run").stdout, "ran\n", "output");
      },
    },
    {
      name: "ten containers at once don't get in each other's way",
      async check(lab) {
        const all = await Promise.all(
          Array.from({ length: 10 }, (_, i) =>
            lab.lived(`hostname; echo ${i}`, { changes: { hostname: `h${i}` } }),
          ),
        );
        equal(
          all.map(({ text }) => text),
          all.map((_, i) => `h${i}\n${i}\n`),
          "outputs",
        );
      },
    },
  ]),
  ...section(
    "config.md#posix-platform-mounts",
    "MUST",
    "a mount of type cgroup shows the container's cgroups",
    [
      {
        name: "a read-only cgroup mount has the hierarchies and can't be written",
        async check(lab) {
          const seen = await lab.inside(
            "cat /proc/self/mountinfo; for d in . pids; do mkdir /sys/fs/cgroup/$d/new 2>/dev/null && echo made; done; ls /sys/fs/cgroup",
            {
              "mounts.+": CGROUP_MOUNT,
            },
          );
          holds(
            parseMounts(seen).some(({ type }) => type === (CGROUP_V2 ? "cgroup2" : "cgroup")),
            "no hierarchy is mounted",
          );
          holds(!/^made$/m.test(seen), "it can be written");
          holds(
            CGROUP_V2 ? seen.includes("cgroup.procs") : /^memory$/m.test(seen),
            "the hierarchies aren't there",
          );
        },
      },
      {
        name: "with a new cgroup namespace the mount's root is the container's cgroup",
        async check(lab) {
          const b = await lab.started(["sleep", "60"], {
            changes: { "linux.namespaces": namespaces({ cgroup: "" }), "mounts.+": CGROUP_MOUNT },
          });
          const top = CGROUP_V2 ? "/proc/PID/root/sys/fs/cgroup" : "/proc/PID/root/sys/fs/cgroup/pids";
          const procs = await Bun.file(`${top.replace("PID", `${b.pid}`)}/cgroup.procs`).text();
          holds(
            procs.split("\n").includes(`${b.pid}`),
            `processes there: ${procs}, in ${cgroupPath(b.pid, "pids")}`,
          );
        },
      },
      {
        name: "an overlay of two directories",
        async check(lab) {
          for (const name of ["lower", "upper", "work"]) mkdirSync(join(lab.directory, name));
          writeFileSync(join(lab.directory, "lower/file"), "from below\n");
          const options = ["lower", "upper", "work"].map((name) => `${name}dir=${join(lab.directory, name)}`);
          const seen = await lab.inside(
            "cat /data/file; echo changed > /data/file; cat /proc/self/mountinfo",
            {
              "mounts.+": { destination: "/data", type: "overlay", source: "overlay", options },
            },
          );
          holds(seen.startsWith("from below\n"), `content is ${seen.slice(0, 40)}`);
          equal(mountAt(seen, "/data").type, "overlay", "type");
          equal(await Bun.file(join(lab.directory, "lower/file")).text(), "from below\n", "the lower file");
        },
      },
    ],
  ),
];
