import { describe, expect, test } from "bun:test";
import type { Config } from "../../spec/config.ts";
import { CLONE } from "../../src/kernel/consts/sched.ts";
import { birthFlags, isStaged, joins } from "../../src/plan/join.ts";
import { callsIn, inputOf, short, USER_HOST } from "./helpers.ts";

type Namespaces = NonNullable<NonNullable<Config["linux"]>["namespaces"]>;
const joined = (...types: Namespaces[number]["type"][]): Namespaces =>
  types.map((type) => ({ type, path: `/ns/${type}` }));
const made = (...types: Namespaces[number]["type"][]): Namespaces => types.map((type) => ({ type }));
const of = (namespaces: Namespaces, host = {}) => inputOf({ linux: { namespaces } }, { host });
const namesOf = (namespaces: Namespaces, host = {}) =>
  callsIn(joins(of(namespaces, host))).map(({ call }) => call);

const DUMPABLE = "prctl(4, 0, 0, 0, 0)";

describe("joins", () => {
  test("nothing is joined, and no second process made, where all namespaces are new", () => {
    expect(joins(of(made("pid", "mount", "user")))).toEqual([]);
  });

  test("one process joins what it can move itself into", () => {
    expect(isStaged(of(joined("network", "mount")).config)).toBe(false);
    expect(namesOf(joined("network", "mount"))).toEqual(["prctl", "setns", "close", "setns", "close"]);
  });

  test("the mount namespace comes last, since no path of the host leads anywhere behind it", () => {
    const calls = callsIn(joins(of(joined("mount", "uts", "pid", "network")))).map(short);
    const setns = calls.filter((call) => call.startsWith("setns"));
    expect(setns.at(-1)).toContain("namespace mount");
  });

  for (const namespaces of [joined("pid"), joined("user"), [...joined("network"), ...made("user")]])
    test(`a second process is made for ${JSON.stringify(namespaces)}`, () => {
      const { config } = of(namespaces);
      expect(isStaged(config)).toBe(true);
      // What is new is for the second one.
      expect(birthFlags(config)).toBe(0);
      expect(namesOf(namespaces).slice(-2)).toEqual(["clone3", "exit_group"]);
    });

  test("with a user namespace each of the others is tried before it, and again behind it if it wasn't joined", () => {
    const calls = callsIn(joins(of(joined("user", "network"))));
    const setns = calls.filter(({ call }) => call === "setns");
    expect(setns.map((call) => short(call))).toEqual([
      `setns(<namespace network>, ${CLONE.CLONE_NEWNET})`,
      `setns(<namespace user>, ${CLONE.CLONE_NEWUSER})`,
      `setns(<namespace network>, ${CLONE.CLONE_NEWNET})`,
    ]);
    expect(setns.map(({ on }) => on)).toEqual([{ EPERM: "leave" }, undefined, { EBADF: "next" }]);
  });

  test("a process isn't dumpable when those in the joined namespaces see it, nor is the second one", () => {
    for (const namespaces of [joined("pid"), [...joined("pid"), ...made("user")]]) {
      const calls = callsIn(joins(of(namespaces))).map(short);
      expect(calls[0]).toBe(DUMPABLE);
    }
  });

  test("but for a caller who has to write the maps of a new user namespace without root's rights", () => {
    const calls = callsIn(joins(of([...joined("network"), ...made("user")], USER_HOST))).map(short);
    expect(calls).not.toContain(DUMPABLE);
  });
});
