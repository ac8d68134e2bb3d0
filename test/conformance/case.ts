/** What a case is: one sentence of the spec, and how a runtime's command line is held to it. */
import type { Lab } from "./lab.ts";

export type Level = "MUST" | "SHOULD" | "MAY";

export interface Case {
  /** A sentence that says what holds. */
  name: string;
  /** The sentence's place in runtime-spec 1.3: file#section. */
  at: string;
  level: Level;
  /** What the spec says there, in short. */
  says: string;
  /** What a machine must have for this case; a reason to skip it otherwise. */
  needs?: readonly Need[];
  /** Why a runtime knowingly does otherwise, by the runtime's name; shown in docs/conformance.md. */
  differs?: { readonly [runtime: string]: string };
  check(lab: Lab): Promise<unknown>;
}

export interface Need {
  name: string;
  there(): boolean;
}

/** The runtime broke the sentence. */
export class Broken extends Error {}

/** The case can't be decided on this machine, or this runtime has no command for it. */
export class Skipped extends Error {}

export type Section = Omit<Case, "at" | "level" | "says"> & Partial<Pick<Case, "at" | "level" | "says">>;

/** Cases of one section: what they have in common is said once. */
export function section(at: string, level: Level, says: string, cases: Section[]): Case[] {
  return cases.map((one) => ({ at, level, says, ...one }));
}

export function equal(actual: unknown, expected: unknown, what: string): void {
  if (!Bun.deepEquals(actual, expected))
    throw new Broken(`${what}: expected ${show(expected)}, found ${show(actual)}`);
}

export function holds(condition: boolean, otherwise: string): void {
  if (!condition) throw new Broken(otherwise);
}

export function includes(text: string, part: string, what: string): void {
  holds(text.includes(part), `${what}: expected ${show(part)} in ${show(text)}`);
}

function show(value: unknown): string {
  const text = typeof value === "bigint" ? `${value}` : JSON.stringify(value);
  return text === undefined ? "nothing" : text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
