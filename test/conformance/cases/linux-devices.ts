/** config-linux.md: devices, default devices. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, includes, type Section, section } from "../case.ts";

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

export const DEVICE_CASES: Case[] = [...DEVICES, ...DEFAULT_DEVICES];
