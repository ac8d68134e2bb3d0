/** update of device rules on cgroup v1, beside cgroups that the container has made and below one that doesn't allow all. */
import { describe, expect } from "bun:test";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DeviceRule, Resources } from "../../spec/resources.ts";
import { readHierarchies } from "../../src/cgroup/hierarchies.ts";
import { openBox, type TestBundle, testWhen } from "./helpers.ts";

const box = openBox("update-devices");
const hierarchies = process.geteuid?.() === 0 ? readHierarchies() : [];
const mountOf = (name: string) =>
  hierarchies.find(({ version, options }) => version === 1 && options.includes(name))?.mountpoint;
const top = mountOf("devices") ?? "";
const test = testWhen(top !== "" && mountOf("memory") !== undefined);
const ok = { status: 0, stderr: "" };
const MB = 1024 * 1024;

function created(devices: DeviceRule[], cgroupsPath?: string): TestBundle {
  const b = box.bundle({
    args: ["sleep", "60"],
    patch: (config) => {
      config.linux.resources = { devices };
      if (cgroupsPath !== undefined) config.linux.cgroupsPath = cgroupsPath;
    },
  });
  expect(box.create(b)).toMatchObject(ok);
  return b;
}

const update = (b: TestBundle, change: Resources) =>
  box.kontena(["update", "-r", "-", b.id], { stdin: JSON.stringify(change) });
const list = (path: string) =>
  readFileSync(join(top, path, "devices.list"), "utf8")
    .trim()
    .split("\n")
    .sort();
const memory = (b: TestBundle) =>
  readFileSync(join(mountOf("memory") ?? "", `kontena-${b.id}`, "memory.limit_in_bytes"), "utf8").trim();

const ALL: DeviceRule = { allow: true, access: "rwm" };
const device = (major: number, minor: number, access: string): DeviceRule => ({
  ...{ allow: true, type: "c", major, minor, access },
});

describe("a container that may use all devices and has cgroups of its own", () => {
  const withChild = (devices: DeviceRule[]) => {
    const b = created(devices);
    mkdirSync(join(top, `kontena-${b.id}`, "child"));
    return b;
  };

  test("takes other limits beside the list that it has, as engines hand over the whole", () => {
    const b = withChild([ALL]);
    expect(update(b, { devices: [ALL], memory: { limit: 96 * MB } })).toMatchObject(ok);
    expect(memory(b)).toBe(String(96 * MB));
  });

  test("takes another list that says the same", () => {
    const b = withChild([ALL]);
    expect(update(b, { devices: [device(10, 200, "rw"), ALL] })).toMatchObject(ok);
    expect(list(`kontena-${b.id}`)).toEqual(["a *:* rwm"]);
  });

  test("takes a list that forbids one more device", () => {
    const fuse = { ...device(10, 229, "rwm"), allow: false };
    const b = withChild([ALL, fuse]);
    expect(update(b, { devices: [ALL, fuse, { ...device(10, 200, "rwm"), allow: false }] })).toMatchObject(
      ok,
    );
  });
});

test("a list that the container has already leaves what others have allowed it since", () => {
  const rules = [device(10, 229, "rw")];
  const b = created(rules);
  writeFileSync(join(top, `kontena-${b.id}`, "devices.allow"), "c 10:200 rw");
  expect(update(b, { devices: rules, memory: { limit: 96 * MB } })).toMatchObject(ok);
  expect(list(`kontena-${b.id}`)).toContain("c 10:200 rw");
});

describe("a change of device rules that fails leaves those from before:", () => {
  const DEFAULTS = ["c *:* m", "b *:* m", "c 136:* rwm", "c 5:0 rwm", "c 5:2 rwm"];
  const memories = [3, 5, 7, 8, 9].map((minor) => `c 1:${minor} rwm`);

  function below(allowed: string[], run: (path: string) => void): void {
    const parent = `kontena-${box.next()}`;
    mkdirSync(join(top, parent));
    try {
      writeFileSync(join(top, parent, "devices.deny"), "a");
      for (const value of [...DEFAULTS, ...memories, ...allowed])
        writeFileSync(join(top, parent, "devices.allow"), value);
      run(`${parent}/c`);
    } finally {
      for (const id of box.ids()) box.kontena(["delete", "--force", id]);
      for (const { mountpoint } of hierarchies)
        try {
          rmdirSync(join(mountpoint, parent));
        } catch {
          // kontena has removed those that it made.
        }
    }
  }

  test("when the cgroup above doesn't allow one of them", () => {
    below(["c 4:1 rwm"], (path) => {
      const b = created([device(4, 1, "r")], `/${path}`);
      const before = list(path);
      const { status, stderr } = update(b, { devices: [device(4, 1, "rw"), device(10, 200, "rw")] });
      expect(status).toBe(1);
      expect(stderr).toContain("cannot write c 10:200 rw to devices.allow");
      expect(list(path)).toEqual(before);
    });
  });

  test("when all would be allowed, but one above isn't", () => {
    below(["c 4:1 rwm"], (path) => {
      const b = created([device(4, 1, "r")], `/${path}`);
      const before = list(path);
      expect(update(b, { devices: [ALL] }).stderr).toContain("cannot write a to devices.allow");
      expect(list(path)).toEqual(before);
    });
  });

  test("when another limit is refused after them, with what others have allowed since", () => {
    const b = created([device(4, 1, "rw")]);
    const path = `kontena-${b.id}`;
    writeFileSync(join(top, path, "devices.allow"), "c 10:200 rw");
    const before = list(path);
    expect(update(b, { devices: [device(4, 2, "rw")], cpu: { quota: 1 } }).status).toBe(1);
    expect(list(path)).toEqual(before);
  });

  test("when another limit is refused after all was forbidden", () => {
    const b = created([ALL]);
    expect(update(b, { devices: [device(4, 2, "rw")], cpu: { quota: 1 } }).status).toBe(1);
    expect(list(`kontena-${b.id}`)).toEqual(["a *:* rwm"]);
  });
});
