/** config.md, "Mounts": what is mounted besides the root file system, in the listed order. */
import * as v from "valibot";
import { optional, optionalIdMappings, text } from "./common.ts";

export const MountSchema = v.object({
  /** Where, inside the container; absolute. A relative one is deprecated and means from `/`. */
  destination: text,
  /** A device, a file or directory of the host (from the bundle when relative) for bind mounts, or a dummy. */
  source: optional.text,
  /** mount(8) options, the file system's own ones among them; `bind` or `rbind` makes it a bind mount. */
  options: optional.texts,
  /** File system type as in /proc/filesystems; a dummy for bind mounts. */
  type: optional.text,
  /** User ids of an idmapped mount; only together with `gidMappings`. */
  uidMappings: optionalIdMappings,
  /** Group ids of an idmapped mount; only together with `uidMappings`. */
  gidMappings: optionalIdMappings,
});
export type Mount = v.InferOutput<typeof MountSchema>;
