/**
 * Random changes of the default config, the same ones every time: each makes a container or an error in clear words. No
 * mistake of the program's own, no crash, nothing that hangs or is left.
 */
import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, testNeeding } from "../integration/helpers.ts";
import { expectClear } from "./hostile.ts";

const box = openBox("fuzz");
const test = testNeeding("root", "busybox");

/** mulberry32: enough for this, and the same everywhere. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Values that something trips over. */
const ODD: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e308],
  ...[
    "",
    "/",
    "..",
    "rootfs/../..",
    "/proc",
    "/dev/null",
    "a",
    "rw",
    "bind",
    "\n",
    "é",
    "x".repeat(300),
    "%s",
    "a=b",
  ],
  ...[[], {}, [[]], [null], { "": "" }, { a: 1 }, ["a", "a"]],
];

/** More properties than the default config has, for changes to meet. */
const MORE: Readonly<Record<string, unknown>> = {
  domainname: "domain",
  annotations: { a: "b" },
  hooks: { createRuntime: [{ path: "/bin/true", args: ["true"], env: ["A=b"], timeout: 1 }], poststop: [] },
};
const MORE_LINUX: Readonly<Record<string, unknown>> = {
  sysctl: { "net.core.somaxconn": "100" },
  devices: [{ path: "/dev/x", type: "p", fileMode: 438, uid: 0, gid: 0 }],
  uidMappings: [{ containerID: 0, hostID: 100000, size: 10 }],
  gidMappings: [{ containerID: 0, hostID: 100000, size: 10 }],
  rootfsPropagation: "private",
  timeOffsets: { monotonic: { secs: 1, nanosecs: 1 } },
  seccomp: {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["getcwd"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
  },
  personality: { domain: "LINUX" },
  resources: { pids: { limit: 100 }, memory: { limit: 100_000_000 }, cpu: { shares: 100, cpus: "0" } },
};

type Tree = Record<string, unknown> | unknown[];
const isTree = (value: unknown): value is Tree => typeof value === "object" && value !== null;

/** Changes one random place of a document in one random way. */
function mutate(document: Tree, pick: (below: number) => number): void {
  let tree = document;
  for (;;) {
    const keys = Object.keys(tree);
    if (keys.length === 0) return;
    const key = keys[pick(keys.length)] as keyof Tree;
    const value = tree[key] as unknown;
    if (isTree(value) && pick(8) !== 0) {
      tree = value;
      continue;
    }
    const act = pick(6);
    if (act === 0) delete tree[key];
    else if (act === 1 && Array.isArray(tree)) tree.push(structuredClone(value));
    else if (act === 2 && typeof value === "string")
      Object.assign(tree, { [key]: value + JSON.stringify(ODD[pick(ODD.length)]) });
    else if (act === 3 && Array.isArray(tree)) tree.reverse();
    else Object.assign(tree, { [key]: structuredClone(ODD[pick(ODD.length)]) });
    return;
  }
}

test("240 configs with random changes are refused in clear words, explained, or run", () => {
  const pick = random(20260731);
  const b = box.bundle({ args: ["true"] });
  const whole = {
    ...b.config,
    ...MORE,
    linux: {
      ...b.config.linux,
      ...MORE_LINUX,
      namespaces: [...(b.config.linux.namespaces ?? []), { type: "user" }, { type: "time" }],
    },
  };
  Bun.spawnSync(["chown", "-R", "100000:100000", b.rootfs]);
  const statuses = new Map<number, number>();
  for (let i = 0; i < 240; i++) {
    const config = structuredClone(i % 3 === 0 ? b.config : whole) as unknown as Tree;
    for (let changes = 1 + pick(2); changes > 0; changes--) mutate(config, pick);
    const text = JSON.stringify(config);
    writeFileSync(join(b.directory, "config.json"), text);
    const round = { ...b, id: box.next() };
    const explained =
      i % 4 === 0 ? box.kontena(["explain", "--bundle", b.directory, "--format", "json"]) : undefined;
    const finished = explained ?? box.create(round);
    try {
      expectClear(box, round, finished);
    } catch (error) {
      throw new Error(`round ${i}: ${finished.stderr}\n${text}`, { cause: error });
    }
    statuses.set(finished.status, (statuses.get(finished.status) ?? 0) + 1);
    if (explained === undefined && finished.status === 0) box.kontena(["delete", "--force", round.id]);
  }
  // Both are met often enough.
  expect(statuses.get(0)).toBeGreaterThan(50);
  expect(statuses.get(1)).toBeGreaterThan(50);
});
