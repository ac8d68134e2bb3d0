import { expect, test } from "bun:test";
import type { IdMapping } from "../../spec/common.ts";
import { idMappingsAreRanges } from "../../spec/id-mappings.ts";

const m = (containerID: number, hostID: number, size: number): IdMapping => ({ containerID, hostID, size });

const problemsOf = (linux: object, mounts: object[] = []) =>
  idMappingsAreRanges({
    ociVersion: "1.3.0",
    linux,
    mounts: mounts.map((more) => ({ destination: "/data", ...more })),
  }).map(({ at, message }) => `${at}: ${message}`);

test("ranges side by side are fine, in any order, up to the last id that there is", () => {
  const uidMappings = [m(10, 500, 5), m(0, 1000, 10), m(15, 2000, 1)];
  expect(problemsOf({ uidMappings, gidMappings: [m(0, 0, 4294967295)] })).toEqual([]);
  expect(problemsOf({ uidMappings: [] })).toEqual([]);
  expect(problemsOf({})).toEqual([]);
});

test("a range has to have ids, and all of them have to be ids", () => {
  expect(problemsOf({ uidMappings: [m(0, 1000, 1), m(1, 5, 0)] })).toEqual([
    "linux.uidMappings[1].size: expected at least 1, received 0",
  ]);
  expect(problemsOf({ gidMappings: [m(1, 4294967295, 1)] })).toEqual([
    "linux.gidMappings[0].hostID: 1 ids from 4294967295 on go beyond the last one, 4294967294",
  ]);
  expect(problemsOf({ gidMappings: [m(5, 1, 4294967294)] })).toEqual([
    "linux.gidMappings[0].containerID: 4294967294 ids from 5 on go beyond the last one, 4294967294",
  ]);
});

test("ranges that overlap are named, inside as outside", () => {
  expect(problemsOf({ uidMappings: [m(5, 100, 5), m(0, 200, 6)] })).toEqual([
    "linux.uidMappings[1].containerID: overlaps with the range of linux.uidMappings[0]",
  ]);
  expect(problemsOf({ uidMappings: [m(0, 100, 5), m(5, 104, 6)] })).toEqual([
    "linux.uidMappings[1].hostID: overlaps with the range of linux.uidMappings[0]",
  ]);
});

test("340 ranges are the most", () => {
  const ranges = (count: number) => Array.from({ length: count }, (_, i) => m(i, i, 1));
  expect(problemsOf({ uidMappings: ranges(340) })).toEqual([]);
  expect(problemsOf({ uidMappings: ranges(341) })).toEqual([
    "linux.uidMappings: expected at most 340 ranges, received 341",
  ]);
});

test("the same goes for the mappings of a mount", () => {
  const mount = { uidMappings: [m(0, 1, 0)], gidMappings: [m(0, 1, 1)] };
  expect(problemsOf({}, [{}, mount])).toEqual([
    "mounts[1].uidMappings[0].size: expected at least 1, received 0",
  ]);
});
