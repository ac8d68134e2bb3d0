/** config-linux.md, "Devices". */
import * as v from "valibot";
import { expecting, optional, text } from "./common.ts";

export const DEVICE_TYPES = ["c", "b", "u", "p"] as const;

const FILE_TYPE_BITS = 0o170000;

/**
 * Engines copy st_mode of a device of the host, file type bits and all (8630 is character device 0666), and rely on
 * runtimes to drop those. Without them more than 0777 is most likely octal digits written in decimal.
 */
function isFileMode(input: unknown): input is number {
  if (typeof input !== "number" || !Number.isInteger(input) || input < 0 || input > 0o177777) return false;
  return input <= 0o777 || (input & FILE_TYPE_BITS) !== 0;
}

export const fileMode = v.custom<number>(
  isFileMode,
  expecting("file permissions in decimal from 0 to 511 (octal 666 is 438)"),
);

export const DeviceSchema = v.object({
  /** As in mknod(1): `c` or `u` character, `b` block, `p` FIFO. */
  type: v.picklist(DEVICE_TYPES),
  /** Where, inside the container, absolute; may be outside of /dev. */
  path: text,
  /** Needed unless `type` is `p`. */
  major: optional.int64,
  /** Needed unless `type` is `p`. */
  minor: optional.int64,
  /** Permissions, in decimal; may have file type bits on top, which mean nothing. */
  fileMode: v.exactOptional(fileMode),
  /** Owner inside the container. */
  uid: optional.id,
  /** Group inside the container. */
  gid: optional.id,
});
export type Device = v.InferOutput<typeof DeviceSchema>;
