/** The forms of cgroup files; the texts are those of Linux 6.1 and 6.18. */
import { expect, test } from "bun:test";
import {
  parseBlkio,
  parseFlat,
  parseIoStat,
  parseNumbers,
  parsePressure,
  parseRanges,
  parseValue,
  UNLIMITED,
} from "../../../src/cgroup/stats/text.ts";

test("a value is a number of any size, or max", () => {
  expect(parseValue("253952\n")).toBe(253952n);
  expect(parseValue("9223372036854771712\n")).toBe(9223372036854771712n);
  expect(parseValue("max\n")).toBe(UNLIMITED);
  expect(parseValue("-1\n")).toBe(UNLIMITED);
  expect(parseValue("")).toBe(0n);
  expect(parseValue("nonsense")).toBe(0n);
});

test("lines of key and value become a map, in their order", () => {
  expect([...parseFlat("usage_usec 1610000\nuser_usec 1589748\nsystem_usec 20251\n")]).toEqual([
    ["usage_usec", 1610000n],
    ["user_usec", 1589748n],
    ["system_usec", 20251n],
  ]);
  expect(parseFlat("").size).toBe(0);
});

test("numbers between blanks are a list", () => {
  expect(parseNumbers("955469749 1034252 \n")).toEqual([955469749n, 1034252n]);
  expect(parseNumbers("")).toEqual([]);
});

test("ranges of CPUs become numbers", () => {
  expect(parseRanges("0-3,8\n")).toEqual([0, 1, 2, 3, 8]);
  expect(parseRanges("0\n")).toEqual([0]);
  expect(parseRanges("\n")).toEqual([]);
});

test("a block device's counters of v1 have an operation or none; the total is no device's", () => {
  const text = "8:0 Read 4096\n8:0 Write 0\n8:16 Sync 12288\n8:0 77\nTotal 16384\n";
  expect(parseBlkio(text)).toEqual([
    { major: 8n, minor: 0n, op: "Read", value: 4096n },
    { major: 8n, minor: 0n, op: "Write", value: 0n },
    { major: 8n, minor: 16n, op: "Sync", value: 12288n },
    { major: 8n, minor: 0n, op: "", value: 77n },
  ]);
  expect(parseBlkio("Total 0\n")).toEqual([]);
});

test("a block device's counters of v2 are pairs; a device that was never used has none", () => {
  const text = "8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=0 dios=0\n254:0\n";
  const [device, ...more] = parseIoStat(text);
  expect(more).toEqual([]);
  expect(device).toMatchObject({ major: 8n, minor: 0n });
  expect([...(device?.values ?? [])].slice(0, 2)).toEqual([
    ["rbytes", 90430464n],
    ["wbytes", 299008000n],
  ]);
});

test("pressure has some and full; old kernels have no full for the CPU, and none at all is undefined", () => {
  const some = "some avg10=3.83 avg60=9.50 avg300=17.09 total=188155162\n";
  const full = "full avg10=0.00 avg60=0.18 avg300=0.14 total=8700857\n";
  expect(parsePressure(some + full)).toEqual({
    some: { avg10: 3.83, avg60: 9.5, avg300: 17.09, total: 188155162n },
    full: { avg10: 0, avg60: 0.18, avg300: 0.14, total: 8700857n },
  });
  expect(parsePressure(some)?.full).toEqual({ avg10: 0, avg60: 0, avg300: 0, total: 0n });
  expect(parsePressure("")).toBeUndefined();
});
