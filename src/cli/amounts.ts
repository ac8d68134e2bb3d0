import { KontenaError } from "../error.ts";

const UNITS: Readonly<Record<string, bigint>> = {
  "": 1n,
  k: 1n << 10n,
  m: 1n << 20n,
  g: 1n << 30n,
  t: 1n << 40n,
  p: 1n << 50n,
};

const LARGEST = (1n << 63n) - 1n;

/** As JSON has it: a bigint only beyond what a number holds exactly. */
function amount(value: bigint): number | bigint {
  return value > Number.MAX_SAFE_INTEGER ? value : Number(value);
}

/** Bytes as people write them: `64m`, `1.5g`, `512KiB`, in powers of 1024; -1 is no limit. Throws USAGE. */
export function parseBytes(text: string, shown: string): number | bigint {
  if (text === "-1") return -1;
  const [, whole, fraction, unit] = /^(\d{1,19})(?:\.(\d{1,6}))? ?([kmgtp]?)(?:i?b)?$/i.exec(text) ?? [];
  const factor = UNITS[(unit ?? "").toLowerCase()] ?? 1n;
  const size =
    BigInt(whole ?? -1) * factor + (BigInt((fraction ?? "").padEnd(6, "0") || 0) * factor) / 1_000_000n;
  if (whole === undefined || size > LARGEST)
    throw new KontenaError("USAGE", `${shown}: "${text}" isn't a size`, {
      hint: "as in 64m, 1.5g, or -1 for no limit",
    });
  return amount(size);
}

/** A whole number; `least` is 0, or less where negative ones mean something. Throws USAGE. */
export function parseWhole(text: string, shown: string, least: 0 | -1 = 0): number | bigint {
  const value = /^-?\d{1,20}$/.test(text) ? BigInt(text) : undefined;
  if (value === undefined || value < least || value >= 1n << 64n)
    throw new KontenaError(
      "USAGE",
      `${shown}: "${text}" isn't a whole number${least === 0 ? "" : ", or -1"}`,
    );
  return amount(value);
}
