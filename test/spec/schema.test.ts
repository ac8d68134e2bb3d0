/** The spec's JSON schemas and spec/ side by side: the same properties, at every depth, and the same enumerations. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { ConfigSchema } from "../../spec/config.ts";
import { featuresSchema } from "../../spec/features.ts";
import { StateSchema } from "../../spec/state.ts";

const DATA = `${import.meta.dir}/../data/runtime-spec/schema`;

interface JsonSchema {
  $ref?: string;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema;
  items?: JsonSchema;
  allOf?: JsonSchema[];
  anyOf?: JsonSchema[];
  enum?: string[];
}

interface Valibot {
  entries?: Record<string, Valibot>;
  wrapped?: Valibot;
  item?: Valibot;
  value?: Valibot;
  options?: string[];
}

function load(file: string): Record<string, JsonSchema> {
  return JSON.parse(readFileSync(`${DATA}/${file}`, "utf8"));
}

/** The schema that a reference from `file` names, with the file that it is in. */
function resolve(schema: JsonSchema, file: string): [JsonSchema, string] {
  const [, target = "", pointer = ""] = /^([^#]*)#\/(.*)$/.exec(schema.$ref ?? "") ?? [];
  if (!schema.$ref) return [schema, file];
  const found = pointer
    .split("/")
    .reduce<unknown>((part, key) => (part as Record<string, unknown>)[key], load(target || file));
  return resolve(found as JsonSchema, target || file);
}

/** All paths of a JSON schema, those of enumerations with their sorted values. */
function jsonPaths(reference: JsonSchema, from: string, at = ""): string[] {
  if (/config-(solaris|windows|vm|zos|freebsd)/.test(reference.$ref ?? "")) return [];
  const [schema, file] = resolve(reference, from);
  const parts = [...(schema.allOf ?? []), ...(schema.anyOf ?? [])].flatMap((part) =>
    jsonPaths(part, file, at),
  );
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, property]) => [
    `${at}.${name}`,
    ...jsonPaths(property, file, `${at}.${name}`),
  ]);
  if (schema.enum) own.push(`${at} = ${schema.enum.toSorted().join(" ")}`);
  if (schema.items) own.push(...jsonPaths(schema.items, file, `${at}[]`));
  if (schema.additionalProperties) own.push(...jsonPaths(schema.additionalProperties, file, `${at}.*`));
  return [...own, ...parts];
}

function valibotPaths(outer: Valibot, at = ""): string[] {
  const schema = outer.wrapped ?? outer;
  const paths = Object.entries(schema.entries ?? {}).flatMap(([name, entry]) => [
    `${at}.${name}`,
    ...valibotPaths(entry, `${at}.${name}`),
  ]);
  if (schema.options) paths.push(`${at} = ${schema.options.toSorted().join(" ")}`);
  if (schema.item) paths.push(...valibotPaths(schema.item, `${at}[]`));
  if (schema.value) paths.push(...valibotPaths(schema.value, `${at}.*`));
  return paths;
}

/** What spec/ has from the spec's text or as a tighter form of a pattern, and the JSON schemas haven't. */
const MORE = [
  ".linux.devices[].type = b c p u",
  ".linux.intelRdt.monitoring",
  ".linux.intelRdt.schemata",
  ".linux.memoryPolicy",
  ".linux.memoryPolicy.flags",
  ".linux.memoryPolicy.flags[] = MPOL_F_NUMA_BALANCING MPOL_F_RELATIVE_NODES MPOL_F_STATIC_NODES",
  ".linux.memoryPolicy.modes",
  ".linux.rootfsPropagation = private rprivate rshared rslave runbindable shared slave unbindable",
];

/** What the JSON schemas have and spec/ has more of, since engines write more. */
const WIDER = [".linux.rootfsPropagation = private shared slave unbindable"];

const CASES: [name: string, file: string, schema: unknown][] = [
  ["config", "config-schema.json", ConfigSchema],
  ["state", "state-schema.json", StateSchema],
  ["features", "features-schema.json", featuresSchema()],
];

for (const [name, file, schema] of CASES) {
  test(`${name} has the properties and enumerations of the JSON schema`, () => {
    const theirs = new Set(jsonPaths(load(file) as JsonSchema, file));
    const ours = new Set(valibotPaths(schema as Valibot));
    const platforms = [".solaris", ".windows", ".vm", ".zos", ".freebsd"];
    expect([...theirs].filter((path) => !ours.has(path) && !WIDER.includes(path))).toEqual([]);
    const more = [...ours].filter((path) => !theirs.has(path) && !platforms.includes(path));
    expect(more.filter((path) => !MORE.includes(path) && !path.includes("memoryPolicy.modes[]"))).toEqual([]);
  });
}
