/** bundle.md, glossary.md. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, section } from "../case.ts";
import { done } from "../lab.ts";

export const BUNDLE_CASES: Case[] = [
  ...section(
    "bundle.md#container-format",
    "MUST",
    "config.json resides in the root of the bundle directory and has that name",
    [
      {
        name: "a bundle without config.json is refused",
        check: (lab) =>
          lab
            .refused({}, { fill: ({ directory }) => mkdirSync(join(directory, "config.json")) })
            .catch(async () => {
              const b = lab.bundle();
              renameSync(join(b.directory, "config.json"), join(b.directory, "Config.json"));
              holds((await lab.create(b)).status !== 0, "create succeeded");
              holds(!(await lab.isThere(b)), "the container is there");
            }),
      },
      {
        name: "config.json is looked for in the bundle's root, not below it",
        async check(lab) {
          const b = lab.bundle();
          mkdirSync(join(b.directory, "below"));
          renameSync(join(b.directory, "config.json"), join(b.directory, "below/config.json"));
          holds((await lab.create(b)).status !== 0, "create succeeded");
          holds(!(await lab.isThere(b)), "the container is there");
        },
      },
      {
        name: "a bundle that isn't there is refused",
        async check(lab) {
          const b = { ...lab.bundle(), directory: join(lab.directory, "nowhere") };
          holds((await lab.create(b)).status !== 0, "create succeeded");
          holds(!(await lab.isThere(b)), "the container is there");
        },
      },
    ],
  ),
  ...section("glossary.md#json", "MUST", "configuration JSON is encoded in UTF-8", [
    {
      name: "text beyond ASCII reaches the program as UTF-8",
      async check(lab) {
        const seen = await lab.inside(["sh", "-c", 'echo "$WORD" "$1"', "sh", "žluťoučký 🐎"], {
          "process.env.+": ["WORD=größe"],
        });
        equal(seen, "größe žluťoučký 🐎\n", "output");
      },
    },
    {
      name: "escapes of JSON strings are resolved",
      async check(lab) {
        const b = lab.bundle(["echo", "PLACEHOLDER"], {
          text: (config) => JSON.stringify(config).replace("PLACEHOLDER", "a\\u0062\\ud83d\\ude00\\t\\/"),
        });
        equal(done(await lab.run(b), "run").stdout, "ab😀\t/\n", "output");
      },
    },
    {
      name: "a config that isn't JSON is refused",
      check: (lab) => lab.refused({}, { text: (config) => JSON.stringify(config).slice(0, -1) }),
    },
    {
      name: "an empty config.json is refused",
      check: (lab) => lab.refused({}, { text: () => "" }),
    },
  ]),
  ...section("glossary.md#json", "MUST", "the order of entries in objects is not significant", [
    {
      name: "a config with all its objects turned round means the same",
      async check(lab) {
        const turned = (value: unknown): unknown => {
          if (Array.isArray(value)) return value.map(turned);
          if (typeof value !== "object" || value === null) return value;
          return Object.fromEntries(
            Object.entries(value)
              .reverse()
              .map(([key, part]) => [key, turned(part)]),
          );
        };
        const b = lab.bundle("hostname; pwd", {
          changes: { "process.cwd": "/tmp" },
          text: (config) => JSON.stringify(turned(config)),
        });
        equal(done(await lab.run(b), "run").stdout, "conformance\n/tmp\n", "output");
      },
    },
    {
      name: "white space between tokens is not significant",
      async check(lab) {
        const b = lab.bundle(["echo", "here"], {
          text: (config) => `\n\t ${JSON.stringify(config, null, "\t")}\r\n`,
        });
        equal(done(await lab.run(b), "run").stdout, "here\n", "output");
      },
    },
  ]),
  ...section(
    "glossary.md#runtime-namespace",
    "MUST",
    "configured resources such as sources of bind mounts are taken from the runtime's namespaces",
    [
      {
        name: "a bind source is a path of the runtime's mount namespace",
        async check(lab) {
          const place = join(lab.directory, "outside");
          writeFileSync(place, "from outside\n");
          const seen = await lab.inside(["cat", "/seen"], {
            "mounts.+": { destination: "/seen", source: place, options: ["bind"] },
          });
          equal(seen, "from outside\n", "content");
        },
      },
    ],
  ),
];
