/** "Did you mean": the known name that a wrong one most likely stands for. */

/** Fewest insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const moved = Math.min(previous[column] ?? 0, current[column - 1] ?? 0) + 1;
      const isSwap = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      const swapped = isSwap ? (before[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY;
      current.push(Math.min(replaced, moved, swapped));
    }
    before = previous;
    previous = current;
  }
  return previous.at(-1) ?? 0;
}

/** Names longer than this aren't typos of the spec's, and comparing them would take time. */
const LONGEST = 64;

/**
 * The nearest of `known` to `name`, if near enough: two edits, or a third of a long name; one for names of up to three
 * characters, where two would make anything a typo of anything. Case doesn't count.
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length > LONGEST) return undefined;
  let best: string | undefined;
  let bestDistance = name.length <= 3 ? 2 : Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** `nearest` as a hint, or nothing. */
export function didYouMean(name: string, known: readonly string[]): { hint?: string } {
  const found = nearest(name, known);
  return found === undefined ? {} : { hint: `did you mean \`${found}\`?` };
}
