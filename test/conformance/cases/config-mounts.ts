/** config.md, mounts: order, destinations, sources, types. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { type Lab, mount, mountAt, parseMounts } from "../lab.ts";

/** What is mounted at a place when the config has these mounts besides its own. */
export async function mounted(lab: Lab, mounts: unknown, destination: string) {
  const seen = await lab.inside(["cat", "/proc/self/mountinfo"], { "mounts.+": mounts });
  return mountAt(seen, destination);
}

const tmpfs = (destination: string, ...options: string[]) => ({
  destination,
  type: "tmpfs",
  source: "tmpfs",
  options,
});

/** A directory outside with a file in it, as a bind source. */
export function outside(lab: Lab, text = "from outside\n"): string {
  const place = join(lab.directory, "outside");
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "file"), text);
  return place;
}

const ORDER: Case[] = section("config.md#mounts", "MUST", "mounts are made in the listed order", [
  {
    name: "a later mount covers an earlier one at the same place",
    async check(lab) {
      const both = [tmpfs("/data", "size=1m"), tmpfs("/data", "size=2m")];
      const seen = await lab.inside(["cat", "/proc/self/mountinfo"], { "mounts.+": both });
      const sizes = parseMounts(seen)
        .filter((mount) => mount.destination === "/data")
        .map((mount) => mount.superOptions.find((option) => option.startsWith("size=")));
      equal(sizes, ["size=1024k", "size=2048k"], "sizes in order");
    },
  },
  {
    name: "a mount inside an earlier one is seen",
    async check(lab) {
      const seen = await lab.inside("ls /data; cat /proc/self/mountinfo", {
        "mounts.+": [tmpfs("/data"), tmpfs("/data/inner")],
      });
      holds(seen.startsWith("inner\n"), "the inner mount's place is missing");
      mountAt(seen, "/data/inner");
    },
  },
  {
    name: "a mount over the parent of an earlier one hides it",
    async check(lab) {
      const seen = await lab.inside("ls -a /data | grep -v '^[.]'; echo end", {
        "mounts.+": [tmpfs("/data/inner"), tmpfs("/data")],
      });
      equal(seen, "end\n", "content of /data");
    },
  },
  {
    name: "the mount table has the config's mounts in the config's order",
    async check(lab) {
      const seen = parseMounts(await lab.inside(["cat", "/proc/self/mountinfo"]));
      const expected = ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"];
      const first = expected.map((destination) => seen.findIndex((m) => m.destination === destination));
      equal(
        first,
        [...first].sort((a, b) => a - b),
        `places of ${expected}`,
      );
      holds(!first.includes(-1), "a mount is missing");
    },
  },
]);

const DESTINATION: Case[] = section(
  "config.md#mounts",
  "MUST",
  "destination is a path inside the container",
  [
    {
      name: "a relative destination is taken as relative to /",
      says: "destination should be absolute; a relative one is interpreted as relative to /",
      async check(lab) {
        equal((await mounted(lab, tmpfs("data/here"), "/data/here")).type, "tmpfs", "type");
      },
    },
    {
      name: "a missing destination is made",
      level: "SHOULD",
      check: (lab) => mounted(lab, tmpfs("/not/there/yet"), "/not/there/yet"),
    },
    {
      name: "the destination of a bind-mounted file is made as a file",
      level: "SHOULD",
      async check(lab) {
        const source = join(outside(lab), "file");
        const seen = await lab.inside(["cat", "/some/where/file"], {
          "mounts.+": { destination: "/some/where/file", source, options: ["bind"] },
        });
        equal(seen, "from outside\n", "content");
      },
    },
    {
      name: "a destination through a symbolic link stays inside the root file system",
      async check(lab) {
        const trap = join(lab.directory, "trap");
        mkdirSync(trap);
        const seen = await lab.inside(
          ["cat", "/proc/self/mountinfo"],
          { "mounts.+": tmpfs("/link/data") },
          {
            fill({ rootfs }) {
              mkdirSync(join(rootfs, trap), { recursive: true });
              symlinkSync(trap, join(rootfs, "link"));
            },
          },
        );
        equal(mountAt(seen, `${trap}/data`).type, "tmpfs", "type");
      },
    },
    {
      name: "a destination with .. stays inside the root file system",
      async check(lab) {
        const mounts = { "mounts.+": tmpfs("/../../data") };
        const b = lab.bundle(["cat", "/proc/self/mountinfo"], { changes: mounts });
        const finished = await lab.run(b);
        if (finished.status === 0) mountAt(finished.stdout, "/data");
      },
    },
    {
      name: "a mount without destination is refused",
      check: (lab) => lab.refused({ "mounts.+": { type: "tmpfs", source: "tmpfs" } }),
    },
    {
      name: "a directory bound to a file is refused",
      check: (lab) =>
        lab.refused({
          "mounts.+": { destination: "/bin/busybox", source: outside(lab), options: ["bind"] },
        }),
    },
  ],
);

const bind = (name: string, check: Section["check"], more: Partial<Section> = {}): Section => ({
  name,
  says: "a mount with bind or rbind in its options is a bind mount; its source is absolute or relative to the bundle",
  check,
  ...more,
});

const SOURCE: Case[] = section("config.md#mounts", "MUST", "source is a device name, a path, or a dummy", [
  bind("a bind source relative to the bundle", async (lab) => {
    const seen = await lab.inside(
      ["cat", "/data/file"],
      { "mounts.+": { destination: "/data", source: "volume", options: ["bind"] } },
      {
        fill({ directory }) {
          mkdirSync(join(directory, "volume"));
          writeFileSync(join(directory, "volume/file"), "of the bundle\n");
        },
      },
    );
    equal(seen, "of the bundle\n", "content");
  }),
  ...[undefined, "none", "bind", "tmpfs"].map((type) =>
    bind(`a bind mount whose type is ${type ?? "absent"}`, async (lab) => {
      const seen = await lab.inside(["cat", "/data/file"], {
        "mounts.+": {
          destination: "/data",
          ...(type ? { type } : {}),
          source: outside(lab),
          options: ["rbind"],
        },
      });
      equal(seen, "from outside\n", "content");
    }),
  ),
  bind("a bind mount is writable unless the config says ro", async (lab) => {
    const source = outside(lab);
    await lab.inside("echo changed > /data/file", {
      "mounts.+": { destination: "/data", source, options: ["bind"] },
    });
    equal(await Bun.file(join(source, "file")).text(), "changed\n", "content outside");
  }),
  bind("a bind source that isn't there is refused", (lab) =>
    lab.refused({ "mounts.+": { destination: "/data", source: "/not/there", options: ["bind"] } }),
  ),
  {
    name: "bind doesn't bring the mounts below, rbind does",
    says: "bind is a bind mount, rbind a recursive one",
    async check(lab) {
      const source = outside(lab);
      mkdirSync(join(source, "sub"));
      // Made inside the runtime's mount namespace, which is the suite's own.
      mount("-t", "tmpfs", "tmpfs", join(source, "sub"));
      writeFileSync(join(source, "sub/deep"), "");
      const seen = await lab.inside("ls /one/sub /all/sub", {
        "mounts.+": [
          { destination: "/one", source, options: ["bind"] },
          { destination: "/all", source, options: ["rbind"] },
        ],
      });
      equal(seen, "/all/sub:\ndeep\n\n/one/sub:\n", "content");
    },
  },
  {
    name: "the name in source is the mount's source",
    async check(lab) {
      equal((await mounted(lab, { ...tmpfs("/data"), source: "named" }, "/data")).source, "named", "source");
      equal((await mounted(lab, [], "/dev/shm")).source, "shm", "source of /dev/shm");
      equal((await mounted(lab, [], "/proc")).source, "proc", "source of /proc");
      equal((await mounted(lab, [], "/sys")).source, "sysfs", "source of /sys");
    },
  },
]);

const TYPE: Case[] = section(
  "config.md#posix-platform-mounts",
  "MUST",
  "type is a file system of the kernel",
  [
    ...["proc", "tmpfs", "devpts", "mqueue", "sysfs"].map(
      (type): Section => ({
        name: `a ${type} is mounted`,
        async check(lab) {
          equal(
            (await mounted(lab, { destination: "/data", type, source: type }, "/data")).type,
            type,
            "type",
          );
        },
      }),
    ),
    {
      name: "a file system that the kernel doesn't know is refused",
      check: (lab) => lab.refused({ "mounts.+": { destination: "/data", type: "nosuchfs", source: "x" } }),
    },
    {
      name: "/proc is that of the container's PID namespace",
      async check(lab) {
        const seen = await lab.inside("cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l; true");
        const [comm, count] = seen.split("\n");
        equal(comm, "sh", "process 1");
        holds(Number(count) <= 3, `${count} processes are seen`);
      },
    },
  ],
);

const MAPPINGS: Case[] = section(
  "config.md#posix-platform-mounts",
  "MUST",
  "uidMappings and gidMappings of a mount are given together",
  (["uidMappings", "gidMappings"] as const).map((name) => ({
    name: `a mount with ${name} alone is refused`,
    differs: { runc: "1.1 is older than mappings of mounts (runtime-spec 1.1)" },
    check: (lab: Lab) =>
      lab.refused({
        "mounts.+": {
          destination: "/data",
          source: outside(lab),
          options: ["bind", "idmap"],
          [name]: [{ containerID: 0, hostID: 1000, size: 10 }],
        },
      }),
  })),
);

export const MOUNT_CASES: Case[] = [...ORDER, ...DESTINATION, ...SOURCE, ...TYPE, ...MAPPINGS];
