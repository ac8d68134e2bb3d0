import { describe, expect, test } from "bun:test";
import type { Process } from "../../spec/process.ts";
import { ioPriority, scheduler } from "../../src/plan/scheduling.ts";
import { callsIn, inputOf, short, structAt } from "./helpers.ts";

const inputFor = (process: Partial<Process>) => inputOf({ process: { cwd: "/", args: ["sh"], ...process } });

describe("scheduler:", () => {
  const valueFor = (asked: NonNullable<Process["scheduler"]>) =>
    structAt(callsIn(scheduler(inputFor({ scheduler: asked })))[0], 1, "sched_attr");

  test("one call on init itself, with everything that isn't asked for 0", () => {
    const list = callsIn(scheduler(inputFor({ scheduler: { policy: "SCHED_BATCH" } })));
    expect(list.map(short)).toEqual(["sched_setattr(0, sched_attr, 0)"]);
    expect(list[0]).toMatchObject({ at: "process.scheduler" });
    expect(valueFor({ policy: "SCHED_BATCH" })).toEqual({
      ...{ policy: 3, flags: 0, nice: 0, priority: 0 },
      ...{ runtime: 0n, deadline: 0n, period: 0n },
    });
  });

  test("policy, flags, nice value, priority and 64-bit times arrive", () => {
    expect(
      valueFor({
        ...{ policy: "SCHED_DEADLINE", nice: -20, priority: 99 },
        flags: ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_UTIL_CLAMP_MAX"],
        ...{ runtime: 1_000_000, deadline: 9007199254740993n, period: 18446744073709551615n },
      }),
    ).toEqual({
      ...{ policy: 6, flags: 0x45, nice: -20, priority: 99 },
      ...{ runtime: 1_000_000n, deadline: 9007199254740993n, period: 18446744073709551615n },
    });
  });

  test("all policies of the spec have a number, the kernel's", () => {
    const policies = ["OTHER", "FIFO", "RR", "BATCH", "ISO", "IDLE", "DEADLINE"] as const;
    expect(policies.map((name) => valueFor({ policy: `SCHED_${name}` }).policy)).toEqual([
      0, 1, 2, 3, 4, 5, 6,
    ]);
  });
});

describe("ioPriority:", () => {
  const levelFor = (asked: NonNullable<Process["ioPriority"]>) =>
    callsIn(ioPriority(inputFor({ ioPriority: asked }))).map(short);

  test("class and level are one integer", () => {
    expect(levelFor({ class: "IOPRIO_CLASS_RT", priority: 1 })).toEqual([`ioprio_set(1, 0, ${0x2001})`]);
    expect(levelFor({ class: "IOPRIO_CLASS_BE", priority: 7 })).toEqual([`ioprio_set(1, 0, ${0x4007})`]);
    expect(levelFor({ class: "IOPRIO_CLASS_IDLE" })).toEqual([`ioprio_set(1, 0, ${0x6000})`]);
  });
});

test("nothing is set that isn't asked for", () => {
  expect([...scheduler(inputFor({})), ...ioPriority(inputFor({}))]).toEqual([]);
});
