import { describe, expect, test } from "bun:test";
import type { Process } from "../../spec/process.ts";
import type { Seccomp } from "../../spec/seccomp.ts";
import { LAST_CALL, SOCKET } from "../../src/init/memory.ts";
import type { Call } from "../../src/init/step.ts";
import { dropCapabilities, setCapabilities } from "../../src/plan/capabilities.ts";
import type { PlanInput, SeccompFilter } from "../../src/plan/input.ts";
import { LISTENER, LISTENER_FIFO } from "../../src/plan/names.ts";
import { planContainer, program } from "../../src/plan/order.ts";
import { park } from "../../src/plan/park.ts";
import { LISTENER_FIFO_CELL, loadFilter, notifyProblems } from "../../src/plan/seccomp.ts";
import { callsIn, HOST, inputOf, phaseOf, short, structAt, USER_HOST, withNamespaces } from "./helpers.ts";

const SECTION: Seccomp = { defaultAction: "SCMP_ACT_ALLOW" };
const FILTER: SeccompFilter = { program: new Uint8Array(24).fill(7), flags: 4, listener: false };
const NOTIFYING: SeccompFilter = { ...FILTER, flags: 12, listener: true };

function input(filter: SeccompFilter | undefined, process: Partial<Process> = {}, host = HOST): PlanInput {
  const config = {
    process: { cwd: "/", args: ["/bin/true"], ...process },
    linux: { ...withNamespaces("mount"), ...(filter === undefined ? {} : { seccomp: SECTION }) },
  };
  return inputOf(config, { host, ...(filter === undefined ? {} : { seccomp: filter }) });
}

const last = (given: PlanInput) => callsIn(phaseOf(planContainer(given), "execute")).map(({ call }) => call);

test("a container without a filter plans none", () => {
  expect(loadFilter(input(undefined), "x")).toEqual([]);
  expect(last(input(undefined))).toEqual(["close_range", "execve"]);
});

test("a filter that nobody has compiled is a fault, never a container without it", () => {
  const { seccomp: _, ...without } = input(FILTER);
  expect(() => planContainer(without)).toThrow("isn't compiled");
});

test("the filter is a program for the kernel, with its length in instructions", () => {
  const [load] = loadFilter(input(FILTER), "x") as [Call];
  expect(load).toMatchObject({ call: "seccomp", at: "linux.seccomp", fail: { code: "SECCOMP_FAILED" } });
  expect(load.args).toEqual([1, 4, { words: [3, { bytes: FILTER.program, name: "BPF program" }] }]);
});

describe("the order", () => {
  test("with no_new_privs only execve meets the filter", () => {
    const given = input(FILTER, { noNewPrivileges: true, capabilities: { bounding: ["CAP_KILL"] } });
    expect(last(given)).toEqual(["close_range", "seccomp", "execve"]);
    const names = callsIn(planContainer(given).start.flatMap(({ steps }) => steps)).map(({ call }) => call);
    expect(names.lastIndexOf("prctl")).toBeLessThan(names.indexOf("seccomp"));
  });

  test("without it, the filter is loaded by CAP_SYS_ADMIN, which goes right behind it", () => {
    const given = input(FILTER, {
      capabilities: { bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], effective: ["CAP_KILL"] },
    });
    expect(last(given)).toEqual(["close_range", "seccomp", "capset", "execve"]);
    const [raise] = setCapabilities(given) as [Call];
    const [drop] = dropCapabilities(given) as [Call];
    const [KILL, ADMIN] = [1n << 5n, 1n << 21n];
    expect(structAt(raise, 1, "cap_user_data")).toEqual({
      effective: KILL | ADMIN,
      permitted: KILL | ADMIN,
      inheritable: 0n,
    });
    expect(structAt(drop, 1, "cap_user_data")).toEqual({ effective: KILL, permitted: KILL, inheritable: 0n });
    expect(drop.otherwise).toBe("next");
  });

  test("another user keeps capabilities for that even when the config has none", () => {
    const user = { uid: 1000, gid: 0 };
    const start = (given: PlanInput) =>
      callsIn(program(given, "x").flatMap(({ steps }) => steps)).map(({ call }) => call);
    expect(start(input(FILTER, { user })).filter((call) => call === "capset").length).toBe(2);
    expect(start(input(FILTER, { user, noNewPrivileges: true }))).not.toContain("capset");
    expect(start(input(FILTER, {}))).not.toContain("capset");
    expect(start(input(undefined, { user }))).not.toContain("capset");
  });

  test("a caller without CAP_SYS_ADMIN doesn't ask for it: the kernel's answer to the filter is the error", () => {
    const given = input(FILTER, { capabilities: {} }, USER_HOST);
    expect(structAt(setCapabilities(given)[0] as Call, 1, "cap_user_data").effective).toBe(0n);
  });

  test.each([
    [undefined, "close_range"],
    [FILTER, "seccomp"],
    [NOTIFYING, "close"],
  ] as const)("the last call before execve is the one that tells how far init got", (filter, name) => {
    const calls = callsIn(phaseOf(planContainer(input(filter, { noNewPrivileges: true })), "execute"));
    expect(calls.filter(({ save }) => save === LAST_CALL).map(({ call }) => call)).toEqual([name]);
    expect(calls.at(-2)?.call).toBe(name);
  });
});

describe("a filter with an agent", () => {
  const given = input(NOTIFYING, { noNewPrivileges: true });

  test("waits for it behind the filter, and closes its own listener", () => {
    const calls = callsIn(loadFilter(given, SOCKET));
    expect(calls.map(short)).toEqual([
      `seccomp(1, 12, ${short(calls[0] as Call).split("12, ")[1]}`,
      `read(<${SOCKET}>, &said of the listener, 1)`,
      "read(-1, &said of the listener, 1)",
      `close(<${LISTENER}>)`,
    ]);
    expect(calls[0]?.save).toBe(LISTENER);
  });

  test("is hung up on by the runtime's end, which is recorded as a failure of its own", () => {
    const [, wait] = loadFilter(given, SOCKET) as [Call, Call];
    const [cancelled] = wait.zero as unknown as [Call];
    expect(cancelled.fail).toMatchObject({ code: "SECCOMP_FAILED", plain: true });
  });

  test("opens the FIFO while it waits for `start`, before it says that it goes on", () => {
    const calls = callsIn(park(given)).map(short);
    const fifo = calls.findIndex((call) => call.includes(`"${LISTENER_FIFO}"`));
    expect(calls[fifo]).toContain(LISTENER_FIFO_CELL);
    expect(calls.findIndex((call) => call.startsWith("write("))).toBe(fifo + 1);
    expect(
      callsIn(park(input(FILTER)))
        .map(short)
        .join(),
    ).not.toContain(LISTENER_FIFO);
  });
});

describe("SCMP_ACT_NOTIFY", () => {
  const placesOf = (seccomp: Seccomp) =>
    notifyProblems({ ociVersion: "1.3.0", linux: { seccomp } }).map(({ at }) => at);
  const entry = (action: "SCMP_ACT_NOTIFY" | "SCMP_ACT_ALLOW", ...names: string[]) => ({ names, action });

  test("can't decide about read, by name or by default", () => {
    expect(placesOf({ ...SECTION, syscalls: [entry("SCMP_ACT_NOTIFY", "mkdir", "read")] })).toEqual([
      "linux.seccomp.syscalls[0].names[1]",
    ]);
    expect(
      placesOf({ defaultAction: "SCMP_ACT_NOTIFY", syscalls: [entry("SCMP_ACT_ALLOW", "write")] }),
    ).toEqual(["linux.seccomp.defaultAction"]);
  });

  test("may be the default when read is allowed whatever its arguments", () => {
    const allowed = entry("SCMP_ACT_ALLOW", "read");
    const args = [{ index: 0, value: 1, op: "SCMP_CMP_EQ" as const }];
    expect(placesOf({ defaultAction: "SCMP_ACT_NOTIFY", syscalls: [allowed] })).toEqual([]);
    expect(placesOf({ defaultAction: "SCMP_ACT_NOTIFY", syscalls: [{ ...allowed, args }] })).toEqual([
      "linux.seccomp.defaultAction",
    ]);
  });

  test("is for all other calls, write and execve among them", () => {
    expect(
      placesOf({ ...SECTION, syscalls: [entry("SCMP_ACT_NOTIFY", "write", "execve", "close")] }),
    ).toEqual([]);
  });
});
