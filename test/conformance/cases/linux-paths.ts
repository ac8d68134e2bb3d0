/** config-linux.md: propagation of the root, masked and read-only paths. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { mount, mountAt, processFile } from "../lab.ts";

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

export const PATH_CASES: Case[] = [...PROPAGATION, ...MASKED, ...READONLY];
