/** intelRdt on a directory that stands for the resctrl file system: few machines have one. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { IntelRdt } from "../../spec/linux.ts";
import {
  changeRdt,
  enterRdt,
  findResctrl,
  joinRdt,
  leaveRdt,
  planRdt,
  resctrlRoot,
} from "../../src/container/rdt.ts";
import { KontenaError } from "../../src/error.ts";

const root = mkdtempSync(join(tmpdir(), "kontena-rdt-"));
afterAll(() => rmSync(root, { recursive: true }));
beforeEach(() => {
  rmSync(root, { recursive: true });
  mkdirSync(join(root, "info"), { recursive: true });
  mkdirSync(join(root, "mon_groups"));
});

const at = (...path: string[]) => join(root, ...path);
const read = (...path: string[]) => readFileSync(at(...path), "utf8");
function group(name: string, schemata: string): void {
  mkdirSync(at(name, "mon_groups"), { recursive: true });
  writeFileSync(at(name, "schemata"), schemata);
}
const planned = (rdt: IntelRdt) => planRdt(rdt, "c1", root);
const entered = (rdt: IntelRdt) => enterRdt(planned(rdt), 42, root);
function errorOf(action: () => unknown): KontenaError {
  try {
    action();
  } catch (error) {
    if (error instanceof KontenaError) return error;
    throw error;
  }
  throw new Error("no error");
}

test("the file system is where mountinfo has it, blanks in its path included", () => {
  const line = (path: string, type: string) => `30 20 0:27 / ${path} rw,relatime - ${type} resctrl rw`;
  expect(findResctrl([line("/sys", "sysfs"), line("/sys/fs/res\\040ctrl", "resctrl")].join("\n"))).toBe(
    "/sys/fs/res ctrl",
  );
  expect(findResctrl(line("/sys/fs/resctrl", "tmpfs"))).toBeUndefined();
});

test("a host without it is told so, by the property", () => {
  const error = errorOf(() => resctrlRoot(""));
  expect(error.code).toBe("HOST_UNSUPPORTED");
  expect(error.details.at).toBe("linux.intelRdt");
  expect(error.details.hint).toContain("mount -t resctrl");
});

describe("without closID", () => {
  test("the container's id names a group that is made, with the process in it, and removed", () => {
    const plan = planned({ l3CacheSchema: "L3:0=f" });
    expect(plan).toMatchObject({ groups: [at("c1")], made: [at("c1")] });
    enterRdt(plan, 42, root);
    expect(read("c1/tasks")).toBe("42\n");
    expect(read("c1/schemata")).toBe("L3:0=f\n");
    const removed: string[] = [];
    leaveRdt(plan, (path) => removed.push(path));
    expect(removed).toEqual([at("c1")]);
  });

  test("nothing is written to schemata when no schema is given", () => {
    entered({});
    expect(existsSync(at("c1/schemata"))).toBe(false);
    expect(read("c1/tasks")).toBe("42\n");
  });

  test("a group of that name is somebody else's", () => {
    group("c1", "");
    expect(errorOf(() => planned({})).message).toContain("exists already");
  });
});

describe("with closID", () => {
  test("and a schema, a missing group is made", () => {
    entered({ closID: "gold", memBwSchema: "MB:0=20" });
    expect(read("gold/schemata")).toBe("MB:0=20\n");
    expect(read("gold/tasks")).toBe("42\n");
  });

  test("and a schema, a group that is there must have it, however the kernel writes it; it isn't written", () => {
    group("gold", "    MB:0= 20;1=100\n    L3:0=0007F0;1=1f\n");
    entered({ closID: "gold", l3CacheSchema: "L3:1=1f;0=7f0", memBwSchema: "MB:0=20" });
    expect(read("gold/schemata")).toStartWith("    MB");
    expect(read("gold/tasks")).toBe("42\n");
    const error = errorOf(() => planned({ closID: "gold", schemata: ["L3:0=ff"] }));
    expect(error.message).toContain("L3:0=7f0, not ff");
    expect(error.code).toBe("RDT_FAILED");
    expect(errorOf(() => planned({ closID: "gold", schemata: ["L2:0=f"] })).message).toContain("(none)");
  });

  test("and no schema, the group has to be there, and delete leaves it", () => {
    expect(errorOf(() => planned({ closID: "gold" })).message).toContain("there is no resctrl group");
    group("gold", "");
    const plan = planned({ closID: "gold" });
    expect(plan).toEqual({ groups: [at("gold")], made: [], schemata: [] });
    enterRdt(plan, 42, root);
    expect(read("gold/tasks")).toBe("42\n");
    expect(read("gold/schemata")).toBe("");
  });

  test("of / the process is in the root group", () => {
    entered({ closID: "/" });
    expect(read("tasks")).toBe("42\n");
  });
});

test("both schemas are one write, without the cache schema's line on bandwidth; schemata comes last", () => {
  const { schemata } = planned({
    l3CacheSchema: "L3:0=f\nMB:0=10",
    memBwSchema: "MB:0=20",
    schemata: ["L2:0=1", "L3:0=7"],
  });
  expect(schemata).toEqual(["L3:0=f\nMB:0=20", "L2:0=1\nL3:0=7"]);
  expect(planned({ l3CacheSchema: "L3:0=f\nMB:0=10" }).schemata).toEqual(["L3:0=f\nMB:0=10"]);
});

test("a monitoring group is the container's own, in whatever class, and removed before that", () => {
  expect(planned({ enableMonitoring: true }).made).toEqual([at("c1/mon_groups/c1"), at("c1")]);
  group("gold", "");
  const plan = planned({ closID: "gold", enableMonitoring: true });
  expect(plan).toMatchObject({
    groups: [at("gold"), at("gold/mon_groups/c1")],
    made: [at("gold/mon_groups/c1")],
  });
  enterRdt(plan, 42, root);
  expect(read("gold/mon_groups/c1/tasks")).toBe("42\n");
  expect(read("gold/tasks")).toBe("42\n");
  joinRdt(plan, 43, root);
  expect(read("gold/mon_groups/c1/tasks")).toBe("43\n");
  expect(read("gold/tasks")).toBe("43\n");
});

test("a class that create has made goes when nobody is in it, and one that is gone is no trouble", () => {
  const removed: string[] = [];
  const leave = () =>
    leaveRdt({ groups: [], made: [at("gone")], shared: at("gold") }, (path) => {
      if (!existsSync(path)) throw Object.assign(new Error("gone"), { code: "ENOENT" });
      removed.push(path);
    });
  leave();
  group("gold", "");
  writeFileSync(at("gold/tasks"), "77\n");
  leave();
  expect(removed).toEqual([]);
  writeFileSync(at("gold/tasks"), "");
  leave();
  expect(removed).toEqual([at("gold")]);
});

test("other limits are written into the class that the container is in", () => {
  group("gold", "L3:0=f\n");
  const groups = { groups: [at("gold"), at("gold/mon_groups/c1")], made: [] };
  changeRdt(groups, { l3CacheSchema: "L3:0=3", memBwSchema: "MB:0=50" }, root);
  expect(read("gold/schemata")).toBe("L3:0=3\nMB:0=50\n");
});

test("what the kernel refuses is told with its own reason", () => {
  writeFileSync(at("info/last_cmd_status"), "mask 0x0 has no bits\n");
  const plan = planned({ closID: "gold", schemata: ["L3:0=0"] });
  rmSync(root, { recursive: true });
  mkdirSync(at("info"), { recursive: true });
  writeFileSync(at("info/last_cmd_status"), "mask 0x0 has no bits\n");
  mkdirSync(at("gold"));
  const error = errorOf(() => enterRdt(plan, 42, root));
  expect(error.message).toContain(`cannot make the resctrl group ${at("gold")}: file exists`);
  expect(error.details).toMatchObject({ at: "linux.intelRdt", hint: "mask 0x0 has no bits" });
});
