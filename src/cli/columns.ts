/** Control characters of a path could move the cursor or hide a line; they are printed as escapes. */
export function printable(cell: string): string {
  return cell.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/**
 * Rows as aligned columns: each at least 12 wide, three spaces apart, the last one not padded (the widths of `runc list`, which scripts cut).
 */
export function columns(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(printable));
  const widths = (cells[0] ?? []).map((_, i) =>
    Math.max(12, ...cells.map((row) => (row[i] ?? "").length + 3)),
  );
  return cells
    .map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join(""))
    .map((line) => `${line}\n`)
    .join("");
}
