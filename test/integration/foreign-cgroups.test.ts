/** Containers in cgroups that others have made: those stay (runtime.md, "Delete"). */
import { afterEach, expect } from "bun:test";
import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { controllerOf, openBox, readOr, type TestBundle, test, until } from "./helpers.ts";

const box = openBox("foreign");
const ok = { status: 0, stderr: "" };

/** Of hierarchies in which such a cgroup may have others below. */
const FREEZER = controllerOf("", "freezer")?.version === 1 ? "/sys/fs/cgroup/freezer" : "/sys/fs/cgroup";
const DEVICES = controllerOf("", "devices")?.version === 1 ? "/sys/fs/cgroup/devices" : "/sys/fs/cgroup";

const made: string[] = [];
/** Made by somebody else, with one below. */
function foreign(hierarchy: string, name: string): string {
  const directory = join(hierarchy, name);
  for (const path of [directory, join(directory, "below")]) {
    mkdirSync(path);
    made.push(path);
  }
  return directory;
}
// Before the box looks for what is left.
afterEach(() => {
  for (const path of made.splice(0).reverse()) if (existsSync(path)) rmdirSync(path);
});

function bundleIn(name: string, options: Parameters<typeof box.bundle>[0] = {}): TestBundle {
  return box.bundle({
    ...options,
    patch: (config, directory) => {
      config.linux.cgroupsPath = `/${name}`;
      options.patch?.(config, directory);
    },
  });
}

test("a cgroup that was there before create is there after delete, and so is what was below it", async () => {
  const name = `kontena-foreign-cgroup-${process.pid}`;
  const directory = foreign(FREEZER, name);
  const b = bundleIn(name, {
    args: `mkdir /sys/fs/cgroup${FREEZER.slice("/sys/fs/cgroup".length)}/own && echo made; exec sleep 1000`,
    patch: ({ mounts }) => {
      for (const mount of mounts)
        if (mount.type === "cgroup") mount.options = (mount.options ?? []).filter((o) => o !== "ro");
    },
  });
  const created = box.create(b);
  expect(created).toMatchObject(ok);
  // It isn't as simple as the executable's front takes it.
  expect(existsSync(join(box.root, b.id, "delete.ops"))).toBe(false);
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  await until("it has made one", () => created.output() === "made\n");
  expect(existsSync(join(directory, "own"))).toBe(true);
  expect(box.kontena(["kill", b.id, "KILL"])).toMatchObject(ok);
  await until("it has ended", () => box.state(b.id).status === "stopped");
  expect(box.kontena(["delete", b.id])).toMatchObject(ok);
  expect(["", "below", "own"].map((path) => existsSync(join(directory, path)))).toEqual([true, true, false]);
});

test("a create that fails leaves it as it is", () => {
  const name = `kontena-foreign-cgroup-${process.pid}`;
  const directory = foreign(DEVICES, name);
  const b = bundleIn(name, {
    patch: ({ mounts }) => {
      mounts.push({ destination: "/x", type: "no-such-type", source: "x" });
    },
  });
  expect(box.create(b).status).toBe(1);
  expect(["", "below"].map((path) => existsSync(join(directory, path)))).toEqual([true, true]);
});

test("a cgroup path below a file is told as such", () => {
  const b = bundleIn("cgroup.procs/x");
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain("cannot make the cgroup");
  expect(stderr).toContain("ENOTDIR");
  expect(box.ids()).toEqual([]);
});

test("of creates at once with one cgroup path only one succeeds, and the others leave it alone", async () => {
  const name = `kontena-${box.next()}`;
  const all = Array.from({ length: 4 }, () => bundleIn(name, { args: ["sleep", "1000"] }));
  const running = all.map((b) => box.spawn(["create", "--bundle", b.directory, b.id]));
  const statuses = await Promise.all(running.map(({ exited }) => exited));
  expect(statuses.sort()).toEqual([0, 1, 1, 1]);
  for (const { errors } of running.filter((one) => one.errors() !== ""))
    expect(errors()).toMatch(/has just been made by somebody else|has processes in it/);
  const [id = ""] = box.ids();
  expect(box.state(id)).toMatchObject({ status: "created" });
  expect(readOr(join(FREEZER, name, "cgroup.procs"), "")).toBe(`${box.state(id).pid}\n`);
  expect(box.kontena(["start", id])).toMatchObject(ok);
  expect(box.state(id).status).toBe("running");
});
