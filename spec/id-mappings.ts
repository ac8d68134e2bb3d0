/** What the kernel asks of the ranges of a user namespace's ids, a config's or a mount's. */
import type { IdMapping, Problem } from "./common.ts";
import type { Config } from "./config.ts";

/** The kernel's own rules for the ranges of uid_map and gid_map (user_namespaces(7), "Defining user and group ID mappings"). */
const MOST_RANGES = 340;
/** uid_map(5) has no last id: 4294967295 is (uid_t) −1, which means none. */
const END_OF_IDS = 4294967295;

function rangeProblems({ containerID, hostID, size }: IdMapping, at: string): Problem[] {
  if (size === 0) return [{ at: `${at}.size`, message: "expected at least 1, received 0" }];
  return Object.entries({ containerID, hostID }).flatMap(([name, first]) =>
    first + size <= END_OF_IDS
      ? []
      : [
          {
            at: `${at}.${name}`,
            message: `${size} ids from ${first} on go beyond the last one, ${END_OF_IDS - 1}`,
          },
        ],
  );
}

function overlaps(mappings: readonly IdMapping[], at: string): Problem[] {
  return (["containerID", "hostID"] as const).flatMap((name) => {
    const sorted = mappings
      .map((m, index) => ({ index, first: m[name], end: m[name] + m.size }))
      .sort((a, b) => a.first - b.first);
    return sorted.flatMap(({ index, first }, i): Problem[] => {
      const before = sorted[i - 1];
      if (before === undefined || before.end <= first) return [];
      const [one, other] = [Math.max(index, before.index), Math.min(index, before.index)];
      return [{ at: `${at}[${one}].${name}`, message: `overlaps with the range of ${at}[${other}]` }];
    });
  });
}

/** All that is wrong with one list of ranges, wherever it stands. */
function mappingProblems(mappings: readonly IdMapping[] = [], at: string): Problem[] {
  if (mappings.length > MOST_RANGES)
    return [{ at, message: `expected at most ${MOST_RANGES} ranges, received ${mappings.length}` }];
  const wrong = mappings.flatMap((m, index) => rangeProblems(m, `${at}[${index}]`));
  return wrong.length > 0 ? wrong : overlaps(mappings, at);
}

/** "User namespace mappings" and the mappings of mounts: ranges such as the kernel takes. */
export function idMappingsAreRanges({ linux, mounts = [] }: Config): Problem[] {
  const lists = [{ place: "linux", of: linux }, ...mounts.map((of, i) => ({ place: `mounts[${i}]`, of }))];
  return lists.flatMap(({ place, of }) => [
    ...mappingProblems(of?.uidMappings, `${place}.uidMappings`),
    ...mappingProblems(of?.gidMappings, `${place}.gidMappings`),
  ]);
}
