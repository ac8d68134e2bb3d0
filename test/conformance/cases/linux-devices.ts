/** config-linux.md: devices, default devices, masked and read-only paths, sysctl, propagation, personality and the rest. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, includes, type Section, section } from "../case.ts";
import { mount, mountAt, processFile } from "../lab.ts";
import * as needs from "../needs.ts";

/** `type major:minor mode uid:gid` as stat tells it; numbers in hexadecimal. */
const STAT = ["stat", "-c", "%F %t:%T %a %u:%g"];

interface Device {
  type: string;
  path: string;
  major?: number;
  minor?: number;
  fileMode?: number;
  uid?: number;
  gid?: number;
}

const device = (name: string, made: Device, expected: string): Section => ({
  name,
  async check(lab) {
    equal(await lab.inside([...STAT, made.path], { "linux.devices": [made] }), `${expected}\n`, made.path);
  },
});

const DEVICES: Case[] = section("config-linux.md#devices", "MUST", "devices are available in the container", [
  device(
    "a character device with mode and owner",
    { type: "c", path: "/dev/test", major: 1, minor: 7, fileMode: 0o640, uid: 5, gid: 6 },
    "character special file 1:7 640 5:6",
  ),
  device(
    "an unbuffered character device is one too",
    { type: "u", path: "/dev/test", major: 1, minor: 5, fileMode: 0o666, uid: 0, gid: 0 },
    "character special file 1:5 666 0:0",
  ),
  device(
    "a block device",
    { type: "b", path: "/dev/test", major: 8, minor: 17, fileMode: 0o600, uid: 0, gid: 6 },
    "block special file 8:11 600 0:6",
  ),
  device(
    "a FIFO needs no numbers",
    { type: "p", path: "/dev/test", fileMode: 0o622, uid: 1, gid: 2 },
    "fifo 0:0 622 1:2",
  ),
  device(
    "numbers beyond eight bits",
    { type: "c", path: "/dev/test", major: 511, minor: 70_000, fileMode: 0o600, uid: 0, gid: 0 },
    "character special file 1ff:11170 600 0:0",
  ),
  device(
    "a device outside of /dev",
    { type: "c", path: "/some/where/null", major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 },
    "character special file 1:3 666 0:0",
  ),
  {
    name: "mode and owner that aren't given are 0666-like and root's",
    level: "SHOULD",
    async check(lab) {
      const seen = await lab.inside([...STAT, "/dev/test"], {
        "linux.devices": [{ type: "c", path: "/dev/test", major: 1, minor: 3 }],
      });
      includes(seen, "character special file 1:3 ", "stat");
      includes(seen, " 0:0", "stat");
    },
  },
  {
    name: "a device works",
    async check(lab) {
      const seen = await lab.inside("head -c 3 /dev/test | wc -c", {
        "linux.devices": [
          { type: "c", path: "/dev/test", major: 1, minor: 5, fileMode: 0o666, uid: 0, gid: 0 },
        ],
      });
      equal(seen, "3\n", "bytes of a zero device");
    },
  },
  {
    name: "several devices at once",
    async check(lab) {
      const devices = [5, 7, 8].map((minor) => ({
        type: "c",
        path: `/dev/t${minor}`,
        major: 1,
        minor,
        fileMode: 0o600,
        uid: 0,
        gid: 0,
      }));
      const seen = await lab.inside(["stat", "-c", "%t:%T", ...devices.map((d) => d.path)], {
        "linux.devices": devices,
      });
      equal(seen, "1:5\n1:7\n1:8\n", "numbers");
    },
  },
  {
    name: "a file that is there and isn't the device is an error",
    says: "a file at path that does not match the device is an error",
    check: (lab) =>
      lab.refused(
        { "linux.devices": [{ type: "c", path: "/taken", major: 1, minor: 3 }] },
        { fill: ({ rootfs }) => writeFileSync(join(rootfs, "taken"), "") },
      ),
  },
  {
    name: "a device that is there with other numbers is an error",
    says: "a file at path that does not match the device is an error",
    check: (lab) =>
      lab.refused(
        { "linux.devices": [{ type: "c", path: "/taken", major: 1, minor: 3 }] },
        { fill: ({ rootfs }) => void Bun.spawnSync(["mknod", join(rootfs, "taken"), "c", "1", "5"]) },
      ),
  },
  {
    name: "the same device that is there already is no error",
    async check(lab) {
      const seen = await lab.inside(
        [...STAT.slice(0, 2), "%F %t:%T", "/there"],
        {
          "linux.devices": [
            { type: "c", path: "/there", major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 },
          ],
        },
        {
          fill: ({ rootfs }) =>
            void Bun.spawnSync(["mknod", "-m", "666", join(rootfs, "there"), "c", "1", "3"]),
        },
      );
      equal(seen, "character special file 1:3\n", "stat");
    },
  },
  ...(
    [
      ["an unknown type of device", { type: "x", path: "/dev/test", major: 1, minor: 3 }],
      ["a character device without numbers", { type: "c", path: "/dev/test" }],
      ["a device without path", { type: "c", major: 1, minor: 3 }],
      ["a device without type", { path: "/dev/test", major: 1, minor: 3 }],
    ] as [string, object][]
  ).map(
    ([name, made]): Section => ({
      name: `${name} is an error`,
      says: "an invalid device is an error",
      check: (lab) => lab.refused({ "linux.devices": [made] }),
    }),
  ),
]);

const DEFAULTS = {
  "/dev/null": "1:3",
  "/dev/zero": "1:5",
  "/dev/full": "1:7",
  "/dev/random": "1:8",
  "/dev/urandom": "1:9",
  "/dev/tty": "5:0",
};

const DEFAULT_DEVICES: Case[] = section(
  "config-linux.md#default-devices",
  "MUST",
  "the runtime supplies these devices",
  [
    ...Object.entries(DEFAULTS).map(
      ([path, numbers]): Section => ({
        name: `${path} is there, for all to use`,
        async check(lab) {
          equal(
            await lab.inside(["stat", "-c", "%F %t:%T %a", path]),
            `character special file ${numbers} 666\n`,
            path,
          );
        },
      }),
    ),
    {
      name: "/dev/ptmx is that of the container's /dev/pts",
      async check(lab) {
        const seen = await lab.inside(
          "readlink /dev/ptmx || true; stat -L -c %d /dev/ptmx; stat -c %d /dev/pts/ptmx",
        );
        const [, one, other] =
          seen.trim().split("\n").length === 3 ? seen.trim().split("\n") : ["", ...seen.trim().split("\n")];
        equal(one, other, "device of /dev/ptmx and of /dev/pts/ptmx");
      },
    },
    {
      name: "they work",
      async check(lab) {
        const script = [
          "echo x > /dev/null",
          "head -c 4 /dev/zero | wc -c",
          "echo x 2>&1 > /dev/full || echo full",
          "head -c 4 /dev/urandom | wc -c",
        ].join("; ");
        equal((await lab.inside(script)).replace(/.*write error.*\n/, ""), "4\nfull\n4\n", "output");
      },
    },
    {
      name: "they work for another user",
      async check(lab) {
        await lab.inside("echo x > /dev/null && head -c 1 /dev/zero > /dev/null", {
          "process.user": { uid: 9, gid: 9 },
        });
      },
    },
    {
      name: "they are there with devices of the config beside them",
      async check(lab) {
        const devices = [
          { type: "c", path: "/dev/test", major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 },
        ];
        equal(
          await lab.inside("ls /dev/null /dev/tty /dev/test", { "linux.devices": devices }),
          "/dev/null\n/dev/test\n/dev/tty\n",
          "files",
        );
      },
    },
    {
      name: "a default device that the config lists with its own mode",
      async check(lab) {
        const devices = [
          { type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 0o660, uid: 0, gid: 4 },
        ];
        equal(
          await lab.inside([...STAT, "/dev/null"], { "linux.devices": devices }),
          "character special file 1:3 660 0:4\n",
          "stat",
        );
      },
    },
  ],
);

const MASKED: Case[] = section("config-linux.md#masked-paths", "MUST", "masked paths can't be read inside", [
  {
    name: "a masked file reads as empty",
    async check(lab) {
      const seen = await lab.inside(
        "cat /secret; echo end",
        { "linux.maskedPaths": ["/secret"] },
        { fill: ({ rootfs }) => writeFileSync(join(rootfs, "secret"), "secret\n") },
      );
      equal(seen, "end\n", "content");
    },
  },
  {
    name: "a masked directory is empty, and nothing can be made in it",
    async check(lab) {
      const seen = await lab.inside(
        "ls -A /secret; touch /secret/new 2>&1 | grep -o 'Read-only.*'; echo end",
        { "linux.maskedPaths": ["/secret"] },
        {
          fill({ rootfs }) {
            mkdirSync(join(rootfs, "secret/deep"), { recursive: true });
            writeFileSync(join(rootfs, "secret/file"), "");
          },
        },
      );
      equal(seen, "Read-only file system\nend\n", "output");
    },
  },
  {
    name: "files and directories of /proc are masked",
    async check(lab) {
      const seen = await lab.inside("cat /proc/cpuinfo; ls -A /proc/fs; echo end", {
        "linux.maskedPaths": ["/proc/cpuinfo", "/proc/fs"],
        "linux.readonlyPaths": [],
      });
      equal(seen, "end\n", "output");
    },
  },
  {
    name: "a path that isn't there is no error",
    level: "SHOULD",
    check: (lab) => lab.inside(["true"], { "linux.maskedPaths": ["/not/there", "/proc/not-there"] }),
  },
  {
    name: "the host's file stays readable",
    async check(lab) {
      await lab.inside(["true"], { "linux.maskedPaths": ["/proc/cpuinfo"] });
      holds((await Bun.file("/proc/cpuinfo").text()).length > 0, "/proc/cpuinfo of the host is empty");
    },
  },
  {
    name: "a relative path is an error",
    says: "masked paths are absolute",
    check: (lab) => lab.refused({ "linux.maskedPaths": ["secret"] }),
  },
]);

const READONLY: Case[] = section(
  "config-linux.md#readonly-paths",
  "MUST",
  "readonly paths can't be written inside",
  [
    {
      name: "a read-only file",
      async check(lab) {
        const seen = await lab.inside(
          "echo x > /file; cat /file",
          { "linux.readonlyPaths": ["/file"] },
          { fill: ({ rootfs }) => writeFileSync(join(rootfs, "file"), "kept\n") },
        );
        equal(seen, "kept\n", "content");
      },
    },
    {
      name: "a read-only directory and all below",
      async check(lab) {
        const seen = await lab.inside(
          "touch /dir/new /dir/deep/new 2>&1 | grep -c Read-only",
          { "linux.readonlyPaths": ["/dir"] },
          { fill: ({ rootfs }) => void mkdirSync(join(rootfs, "dir/deep"), { recursive: true }) },
        );
        equal(seen, "2\n", "refusals");
      },
    },
    {
      name: "/proc/sys is read-only",
      async check(lab) {
        const seen = await lab.inside("echo x 2>&1 > /proc/sys/kernel/hostname; hostname", {
          "linux.readonlyPaths": ["/proc/sys"],
        });
        equal(seen.split("\n").at(-2), "conformance", "hostname");
      },
    },
    {
      name: "options of the mount below are kept",
      async check(lab) {
        const seen = await lab.inside(["cat", "/proc/self/mountinfo"], {
          "linux.readonlyPaths": ["/dev/shm"],
        });
        const { options } = mountAt(seen, "/dev/shm");
        for (const option of ["ro", "nosuid", "nodev", "noexec"])
          holds(options.includes(option), `${option} isn't among ${options}`);
      },
    },
    {
      name: "a path that isn't there is no error",
      level: "SHOULD",
      check: (lab) => lab.inside(["true"], { "linux.readonlyPaths": ["/not/there"] }),
    },
    {
      name: "a relative path is an error",
      says: "readonly paths are absolute",
      check: (lab) => lab.refused({ "linux.readonlyPaths": ["bin"] }),
    },
  ],
);

const SYSCTL: Case[] = section(
  "config-linux.md#sysctl",
  "MUST",
  "sysctl sets kernel parameters for the container",
  [
    ...(
      [
        ["net.ipv4.ip_forward", "1"],
        ["net.core.somaxconn", "256"],
        ["net.ipv4.ip_local_port_range", "20000\t30000"],
        ["kernel.msgmax", "4096"],
        ["kernel.shm_rmid_forced", "1"],
        ["fs.mqueue.msg_max", "9"],
      ] as const
    ).map(
      ([name, value]): Section => ({
        name: `${name} is set inside`,
        async check(lab) {
          const file = `/proc/sys/${name.replaceAll(".", "/")}`;
          const before = await Bun.file(file).text();
          equal(await lab.inside(["cat", file], { "linux.sysctl": { [name]: value } }), `${value}\n`, name);
          equal(await Bun.file(file).text(), before, "the host's value");
        },
      }),
    ),
    {
      name: "a value that the kernel refuses is an error",
      check: (lab) => lab.refused({ "linux.sysctl": { "net.ipv4.ip_forward": "no number" } }),
    },
    {
      name: "a parameter that isn't there is an error",
      check: (lab) => lab.refused({ "linux.sysctl": { "net.no_such_thing": "1" } }),
    },
    {
      name: "a parameter of the whole host is an error",
      says: "a property that can't be applied to the container alone is an error",
      at: "runtime.md#create",
      check: (lab) => lab.refused({ "linux.sysctl": { "vm.swappiness": "60" } }),
    },
    {
      name: "a parameter of a namespace that is the host's is an error",
      at: "runtime.md#create",
      check: (lab) =>
        lab.refused({
          "linux.sysctl": { "net.core.somaxconn": "256" },
          "linux.namespaces": ["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
        }),
    },
  ],
);

const PROPAGATION: Case[] = section(
  "config-linux.md#rootfs-mount-propagation",
  "MUST",
  "rootfsPropagation is the propagation of the root mount",
  [
    ...(
      [
        ["private", /^$/],
        ["shared", /^shared:\d+( master:\d+)?$/],
        ["slave", /^(master:\d+)?( ?propagate_from:\d+)?$/],
        ["unbindable", /^unbindable$/],
      ] as const
    ).map(
      ([value, shown]): Section => ({
        name: `rootfsPropagation ${value}`,
        async check(lab) {
          const seen = mountAt(
            await lab.inside(["cat", "/proc/self/mountinfo"], { "linux.rootfsPropagation": value }),
            "/",
          );
          holds(shown.test(seen.propagation.join(" ")), `propagation is "${seen.propagation}"`);
        },
      }),
    ),
    {
      name: "slave: what the host mounts later appears in the container",
      async check(lab) {
        const place = join(lab.directory, "tree");
        mkdirSync(place);
        mount("-t", "tmpfs", "tmpfs", place);
        mount("--make-shared", place);
        mkdirSync(join(place, "later"));
        const b = await lab.started("while [ ! -e /tree/later/seen ]; do sleep 0.02; done", {
          changes: {
            "linux.rootfsPropagation": "slave",
            "mounts.+": { destination: "/tree", source: place, options: ["rbind", "rslave"] },
          },
        });
        mount("-t", "tmpfs", "tmpfs", join(place, "later"));
        writeFileSync(join(place, "later/seen"), "");
        await lab.reaches(b, "stopped");
      },
    },
    {
      name: "private: what the host mounts later stays outside",
      async check(lab) {
        const place = join(lab.directory, "tree");
        mkdirSync(place);
        mount("-t", "tmpfs", "tmpfs", place);
        mount("--make-shared", place);
        mkdirSync(join(place, "later"));
        const b = await lab.started(["sleep", "60"], {
          changes: {
            "linux.rootfsPropagation": "private",
            "mounts.+": { destination: "/tree", source: place, options: ["rbind", "rprivate"] },
          },
        });
        mount("-t", "tmpfs", "tmpfs", join(place, "later"));
        holds(!processFile(b.pid, "mountinfo").includes(" /tree/later "), "the later mount is inside");
      },
    },
    {
      name: "mounts of the container don't reach the host",
      async check(lab) {
        await lab.inside(["true"], { "linux.rootfsPropagation": "shared" });
        equal(processFile(process.pid, "mountinfo").includes(lab.directory), false, "a mount is left");
      },
    },
    {
      name: "an unknown value is an error",
      at: "config.md#valid-values",
      check: (lab) => lab.refused({ "linux.rootfsPropagation": "sideways" }),
    },
  ],
);

const PERSONALITY: Case[] = section(
  "config-linux.md#personality",
  "MUST",
  "personality is the program's execution domain",
  [
    {
      name: "LINUX32: uname says a 32-bit machine",
      async check(lab) {
        const seen = (
          await lab.inside(["uname", "-m"], { "linux.personality": { domain: "LINUX32" } })
        ).trim();
        holds(seen === (process.arch === "x64" ? "i686" : "armv8l"), `uname -m says ${seen}`);
      },
    },
    {
      name: "LINUX: uname says what the host's does",
      async check(lab) {
        const own = Bun.spawnSync(["uname", "-m"]).stdout.toString();
        equal(
          await lab.inside(["uname", "-m"], { "linux.personality": { domain: "LINUX" } }),
          own,
          "machine",
        );
      },
    },
    {
      name: "an unknown domain is an error",
      at: "config.md#valid-values",
      check: (lab) => lab.refused({ "linux.personality": { domain: "SOLARIS" } }),
    },
  ],
);

const OTHERS: Case[] = [
  ...section("config-linux.md#intelrdt", "MUST", "without a mounted resctrl, intelRdt is an error", [
    {
      name: "intelRdt where no resctrl is mounted",
      needs: [needs.lacks(needs.resctrl)],
      check: (lab) => lab.refused({ "linux.intelRdt": { closID: "conf", l3CacheSchema: "L3:0=f" } }),
    },
  ]),
  ...section(
    "config-linux.md#mount-label",
    "MUST",
    "a property that can't be applied as configured is an error",
    [
      {
        name: "mountLabel where the kernel has no SELinux",
        at: "runtime.md#create",
        needs: [needs.lacks(needs.selinux)],
        check: (lab) => lab.refused({ "linux.mountLabel": "system_u:object_r:some_t:s0" }),
      },
    ],
  ),
  ...section(
    "config-linux.md#memory-policy",
    "MUST",
    "memoryPolicy is the NUMA policy of the process (since 1.3)",
    [
      {
        name: "MPOL_INTERLEAVE over node 0",
        differs: { runc: "1.1 is older than this property", crun: "1.8 is older than this property" },
        async check(lab) {
          const seen = await lab.inside(["cat", "/proc/self/numa_maps"], {
            "linux.memoryPolicy": { mode: "MPOL_INTERLEAVE", nodes: "0" },
          });
          includes(seen, " interleave:0 ", "numa_maps");
        },
      },
      {
        name: "an unknown mode is an error",
        at: "config.md#valid-values",
        differs: { runc: "1.1 is older than this property", crun: "1.8 is older than this property" },
        check: (lab) => lab.refused({ "linux.memoryPolicy": { mode: "MPOL_X", nodes: "0" } }),
      },
    ],
  ),
];

export const DEVICE_CASES: Case[] = [...DEVICES, ...DEFAULT_DEVICES];
export const PATH_CASES: Case[] = [
  ...SYSCTL,
  ...PROPAGATION,
  ...MASKED,
  ...READONLY,
  ...PERSONALITY,
  ...OTHERS,
];
