/** From what valibot finds to problems in the words of this project, and what valibot doesn't look for. */
import type * as v from "valibot";
import { describeValue, type Problem } from "./common.ts";
import { didYouMean } from "./nearest.ts";

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** The JSON path of `key` inside of `at`: `a.b`, `a[0]`, `a["b.c"]`. */
export function inside(at: string, key: string | number): string {
  if (typeof key === "number") return `${at}[${key}]`;
  if (!IDENTIFIER.test(key)) return `${at}[${JSON.stringify(key)}]`;
  return at === "" ? key : `${at}.${key}`;
}

/** Longest path that the kernel takes, without its NUL (linux/limits.h, PATH_MAX). */
const PATH_BYTES = 4095;

/** By itself, since linking a function that names Buffer loads it, at a tenth of a millisecond. */
function utf8Length(text: string): number {
  return Buffer.byteLength(text);
}

/** A path that no system call takes. Each missing directory of it would be a step, and their number has to have an end. */
export function longPath(path: string, at: string): Problem[] {
  // UTF-8 takes at most three bytes for a unit of UTF-16.
  if (path.length * 3 <= PATH_BYTES) return [];
  const length = utf8Length(path);
  return length <= PATH_BYTES
    ? []
    : [{ at, message: `expected at most ${PATH_BYTES} bytes, the longest path, received ${length}` }];
}

function legalValues(expected: string): string[] {
  return [...expected.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? "");
}

const KINDS: Record<string, string> = {
  object: "an object",
  strict_object: "an object",
  record: "an object",
  array: "an array",
  boolean: "true or false",
};

/** One issue of valibot as a problem. */
export function toProblem(issue: v.BaseIssue<unknown>): Problem {
  const at = (issue.path ?? []).reduce((path, { key }) => inside(path, key as string | number), "");
  if (issue.type === "object" && issue.received === "undefined") return { at, message: "is required" };
  if (issue.type === "picklist") {
    const legal = legalValues(issue.expected ?? "");
    const message = `expected one of ${legal.join(", ")}; received ${describeValue(issue.input)}`;
    return { at, message, ...(typeof issue.input === "string" ? didYouMean(issue.input, legal) : {}) };
  }
  if (issue.expected === "never") return { at, message: "isn't one of the names that may stand here" };
  const kind = KINDS[issue.type];
  return { at, message: kind ? `expected ${kind}, received ${describeValue(issue.input)}` : issue.message };
}

/** What the walk over a schema needs to see of it; valibot's schemas are plain objects with these members. */
interface SchemaShape {
  type: string;
  entries?: Record<string, SchemaShape>;
  wrapped?: SchemaShape;
  item?: SchemaShape;
  value?: SchemaShape;
}

/** Names that mean something in every object of JavaScript: valibot leaves them out of its records without a word. */
const LEFT_OUT: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

export interface Findings {
  problems: Problem[];
  warnings: Problem[];
}

function walkObject(
  value: object,
  entries: Record<string, SchemaShape>,
  at: string,
  findings: Findings,
  open: boolean,
): void {
  for (const [key, item] of Object.entries(value)) {
    const entry = Object.hasOwn(entries, key) ? entries[key] : undefined;
    if (entry) {
      if (typeof item === "object" && item !== null) walk(item, entry, inside(at, key), findings);
    } else if (open) {
      findings.warnings.push({
        at: inside(at, key),
        message: "unknown property, which has no effect",
        ...didYouMean(key, Object.keys(entries)),
      });
    }
  }
}

function walk(value: object, schema: SchemaShape, at: string, findings: Findings): void {
  // v.pipe copies its first schema's members, so only the optional ones wrap.
  const { type, entries, item, value: member } = schema.wrapped ?? schema;
  if (type === "array" && item && Array.isArray(value)) {
    value.forEach((element: unknown, index) => {
      if (typeof element === "object" && element !== null) walk(element, item, inside(at, index), findings);
    });
  } else if (["object", "strict_object", "record"].includes(type)) {
    // To valibot an array is an object too, one with all properties missing.
    if (Array.isArray(value))
      findings.problems.push({ at, message: "expected an object, received an array" });
    else if (entries) walkObject(value, entries, at, findings, type !== "strict_object");
    else if (member) {
      for (const [key, element] of Object.entries(value)) {
        if (LEFT_OUT.has(key))
          findings.problems.push({ at: inside(at, key), message: "can't be a name here" });
        if (typeof element === "object" && element !== null) walk(element, member, inside(at, key), findings);
      }
    }
  }
}

/**
 * Walks value and schema together, at every depth, for what valibot passes over: unknown properties are warnings (the
 * spec lets documents extend it, so they stay legal), arrays in an object's place and lost names are problems.
 */
export function inspect(value: unknown, schema: v.GenericSchema): Findings {
  const findings: Findings = { problems: [], warnings: [] };
  if (typeof value === "object" && value !== null) {
    walk(value, schema as unknown as SchemaShape, "", findings);
  }
  return findings;
}
