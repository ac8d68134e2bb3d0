/** Many containers at a time: none gets in another's way, and nothing of them is left. */
import { expect, setDefaultTimeout } from "bun:test";
import { openBox, test } from "./helpers.ts";

setDefaultTimeout(300_000);

const box = openBox("parallel");
const CONTAINERS = 200;
/** Processes of kontena at once. */
const WORKERS = 12;

/** Runs a command for each of these, so many at once; the errors that were told. */
async function forEach<T>(items: readonly T[], command: (item: T) => string[]): Promise<string[]> {
  const left = [...items];
  const errors: string[] = [];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) {
      const child = box.spawn(command(item));
      if ((await child.exited) !== 0) errors.push(child.errors());
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
  return errors;
}

test(`${CONTAINERS} containers are created, started and deleted in parallel, and no cgroup is left`, async () => {
  const { directory } = box.bundle({ args: ["sleep", "1000"] });
  const ids = Array.from({ length: CONTAINERS }, () => box.next());
  expect(await forEach(ids, (id) => ["create", "--bundle", directory, id])).toEqual([]);
  expect(await forEach(ids.slice(0, CONTAINERS / 4), (id) => ["start", id])).toEqual([]);
  expect(box.leftovers().cgroups.length).toBeGreaterThanOrEqual(CONTAINERS);
  expect(await forEach(ids, (id) => ["delete", "--force", id])).toEqual([]);
  expect(box.leftovers()).toEqual({ states: [], mounts: [], cgroups: [], processes: [] });
});
