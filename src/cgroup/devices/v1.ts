/**
 * v1's `devices` (cgroup-v1/devices.rst): all is allowed or all is forbidden, with exceptions. An ordered list becomes that,
 * and a change of it those writes that differ, so that what stays allowed is allowed all the time.
 */
import { ACCESS, accessBits, covers, meets, type Rule } from "./rules.ts";

export interface Exceptions {
  /** What holds for a device without an exception. */
  allow: boolean;
  exceptions: Rule[];
}

export interface DeviceWrites {
  file: "devices.allow" | "devices.deny";
  /** A write for each. */
  values: string[];
}

/** The kernel knows exceptions of one type only: `a` is all devices, whatever numbers stand beside it. */
function ofOneType(rule: Rule): Rule[] {
  return rule.type === "a"
    ? [
        { ...rule, type: "b" },
        { ...rule, type: "c" },
      ]
    : [rule];
}

const isEverything = ({ type, major, minor, access }: Rule) =>
  type === "a" && major === undefined && minor === undefined && access === 7;

/** @returns a rule as text, when v1 can't express the list: it takes a part out of a wider exception */
export function toExceptions(rules: readonly Rule[]): Exceptions | { hole: string } {
  let allow = true;
  let exceptions: Rule[] = [];
  for (const rule of rules) {
    if (isEverything(rule)) {
      allow = rule.allow;
      exceptions = [];
      continue;
    }
    for (const one of ofOneType(rule)) {
      const next = one.allow === allow ? without(exceptions, one) : withException(exceptions, one);
      if (next === undefined) return { hole: textOf(one) };
      exceptions = next;
    }
  }
  return { allow, exceptions };
}

function withException(exceptions: readonly Rule[], rule: Rule): Rule[] {
  const same = exceptions.find((e) => covers(e, rule) && covers(rule, e));
  if (same === undefined) return [...exceptions, rule];
  return exceptions.map((e) => (e === same ? { ...e, access: e.access | rule.access } : e));
}

function without(exceptions: readonly Rule[], rule: Rule): Rule[] | undefined {
  if (exceptions.some((e) => (e.access & rule.access) !== 0 && meets(e, rule) && !covers(rule, e)))
    return undefined;
  return exceptions
    .map((e) => (covers(rule, e) ? { ...e, access: e.access & ~rule.access } : e))
    .filter((e) => e.access !== 0);
}

export function textOf({ type, major, minor, access }: Rule): string {
  const letters = [
    (access & ACCESS.READ) === 0 ? "" : "r",
    (access & ACCESS.WRITE) === 0 ? "" : "w",
    (access & ACCESS.MKNOD) === 0 ? "" : "m",
  ];
  return `${type} ${major ?? "*"}:${minor ?? "*"} ${letters.join("")}`;
}

/**
 * What devices.list tells; undefined for a cgroup that allows all, as the list then doesn't name the exceptions.
 */
export function parseList(list: string): Exceptions | undefined {
  const exceptions: Rule[] = [];
  for (const line of list.split("\n")) {
    const [, type, major, minor, letters] = /^([abc]) (\d+|\*):(\d+|\*) ([rwm]+)$/.exec(line) ?? [];
    if (letters === undefined) continue;
    if (type === "a") return undefined;
    const number = (text = "*") => (text === "*" ? undefined : Number(text));
    exceptions.push({
      ...{ allow: true, type: type as Rule["type"], major: number(major), minor: number(minor) },
      access: accessBits(letters),
    });
  }
  return { allow: false, exceptions };
}

/** What holds: by devices.list, and by the rules from before where that doesn't name the exceptions. Undefined: unknown. */
export function inForce(list: string, before: readonly Rule[] | undefined): Exceptions | undefined {
  const told = parseList(list);
  if (told !== undefined || before === undefined) return told;
  const meant = toExceptions(before);
  return "hole" in meant || !meant.allow ? undefined : meant;
}

const file = (allow: boolean) => (allow ? "devices.allow" : "devices.deny");

/**
 * From what holds now (undefined: unknown) to what shall hold. Everything, `a`, is written only when it has to be: the
 * kernel refuses it for a cgroup that has others below it.
 */
export function deviceWrites(now: Exceptions | undefined, then: Exceptions): DeviceWrites[] {
  if (now === undefined || now.allow !== then.allow)
    return [
      { file: file(then.allow), values: ["a"] },
      { file: file(!then.allow), values: then.exceptions.map(textOf) },
    ];
  const differing = (from: readonly Rule[], to: readonly Rule[]) =>
    from.flatMap((rule) => {
      const same = to.find((t) => covers(t, rule) && covers(rule, t));
      const access = rule.access & ~(same?.access ?? 0);
      return access === 0 ? [] : [{ ...rule, access }];
    });
  return [
    { file: file(!then.allow), values: differing(then.exceptions, now.exceptions).map(textOf) },
    { file: file(then.allow), values: differing(now.exceptions, then.exceptions).map(textOf) },
  ];
}

/** A write that the kernel has taken. */
export interface Written {
  file: DeviceWrites["file"];
  value: string;
}

/** What takes writes back: each by its opposite, or, when all exceptions went with an `a`, by what held before as a whole. */
export function oppositeWrites(done: readonly Written[], before: Exceptions | undefined): DeviceWrites[] {
  if (done.some(({ value }) => value === "a"))
    return deviceWrites(undefined, before ?? { allow: true, exceptions: [] });
  return done.toReversed().map(({ file: written, value }) => ({
    file: file(written === "devices.deny"),
    values: [value],
  }));
}
