import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  draftState,
  loadState,
  makeDirectory,
  publishState,
  readState,
  removeDirectory,
  type StoredState,
  withLock,
  writeState,
} from "../../src/container/directory.ts";
import { openRuntime } from "../../src/container/runtime.ts";
import { KontenaError } from "../../src/error.ts";

const place = mkdtempSync(join(tmpdir(), "kontena-directory-"));
const runtimeAt = (root: string) => openRuntime({ root, warn: () => {}, debug: () => {} });
const runtime = runtimeAt(join(place, "state"));
afterAll(() => rmSync(place, { recursive: true, force: true }));

const STATE: StoredState = {
  format: 1,
  ociVersion: "1.3.0",
  id: "c",
  status: "creating",
  pid: 0,
  startTime: "",
  bundle: "/b",
  rootfs: "/b/rootfs",
  created: "2026-01-01T00:00:00.000Z",
  owner: 0,
};
const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof KontenaError) return error.code;
    throw error;
  }
  return "none";
};

describe("a container's directory", () => {
  test("reserves its id: a second one is refused", () => {
    const directory = makeDirectory(runtime, "once");
    expect(statSync(directory).mode & 0o777).toBe(0o711);
    expect(statSync(runtime.root).mode & 0o777).toBe(0o700);
    expect(codeOf(() => makeDirectory(runtime, "once"))).toBe("ID_IN_USE");
    removeDirectory(directory);
    expect(existsSync(directory)).toBe(false);
    removeDirectory(makeDirectory(runtime, "once"));
  });

  test("isn't made below a root that others may write to, or that is a stranger's", () => {
    for (const [name, prepare] of [
      ["open", (root: string) => chmodSync(root, 0o777)],
      ["group", (root: string) => chmodSync(root, 0o770)],
    ] as const) {
      const root = join(place, name);
      mkdirSync(root);
      prepare(root);
      expect(
        codeOf(() => makeDirectory(runtimeAt(root), "c")),
        name,
      ).toBe("STATE_INVALID");
      expect(readdirSync(root)).toEqual([]);
    }
  });

  test("may lie behind one's own symlink", () => {
    mkdirSync(join(place, "real"), { mode: 0o700 });
    symlinkSync("real", join(place, "link"));
    removeDirectory(makeDirectory(runtimeAt(join(place, "link")), "c"));
  });

  test("isn't made where a file stands in the way", () => {
    writeFileSync(join(place, "file"), "");
    expect(codeOf(() => makeDirectory(runtimeAt(join(place, "file")), "c"))).toBe("STATE_INVALID");
  });

  test("never has an id that leads out of the root", () => {
    for (const id of ["..", ".", "a/b", ""])
      expect(codeOf(() => makeDirectory(runtime, id))).toBe("ID_INVALID");
  });

  test("goes with whatever lies in it", () => {
    const directory = makeDirectory(runtime, "full");
    writeState(directory, STATE);
    writeFileSync(join(directory, "something"), "");
    mkdirSync(join(directory, "more"));
    removeDirectory(directory);
    expect(existsSync(directory)).toBe(false);
    removeDirectory(directory);
  });
});

describe("the state", () => {
  test("is read as it was written, replaced as a whole, and private", () => {
    const directory = makeDirectory(runtime, "state");
    expect(readState(directory)).toBeUndefined();
    writeState(directory, STATE);
    expect(readState(directory)).toEqual(STATE);
    draftState(directory, { ...STATE, pid: 7 });
    expect(readState(directory)?.pid).toBe(0);
    publishState(directory);
    expect(readState(directory)?.pid).toBe(7);
    expect(readdirSync(directory)).toEqual(["state.json"]);
    expect(statSync(join(directory, "state.json")).mode & 0o777).toBe(0o600);
    expect(loadState(runtime, "state")).toMatchObject({ directory, state: { pid: 7 } });
    removeDirectory(directory);
  });

  test("of an unknown id is told from one that create hasn't written yet", () => {
    expect(codeOf(() => loadState(runtime, "nobody"))).toBe("NOT_FOUND");
    const directory = makeDirectory(runtime, "early");
    expect(loadState(runtime, "early").state).toBeUndefined();
    removeDirectory(directory);
  });

  test.each([
    "",
    "{",
    "null",
    "[]",
    "42",
    '{"format":2}',
    '{"format":1,"id":"c","pid":"x"}',
    '{"format":1,"id":"c","pid":1.5}',
  ])("that kontena didn't write is refused: %j", (text) => {
    const directory = join(place, "foreign");
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "state.json"), text);
    expect(codeOf(() => readState(directory))).toBe("STATE_INVALID");
  });
});

describe("the lock", () => {
  test("is held while the action runs, let go after it and after a throw", () => {
    const directory = makeDirectory(runtime, "lock");
    const isHeld = () =>
      Bun.spawnSync(["flock", "--nonblock", "--exclusive", directory, "true"]).exitCode !== 0;
    expect(withLock(directory, "lock", () => isHeld())).toBe(true);
    expect(isHeld()).toBe(false);
    expect(() =>
      withLock(directory, "lock", () => {
        throw new Error("inside");
      }),
    ).toThrow("inside");
    expect(isHeld()).toBe(false);
    removeDirectory(directory);
  });

  test("of a container that isn't there says so", () => {
    expect(codeOf(() => withLock(join(runtime.root, "nobody"), "nobody", () => 0))).toBe("NOT_FOUND");
  });

  test("isn't taken on a directory that went while one waited: the new one of that name is locked", async () => {
    const directory = makeDirectory(runtime, "swap");
    const gate = join(place, "gate");
    // Holds the old directory's lock until the gate is there; this process waits for it meanwhile.
    const holder = Bun.spawn(
      [
        "flock",
        "--exclusive",
        directory,
        "sh",
        "-c",
        `echo held; while ! [ -e ${gate} ]; do sleep 0.01; done`,
      ],
      { stdout: "pipe" },
    );
    await holder.stdout.getReader().read();
    renameSync(directory, join(place, "old"));
    mkdirSync(directory);
    writeFileSync(join(directory, "new"), "");
    Bun.spawn(["sh", "-c", `sleep 0.05; touch ${gate}`]);
    expect(withLock(directory, "swap", () => readdirSync(directory))).toEqual(["new"]);
    await holder.exited;
    rmSync(directory, { recursive: true });
  });
});
