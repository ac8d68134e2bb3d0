/** features.md, features-linux.md. A runtime needn't have `features`; what it says there binds it. */
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { done, type Lab, skip } from "../lab.ts";
import { schemaProblems, unknownNames } from "../schema.ts";

interface Features {
  ociVersionMin: string;
  ociVersionMax: string;
  hooks?: string[];
  mountOptions?: string[];
  annotations?: Record<string, string>;
  linux?: {
    namespaces?: string[];
    capabilities?: string[];
    cgroup?: Record<string, boolean>;
    seccomp?: {
      enabled?: boolean;
      actions?: string[];
      operators?: string[];
      archs?: string[];
      knownFlags?: string[];
      supportedFlags?: string[];
    };
    mountExtensions?: { idmap?: { enabled?: boolean } };
  };
}

async function features(lab: Lab): Promise<Features> {
  const finished = await lab.command(["features"]);
  if (finished.status !== 0) skip(`${lab.runtime.name} has no features command`);
  return JSON.parse(finished.stdout) as Features;
}

/** Runs a container with each word in its place; those with which it doesn't run. */
async function rejected(lab: Lab, words: string[], changes: (word: string) => Record<string, unknown>) {
  const wrong: string[] = [];
  for (const word of words) {
    const b = lab.bundle(["true"], { changes: changes(word) });
    const made = await lab.create(b);
    if (made.status !== 0) wrong.push(`${word}: ${made.stderr.trim().slice(0, 160)}`);
    else done(await lab.remove(b, ["--force"]), "delete");
  }
  return wrong;
}

const recognised = (
  name: string,
  words: (found: Features) => string[] | undefined,
  changes: (word: string) => Record<string, unknown>,
): Section => ({
  name,
  async check(lab) {
    const list = words(await features(lab));
    if (!list) skip("the list isn't there");
    equal(await rejected(lab, list, changes), [], "words that aren't recognised");
  },
});

/** What features-linux.md of 1.3 has and its JSON schema hasn't. */
const NOT_IN_SCHEMA = [".linux.intelRdt.schemata", ".linux.intelRdt.monitoring", ".linux.memoryPolicy"];

const VERSIONS: Case[] = section(
  "features.md#specification-version",
  "MUST",
  "ociVersionMin and ociVersionMax are versions that the runtime accepts",
  [
    {
      name: "the document keeps to the schema",
      check: async (lab) =>
        equal(schemaProblems("features-schema.json", await features(lab)), [], "problems"),
    },
    {
      name: "it has no property that the spec doesn't know",
      says: "no properties that are not defined in ociVersionMax",
      check: async (lab) =>
        equal(
          unknownNames("features-schema.json", await features(lab)).filter(
            (name) => !NOT_IN_SCHEMA.includes(name),
          ),
          [],
          "unknown properties",
        ),
    },
    {
      name: "both versions are accepted as ociVersion",
      async check(lab) {
        const { ociVersionMin, ociVersionMax } = await features(lab);
        equal(
          await rejected(lab, [ociVersionMin, ociVersionMax], (ociVersion) => ({ ociVersion })),
          [],
          "versions",
        );
      },
    },
    {
      name: "ociVersionMax isn't less than ociVersionMin",
      async check(lab) {
        const { ociVersionMin, ociVersionMax } = await features(lab);
        holds(
          Bun.semver.order(ociVersionMin, ociVersionMax) <= 0,
          `${ociVersionMax} is less than ${ociVersionMin}`,
        );
      },
    },
    {
      name: "annotations are a map of strings",
      at: "features.md#annotations",
      async check(lab) {
        const { annotations = {} } = await features(lab);
        equal(
          Object.entries(annotations).filter(([key, value]) => !key || typeof value !== "string"),
          [],
          "annotations",
        );
      },
    },
    {
      name: "the document is the same twice",
      level: "SHOULD",
      at: "features.md",
      says: "the content should be determined when the runtime is compiled",
      async check(lab) {
        equal(await features(lab), await features(lab), "the second document");
      },
    },
  ],
);

/** What is said against an architecture, with its name left out. */
async function refusal(lab: Lab, arch: string): Promise<string> {
  const seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: [arch],
    syscalls: [{ names: ["swapon"], action: "SCMP_ACT_ERRNO" }],
  };
  const b = lab.bundle(["true"], { changes: { "linux.seccomp": seccomp } });
  const made = await lab.create(b);
  if (made.status === 0) done(await lab.remove(b, ["--force"]), "delete");
  return made.stderr.replaceAll(arch, "ARCH").replace(/time="[^"]*"|\(did you mean.*/g, "");
}

/** Options that say nothing without others. */
const MORE: Record<string, string[]> = { remount: [], idmap: [], ridmap: [] };

const WORDS: Case[] = [
  ...section("features.md#hooks", "MUST", "the runtime supports the hooks of the list", [
    recognised(
      "each hook of the list is supported",
      (found) => found.hooks,
      (kind) => ({ hooks: { [kind]: [{ path: "/bin/busybox", args: ["true"] }] } }),
    ),
    {
      name: "all hooks of the spec are in the list",
      level: "SHOULD",
      async check(lab) {
        const { hooks = [] } = await features(lab);
        equal(
          [...hooks].sort(),
          ["createContainer", "createRuntime", "poststart", "poststop", "prestart", "startContainer"],
          "hooks",
        );
      },
    },
  ]),
  ...section("features.md#mount-options", "MUST", "the runtime recognises the mount options of the list", [
    recognised(
      "each mount option of the list is recognised",
      (found) => found.mountOptions?.filter((option) => !(option in MORE)),
      (option) => ({
        "mounts.+":
          /^((copy|src|dest)-.*|r?(shared|slave|private|unbindable)|bind|rbind|r(ro|rw|no.*|suid|dev|exec|atime|diratime|relatime|strictatime|symfollow))$/.test(
            option,
          )
            ? { destination: "/data", source: "/bin", options: ["rbind", option] }
            : { destination: "/data", type: "tmpfs", source: "tmpfs", options: [option] },
      }),
    ),
    {
      name: "options of a file system aren't in the list",
      level: "SHOULD",
      says: "the list should not contain options that are passed to the file system as data",
      async check(lab) {
        const { mountOptions = [] } = await features(lab);
        const data = [
          "size",
          "mode",
          "uid",
          "gid",
          "nr_inodes",
          "ptmxmode",
          "newinstance",
          "lowerdir",
          "hidepid",
        ];
        equal(
          mountOptions.filter((option) => option.includes("=") || data.includes(option)),
          [],
          "options",
        );
      },
    },
  ]),
  ...section("features-linux.md#namespaces", "MUST", "the runtime recognises the namespaces of the list", [
    recognised(
      "each namespace of the list is recognised",
      (found) => found.linux?.namespaces,
      (type) => ({
        "linux.namespaces": [...new Set(["pid", "network", "ipc", "uts", "mount", type])].map((name) => ({
          type: name,
        })),
        ...(type === "user"
          ? {
              "linux.uidMappings": [{ containerID: 0, hostID: 0, size: 1000 }],
              "linux.gidMappings": [{ containerID: 0, hostID: 0, size: 1000 }],
            }
          : {}),
      }),
    ),
  ]),
  ...section(
    "features-linux.md#capabilities",
    "MUST",
    "the runtime recognises the capabilities of the list",
    [
      {
        name: "each capability of the list is recognised",
        async check(lab) {
          const list = (await features(lab)).linux?.capabilities;
          if (!list) skip("the list isn't there");
          // One container with all: what isn't recognised is told as a warning.
          const b = lab.bundle(["true"], { changes: { "process.capabilities": { bounding: list } } });
          const log = `${lab.directory}/log`;
          done(
            await lab.command(["create", "--bundle", b.directory, b.id], { globals: ["--log", log] }),
            "create",
          );
          const told = (await Bun.file(log).exists()) ? await Bun.file(log).text() : "";
          holds(!/unknown|unrecogni[sz]ed|ignor/i.test(told), `the log says ${told.slice(0, 200)}`);
        },
      },
    ],
  ),
  ...section("features-linux.md#seccomp", "MUST", "the runtime recognises the words of seccomp's lists", [
    recognised(
      "each action of the list is recognised",
      (found) => found.linux?.seccomp?.actions?.filter((action) => action !== "SCMP_ACT_NOTIFY"),
      (action) => ({
        "linux.seccomp": {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names: ["swapon"], action }].filter(() => action !== "SCMP_ACT_ALLOW"),
        },
      }),
    ),
    recognised(
      "each operator of the list is recognised",
      (found) => found.linux?.seccomp?.operators,
      (op) => ({
        "linux.seccomp": {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [
            { names: ["swapon"], action: "SCMP_ACT_ERRNO", args: [{ index: 0, value: 1, valueTwo: 1, op }] },
          ],
        },
      }),
    ),
    {
      name: "each architecture of the list is recognised",
      async check(lab) {
        const list = (await features(lab)).linux?.seccomp?.archs;
        if (!list) skip("the list isn't there");
        // This host's libseccomp may not know one, or not beside the native one; that isn't what a wrong word meets.
        const wrong = await refusal(lab, "SCMP_ARCH_NONSENSE");
        const same: string[] = [];
        for (const arch of list) if ((await refusal(lab, arch)) === wrong) same.push(arch);
        equal(same, [], "architectures that are met like a wrong word");
      },
    },
    recognised(
      "each flag of knownFlags and supportedFlags is recognised",
      (found) => {
        const { knownFlags, supportedFlags } = found.linux?.seccomp ?? {};
        return knownFlags && [...new Set([...knownFlags, ...(supportedFlags ?? [])])];
      },
      (flag) => ({
        "linux.seccomp": {
          defaultAction: "SCMP_ACT_ALLOW",
          flags: [flag],
          syscalls: [{ names: ["swapon"], action: "SCMP_ACT_ERRNO" }],
        },
      }),
    ),
  ]),
];

export const FEATURE_CASES: Case[] = [...VERSIONS, ...WORDS];
