/** Containers that make cgroups below their own, by a cgroup mount that they may write to. */
import { expect } from "bun:test";
import { cgroupsNamed, controllerOf, isAlive, openBox, type TestBundle, test, until } from "./helpers.ts";

const box = openBox("nested");
const few = { before: ["prlimit", "--nofile=40", "--"] };
const ok = { status: 0, stderr: "" };

const isV1 = controllerOf("", "freezer")?.version === 1;
/** What the container sees of the hierarchy that it nests in. */
const PLACE = isV1 ? "/sys/fs/cgroup/freezer" : "/sys/fs/cgroup";

/** Lets a container nest so many cgroups, and a process run in the lowest that outlives init. */
async function nested(depth: number, name: string): Promise<TestBundle> {
  const b = box.bundle({
    args: `cd ${PLACE}; i=0; while [ $i -lt ${depth} ]; do mkdir ${name} && cd -P ${name} || exit 1; i=$((i+1)); done
      sleep 700 & echo $! > cgroup.procs && echo nested; exec sleep 700`,
    patch: ({ mounts, linux }) => {
      for (const mount of mounts)
        if (mount.type === "cgroup") mount.options = (mount.options ?? []).filter((o) => o !== "ro");
      linux.namespaces = (linux.namespaces ?? []).filter(({ type }) => type !== "pid");
    },
  });
  const created = box.create(b);
  expect(created).toMatchObject(ok);
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  await until("it has nested", () => created.output() === "nested\n");
  return b;
}

const processes = (b: TestBundle): number[] => {
  const { status, stdout, stderr } = box.kontena(["ps", "--format", "json", b.id], few);
  expect({ status, stderr }).toEqual(ok);
  return JSON.parse(stdout) as number[];
};

test.each([
  ["deeper than a path can say", 20, "0".repeat(250)],
  ["deeper than kontena has descriptors", 60, "d"],
])("ps and kill --all reach a process in a cgroup %s, and delete removes it", async (_, depth, name) => {
  const b = await nested(depth, name);
  const pids = processes(b);
  expect(pids).toHaveLength(2);
  expect(box.kontena(["kill", "--all", b.id, "KILL"], few)).toMatchObject(ok);
  await until("all are gone", () => !pids.some(isAlive));
  expect(processes(b)).toEqual([]);
  expect(box.kontena(["delete", b.id], few)).toMatchObject(ok);
  expect(cgroupsNamed(`kontena-${b.id}`)).toEqual([]);
});

test("delete --force ends what runs there, and removes all", async () => {
  const b = await nested(20, "0".repeat(250));
  const pids = processes(b);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject(ok);
  expect(pids.filter(isAlive)).toEqual([]);
  expect(cgroupsNamed(`kontena-${b.id}`)).toEqual([]);
});
