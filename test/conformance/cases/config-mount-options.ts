/** config.md, Linux mount options: a case for each row of the table. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, type Level, type Section, section } from "../case.ts";
import { type Lab, mount, mountAt } from "../lab.ts";
import { outside } from "./config-mounts.ts";

export const AT = "config.md#linux-mount-options";

/** The mount at /data with these options: as a tmpfs, or as a bind mount. */
async function optionsOf(lab: Lab, options: string[], source?: string) {
  const entry = source
    ? { destination: "/data", source, options: ["bind", ...options] }
    : { destination: "/data", type: "tmpfs", source: "tmpfs", options };
  const seen = mountAt(await lab.inside(["cat", "/proc/self/mountinfo"], { "mounts.+": entry }), "/data");
  return [...seen.options, ...seen.superOptions.map((option) => `super ${option}`)];
}

interface Row {
  option: string;
  level?: Level;
  /** Options before it, whose effect it takes back. */
  after?: string[];
  /** What mountinfo shows of it. */
  shows?: string;
  /** What mountinfo must not show. */
  hides?: string;
  /** A bind mount can't have it. */
  noBind?: true;
}

const ROWS: Row[] = [
  { option: "async", after: ["sync"], hides: "super sync", noBind: true },
  { option: "atime", after: ["noatime"], hides: "noatime" },
  { option: "defaults", shows: "rw" },
  { option: "dev", after: ["nodev"], hides: "nodev" },
  { option: "diratime", after: ["nodiratime"], hides: "nodiratime" },
  { option: "dirsync", shows: "super dirsync", noBind: true },
  { option: "exec", after: ["noexec"], hides: "noexec" },
  { option: "iversion", noBind: true },
  { option: "lazytime", shows: "super lazytime", noBind: true },
  { option: "loud", after: ["silent"], noBind: true },
  { option: "noatime", shows: "noatime" },
  { option: "nodev", shows: "nodev" },
  { option: "nodiratime", shows: "nodiratime" },
  { option: "noexec", shows: "noexec" },
  { option: "noiversion", after: ["iversion"], noBind: true },
  { option: "nolazytime", after: ["lazytime"], hides: "super lazytime", noBind: true },
  { option: "norelatime", hides: "noatime" },
  { option: "nostrictatime", after: ["strictatime"] },
  { option: "nosuid", shows: "nosuid" },
  { option: "nosymfollow", level: "SHOULD", shows: "nosymfollow" },
  { option: "symfollow", level: "SHOULD", after: ["nosymfollow"], hides: "nosymfollow" },
  { option: "relatime", shows: "relatime" },
  { option: "ro", shows: "ro" },
  { option: "rw", after: ["ro"], shows: "rw" },
  { option: "silent", noBind: true },
  { option: "strictatime", hides: "relatime" },
  { option: "suid", after: ["nosuid"], hides: "nosuid" },
  { option: "sync", shows: "super sync", noBind: true },
];

function rowCase(row: Row, kind: "tmpfs" | "bind mount"): Section {
  return {
    name: `${row.option}${row.after ? ` after ${row.after}` : ""} on a ${kind}`,
    level: row.level ?? "MUST",
    async check(lab) {
      const source = kind === "tmpfs" ? undefined : outside(lab);
      const seen = await optionsOf(lab, [...(row.after ?? []), row.option], source);
      if (row.shows) holds(seen.includes(row.shows), `${row.shows} isn't among ${seen}`);
      if (row.hides) holds(!seen.includes(row.hides), `${row.hides} is among ${seen}`);
    },
  };
}

const PLAIN: Case[] = section(AT, "MUST", "the options of the table, as mount(8) has them", [
  ...ROWS.map((row) => rowCase(row, "tmpfs")),
  ...ROWS.filter((row) => !row.noBind).map((row) => rowCase(row, "bind mount")),
  {
    name: "an empty list of options means the defaults",
    async check(lab) {
      const seen = await optionsOf(lab, []);
      equal(
        ["ro", "nosuid", "nodev", "noexec"].filter((option) => seen.includes(option)),
        [],
        "options that nobody asked for",
      );
    },
  },
  {
    name: "ro of a bind mount is true of the mount alone",
    async check(lab) {
      const source = outside(lab);
      const seen = await lab.inside("touch /data/file 2>&1; true", {
        "mounts.+": { destination: "/data", source, options: ["bind", "ro"] },
      });
      holds(seen.includes("Read-only file system"), `touch said ${seen}`);
      writeFileSync(join(source, "file"), "still writable outside");
    },
  },
  {
    name: "noexec forbids execution",
    async check(lab) {
      const seen = await lab.inside("cp /bin/busybox /data/ls; /data/ls 2>&1; true", {
        "mounts.+": { destination: "/data", type: "tmpfs", source: "tmpfs", options: ["noexec"] },
      });
      holds(seen.includes("Permission denied"), `the program said ${seen}`);
    },
  },
  {
    name: "remount changes what is mounted there already",
    async check(lab) {
      const seen = await lab.inside(["cat", "/proc/self/mountinfo"], {
        "mounts.+": [
          { destination: "/data", type: "tmpfs", source: "tmpfs", options: [] },
          { destination: "/data", type: "tmpfs", source: "tmpfs", options: ["remount", "ro"] },
        ],
      });
      equal(seen.match(/ \/data /g)?.length, 1, "mounts at /data");
      const { options, superOptions } = mountAt(seen, "/data");
      holds([...options, ...superOptions].includes("ro"), `it isn't read-only: ${options} ${superOptions}`);
    },
  },
]);

const PROPAGATION: Case[] = section(AT, "MUST", "propagation of bind mounts and shared subtrees", [
  ...(["", "r"] as const).flatMap((recursive) =>
    (
      [
        ["private", /^$/],
        ["shared", /^shared:\d+$/],
        ["unbindable", /^unbindable$/],
      ] as const
    ).map(
      ([kind, shown]): Section => ({
        name: `${recursive}${kind} of a bind mount`,
        async check(lab) {
          const { propagation } = await bound(lab, [`${recursive}bind`, `${recursive}${kind}`]);
          holds(shown.test(propagation.join(" ")), `propagation is "${propagation}"`);
        },
      }),
    ),
  ),
  ...(["slave", "rslave"] as const).map(
    (kind): Section => ({
      name: `${kind} of a bind mount of something shared`,
      async check(lab) {
        const source = sharedTree(lab);
        const entry = { destination: "/data", source, options: ["rbind", kind] };
        const changes = { "mounts.+": entry, "linux.rootfsPropagation": "slave" };
        const seen = mountAt(await lab.inside(["cat", "/proc/self/mountinfo"], changes), "/data");
        holds(/^master:\d+/.test(seen.propagation.join(" ")), `propagation is "${seen.propagation}"`);
      },
    }),
  ),
  {
    name: "shared of a tmpfs",
    async check(lab) {
      const entry = { destination: "/data", type: "tmpfs", source: "tmpfs", options: ["shared"] };
      const seen = mountAt(await lab.inside(["cat", "/proc/self/mountinfo"], { "mounts.+": entry }), "/data");
      holds(/^shared:\d+$/.test(seen.propagation.join(" ")), `propagation is "${seen.propagation}"`);
    },
  },
]);

/** A bind source that is a shared mount of the runtime's namespace. */
function sharedTree(lab: Lab): string {
  const place = join(lab.directory, "tree");
  mkdirSync(place);
  mount("-t", "tmpfs", "tmpfs", place);
  mount("--make-shared", place);
  return place;
}

async function bound(lab: Lab, options: string[]) {
  const entry = { destination: "/data", source: outside(lab), options };
  return mountAt(await lab.inside(["cat", "/proc/self/mountinfo"], { "mounts.+": entry }), "/data");
}

const DATA: Case[] = section(AT, "SHOULD", "unknown options are handed to the file system as data", [
  {
    name: "options of the file system reach it",
    async check(lab) {
      const seen = await optionsOf(lab, ["size=1m", "mode=0711", "nr_inodes=64", "uid=12", "gid=34"]);
      for (const option of ["size=1024k", "mode=711", "nr_inodes=64", "uid=12", "gid=34"])
        holds(seen.includes(`super ${option}`), `${option} isn't among ${seen}`);
    },
  },
  {
    name: "an option that the file system refuses is an error",
    level: "MUST",
    check: (lab) =>
      lab.refused({
        "mounts.+": { destination: "/data", type: "tmpfs", source: "tmpfs", options: ["nonsense=1"] },
      }),
  },
  {
    name: "tmpcopyup copies what the root file system has there",
    level: "MAY",
    says: "tmpcopyup copies the contents up to a tmpfs",
    async check(lab) {
      const seen = await lab.inside(
        "cat /data/file; touch /data/new",
        { "mounts.+": { destination: "/data", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] } },
        {
          fill({ rootfs }) {
            mkdirSync(join(rootfs, "data"));
            writeFileSync(join(rootfs, "data/file"), "copied\n");
          },
        },
      );
      equal(seen, "copied\n", "content");
    },
  },
]);

export const OPTION_CASES: Case[] = [...PLAIN, ...PROPAGATION, ...DATA];
