/**
 * Which devices a container may make, read and write (config-linux.md, "Allowed Device list"). Pure.
 *
 * A device is forbidden until a rule allows it, as in runc; of the rules that fit, the last one counts, for each kind of
 * access by itself. The default devices are always allowed. A config without rules means the devices of `linux.devices`:
 * "containers may not access any device node that is not either explicitly referenced in the devices array or listed as
 * being part of the default devices" (config-linux.md, "Devices").
 */
import type { Config } from "../../../spec/config.ts";
import type { DeviceRule } from "../../../spec/resources.ts";

/** Kinds of access, as bits (linux/bpf.h, BPF_DEVCG_ACC_*). */
export const ACCESS = { MKNOD: 1, READ: 2, WRITE: 4 } as const;
export const ALL_ACCESS = 7;

export interface Rule {
  allow: boolean;
  /** `a` is both. */
  type: "a" | "b" | "c";
  /** Undefined: all. */
  major: number | undefined;
  minor: number | undefined;
  /** Bits of {@link ACCESS}. */
  access: number;
}

const rule = (
  allow: boolean,
  type: Rule["type"],
  major?: number,
  minor?: number,
  access = ALL_ACCESS,
): Rule => ({
  ...{ allow, type, major, minor, access },
});

const EVERYTHING = rule(false, "a");

/**
 * "Default Devices", and those of pseudo terminals; making a node is harmless where it can't be opened. /dev/console needs
 * no rule: it is one of the pseudo terminals.
 */
export const DEFAULTS: readonly Rule[] = [
  rule(true, "c", undefined, undefined, ACCESS.MKNOD),
  rule(true, "b", undefined, undefined, ACCESS.MKNOD),
  rule(true, "c", 1, 3), // null
  rule(true, "c", 1, 5), // zero
  rule(true, "c", 1, 7), // full
  rule(true, "c", 1, 8), // random
  rule(true, "c", 1, 9), // urandom
  rule(true, "c", 5, 0), // tty
  rule(true, "c", 5, 2), // ptmx
  rule(true, "c", 136), // pts
];

export function accessBits(letters: string | undefined): number {
  if (!letters) return ALL_ACCESS;
  const { MKNOD, READ, WRITE } = ACCESS;
  return (
    (letters.includes("m") ? MKNOD : 0) |
    (letters.includes("r") ? READ : 0) |
    (letters.includes("w") ? WRITE : 0)
  );
}

/** A negative number is how some engines write "all". */
function numberOf(value: number | bigint | undefined): number | undefined {
  return value === undefined || value < 0 ? undefined : Number(value);
}

function ruleOf({ allow, type, major, minor, access }: DeviceRule): Rule {
  const kind = type === "b" || type === "c" ? type : "a";
  return rule(allow, kind, numberOf(major), numberOf(minor), accessBits(access));
}

/** The rules of a config that has none: the devices of `linux.devices`. */
export function rulesFor(devices: Devices): DeviceRule[] {
  return (devices ?? [])
    .filter(({ type }) => type !== "p")
    .map(({ type, major, minor }) => ({
      allow: true,
      type: type === "b" ? "b" : "c",
      ...(major === undefined ? {} : { major }),
      ...(minor === undefined ? {} : { minor }),
    }));
}

/** The whole list: everything forbidden, what the config says, then the default devices. */
export function deviceRules(rules: readonly DeviceRule[]): Rule[] {
  return [EVERYTHING, ...rules.map(ruleOf), ...DEFAULTS];
}

export type Devices = NonNullable<Config["linux"]>["devices"];

/** Whether the list as a whole allows everything: then nothing has to be loaded. */
export function allowsEverything(rules: readonly Rule[]): boolean {
  const last = rules.findLastIndex((r) => !r.allow);
  return rules.some((r, i) => i > last && r.allow && covers(r, rule(true, "a")) && r.access === ALL_ACCESS);
}

/** Whether a rule is against certain devices: forbidding all and then allowing some is everybody's default, that isn't. */
export function forbidsByName(rules: readonly Rule[]): boolean {
  return rules.some((r) => !r.allow && !covers(r, rule(false, "a")));
}

/** Whether every device of `inner` is one of `outer`. */
export function covers(outer: Rule, inner: Rule): boolean {
  return (
    (outer.type === "a" || outer.type === inner.type) &&
    (outer.major === undefined || outer.major === inner.major) &&
    (outer.minor === undefined || outer.minor === inner.minor)
  );
}

/** Whether a device can be of both. */
export function meets(one: Rule, other: Rule): boolean {
  const same = <T>(a: T | undefined, b: T | undefined) => a === undefined || b === undefined || a === b;
  return (
    (one.type === "a" || other.type === "a" || one.type === other.type) &&
    same(one.major, other.major) &&
    same(one.minor, other.minor)
  );
}
