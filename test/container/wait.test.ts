import { describe, expect, test } from "bun:test";
import { closeSync, writeSync } from "node:fs";
import { awaitChild } from "../../src/container/children.ts";
import { awaitEnd, endedChild, endInit, onEnd, openPidfd, poll, reap } from "../../src/container/wait.ts";
import { KontenaError } from "../../src/error.ts";
import { POLL } from "../../src/kernel/consts/socket.ts";
import { SyscallError } from "../../src/kernel/libc.ts";
import { BORN, call, endAll, exit, openPipe, park } from "../init/helpers/park.ts";

const noRoot = process.geteuid?.() === 0 ? "" : " (skipped: not root)";
const asRoot = test.skipIf(noRoot !== "");

/** A child of this process that Bun knows nothing of: it is an init that ends as the plan says. */
const ending = (status: number) => park([BORN, exit(status)]);
type Ending = ReturnType<typeof ending>;

describe("the end of a child", () => {
  asRoot(`is told with its exit status${noRoot}`, () => {
    for (const status of [0, 1, 255]) {
      const init = ending(status);
      expect(reap(init.pid, true)).toBe("running");
      init.go();
      expect(reap(init.pid, false)).toEqual({ code: status, text: ` (exit status ${status})` });
      expect(reap(init.pid, true)).toBe("gone");
    }
    endAll();
  });

  asRoot(`by a signal is 128 and its number${noRoot}`, () => {
    const init = ending(0);
    process.kill(init.pid, "SIGKILL");
    expect(reap(init.pid, false)).toEqual({ code: 137, signal: 9, text: " (killed by signal 9)" });
    endAll();
  });

  test("of somebody else's is nothing to wait for", async () => {
    expect(reap(1, true)).toBe("gone");
    expect(awaitChild(1)).rejects.toBeInstanceOf(KontenaError);
    await Bun.sleep(0);
  });

  asRoot(`is known to all who wait for it, whoever reaps it${noRoot}`, async () => {
    const init = ending(5);
    const heard: number[] = [];
    onEnd(init.pid, ({ code }) => heard.push(code));
    const waiting = awaitChild(init.pid);
    init.go();
    reap(init.pid, false);
    expect((await waiting).code).toBe(5);
    expect(heard).toEqual([5]);
    endAll();
  });

  asRoot(`is told while a child of somebody else's is a zombie, and that one stays${noRoot}`, async () => {
    const [other, own, last] = [6, 7, 8].map(ending) as [Ending, Ending, Ending];
    const ends = [awaitChild(own.pid), awaitChild(last.pid)];
    other.go();
    const pidfd = openPidfd(other.pid);
    awaitEnd(pidfd, 5000);
    closeSync(pidfd);
    expect(endedChild(true)).toBe(other.pid);
    own.go();
    expect((await ends[0])?.code).toBe(7);
    last.go();
    expect((await ends[1])?.code).toBe(8);
    expect(endedChild(true)).toBe(other.pid);
    expect(reap(other.pid, true)).toMatchObject({ code: 6 });
    expect(endedChild(true)).toBeUndefined();
    endAll();
  });

  asRoot(`of several children resolves each with its own${noRoot}`, async () => {
    const inits = [3, 4, 5].map(ending);
    const ends = inits.map((init) => awaitChild(init.pid));
    for (const init of inits.toReversed()) init.go();
    expect((await Promise.all(ends)).map((end) => end.code)).toEqual([3, 4, 5]);
    endAll();
  });

  asRoot(`that came before the waiting is told too${noRoot}`, async () => {
    const init = ending(6);
    init.go();
    await Bun.sleep(20);
    expect((await awaitChild(init.pid)).code).toBe(6);
    endAll();
  });
});

asRoot(`init is killed and reaped in one${noRoot}`, () => {
  const init = park([BORN, call("getpid")]);
  const pidfd = openPidfd(init.pid);
  expect(endInit(init.pid, pidfd)).toMatchObject({ code: 137, signal: 9 });
  expect(() => awaitEnd(pidfd, 0)).not.toThrow();
  closeSync(pidfd);
  endAll();
});

asRoot(`a process that doesn't end in time is an error${noRoot}`, () => {
  const init = park([BORN]);
  const pidfd = openPidfd(init.pid);
  expect(() => awaitEnd(pidfd, 5)).toThrow(KontenaError);
  closeSync(pidfd);
  endAll();
});

test("a number that no process has is no pidfd", () => {
  expect(() => openPidfd(2 ** 22 + 1)).toThrow(SyscallError);
});

describe("poll", () => {
  test("tells which descriptors are ready, and comes back without any when the time is over", () => {
    const [a, b] = [openPipe(), openPipe()];
    expect(poll([a.from, b.from], 0)).toEqual([]);
    const before = performance.now();
    expect(poll([a.from], 30)).toEqual([]);
    expect(performance.now() - before).toBeGreaterThan(25);
    writeSync(b.to, "x");
    expect(poll([a.from, b.from], -1)).toEqual([{ fd: b.from, events: POLL.POLLIN }]);
    closeSync(b.to);
    expect(poll([b.from], 0)[0]?.events).toBe(POLL.POLLIN | POLL.POLLHUP);
    closeSync(b.from);
    a.close();
  });
});
