import { expect, test } from "bun:test";
import { CALLERS_UMASK, inherited, signals } from "../../src/plan/inherited.ts";
import { INIT_NAME } from "../../src/plan/names.ts";

import { callsIn, inputOf, short, structAt } from "./helpers.ts";

test("init has a name, no blocked signal, a session of its own and no umask", () => {
  const list = callsIn(inherited());
  expect(list.map(short)).toEqual([
    `prctl(15, "${INIT_NAME}", 0, 0, 0)`,
    "rt_sigprocmask(2, sigset, 0, 8)",
    "setsid()",
    `umask(0) = ${CALLERS_UMASK}`,
  ]);
  expect(structAt(list[1], 1, "sigset")).toBe(0n);
});

test("init's name fits what the kernel keeps of it", () => {
  expect(Buffer.byteLength(INIT_NAME)).toBeLessThan(16);
});

test("each signal that the caller ignores gets its default back, and no other", () => {
  const list = callsIn(signals(inputOf({}, { host: { ignoredSignals: [13, 25] } })));
  expect(list.map(short)).toEqual(["rt_sigaction(13, sigaction, 0, 8)", "rt_sigaction(25, sigaction, 0, 8)"]);
  expect(signals(inputOf({}, { host: { ignoredSignals: [] } }))).toEqual([]);
});
