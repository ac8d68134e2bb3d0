/** config.md: version, root, hostname, domainname, annotations, extensibility, valid values. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { namespaces } from "../base.ts";
import { type Case, equal, holds, includes, type Section, section } from "../case.ts";
import { done, mountAt } from "../lab.ts";

const accepts = (name: string, changes: Record<string, unknown>, more: Partial<Section> = {}): Section => ({
  name,
  check: async (lab) => equal(await lab.inside(["echo", "ran"], changes), "ran\n", "output"),
  ...more,
});

const refuses = (name: string, changes: Record<string, unknown>, more: Partial<Section> = {}): Section => ({
  name,
  check: (lab) => lab.refused(changes),
  ...more,
});

const VERSION: Case[] = section(
  "config.md#specification-version",
  "MUST",
  "ociVersion is a version as SemVer 2.0.0 writes them; a config of 1.x runs with all that support it",
  [
    ...["1.0.0", "1.0.2", "1.0.2-dev", "1.0.0-rc.1+build.5"].map((version) =>
      accepts(`ociVersion ${version} is accepted`, { ociVersion: version }),
    ),
    refuses("a config without ociVersion is refused", { ociVersion: undefined }),
    ...["invalid", "1", "1.0", "v1.0.0", ""].map((version) =>
      refuses(
        `ociVersion "${version}" is refused: it isn't SemVer`,
        { ociVersion: version },
        {
          at: "config.md#valid-values",
          differs: {
            runc: "1.1 doesn't look at ociVersion",
            ...(version.includes(".") ? { crun: "1.8 looks at the first number alone" } : {}),
          },
        },
      ),
    ),
    refuses("ociVersion that isn't a string is refused", { ociVersion: 1 }),
  ],
);

const ROOT: Case[] = section(
  "config.md#root",
  "MUST",
  "root.path is an absolute path or relative to the bundle; a directory exists there",
  [
    accepts("root.path relative to the bundle", { "root.path": "rootfs" }),
    {
      name: "root.path may be absolute",
      async check(lab) {
        const b = lab.bundle(["cat", "/mark"], {
          fill: ({ rootfs, config }) => {
            writeFileSync(join(rootfs, "mark"), "found\n");
            (config["root"] as { path: string }).path = rootfs;
          },
        });
        equal(done(await lab.run(b), "run").stdout, "found\n", "content");
      },
    },
    {
      name: "root.path may be the bundle itself",
      async check(lab) {
        const b = lab.bundle(["/bin/cat", "/config.json"], { changes: { "root.path": "." } });
        const seen = await lab.run({ ...b, directory: join(b.directory, "rootfs") });
        holds(seen.status !== 0, "a bundle without config.json ran");
        writeFileSync(join(b.rootfs, "config.json"), JSON.stringify(b.config));
        const finished = done(await lab.command(["run", "--bundle", b.rootfs, b.id]), "run");
        includes(finished.stdout, '"ociVersion"', "the config as seen from inside");
      },
    },
    refuses("a root.path where nothing is is refused", { "root.path": "nowhere" }),
    {
      name: "a root.path that is a file is refused",
      check: (lab) =>
        lab.refused(
          { "root.path": "file" },
          { fill: ({ directory }) => writeFileSync(join(directory, "file"), "") },
        ),
    },
    refuses("a config without root is refused", { root: undefined }),
    refuses("a root without path is refused", { root: {} }),
    {
      name: "the container's root is the root file system and nothing above it",
      async check(lab) {
        const b = lab.bundle("cd /; ls -d /../../mark; cd ..; pwd", {
          fill: ({ rootfs }) => writeFileSync(join(rootfs, "mark"), ""),
        });
        equal(done(await lab.run(b), "run").stdout, "/../../mark\n/\n", "output");
      },
    },
    {
      name: "root.readonly makes the root file system read-only inside",
      says: "if readonly is true, the root file system is read-only inside the container",
      async check(lab) {
        const seen = await lab.inside(
          "touch /file 2>&1; rm /mark 2>&1; mkdir /dir 2>&1; cat /proc/self/mountinfo",
          { "root.readonly": true },
          { fill: ({ rootfs }) => writeFileSync(join(rootfs, "mark"), "") },
        );
        equal(seen.match(/Read-only file system/g)?.length, 3, "refusals");
        holds(mountAt(seen, "/").options.includes("ro"), "/ is not mounted read-only");
      },
    },
    {
      name: "root.readonly leaves mounts writable",
      level: "SHOULD",
      check: (lab) => lab.inside("echo text > /dev/shm/file && cat /dev/shm/file", { "root.readonly": true }),
    },
    {
      name: "root.readonly of false leaves it writable",
      says: "readonly defaults to false",
      check: (lab) => lab.inside("touch /file && ls /file", { "root.readonly": false }),
    },
    {
      name: "without root.readonly it is writable",
      says: "readonly defaults to false",
      check: (lab) => lab.inside("touch /file && ls /file"),
    },
  ],
);

const NAMES: Case[] = [
  ...section(
    "config.md#hostname",
    "MUST",
    "hostname is the container's hostname as processes inside see it",
    [
      {
        name: "hostname is what the program sees",
        check: async (lab) =>
          equal(await lab.inside(["hostname"], { hostname: "inside.test" }), "inside.test\n", "hostname"),
      },
      {
        name: "a hostname of 64 bytes is set whole",
        check: async (lab) =>
          equal(
            await lab.inside(["hostname"], { hostname: "h".repeat(64) }),
            `${"h".repeat(64)}\n`,
            "hostname",
          ),
      },
      {
        name: "the host's own name stays",
        async check(lab) {
          const before = (await Bun.file("/proc/sys/kernel/hostname").text()).trim();
          await lab.inside(["true"], { hostname: "other" });
          equal((await Bun.file("/proc/sys/kernel/hostname").text()).trim(), before, "hostname outside");
        },
      },
      {
        name: "without hostname that of the runtime's namespace is inherited",
        level: "SHOULD",
        async check(lab) {
          const host = await Bun.file("/proc/sys/kernel/hostname").text();
          equal(await lab.inside(["hostname"], { hostname: undefined }), host, "hostname");
        },
      },
      refuses("hostname without a UTS namespace of the container's own is refused", {
        "linux.namespaces": namespaces({ uts: false }),
      }),
      refuses("a hostname longer than the kernel takes is refused", { hostname: "h".repeat(65) }),
    ],
  ),
  ...section(
    "config.md#domainname",
    "MUST",
    "domainname is the container's domainname as processes inside see it",
    [
      {
        name: "domainname is what the program sees",
        differs: { runc: "1.1 is older than domainname (runtime-spec 1.1)" },
        check: async (lab) =>
          equal(
            await lab.inside(["cat", "/proc/sys/kernel/domainname"], { domainname: "example.test" }),
            "example.test\n",
            "domainname",
          ),
      },
      refuses(
        "domainname without a UTS namespace of the container's own is refused",
        {
          domainname: "example.test",
          hostname: undefined,
          "linux.namespaces": namespaces({ uts: false }),
        },
        { differs: { runc: "1.1 is older than domainname (runtime-spec 1.1)" } },
      ),
    ],
  ),
];

const ANNOTATIONS: Case[] = [
  ...section("config.md#annotations", "MUST", "annotations are a map of strings to strings", [
    {
      name: "annotations come back in the state",
      async check(lab) {
        const annotations = { "com.example.key": "value", "com.example.empty": "", "com.example.ž": "größe" };
        const b = await lab.created(["true"], { changes: { annotations } });
        const seen = (await lab.state(b)).annotations;
        for (const [key, value] of Object.entries(annotations)) equal(seen?.[key], value, key);
      },
    },
    accepts("an annotation's value may be an empty string", { annotations: { "com.example.empty": "" } }),
    accepts("annotations may be an empty map", { annotations: {} }),
    accepts("an unknown annotation is ignored", { annotations: { "org.example.unknown": "x" } }),
    accepts("an unknown key in org.opencontainers is ignored", {
      annotations: { "org.opencontainers.nothing": "x" },
    }),
    refuses("an annotation whose value isn't a string is refused", { annotations: { "com.example.n": 1 } }),
    refuses("annotations that aren't a map are refused", { annotations: ["x"] }),
    refuses(
      "an empty annotation key is refused",
      { annotations: { "": "x" } },
      {
        says: "keys are not an empty string",
        differs: { runc: "1.1 doesn't look at annotation keys", crun: "1.8 doesn't look at annotation keys" },
      },
    ),
  ]),
];

const UNKNOWN: Case[] = section(
  "config.md#extensibility",
  "MUST",
  "unknown properties are ignored and are no errors",
  [
    accepts("an unknown property at the top is ignored", { unknown: "x" }),
    accepts("an unknown object at the top is ignored", { "com.example.thing": { deep: [1, { a: null }] } }),
    ...["process", "process.user", "root", "linux", "linux.resources", "process.capabilities"].map((place) =>
      accepts(`an unknown property in ${place} is ignored`, { [`${place}.unknown`]: [1, 2] }),
    ),
    accepts("an unknown property of a mount is ignored", { "mounts.0.unknown": true }),
    accepts("an unknown property of a namespace is ignored", { "linux.namespaces.0.unknown": 7 }),
  ],
);

const TYPES: [string, unknown][] = [
  ["process.args", "true"],
  ["process.args", [1]],
  ["process.env", "A=b"],
  ["process.cwd", 7],
  ["process.user.uid", "0"],
  ["process.user.uid", -1],
  ["process.user.gid", 4294967296],
  ["process.terminal", "no"],
  ["root.readonly", "yes"],
  ["hostname", 5],
  ["mounts", {}],
  ["mounts.0.options", "ro"],
  ["linux", []],
  ["linux.namespaces", {}],
];

const VALUES: Case[] = section(
  "config.md#valid-values",
  "MUST",
  "invalid or unsupported values are an error",
  [
    ...TYPES.map(([place, value]) =>
      refuses(`${place} of ${JSON.stringify(value)} is refused`, { [place]: value }),
    ),
  ],
);

export const BASIC_CASES: Case[] = [...VERSION, ...ROOT, ...NAMES, ...ANNOTATIONS, ...UNKNOWN, ...VALUES];

/** For other chapters. */
export { accepts, refuses };
export const makeDirectory = (...parts: string[]) => mkdirSync(join(...parts), { recursive: true });
