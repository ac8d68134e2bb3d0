/** JSON text to values and back without losing an integer: the spec's 64-bit ones don't fit a double. */

/** A number of 16 characters or with an exponent: only then can a double differ from the text; others are below 2^53. */
const MAY_ROUND = /[:[,]\s*-?(?:\d[\d.]{15}|[\d.]+[eE])/;
const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** No 64-bit integer has more digits; a larger exponent need not become a number of a million digits. */
const MOST_DIGITS = 40;

/** The exact value of a JSON number's text: a bigint, NaN for a fraction, undefined beyond all integer types. */
function exactInteger(source: string): bigint | number | undefined {
  const [, sign, whole = "", fraction = "", exponent = "0"] = NUMBER.exec(source) ?? [];
  const digits = (whole + fraction).replace(/0+$/, "");
  // The value is digits × 10^zeros.
  const zeros = Number(exponent) + whole.length - digits.length;
  if (zeros < 0) return Number.NaN;
  if (digits.length + zeros > MOST_DIGITS) return undefined;
  const value = BigInt(digits) * 10n ** BigInt(zeros);
  return sign === "-" ? -value : value;
}

/**
 * Safe integers stay numbers, larger ones become bigints. A fraction so large that its double is an integer becomes
 * NaN, which no integer range accepts, where the double would pass for an integer that the text doesn't say.
 */
function keepExact(_key: string, value: unknown, context: { source?: string }): unknown {
  if (typeof value !== "number" || context.source === undefined || !Number.isInteger(value)) return value;
  if (value === 0 || (Number.isSafeInteger(value) && /^-?\d+$/.test(context.source))) return value;
  const exact = exactInteger(context.source) ?? value;
  return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
}

type Reviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;
const parseWithSource = JSON.parse as (text: string, reviver: Reviver) => unknown;

/** Whether the text has a number that JSON.parse may not read exactly. */
export const mayRound = (text: string): boolean => MAY_ROUND.test(text);

/** JSON.parse, but integers beyond 2^53 arrive as exact bigints. Throws SyntaxError as JSON.parse does. */
export function parseJson(text: string): unknown {
  return mayRound(text) ? parseWithSource(text, keepExact) : JSON.parse(text);
}

declare global {
  interface JSON {
    /** A value whose JSON text is given; https://github.com/tc39/proposal-json-parse-with-source. */
    rawJSON(text: string): unknown;
  }
}

/** JSON.stringify, but bigints are written as JSON numbers, so that `parseJson` reads the same value again. */
export function stringifyJson(value: unknown, space?: number): string {
  try {
    // Without a function to be called for each value, as long as there is no bigint.
    return JSON.stringify(value, undefined, space);
  } catch {
    // There is one, most likely; any other reason is told again.
  }
  return JSON.stringify(
    value,
    (_key, item: unknown) => (typeof item === "bigint" ? JSON.rawJSON(String(item)) : item),
    space,
  );
}
