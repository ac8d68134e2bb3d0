/** Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment). */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/**
 * The candidate that a mistyped word most likely meant: it differs by at most a third of its letters, or begins with
 * the word. Undefined when nothing is near.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const typed = word.toLowerCase();
  let best: string | undefined;
  let bestCost = Math.max(1, Math.floor(typed.length / 3)) + 1;
  for (const candidate of candidates) {
    const known = candidate.toLowerCase();
    const begins = typed.length >= 2 && known.startsWith(typed);
    const cost = begins ? Math.min(1, distance(typed, known)) : distance(typed, known);
    if (cost < bestCost && cost < Math.max(typed.length, 2)) {
      best = candidate;
      bestCost = cost;
    }
  }
  return best;
}

/** "did you mean …?" for a hint, or nothing. */
export function didYouMean(
  word: string,
  candidates: Iterable<string>,
  show: (name: string) => string = String,
): string | undefined {
  const found = nearest(word, candidates);
  return found === undefined ? undefined : `did you mean ${show(found)}?`;
}
