import { expect, test } from "bun:test";
import { NAMESPACE_TYPES } from "../../spec/namespaces.ts";
import { CLONE } from "../../src/kernel/consts/sched.ts";
import { hasNamespace, isNew, namespaceAt } from "../../src/plan/input.ts";
import { cgroupNamespace, cloneFlags, NAMESPACES } from "../../src/plan/namespaces.ts";
import { callsIn, inputOf, short, withNamespaces } from "./helpers.ts";

const configWith = (...types: string[]) => inputOf({ linux: withNamespaces(...types) }).config;

test("every type of the spec has a flag and a file of /proc/PID/ns", () => {
  expect(Object.keys(NAMESPACES).sort()).toEqual([...NAMESPACE_TYPES].sort());
  expect(new Set(Object.values(NAMESPACES).map((n) => n.flag)).size).toBe(NAMESPACE_TYPES.length);
});

test("clone3 creates what the config asks for and nothing else, but the network namespace, which init makes", () => {
  expect(cloneFlags(inputOf({}).config)).toBe(0);
  expect(cloneFlags(configWith())).toBe(0);
  expect(cloneFlags(configWith("uts"))).toBe(CLONE.CLONE_NEWUTS);
  expect(cloneFlags(configWith("mount", "pid", "ipc", "network", "uts", "user"))).toBe(
    CLONE.CLONE_NEWNS | CLONE.CLONE_NEWPID | CLONE.CLONE_NEWIPC | CLONE.CLONE_NEWUTS | CLONE.CLONE_NEWUSER,
  );
});

test("a namespace that is joined isn't created", () => {
  const { config } = inputOf({ linux: { namespaces: [{ type: "uts", path: "/proc/1/ns/uts" }] } });
  expect(cloneFlags(config)).toBe(0);
  expect([isNew(config, "uts"), hasNamespace(config, "uts")]).toEqual([false, true]);
});

test("the cgroup namespace is init's own work, since its root is the cgroup that its creator is in", () => {
  expect(cloneFlags(configWith("cgroup", "time"))).toBe(0);
  const list = callsIn(cgroupNamespace(inputOf({ linux: withNamespaces("uts", "cgroup") })));
  expect(list.map(short)).toEqual([`unshare(${CLONE.CLONE_NEWCGROUP})`]);
  expect(list[0]?.at).toBe("linux.namespaces[1]");
  expect(cgroupNamespace(inputOf({ linux: withNamespaces("uts") }))).toEqual([]);
});

test("a namespace's place is its index, or the list when it isn't there", () => {
  expect(namespaceAt(configWith("uts", "pid"), "pid")).toBe("linux.namespaces[1]");
  expect(namespaceAt(configWith("uts"), "pid")).toBe("linux.namespaces");
  expect(namespaceAt(inputOf({}).config, "pid")).toBe("linux.namespaces");
});
