import { expect, test } from "bun:test";
import { O } from "../../src/kernel/consts/fcntl.ts";
import { READY, STATE_DIRECTORY } from "../../src/plan/names.ts";
import { EXEC_FIFO, park } from "../../src/plan/park.ts";
import { callsIn, inputOf, short } from "./helpers.ts";

const list = callsIn(park(inputOf({})));
const indexOf = (text: string) => list.findIndex((c) => short(c).startsWith(text));

test("parked, init holds the state directory and nothing else, not even create's part of the plan", () => {
  expect(list.slice(0, 3).map(short)).toEqual([
    "munmap(<create section>, <create section's length>)",
    "close(<init socket>)",
    `openat(<${STATE_DIRECTORY}>, "${EXEC_FIFO}", ${O.O_WRONLY | O.O_CLOEXEC}) = exec FIFO`,
  ]);
});

test("the opening of the FIFO waits: it isn't non-blocking", () => {
  expect((list[2]?.args[2] as number) & O.O_NONBLOCK).toBe(0);
});

test("init tells that it goes on, and lets go of the state directory before the program", () => {
  expect(indexOf(`write(<exec FIFO>, "${READY}", 1)`)).toBeGreaterThan(indexOf("openat("));
  expect(indexOf(`close(<${STATE_DIRECTORY}>)`)).toBe(list.length - 1);
});

test("when `start` dies just then, init waits for another one", () => {
  expect(list[indexOf("write(")]?.on).toEqual({ EPIPE: "restart" });
});
