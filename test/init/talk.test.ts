import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { awaitDone, moveAbove, openTalk, sendGo } from "../../src/init/talk.ts";
import { rawSyscall, syscall } from "../../src/kernel/libc.ts";

const isOpen = (fd: number) => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) !== "";
  } catch {
    return false;
  }
};
const flagsOf = (fd: number) =>
  Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "0", 8);
const CLOEXEC = 0o2000000;
const NONBLOCK = 0o4000;

test("the conversation is a byte each way, over sockets that close at execve and block", () => {
  const { ours, theirs } = openTalk();
  for (const fd of [ours, theirs]) {
    expect(flagsOf(fd) & CLOEXEC).toBe(CLOEXEC);
    expect(flagsOf(fd) & NONBLOCK).toBe(0);
  }
  expect(sendGo(ours)).toBe(true);
  const byte = new Uint8Array(8);
  expect(syscall("read", theirs, byte, 8)).toBe(1);
  syscall("write", theirs, new Uint8Array([120]), 1);
  expect(awaitDone(ours)).toBe(true);
  closeSync(ours);
  closeSync(theirs);
});

test("words that are waiting are one byte for each reading, not one for all", () => {
  const { ours, theirs } = openTalk();
  for (let i = 0; i < 2; i++) syscall("write", theirs, new Uint8Array([1]), 1);
  closeSync(theirs);
  expect([awaitDone(ours), awaitDone(ours), awaitDone(ours)]).toEqual([true, true, false]);
  closeSync(ours);
});

test("the other one's end is told, not thrown, and is no signal", () => {
  const { ours, theirs } = openTalk();
  closeSync(theirs);
  expect(awaitDone(ours)).toBe(false);
  expect(sendGo(ours)).toBe(false);
  closeSync(ours);
});

test("an end with words unread counts as the end too", () => {
  const { ours, theirs } = openTalk();
  sendGo(ours);
  closeSync(theirs);
  expect(awaitDone(ours)).toBe(false);
  closeSync(ours);
});

test("a descriptor that isn't one is an error", () => {
  expect(() => sendGo(9999)).toThrow("bad file descriptor");
  expect(() => awaitDone(9999)).toThrow("bad file descriptor");
});

test("a descriptor is moved to a number that is high enough, and only then", () => {
  const fd = openSync("/dev/null", "r");
  expect(moveAbove(fd, fd)).toBe(fd);
  expect(moveAbove(fd, 0)).toBe(fd);
  const moved = moveAbove(fd, 200);
  expect(moved).toBeGreaterThanOrEqual(200);
  expect([isOpen(fd), isOpen(moved)]).toEqual([false, true]);
  expect(flagsOf(moved) & CLOEXEC).toBe(CLOEXEC);
  expect(rawSyscall("close", moved)).toBe(0);
});
