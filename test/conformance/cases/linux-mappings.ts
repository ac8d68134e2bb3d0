/** config-linux.md: id mappings of user namespaces, offsets of time namespaces. */

import { chownSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { namespaces } from "../base.ts";
import { type Case, equal, holds, section } from "../case.ts";
import { done } from "../lab.ts";
import { need, TIME_OLD, withNew } from "./linux-namespaces.ts";

const mapFile = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));

const IDS: Case[] = section(
  "config-linux.md#user-namespace-mappings",
  "MUST",
  "uidMappings and gidMappings map ids from the host to the container",
  [
    {
      name: "the maps of the process are those of the config",
      async check(lab) {
        const seen = await lab.inside("cat /proc/self/uid_map; cat /proc/self/gid_map", withNew("user"));
        equal(
          mapFile(seen),
          [
            [0, 200_000, 65_536],
            [0, 300_000, 65_536],
          ],
          "maps",
        );
      },
    },
    {
      name: "several ranges",
      async check(lab) {
        const ranges = [
          { containerID: 0, hostID: 200_000, size: 10 },
          { containerID: 10, hostID: 0, size: 1 },
          { containerID: 100, hostID: 400_000, size: 1000 },
        ];
        const seen = await lab.inside(["cat", "/proc/self/uid_map", "/proc/self/gid_map"], {
          ...withNew("user"),
          "linux.uidMappings": ranges,
          "linux.gidMappings": ranges,
        });
        const expected = ranges.map((r) => [r.containerID, r.hostID, r.size]);
        equal(mapFile(seen), [...expected, ...expected], "maps");
      },
    },
    {
      name: "root inside is the mapped user outside",
      async check(lab) {
        const b = await lab.started(["sleep", "60"], { changes: withNew("user") });
        const { uid, gid } = statSync(`/proc/${b.pid}`);
        equal([uid, gid], [200_000, 300_000], "owner of /proc/PID outside");
      },
    },
    {
      name: "process.user is an id of the container's namespace",
      async check(lab) {
        const seen = await lab.inside("id -u; id -g", {
          ...withNew("user"),
          "process.user": { uid: 7, gid: 8 },
        });
        equal(seen, "7\n8\n", "ids");
      },
    },
    {
      name: "files keep their owner",
      level: "SHOULD",
      says: "the runtime should not change the owners of file systems to realise the mapping",
      async check(lab) {
        const b = lab.bundle("stat -c %u:%g /mine /mapped", {
          changes: withNew("user"),
          fill({ rootfs }) {
            for (const [name, uid, gid] of [
              ["mine", 0, 0],
              ["mapped", 200_005, 300_006],
            ] as const) {
              writeFileSync(join(rootfs, name), "");
              chownSync(join(rootfs, name), uid, gid);
            }
          },
        });
        const { stdout } = done(await lab.run(b), "run");
        equal(stdout, "65534:65534\n5:6\n", "owners inside");
        equal(statSync(join(b.rootfs, "mine")).uid, 0, "owner outside");
        equal(statSync(join(b.rootfs, "mapped")).uid, 200_005, "owner outside");
      },
    },
    {
      name: "a user id that isn't mapped is an error",
      check: (lab) =>
        lab.refused({ ...withNew("user"), "process.user": { uid: 100_000, gid: 0 } }, { by: "start" }),
    },
  ],
);

const TIME: Case[] = section(
  "config-linux.md#offset-for-time-namespace",
  "MUST",
  "timeOffsets are the offsets of the time namespace's clocks",
  [
    {
      name: "offsets of both clocks",
      ...need("time"),
      differs: TIME_OLD,
      async check(lab) {
        const seen = await lab.inside("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime", {
          "linux.namespaces": namespaces({ time: "" }),
          "linux.timeOffsets": { monotonic: { secs: 86_400, nanosecs: 5 }, boottime: { secs: 604_800 } },
        });
        const [first = "", second = "", uptime = ""] = seen
          .trim()
          .split("\n")
          .map((line) => line.trim().replace(/\s+/g, " "));
        equal([first, second], ["monotonic 86400 5", "boottime 604800 0"], "timens_offsets");
        holds(Number(uptime) >= 604_800, `uptime is ${uptime}`);
      },
    },
    {
      name: "an unknown clock is an error",
      ...need("time"),
      at: "config.md#valid-values",
      check: (lab) =>
        lab.refused({
          "linux.namespaces": namespaces({ time: "" }),
          "linux.timeOffsets": { realtime: { secs: 1 } },
        }),
    },
  ],
);

export const MAPPING_CASES: Case[] = [...IDS, ...TIME];
