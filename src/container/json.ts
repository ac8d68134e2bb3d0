/** JSON with integers of any size: counters of the kernel have 64 bits, and Go reads them as uint64. */
type RawJson = { rawJSON(text: string): unknown };

/** As JSON.stringify, and bigint as a plain number. */
export function stringify(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    // A bigint is in it, most likely.
  }
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "bigint" ? (JSON as unknown as RawJson).rawJSON(part.toString()) : part,
  );
}
