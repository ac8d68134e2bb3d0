/** config.md, Linux mount options: those that reach the mounts below, and id mappings. */

import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { mount, mountAt } from "../lab.ts";
import { AT } from "./config-mount-options.ts";
import { outside } from "./config-mounts.ts";

/** Recursive options, and what they show at the mount and at one below, which has the options in `was`. */
interface Recursive {
  option: string;
  was?: string;
  shows?: string;
  hides?: string;
}

const RECURSIVE: Recursive[] = [
  { option: "rro", shows: "ro" },
  { option: "rrw", was: "ro", shows: "rw" },
  { option: "rnosuid", shows: "nosuid" },
  { option: "rsuid", was: "nosuid", hides: "nosuid" },
  { option: "rnodev", shows: "nodev" },
  { option: "rdev", was: "nodev", hides: "nodev" },
  { option: "rnoexec", shows: "noexec" },
  { option: "rexec", was: "noexec", hides: "noexec" },
  { option: "rnoatime", shows: "noatime" },
  { option: "ratime", was: "noatime", hides: "noatime" },
  { option: "rnodiratime", shows: "nodiratime" },
  { option: "rdiratime", was: "nodiratime", hides: "nodiratime" },
  { option: "rrelatime", was: "strictatime", shows: "relatime" },
  { option: "rnorelatime" },
  { option: "rstrictatime", hides: "relatime" },
  { option: "rnostrictatime" },
  { option: "rnosymfollow", shows: "nosymfollow" },
  { option: "rsymfollow", was: "nosymfollow", hides: "nosymfollow" },
];

const SYMFOLLOW = { crun: "1.8 doesn't know it" };

const RECURSIVE_CASES: Case[] = section(
  AT,
  "SHOULD",
  "recursive options reach the mounts below (AT_RECURSIVE)",
  [
    ...RECURSIVE.map(
      ({ option, was, shows, hides }): Section => ({
        name: `${option} reaches a mount below`,
        ...(option.endsWith("symfollow") ? { differs: SYMFOLLOW } : {}),
        async check(lab) {
          const source = outside(lab);
          mkdirSync(join(source, "sub"));
          mount("-t", "tmpfs", ...(was ? ["-o", was] : []), "tmpfs", join(source, "sub"));
          const entry = { destination: "/data", source, options: ["rbind", option] };
          const text = await lab.inside(["cat", "/proc/self/mountinfo"], { "mounts.+": entry });
          for (const at of ["/data", "/data/sub"]) {
            const seen = mountAt(text, at).options;
            if (shows) holds(seen.includes(shows), `${at}: ${shows} isn't among ${seen}`);
            if (hides) holds(!seen.includes(hides), `${at}: ${hides} is among ${seen}`);
          }
        },
      }),
    ),
    {
      name: "ro alone leaves the mounts below writable",
      level: "MUST",
      async check(lab) {
        const place = outside(lab);
        mkdirSync(join(place, "sub"));
        mount("-t", "tmpfs", "tmpfs", join(place, "sub"));
        const entry = { destination: "/data", source: place, options: ["rbind", "ro"] };
        const text = await lab.inside(["cat", "/proc/self/mountinfo"], { "mounts.+": entry });
        holds(mountAt(text, "/data").options.includes("ro"), "/data isn't read-only");
        holds(mountAt(text, "/data/sub").options.includes("rw"), "/data/sub is read-only");
      },
    },
  ],
);

const IDMAP_OLD = { runc: "1.1 is older than idmap (runtime-spec 1.1)" };

const IDMAP: Case[] = section(
  AT,
  "SHOULD",
  "idmap and ridmap: the mount has an id mapping, of its own or of the user namespace",
  [
    ...(["idmap", "ridmap"] as const).map(
      (option): Section => ({
        name: `${option} with mappings of the mount turns a file's owner`,
        differs: IDMAP_OLD,
        async check(lab) {
          const source = outside(lab);
          chownSync(join(source, "file"), 1234, 1234);
          const mapping = [{ containerID: 1000, hostID: 5000, size: 1000 }];
          const seen = await lab.inside(["stat", "-c", "%u %g", "/data/file"], {
            "mounts.+": {
              destination: "/data",
              source,
              options: ["rbind", option],
              uidMappings: mapping,
              gidMappings: mapping,
            },
          });
          equal(seen, "5234 5234\n", "owner");
        },
      }),
    ),
    {
      name: "idmap without mappings and without a user namespace is refused",
      level: "MUST",
      says: "without mappings and without a user namespace, idmap is an error",
      check: (lab) =>
        lab.refused({
          "mounts.+": { destination: "/data", source: outside(lab), options: ["bind", "idmap"] },
        }),
    },
  ],
);

export const TREE_CASES: Case[] = [...RECURSIVE_CASES, ...IDMAP];
