/**
 * Texts of v2's control files, as the kernel reads them, as values of systemd's properties. Undefined: systemd has no such
 * value, or the kernel won't take the text, and says so when it is written. Pure.
 */

/** systemd's number for no limit, and for a weight that isn't set. */
export const UNLIMITED = 0xffff_ffff_ffff_ffffn;

/** With a prefix for base 8 or 16. */
function integerOf(digits: string): bigint | undefined {
  if (!/^(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i.test(digits)) return undefined;
  return BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
}

const belowUnlimited = (value: bigint | undefined) =>
  value === undefined || value >= UNLIMITED ? undefined : value;

/** memparse (lib/cmdline.c): `512M`, `1g`. Or `max`. */
export function bytesOf(given: string): bigint | undefined {
  const text = given.trim();
  if (text === "max") return UNLIMITED;
  // `0x1e` ends in a digit.
  const [, digits = "", suffix = ""] = /^(0x[0-9a-f]+|\d+)([kmgtpe]?)$/i.exec(text) ?? [];
  const number = integerOf(digits);
  const power = suffix === "" ? 0 : "kmgtpe".indexOf(suffix.toLowerCase()) + 1;
  return belowUnlimited(number === undefined ? undefined : number << BigInt(10 * power));
}

/** kstrtoull (lib/kstrtox.c), or `max`. */
export function countOf(text: string): bigint | undefined {
  const trimmed = text.trim();
  return trimmed === "max" ? UNLIMITED : belowUnlimited(integerOf(trimmed.replace(/^\+/, "")));
}

/** cgroup.h: CGROUP_WEIGHT_MIN, CGROUP_WEIGHT_MAX */
export function weightOf(text: string): bigint | undefined {
  const weight = countOf(text);
  return weight === undefined || weight < 1n || weight > 10_000n ? undefined : weight;
}

/** The most that the kernel can be built for (CONFIG_NR_CPUS of x86). */
const MOST_BITS = 8192;

/** `1-3,7` as a bit for each. The kernel knows more forms, `all` and `0-9:1/2`, but systemd knows only numbers. */
export function bitsOf(list: string): number[] | undefined {
  const bytes: number[] = [];
  for (const part of list.split(/[\s,]+/).filter((text) => text !== "")) {
    const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if (from === undefined || first > last || last >= MOST_BITS) return undefined;
    for (let bit = first; bit <= last; bit++) {
      while (bytes.length <= bit >> 3) bytes.push(0);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) | (1 << (bit & 7));
    }
  }
  return bytes;
}

/** What the kernel takes in microseconds: kernel/sched, min_cfs_quota_period, max_cfs_quota_period and MAX_BW. */
const LEAST_TIME = 1000n;
const MOST_QUOTA = (1n << 44n) - 1n;
const MOST_PERIOD = 1_000_000n;
const DEFAULT_PERIOD = 100_000n;
/** systemd rounds a quota of a second to ten milliseconds; up, so that none becomes 0. */
const QUOTA_STEP = 10_000n;

/** cpu.max: a quota for each second, and the period if there is one. */
export function bandwidthOf(text: string): { perSecond: bigint; period?: bigint } | undefined {
  const [, quota, given] = /^(max|\d{1,19})(?:\s+(\d{1,19}))?$/.exec(text.trim()) ?? [];
  const period = BigInt(given ?? DEFAULT_PERIOD);
  if (quota === undefined || period < LEAST_TIME || period > MOST_PERIOD) return undefined;
  const more = given === undefined ? {} : { period };
  if (quota === "max") return { perSecond: UNLIMITED, ...more };
  if (BigInt(quota) < LEAST_TIME || BigInt(quota) > MOST_QUOTA) return undefined;
  const perSecond = (BigInt(quota) * 1_000_000n) / period;
  return { perSecond: ((perSecond + QUOTA_STEP - 1n) / QUOTA_STEP) * QUOTA_STEP, ...more };
}
