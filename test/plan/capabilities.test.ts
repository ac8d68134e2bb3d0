import { describe, expect, test } from "bun:test";
import type { Process } from "../../spec/process.ts";
import { CAPABILITIES } from "../../src/kernel/consts/capability.ts";
import {
  boundingSet,
  capabilityNumber,
  capabilitySets,
  keepCapabilities,
  setCapabilities,
} from "../../src/plan/capabilities.ts";
import type { Host } from "../../src/plan/input.ts";
import { ALL_CAPABILITIES, callsIn, inputOf, short, structAt, withNamespaces } from "./helpers.ts";

type Capabilities = NonNullable<Process["capabilities"]>;
const inputFor = (
  capabilities: Capabilities | undefined,
  host: Partial<Host> = {},
  ...namespaces: string[]
) =>
  inputOf(
    {
      process: { cwd: "/", args: ["sh"], ...(capabilities === undefined ? {} : { capabilities }) },
      linux: withNamespaces(...namespaces),
    },
    { host },
  );
const bit = (...names: string[]) =>
  names.reduce((set, name) => set | (1n << BigInt(capabilityNumber(name))), 0n);
const everywhere = (...names: string[]): Capabilities => ({
  bounding: names,
  effective: names,
  permitted: names,
  inheritable: names,
  ambient: names,
});

test("names have the kernel's numbers, and others none", () => {
  expect(capabilityNumber("CAP_CHOWN")).toBe(0);
  expect(capabilityNumber("CAP_SYS_ADMIN")).toBe(21);
  expect(capabilityNumber("CAP_CHECKPOINT_RESTORE")).toBe(40);
  for (const name of ["CHOWN", "cap_chown", "", "CAP_NOTHING"]) expect(capabilityNumber(name)).toBe(-1);
});

describe("the sets", () => {
  test("are what the config asks for, one by one", () => {
    const { sets, refused } = capabilitySets(
      inputFor({
        bounding: ["CAP_KILL", "CAP_CHOWN"],
        permitted: ["CAP_KILL", "CAP_CHOWN"],
        effective: ["CAP_KILL"],
        inheritable: ["CAP_CHOWN"],
        ambient: ["CAP_CHOWN"],
      }),
    );
    expect(refused).toEqual([]);
    expect(sets).toEqual({
      bounding: bit("CAP_KILL", "CAP_CHOWN"),
      permitted: bit("CAP_KILL", "CAP_CHOWN"),
      effective: bit("CAP_KILL"),
      inheritable: bit("CAP_CHOWN"),
      ambient: bit("CAP_CHOWN"),
    });
  });

  test("that aren't in the config are empty", () => {
    expect(capabilitySets(inputFor({})).sets).toEqual({
      bounding: 0n,
      permitted: 0n,
      effective: 0n,
      inheritable: 0n,
      ambient: 0n,
    });
  });

  test("reach beyond 32 bits", () => {
    const { sets } = capabilitySets(inputFor(everywhere("CAP_CHECKPOINT_RESTORE", "CAP_AUDIT_READ")));
    expect(sets.permitted).toBe((1n << 40n) | (1n << 37n));
  });

  test("lack what the caller doesn't have, and that is told with its place", () => {
    const permitted = ALL_CAPABILITIES & ~bit("CAP_SYS_RESOURCE");
    const { sets, refused } = capabilitySets(
      inputFor(
        { permitted: ["CAP_KILL", "CAP_SYS_RESOURCE"], bounding: ["CAP_SYS_RESOURCE"] },
        { permitted },
      ),
    );
    expect(sets).toMatchObject({ permitted: bit("CAP_KILL"), bounding: 0n });
    expect(refused.map((r) => [r.at, r.name]).sort()).toEqual([
      ["process.capabilities.bounding[0]", "CAP_SYS_RESOURCE"],
      ["process.capabilities.permitted[1]", "CAP_SYS_RESOURCE"],
    ]);
    for (const { why } of refused) expect(why).toContain("caller");
  });

  test("lack what this kernel doesn't know, and what no kernel knows", () => {
    const { sets, refused } = capabilitySets(
      inputFor({ permitted: ["CAP_BPF", "CAP_NOTHING", "CAP_KILL"] }, { lastCap: 37 }),
    );
    expect(sets.permitted).toBe(bit("CAP_KILL"));
    expect(refused.map((r) => r.name)).toEqual(["CAP_BPF", "CAP_NOTHING"]);
    for (const { why } of refused) expect(why).toContain("kernel");
  });

  test("may be everything in a user namespace of its own, whoever calls", () => {
    const host = { permitted: 0n, bounding: 0n };
    const { sets, refused } = capabilitySets(inputFor(everywhere(...CAPABILITIES), host, "user"));
    expect(refused).toEqual([]);
    expect(sets.permitted).toBe(ALL_CAPABILITIES);
    expect(capabilitySets(inputFor(everywhere("CAP_KILL"), host)).sets.permitted).toBe(0n);
  });

  test("never break the rules of capset(2): effective in permitted, ambient in permitted and inheritable", () => {
    const { sets } = capabilitySets(
      inputFor({
        effective: ["CAP_KILL", "CAP_CHOWN"],
        permitted: ["CAP_KILL"],
        inheritable: ["CAP_KILL"],
        bounding: ["CAP_KILL"],
        ambient: ["CAP_KILL", "CAP_CHOWN"],
      }),
    );
    expect(sets.effective).toBe(bit("CAP_KILL"));
    expect(sets.ambient).toBe(bit("CAP_KILL"));
  });

  test("never have in inheritable what isn't in bounding, which capset(2) refuses", () => {
    const { sets } = capabilitySets(
      inputFor({ bounding: ["CAP_KILL"], permitted: ["CAP_CHOWN"], inheritable: ["CAP_KILL", "CAP_CHOWN"] }),
    );
    expect(sets.inheritable).toBe(bit("CAP_KILL"));
  });

  test("don't lose anything in silence: the spec wants a warning for what can't be granted", () => {
    const names = (capabilities: Capabilities) =>
      capabilitySets(inputFor(capabilities)).refused.map((r) => `${r.at} ${r.name}`);
    expect(names({ effective: ["CAP_KILL"] })).toEqual(["process.capabilities.effective[0] CAP_KILL"]);
    expect(names({ bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], ambient: ["CAP_KILL"] })).toEqual([
      "process.capabilities.ambient[0] CAP_KILL",
    ]);
    expect(names({ permitted: ["CAP_KILL"], inheritable: ["CAP_KILL"] })).toEqual([
      "process.capabilities.inheritable[0] CAP_KILL",
    ]);
  });
});

describe("the bounding set", () => {
  const dropped = (...args: Parameters<typeof inputFor>) =>
    callsIn(boundingSet(inputFor(...args))).map((c) => c.args[1] as number);

  test("loses every capability that isn't asked for, up to the last that the kernel knows", () => {
    expect(dropped({ bounding: ["CAP_CHOWN", "CAP_KILL"] })).toEqual(
      CAPABILITIES.map((_, number) => number).filter((number) => number !== 0 && number !== 5),
    );
    expect(dropped({}, { lastCap: 3 })).toEqual([0, 1, 2, 3]);
    expect(dropped({}, { lastCap: 45, bounding: (1n << 46n) - 1n }).at(-1)).toBe(45);
  });

  test("isn't touched where the caller's own lacks it, which can't come back", () => {
    expect(dropped({}, { bounding: 0b101n, lastCap: 4 })).toEqual([0, 2]);
  });

  test("is full at first in a new user namespace, so all has to be dropped there", () => {
    expect(dropped({}, { bounding: 0b101n, lastCap: 4 }, "user")).toEqual([0, 1, 2, 3, 4]);
  });
});

test("without capabilities in the config none of the sets is touched", () => {
  const input = inputFor(undefined);
  expect([...boundingSet(input), ...keepCapabilities(input), ...setCapabilities(input)]).toEqual([]);
});

test("capabilities survive the change of uid", () => {
  expect(callsIn(keepCapabilities(inputFor({}))).map(short)).toEqual(["prctl(8, 1, 0, 0, 0)"]);
});

test("capset comes before the ambient set, which needs the others", () => {
  const list = callsIn(setCapabilities(inputFor(everywhere("CAP_KILL", "CAP_BPF"))));
  expect(list.map(short)).toEqual([
    "capset(cap_user_header, cap_user_data)",
    "prctl(47, 2, 5, 0, 0)",
    "prctl(47, 2, 39, 0, 0)",
  ]);
  const set = bit("CAP_KILL", "CAP_BPF");
  expect(structAt(list[0], 1, "cap_user_data")).toEqual({ effective: set, permitted: set, inheritable: set });
});
