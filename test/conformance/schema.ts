/** JSON schema, draft 4, as far as the spec's own schemas for state and features use it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Schema {
  $ref?: string;
  type?: string;
  enum?: unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  required?: string[];
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  items?: Schema;
  allOf?: Schema[];
  anyOf?: Schema[];
}

/** Words that say nothing of a value. */
const SILENT = ["$schema", "id", "description", "definitions"];
const KNOWN = [
  "$ref",
  "type",
  "enum",
  "pattern",
  "minimum",
  "maximum",
  "minItems",
  "required",
  "properties",
  "patternProperties",
  "items",
  "allOf",
  "anyOf",
];

const files = new Map<string, unknown>();

function load(file: string): unknown {
  const path = join(import.meta.dir, "../data/runtime-spec/schema", file);
  if (!files.has(file)) files.set(file, JSON.parse(readFileSync(path, "utf8")));
  return files.get(file);
}

/** A schema by reference, and the file that it is in: references in it are relative to that. */
function resolve(reference: string, from: string): { schema: Schema; file: string } {
  const [name, pointer = ""] = reference.split("#");
  const file = name || from;
  let place = load(file);
  for (const key of pointer.split("/").filter(Boolean)) place = (place as Record<string, unknown>)[key];
  if (place === undefined) throw new Error(`${reference} isn't in ${file}`);
  return { schema: place as Schema, file };
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}

/** What is wrong with a value; an empty list when it keeps to the schema. */
export function schemaProblems(file: string, value: unknown): string[] {
  return problems(load(file) as Schema, file, value, "");
}

function problems(schema: Schema, file: string, value: unknown, at: string): string[] {
  // A word that isn't looked at would pass everything.
  const unknown = Object.keys(schema).filter((word) => !KNOWN.includes(word) && !SILENT.includes(word));
  if (unknown.length > 0) throw new Error(`the schema of ${at} uses ${unknown}`);
  if (schema.$ref) {
    const found = resolve(schema.$ref, file);
    return problems(found.schema, found.file, value, at);
  }
  const type = typeOf(value);
  const wanted = schema.type;
  if (wanted && type !== wanted && !(wanted === "number" && type === "integer"))
    return [`${at}: ${type} instead of ${wanted}`];
  return [
    ...scalars(schema, value, at),
    ...(schema.allOf ?? []).flatMap((part) => problems(part, file, value, at)),
    ...anyOf(schema, file, value, at),
    ...(Array.isArray(value) ? items(schema, file, value, at) : []),
    ...(type === "object" ? members(schema, file, value as Record<string, unknown>, at) : []),
  ];
}

function scalars(schema: Schema, value: unknown, at: string): string[] {
  const found: string[] = [];
  if (schema.enum && !schema.enum.includes(value)) found.push(`${at}: ${value} isn't one of ${schema.enum}`);
  if (schema.pattern && typeof value === "string" && !new RegExp(schema.pattern).test(value))
    found.push(`${at}: "${value}" doesn't match ${schema.pattern}`);
  if (typeof value === "number") {
    if (value < (schema.minimum ?? value)) found.push(`${at}: ${value} is below ${schema.minimum}`);
    if (value > (schema.maximum ?? value)) found.push(`${at}: ${value} is above ${schema.maximum}`);
  }
  return found;
}

function anyOf(schema: Schema, file: string, value: unknown, at: string): string[] {
  if (!schema.anyOf) return [];
  const each = schema.anyOf.map((part) => problems(part, file, value, at));
  return each.some((found) => found.length === 0) ? [] : each.flat();
}

function items(schema: Schema, file: string, value: unknown[], at: string): string[] {
  const few = value.length < (schema.minItems ?? 0) ? [`${at}: fewer than ${schema.minItems} items`] : [];
  const { items: each } = schema;
  return [...few, ...(each ? value.flatMap((item, i) => problems(each, file, item, `${at}[${i}]`)) : [])];
}

function members(schema: Schema, file: string, value: Record<string, unknown>, at: string): string[] {
  const missing = (schema.required ?? []).filter((name) => !(name in value));
  return [
    ...missing.map((name) => `${at}.${name}: missing`),
    ...Object.entries(value).flatMap(([name, member]) => {
      const matching = Object.entries(schema.patternProperties ?? {})
        .filter(([pattern]) => new RegExp(pattern).test(name))
        .map(([, part]) => part);
      const own = Object.hasOwn(schema.properties ?? {}, name) ? [schema.properties?.[name] as Schema] : [];
      return [...own, ...matching].flatMap((part) => problems(part, file, member, `${at}.${name}`));
    }),
  ];
}

/** Names in an object that the schema hasn't, however deep; patternProperties allow any name. */
export function unknownNames(file: string, value: unknown): string[] {
  return undefinedIn(load(file) as Schema, file, value, "");
}

function undefinedIn(schema: Schema, file: string, value: unknown, at: string): string[] {
  if (schema.$ref) {
    const found = resolve(schema.$ref, file);
    return undefinedIn(found.schema, found.file, value, at);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value) || !schema.properties) return [];
  return Object.entries(value).flatMap(([name, member]) => {
    const part = schema.properties?.[name];
    return part ? undefinedIn(part, file, member, `${at}.${name}`) : [`${at}.${name}`];
  });
}
