import { expect, test } from "bun:test";
import type { Linux } from "../../spec/linux.ts";
import { personality } from "../../src/plan/personality.ts";
import { callsIn, inputOf, short } from "./helpers.ts";

const callsFor = (linux: Linux) => callsIn(personality(inputOf({ linux }))).map(short);

test("each domain of the spec is one of the kernel's", () => {
  expect(callsFor({ personality: { domain: "LINUX32" } })).toEqual(["personality(8)"]);
  expect(callsFor({ personality: { domain: "LINUX", flags: [] } })).toEqual(["personality(0)"]);
});

test("the caller's stays when the config has none", () => {
  expect(callsFor({})).toEqual([]);
});
