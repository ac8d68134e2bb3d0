import { KontenaError } from "../error.ts";

/** Milliseconds of each unit that Go's time.ParseDuration knows. */
const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** setTimeout and poll(2) count milliseconds in 31 bits. */
const LONGEST = 2 ** 31 - 1;

/**
 * Milliseconds, 1 at least, of a duration as Go writes it, `1m30s` or `500ms`, or of seconds without a unit.
 * Throws USAGE; `what` names the option.
 */
export function parseDuration(text: string, what: string): number {
  const milliseconds = /^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) * 1000 : sumOfParts(text);
  if (milliseconds === undefined)
    throw new KontenaError("USAGE", `${what}: "${text}" isn't a duration`, {
      hint: "such as 500ms, 5s or 1m30s; a number alone counts seconds",
    });
  if (milliseconds <= 0 || milliseconds > LONGEST)
    throw new KontenaError("USAGE", `${what}: "${text}" isn't between 1 ms and 24 days`);
  return Math.max(1, Math.round(milliseconds));
}

function sumOfParts(text: string): number | undefined {
  PART.lastIndex = 0;
  let sum = 0;
  while (PART.lastIndex < text.length) {
    const part = PART.exec(text);
    if (part === null) return undefined;
    sum += Number(part[1]) * (UNITS[part[2] ?? ""] ?? 0);
  }
  return text === "" ? undefined : sum;
}
