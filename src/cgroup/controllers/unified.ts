/** `unified` (config-linux.md, "Unified"): files of v2 by their names, values as they are. */
import { type Facts, type Item, lacking } from "../item.ts";

/** A file's name, not a path: nothing but the container's own cgroup can be meant. */
const NAME = /^[A-Za-z][\w-]*(\.[\w-]+)+$/;

export function unifiedItems(unified: Readonly<Record<string, string>>, facts: Facts): Item[] {
  return Object.entries(unified).flatMap(([file, text]): Item[] => {
    const at = `linux.resources.unified["${file}"]`;
    if (!NAME.test(file))
      return [
        { refused: "is no name of a file of cgroup v2", at, hint: "as in memory.high, without a slash" },
      ];
    if (facts.where("", "cgroup") !== 2)
      return [{ refused: "needs cgroup v2, which this host hasn't mounted", at }];
    if (file === "cgroup.procs" || file === "cgroup.threads")
      return [{ refused: "holds processes, and is no limit", at }];
    const controller = file.slice(0, file.indexOf("."));
    if (controller !== "cgroup" && facts.where("", controller) !== 2) return [lacking(at, controller, facts)];
    // The kernel takes one line for a write, as io.max may have several.
    const lines = text.split("\n").filter((line) => line !== "");
    return (lines.length === 0 ? [text] : lines).map((value) => ({
      ...{ controller, version: 2 as const, file, value, at },
    }));
  });
}
