import { describe, expect, test } from "bun:test";
import type { Process } from "../../spec/process.ts";
import { RLIM_INFINITY, RLIMIT } from "../../src/kernel/consts/resource.ts";
import { limits, setLimits } from "../../src/plan/rlimits.ts";
import { callsIn, inputOf, structAt } from "./helpers.ts";

type Rlimits = NonNullable<Process["rlimits"]>;
const NOFILE = { soft: 1024n, hard: 4096n };
const inputFor = (rlimits: Rlimits, nofile: typeof NOFILE | undefined = undefined) =>
  inputOf({ process: { cwd: "/", args: ["sh"], rlimits } }, { host: { nofile } });

test("each limit is set on init itself, with its place", () => {
  const list = callsIn(setLimits(inputFor([{ type: "RLIMIT_CORE", soft: 1, hard: 2 }])));
  expect(list).toHaveLength(1);
  expect(list[0]).toMatchObject({ call: "prlimit64", at: "process.rlimits[0]" });
  expect(list[0]?.args.slice(0, 2)).toEqual([0, RLIMIT.RLIMIT_CORE]);
  expect(structAt(list[0], 2, "rlimit64")).toEqual({ rlim_cur: 1n, rlim_max: 2n });
});

test("64 bits are kept whole: 2^64−1 is no limit", () => {
  const [limit] = limits(inputFor([{ type: "RLIMIT_AS", soft: 9007199254740993n, hard: RLIM_INFINITY }]));
  expect(limit).toMatchObject({ soft: 9007199254740993n, hard: RLIM_INFINITY });
});

describe("RLIMIT_NOFILE, which Bun has raised for itself,", () => {
  test("is the caller's unless the config has one", () => {
    expect(limits(inputFor([], NOFILE))).toEqual([
      { name: "RLIMIT_NOFILE", resource: RLIMIT.RLIMIT_NOFILE, ...NOFILE },
    ]);
    const own = limits(inputFor([{ type: "RLIMIT_NOFILE", soft: 5, hard: 6 }], NOFILE));
    expect(own).toHaveLength(1);
    expect(own[0]).toMatchObject({ soft: 5n, hard: 6n, at: "process.rlimits[0]" });
  });

  test("stays as it is where the caller's isn't known", () => {
    expect(limits(inputFor([]))).toEqual([]);
  });

  test("has no place in the config when it isn't from there", () => {
    expect(callsIn(setLimits(inputFor([], NOFILE)))[0]?.at).toBeUndefined();
  });
});

test("all limits of the spec have a number", () => {
  const types = Object.keys(RLIMIT).map((type) => ({ type, soft: 0, hard: 0 })) as Rlimits;
  expect(limits(inputFor(types)).map((limit) => limit.resource)).toEqual(types.map((_, i) => i));
});
