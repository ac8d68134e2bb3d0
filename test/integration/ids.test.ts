/** Ids: which are legal, which are taken, and what commands say to one that nobody has. */
import { expect } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, type TestBundle, test, until } from "./helpers.ts";

const box = openBox("ids");
const FOREVER = ["sleep", "1000"];

const stopped = (id: string) => until(`${id} is stopped`, () => box.state(id).status === "stopped");
const ok = { status: 0, stderr: "" };

function created(b: TestBundle): TestBundle {
  expect(box.create(b)).toMatchObject(ok);
  return b;
}

function started(b: TestBundle): TestBundle {
  created(b);
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  return b;
}

test("create with the id of another container fails and leaves that one alone", () => {
  const b = started(box.bundle({ args: FOREVER }));
  const before = box.state(b.id);
  const again = box.create(b);
  expect(again.status).toBe(1);
  expect(again.stderr).toContain(`container with id exists: ${b.id}`);
  expect(box.state(b.id)).toEqual(before);
});

for (const command of ["start", "state", "kill", "delete", "ns", "pause", "resume", "ps", "events"])
  test(`${command} of an unknown id fails with the words that engines know`, () => {
    const { status, stdout, stderr } = box.kontena([command, "nobody"]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain("container does not exist");
  });

test("delete --force of an unknown id succeeds silently", () => {
  expect(box.kontena(["delete", "--force", "nobody"])).toMatchObject({ ...ok, stdout: "" });
});

test("delete --force twice succeeds", () => {
  const b = started(box.bundle({ args: FOREVER }));
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(ok);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(ok);
});

for (const id of ["../x", "a/b", "", ".", "..", "a b", "é", "x".repeat(251), "a\nb"])
  test(`the id ${JSON.stringify(id.slice(0, 20))} (length ${id.length}) is refused and nothing is made`, () => {
    const b = box.bundle();
    const { status, stderr } = box.kontena(["create", "--bundle", b.directory, id]);
    expect(status).toBe(1);
    expect(stderr).toStartWith("kontena: invalid container id");
    expect(existsSync(box.root) ? box.ids() : []).toEqual([]);
  });

for (const command of ["start", "state", "kill", "delete"])
  test(`${command} refuses an id that is a path`, () => {
    writeFileSync(join(box.directory, "victim"), "");
    const { status, stderr } = box.kontena([command, "../victim"]);
    expect(status).toBe(1);
    expect(stderr).toContain("invalid container id");
    expect(existsSync(join(box.directory, "victim"))).toBe(true);
  });

test("delete --force refuses an id that is a path, and removes nothing", () => {
  writeFileSync(join(box.directory, "victim"), "");
  expect(box.kontena(["delete", "--force", "../victim"]).status).toBe(1);
  expect(existsSync(join(box.directory, "victim"))).toBe(true);
});

test("an id of every legal kind of character works", () => {
  const b = { ...box.bundle({ args: FOREVER }), id: `${box.next()}_A+.-z` };
  expect(box.create(b)).toMatchObject(ok);
  expect(box.state(b.id).id).toBe(b.id);
});

test("an id can be used again after delete", async () => {
  const b = started(box.bundle());
  await stopped(b.id);
  box.kontena(["delete", b.id]);
  created(b);
  expect(box.state(b.id).status).toBe("created");
});

test("the same id in another root is another container", () => {
  const b = created(box.bundle({ args: FOREVER }));
  const other = ["--root", `${box.root}-other`];
  expect(box.kontena(["state", b.id], { globals: other }).stderr).toContain("container does not exist");
});

test("a failed create leaves the id free", () => {
  const b = box.bundle({ args: ["/no/such/program"] });
  expect(box.create(b).status).not.toBe(0);
  expect(box.kontena(["state", b.id]).stderr).toContain("container does not exist");
});

test("of two creates with one id, one succeeds and the other finds the id in use", async () => {
  const b = box.bundle({ args: FOREVER });
  const args = ["create", "--bundle", b.directory, b.id];
  const both = [box.spawn(args), box.spawn(args)];
  expect((await Promise.all(both.map((p) => p.exited))).sort()).toEqual([0, 1]);
  expect(both.map((p) => p.errors()).join("")).toContain("container with id exists");
  expect(box.state(b.id).status).toBe("created");
});
