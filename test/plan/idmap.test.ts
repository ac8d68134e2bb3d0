import { describe, expect, test } from "bun:test";
import type { Config } from "../../spec/config.ts";
import type { Mount } from "../../spec/mounts.ts";
import { idMapOf } from "../../src/plan/idmap.ts";
import { mountProblems } from "../../src/plan/mount-checks.ts";
import { mountHandles } from "../../src/plan/mount-handles.ts";
import { mounts } from "../../src/plan/mounts.ts";
import { parseOptions } from "../../src/plan/options.ts";
import { callsIn, inputOf, short, USER_HOST, withNamespaces } from "./helpers.ts";

const range = (containerID: number, hostID: number, size: number) => ({ containerID, hostID, size });
const OWN = { uidMappings: [range(0, 100000, 1000)], gidMappings: [range(0, 200000, 1000)] };
const IN_USER: Partial<Config> = { linux: { ...withNamespaces("mount", "user"), ...OWN } };
const ALONE: Partial<Config> = { linux: withNamespaces("mount") };

function mapOf(config: Partial<Config>, options: string[], mount: Partial<Mount> = {}) {
  const whole = { ociVersion: "1.3.0", ...config };
  return idMapOf(whole, { destination: "/a", options, ...mount }, parseOptions(options), "mounts[0]");
}

test("a mount's own mappings are what it gets, recursive only with ridmap", () => {
  for (const config of [IN_USER, ALONE]) {
    const own = { uidMappings: [range(5, 6, 7)], gidMappings: [range(8, 9, 1)] };
    expect(mapOf(config, ["rbind", "idmap"], own)).toEqual({ recursive: false, mapped: own });
    expect(mapOf(config, ["rbind", "ridmap"], own)).toEqual({ recursive: true, mapped: own });
    expect(mapOf(config, ["rbind"], own), "without either word").toEqual({ recursive: false, mapped: own });
  }
});

test("without any, those of the container's user namespace are meant", () => {
  expect(mapOf(IN_USER, ["bind", "idmap"])).toEqual({ recursive: false, mapped: OWN });
  const joined = { linux: { namespaces: [{ type: "user" as const, path: "/proc/7/ns/user" }] } };
  expect(mapOf(joined, ["bind", "idmap"])).toEqual({ recursive: false, mapped: { path: "/proc/7/ns/user" } });
});

test("without a user namespace that is an error at the option", () => {
  expect(mapOf(ALONE, ["bind", "ro", "idmap"])).toMatchObject({ at: "mounts[0].options[2]" });
});

test("nothing is mapped unless it is asked for", () => {
  expect(mapOf(IN_USER, ["rbind"])).toBeUndefined();
});

describe("crun's grammar", () => {
  test("has the mappings with the option", () => {
    expect(mapOf(ALONE, ["bind", "idmap=uids=0-1000-10#10-2000-5;gids=0-3000-1"])).toEqual({
      recursive: false,
      mapped: { uidMappings: [range(0, 1000, 10), range(10, 2000, 5)], gidMappings: [range(0, 3000, 1)] },
    });
    expect(mapOf(ALONE, ["bind", "ridmap=gids=1-1-1;uids=2-2-2"])).toMatchObject({ recursive: true });
  });

  test("an @ makes the second id one of the container's", () => {
    expect(mapOf(IN_USER, ["idmap=uids=@5-10-20;gids=@0-0-1000"])).toEqual({
      recursive: false,
      mapped: { uidMappings: [range(5, 100010, 20)], gidMappings: [range(0, 200000, 1000)] },
    });
    expect(mapOf(IN_USER, ["idmap=uids=@0-999-2;gids=0-0-1"])).toMatchObject({ at: "mounts[0].options[0]" });
    expect(mapOf(ALONE, ["idmap=uids=@0-0-1;gids=0-0-1"])).toMatchObject({ at: "mounts[0].options[0]" });
  });

  test.each([
    "uids=0-0-1",
    "gids=0-0-1",
    "uids=0-0;gids=0-0-1",
    "uids=0-0-0;gids=0-0-1",
    "x",
    "uids=0-4294967295-2;gids=0-0-1",
  ])("idmap=%s is refused", (text) => {
    expect(mapOf(IN_USER, ["bind", `idmap=${text}`])).toMatchObject({ at: "mounts[0].options[1]" });
  });
});

test("what can't be mapped is refused by place", () => {
  const problems = (mount: Mount) =>
    mountProblems({ ociVersion: "1.3.0", ...IN_USER, mounts: [mount] }).map(({ at }) => at);
  const options = ["idmap"];
  expect(problems({ destination: "/a", type: "tmpfs", options })).toEqual([]);
  expect(problems({ destination: "/a", type: "cgroup", options })).toEqual(["mounts[0].options[0]"]);
  expect(problems({ destination: "/a", options: ["remount", "idmap"] })).toEqual(["mounts[0].options[1]"]);
  expect(problems({ destination: "/a", type: "tmpfs", options: ["iversion", "idmap"] })).toEqual([
    "mounts[0].options[1]",
  ]);
});

describe("the runtime opens", () => {
  const handles = (config: Partial<Config>, mount: Mount, change = {}) =>
    mountHandles(inputOf({ ...config, mounts: [mount] }, change));
  const BIND: Mount = { destination: "/a", source: "/host/a", options: ["rbind"] };

  test("the sources of bind mounts for a container with a user namespace, and init doesn't", () => {
    expect(handles(IN_USER, BIND)).toEqual([
      {
        ...{ kind: "tree", cell: "mounts[0] tree", at: "mounts[0]", source: "/host/a", destination: "/a" },
        ...{ recursive: true, noFollow: false, cutOff: true },
      },
    ]);
    const calls = callsIn(mounts(inputOf({ ...IN_USER, mounts: [BIND] }))).map((c) => c.call);
    expect(calls).not.toContain("open_tree");
  });

  test("nothing of the kind for others, or without the right to", () => {
    expect(handles(ALONE, BIND)).toEqual([]);
    expect(handles(IN_USER, BIND, { host: USER_HOST })).toEqual([]);
    const calls = callsIn(mounts(inputOf({ ...IN_USER, mounts: [BIND] }, { host: USER_HOST })));
    expect(calls.map((c) => c.call)).toContain("open_tree");
  });

  test("a tree whose ids are mapped, for any container", () => {
    const mount = { ...BIND, ...OWN, options: ["rbind", "ridmap", "src-nofollow"] };
    expect(handles(ALONE, mount)).toMatchObject([
      { kind: "tree", recursive: true, noFollow: true, idMap: { recursive: true, mapped: OWN } },
    ]);
  });

  test("a tree that stays a peer of the host's where the root is shared with it", () => {
    const shared = { linux: { ...IN_USER.linux, rootfsPropagation: "rshared" as const } };
    expect(handles(shared, BIND)).toMatchObject([{ cutOff: false }]);
  });

  test("a user namespace for the ids of init's own file systems, who maps them before anyone sees them", () => {
    const mount = { destination: "/a", type: "tmpfs", options: ["idmap"], ...OWN };
    expect(handles(ALONE, mount)).toEqual([
      { kind: "mapping", cell: "mounts[0] user namespace", at: "mounts[0]", mapped: OWN },
    ]);
    const calls = callsIn(mounts(inputOf({ ...ALONE, mounts: [mount] })));
    const mapped = calls.findIndex((c) => c.why === "its ids are mapped");
    expect(calls[mapped]?.args[3]).toEqual({ words: [0x100000, 0, 0, { cell: "mounts[0] user namespace" }] });
    expect(mapped).toBeLessThan(calls.findIndex((c) => short(c).startsWith("move_mount")));
  });
});
