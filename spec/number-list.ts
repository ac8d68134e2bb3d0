/** Lists of CPUs and memory nodes as cpuset(7), "List format", has them: `0-3,7`. */

export type NumberRange = readonly [first: number, last: number];

/** The ranges of a list, in its order; undefined when it isn't one. An empty list has none. */
export function parseNumberList(list: string): NumberRange[] | undefined {
  if (list.trim() === "") return [];
  const ranges: NumberRange[] = [];
  for (const part of list.split(",")) {
    const [, first = "", last = first] = /^\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*$/.exec(part) ?? [];
    if (first === "" || Number(last) < Number(first)) return undefined;
    ranges.push([Number(first), Number(last)]);
  }
  return ranges;
}

/** What is wrong with a list whose numbers may go up to `most`; undefined when nothing is. */
export function numberListFault(list: string, most: number): string | undefined {
  const ranges = parseNumberList(list);
  if (ranges === undefined) return `expected a list such as 0-3,7; received ${JSON.stringify(list)}`;
  const above = ranges.find(([, last]) => last > most);
  return above === undefined ? undefined : `${above[1]} is above ${most}, the highest that Linux can have`;
}
