/** `unified` (config-linux.md, "Unified"): files of v2 by their names, values as they are. */
import { type Facts, type Item, lacking } from "../item.ts";

/** A file's name, not a path: nothing but the container's own cgroup can be meant. */
const NAME = /^[A-Za-z][\w-]*(\.[\w-]+)+$/;

/** What of a cgroup is no limit, and why not: init would be stopped, killed or moved while it makes the container. */
const NO_LIMITS: Partial<Record<string, string>> = {
  "cgroup.procs": "holds processes, and is no limit",
  "cgroup.threads": "holds processes, and is no limit",
  "cgroup.freeze": "stops processes, and is no limit: `kontena pause` does that",
  "cgroup.kill": "kills processes, and is no limit: `kontena kill` does that",
  "cgroup.type": "says what processes a cgroup may have, and is no limit",
};

export function unifiedItems(unified: Readonly<Record<string, string>>, facts: Facts): Item[] {
  return Object.entries(unified).flatMap(([file, text]): Item[] => {
    const at = `linux.resources.unified["${file}"]`;
    if (!NAME.test(file))
      return [
        { refused: "is no name of a file of cgroup v2", at, hint: "as in memory.high, without a slash" },
      ];
    if (facts.where("", "cgroup") !== 2)
      return [{ refused: "needs cgroup v2, which this host hasn't mounted", at }];
    const refused = NO_LIMITS[file];
    if (refused !== undefined) return [{ refused, at }];
    const controller = file.slice(0, file.indexOf("."));
    if (controller !== "cgroup" && facts.where("", controller) !== 2) return [lacking(at, controller, facts)];
    // The kernel takes one line for a write, as io.max may have several.
    const lines = text.split("\n").filter((line) => line !== "");
    return (lines.length === 0 ? [text] : lines).map((value) => ({
      ...{ controller, version: 2 as const, file, value, at },
    }));
  });
}
