import { expect, test } from "bun:test";
import type { Config } from "../../../spec/config.ts";
import { ownerOf } from "../../../src/cgroup/v2/ownership.ts";
import { HYBRID, inputOf, UNIFIED, withNamespaces } from "../../plan/helpers.ts";

const mount = { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid"] };
const config = (change: Partial<Config> = {}): Partial<Config> => ({
  process: { user: { uid: 7, gid: 8 }, args: ["x"], cwd: "/" },
  mounts: [mount],
  linux: withNamespaces("cgroup"),
  ...change,
});
const of = (change?: Partial<Config>, hierarchies = [UNIFIED]) =>
  ownerOf(inputOf(config(change), { host: { hierarchies } }));

test("the cgroup becomes the program's user's, with a cgroup namespace and a writable mount", () => {
  expect(of()).toBe(7);
  expect(of({ mounts: [{ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" }] })).toBe(7);
});

test.each([
  ["no such mount", { mounts: [] }],
  ["a read-only one", { mounts: [{ ...mount, options: ["ro"] }] }],
  ["one elsewhere", { mounts: [{ ...mount, destination: "/cgroup" }] }],
  ["one of another source", { mounts: [{ ...mount, source: "cgroup2" }] }],
  ["the host's cgroup namespace", { linux: withNamespaces("mount") }],
  [
    "a cgroup namespace that is joined",
    { linux: { namespaces: [{ type: "cgroup" as const, path: "/proc/1/ns/cgroup" }] } },
  ],
])("it stays as it is with %s", (_, change) => {
  expect(of(change)).toBeUndefined();
});

test("on v1, beside which v2 may be, nothing is given away", () => {
  expect(of({}, [...HYBRID])).toBeUndefined();
});

test("in a user namespace it is the host's id of that user, and nobody's when that isn't mapped", () => {
  const inNamespace = (containerID: number, size: number) =>
    of({
      linux: {
        ...withNamespaces("cgroup", "user"),
        uidMappings: [
          { containerID: 0, hostID: 1000, size: 1 },
          { containerID, hostID: 100_000, size },
        ],
        gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
      },
    });
  expect(inNamespace(1, 65_536)).toBe(100_006);
  expect(inNamespace(7, 1)).toBe(100_000);
  expect(inNamespace(1, 6)).toBeUndefined();
});
