/** `blockIO` (config-linux.md, "Block IO"; cgroup-v1/blkio-controller.rst; cgroup-v2.rst, "IO"; bfq-iosched.rst). */
import type { BlockIoResources } from "../../../spec/resources.ts";
import { type Facts, type Item, isSet, lacking, onlyV1 } from "../item.ts";

const PLACE = "linux.resources.blockIO";

export function blkioItems(blockIO: BlockIoResources, facts: Facts): Item[] {
  const version = facts.where("blkio", "io");
  if (version !== undefined) return version === 1 ? v1(blockIO, facts) : v2(blockIO, facts);
  return v2(blockIO, { where: () => 2, read: () => "" }).map((item) =>
    "file" in item ? lacking(item.at, "io", facts) : item,
  );
}

const NO_WEIGHTS = "this kernel has no weights for block devices";
const NO_WEIGHTS_HINT = "they come with the I/O scheduler bfq, or on v2 with io.weight";

function v1(blockIO: BlockIoResources, facts: Facts): Item[] {
  const has = (file: string) => facts.read("blkio", file) !== undefined;
  // CFQ's files went with it (Linux 5.0); where they are they are CFQ's, else BFQ's.
  const either = (file: string, value: string, at: string): Item => {
    const found = [`blkio.${file}`, `blkio.bfq.${file}`].find(has);
    if (found === undefined) return { refused: NO_WEIGHTS, at, hint: NO_WEIGHTS_HINT };
    return { controller: "blkio", version: 1, file: found, value, at };
  };
  const { weight, leafWeight, weightDevice = [] } = blockIO;
  return [
    ...(isSet(weight) ? [either("weight", String(weight), `${PLACE}.weight`)] : []),
    ...(isSet(leafWeight) ? [either("leaf_weight", String(leafWeight), `${PLACE}.leafWeight`)] : []),
    ...weightDevice.flatMap((d, i) => {
      const at = `${PLACE}.weightDevice[${i}]`;
      const device = `${d.major}:${d.minor}`;
      return [
        ...(isSet(d.weight) ? [either("weight_device", `${device} ${d.weight}`, `${at}.weight`)] : []),
        ...(isSet(d.leafWeight)
          ? [either("leaf_weight_device", `${device} ${d.leafWeight}`, `${at}.leafWeight`)]
          : []),
      ];
    }),
    ...THROTTLES.flatMap(([name, file]) =>
      (blockIO[name] ?? []).map(
        (d, i): Item => ({
          controller: "blkio",
          version: 1,
          file: `blkio.throttle.${file}`,
          value: `${d.major}:${d.minor} ${d.rate}`,
          at: `${PLACE}.${name}[${i}]`,
        }),
      ),
    ),
  ];
}

/** Property, file of v1, key in v2's io.max. */
const THROTTLES = [
  ["throttleReadBpsDevice", "read_bps_device", "rbps"],
  ["throttleWriteBpsDevice", "write_bps_device", "wbps"],
  ["throttleReadIOPSDevice", "read_iops_device", "riops"],
  ["throttleWriteIOPSDevice", "write_iops_device", "wiops"],
] as const;

function v2(blockIO: BlockIoResources, facts: Facts): Item[] {
  const io = (file: string, value: string, at: string): Item => ({
    ...{ controller: "io", version: 2, file, value, at },
  });
  const has = (file: string) => facts.read("io", file) !== undefined;
  const either = (device: string, weight: number, at: string): Item => {
    if (has("io.bfq.weight")) return io("io.bfq.weight", `${device}${weight}`, at);
    if (has("io.weight")) return io("io.weight", `${device}${ioWeight(weight)}`, at);
    return { refused: NO_WEIGHTS, at, hint: NO_WEIGHTS_HINT };
  };
  const { weight, leafWeight, weightDevice = [] } = blockIO;
  return [
    ...(isSet(weight) ? [either("", weight, `${PLACE}.weight`)] : []),
    ...(isSet(leafWeight) ? [onlyV1(`${PLACE}.leafWeight`)] : []),
    ...weightDevice.flatMap((d, i) => {
      const at = `${PLACE}.weightDevice[${i}]`;
      return [
        ...(isSet(d.weight) ? [either(`${d.major}:${d.minor} `, d.weight, `${at}.weight`)] : []),
        ...(isSet(d.leafWeight) ? [onlyV1(`${at}.leafWeight`)] : []),
      ];
    }),
    ...THROTTLES.flatMap(([name, , key]) =>
      (blockIO[name] ?? []).map((d, i) => {
        // On v1, 0 takes a limit away; v2 has a word for it.
        const rate = d.rate === 0 ? "max" : d.rate;
        return io("io.max", `${d.major}:${d.minor} ${key}=${rate}`, `${PLACE}.${name}[${i}]`);
      }),
    ),
  ];
}

/** BFQ's scale (10 to 1000, usually 100) on that of io.weight (1 to 10000, usually 100), linear as in runc and crun. */
export function ioWeight(weight: number): number {
  return Math.min(10_000, Math.max(1, 1 + Math.floor(((weight - 10) * 9999) / 990)));
}
