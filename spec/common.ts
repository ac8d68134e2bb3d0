/**
 * What all chapters of the spec share: strings, integer ranges, maps, id mappings.
 * Each leaf is one `v.custom`, so that a wrong value makes one problem and not one per broken rule.
 */
import * as v from "valibot";

/** One thing that is wrong with a document: where, what, and what would be legal. */
export interface Problem {
  /** JSON path from the document's top, as in `mounts[3].options[0]`; `""` is the document itself. */
  at: string;
  message: string;
  /** What would be right, for a person. */
  hint?: string;
}

/** A 64-bit integer: a `number` while that is exact (below 2^53), else a `bigint`. `parseJson` keeps this. */
export type Integer64 = number | bigint;

const SHOWN = 40;

/** A value as an error message shows it: short, and strings told from numbers. */
export function describeValue(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (value === null) return "null";
  switch (typeof value) {
    case "object":
      return "an object";
    case "undefined":
      return "nothing";
    case "string":
      return JSON.stringify(value.length > SHOWN ? `${value.slice(0, SHOWN)}…` : value);
    default:
      // JSON has no NaN: it is how parseJson hands on a fraction that a double would round to an integer.
      return Number.isNaN(value) ? "a fraction" : String(value);
  }
}

type Say = (issue: { input: unknown }) => string;

/** A message that ends in what was found. */
export function expecting(what: string): Say {
  return (issue) => `expected ${what}, received ${describeValue(issue.input)}`;
}

function isText(input: unknown): input is string {
  return typeof input === "string" && !input.includes("\0") && input.isWellFormed();
}

function textFault(input: unknown): string {
  if (typeof input !== "string") return `expected a string, received ${describeValue(input)}`;
  return input.includes("\0")
    ? `${describeValue(input)} contains U+0000, where the kernel would end it`
    : `${describeValue(input)} contains half of a surrogate pair, for which UTF-8 has no bytes`;
}

/** Any string without U+0000: the kernel reads strings up to the first NUL byte and would see a shorter one. */
export const text = v.custom<string>(isText, (issue) => textFault(issue.input));

/** A string of one form; `what` names the form in messages. */
export function textLike(form: RegExp, what: string) {
  return v.custom<string>((input) => isText(input) && form.test(input), expecting(what));
}

/** An integer from `min` to `max`, both inclusive and within ±2^53. */
export function integer(min: number, max: number) {
  return v.custom<number>(
    (input) => typeof input === "number" && Number.isInteger(input) && input >= min && input <= max,
    expecting(`an integer from ${min} to ${max}`),
  );
}

function integer64(min: bigint, max: bigint) {
  return v.custom<Integer64>(
    (input) =>
      (typeof input === "bigint" || (typeof input === "number" && Number.isInteger(input))) &&
      input >= min &&
      input <= max,
    expecting(`an integer from ${min} to ${max}`),
  );
}

export const uint16 = integer(0, 65535);
export const int32 = integer(-2147483648, 2147483647);
export const uint32 = integer(0, 4294967295);
/** A user's or a group's: 4294967295 is −1, by which chown(2) and setresuid(2) leave an id as it is. */
export const id = integer(0, 4294967294);
export const int64 = integer64(-9223372036854775808n, 9223372036854775807n);
export const uint64 = integer64(0n, 18446744073709551615n);

export const texts = v.array(text);

/** Names to strings, such as annotations. */
export const textMap = v.record(text, text);

/** Leaves that may be absent, shared: building a schema costs microseconds, and most properties are one of these. */
export const optional = {
  text: v.exactOptional(text),
  texts: v.exactOptional(texts),
  textMap: v.exactOptional(textMap),
  boolean: v.exactOptional(v.boolean()),
  uint16: v.exactOptional(uint16),
  int32: v.exactOptional(int32),
  uint32: v.exactOptional(uint32),
  id: v.exactOptional(id),
  int64: v.exactOptional(int64),
  uint64: v.exactOptional(uint64),
} as const;

/** One range of a user namespace's or an idmapped mount's ids; config-linux.md, "User namespace mappings". */
export const IdMappingSchema = v.object({
  /** First id inside the container. */
  containerID: uint32,
  /** First id on the host that it stands for. */
  hostID: uint32,
  /** Number of ids in the range. */
  size: uint32,
});
export type IdMapping = v.InferOutput<typeof IdMappingSchema>;

/** All ranges of one kind, where there are any. */
export const optionalIdMappings = v.exactOptional(v.array(IdMappingSchema));
