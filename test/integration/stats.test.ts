/** stats: one table for many containers, on a terminal and off it. */
import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { controllerOf, KONTENA, openBox, type TestBundle, test, testWhen, until } from "./helpers.ts";

const box = openBox("stats");
const ok = { status: 0, stderr: "" };
const QUICK = ["--interval", "100ms"];

function started(args: string | string[] = ["sleep", "1000"]): TestBundle {
  const b = box.bundle({ args });
  expect(box.create(b)).toMatchObject(ok);
  expect(box.kontena(["start", b.id])).toMatchObject(ok);
  return b;
}

interface Row {
  id: string;
  status: string;
  pid: number;
  cpu: { percent: number; usage: number } | null;
  memory: { usage: number; used: number; limit: number | null } | null;
  pids: { current: number; limit: number | null } | null;
}
function sample(...args: string[]): Row[] {
  const { status, stdout, stderr } = box.kontena([
    "stats",
    "--no-stream",
    "--format",
    "json",
    ...QUICK,
    ...args,
  ]);
  expect({ status, stderr }).toEqual(ok);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0] as string) as Row[];
}

test("a sample has all containers that run, and what each of them used meanwhile", () => {
  const [busy, idle] = [started("while :; do :; done"), started()];
  const created = box.bundle({ args: ["sleep", "1000"] });
  box.create(created);
  const rows = sample();
  expect(rows.map(({ id }) => id)).toEqual([busy.id, idle.id, created.id].sort());
  const [first, second] = [busy.id, idle.id].map((id) => rows.find((row) => row.id === id));
  expect(first).toMatchObject({ status: "running", pid: box.state(busy.id).pid as number });
  expect(first?.cpu?.percent).toBeGreaterThan(second?.cpu?.percent ?? 100);
  expect(rows.find((row) => row.id === created.id)?.status).toBe("created");
});

const [memory, pids] = [controllerOf("", "memory"), controllerOf("", "pids")];

testWhen(memory !== undefined && pids !== undefined)("limits are those of the cgroup", () => {
  const b = started("sleep 1000 & wait");
  const own = (controller: string) => controllerOf(`kontena-${b.id}`, controller)?.path ?? "";
  const limit = memory?.version === 1 ? "memory.limit_in_bytes" : "memory.max";
  writeFileSync(join(own("memory"), limit), String(16 << 20));
  writeFileSync(join(own("pids"), "pids.max"), "17");
  const [row] = sample(b.id);
  expect(row?.memory?.limit).toBe(16 << 20);
  expect(row?.memory?.usage).toBeGreaterThan(0);
  expect(row?.pids).toEqual({ current: 2, limit: 17 });
  const table = box.kontena(["stats", "--no-stream", ...QUICK]).stdout.split("\n");
  expect(table[0]?.split(/\s+/).slice(0, 7)).toEqual([
    "ID",
    "STATUS",
    "CPU",
    "MEMORY",
    "LIMIT",
    "PIDS",
    "LIMIT",
  ]);
  expect(table[1]?.split(/\s+/)).toEqual(expect.arrayContaining([b.id, "running", "16.0MiB", "2", "17"]));
});

test("stopped containers are told when they are asked for, by --all or by name", async () => {
  const [gone, running] = [started(["true"]), started()];
  await until("it has stopped", () => box.state(gone.id).status === "stopped");
  expect(sample().map(({ id }) => id)).toEqual([running.id]);
  const stopped = { id: gone.id, status: "stopped", pid: 0, cpu: null, memory: null };
  expect(sample(gone.id)[0]).toMatchObject(stopped);
  expect(sample("--all").find(({ id }) => id === gone.id)).toMatchObject(stopped);
  box.kontena(["pause", running.id]);
  expect(sample(running.id)[0]?.status).toBe("paused");
});

test("an unknown container is an error, a root without containers an empty sample", () => {
  expect(box.kontena(["stats", "--no-stream", "nobody"])).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("container does not exist: nobody"),
  });
  expect(sample()).toEqual([]);
});

test("a broken state is a warning and hides no other container", () => {
  const [broken, other] = [started(), started()];
  const file = join(box.root, broken.id, "state.json");
  const state = readFileSync(file, "utf8");
  writeFileSync(file, "{");
  const { status, stdout, stderr } = box.kontena(["stats", "--no-stream", "--format", "json", ...QUICK]);
  writeFileSync(file, state);
  expect(status).toBe(0);
  expect((JSON.parse(stdout) as Row[]).map(({ id }) => id)).toEqual([other.id]);
  expect(stderr).toContain(file);
});

test("containers come and go while samples are taken; it ends with the last one that was named", async () => {
  const first = started();
  const named = box.spawn(["stats", "--format", "json", ...QUICK, first.id]);
  const all = box.spawn(["stats", "--format", "json", ...QUICK]);
  const samples = () =>
    all
      .output()
      .split("\n")
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as Row[]).map(({ id }) => id));
  await until("a sample with one", () => samples().length > 0);
  const second = started();
  await until("a sample with both", () => samples().at(-1)?.length === 2);
  box.kontena(["delete", "--force", first.id]);
  await until("a sample with the second", () => samples().at(-1)?.join() === second.id);
  expect(await named.exited).toBe(0);
  all.kill("SIGINT");
  expect(await all.exited).toBe(130);
  expect(all.errors() + named.errors()).toBe("");
});

/**
 * Runs stats on a terminal of this size, until Ctrl-C is typed. A shell outlives it: the kernel hangs up a terminal when the
 * leader of its session ends, and may drop what was written just before.
 */
async function onTerminal(rows: number, columns: number, ready: (shown: string) => boolean) {
  let shown = "";
  const decoder = new TextDecoder();
  const data = (_: unknown, bytes: Uint8Array) => {
    shown += decoder.decode(bytes, { stream: true });
  };
  const script = `trap : INT; "$@"; echo "status $?"; read end`;
  const command = [KONTENA, "--root", box.root, "stats", ...QUICK];
  const child = Bun.spawn(["sh", "-c", script, "sh", ...command], {
    terminal: { rows, cols: columns, data },
  });
  await until("the table was drawn", () => ready(shown));
  child.terminal?.write("\x03");
  await until("it has ended", () => /status \d+\r\n$/.test(shown));
  child.terminal?.write("\n");
  await child.exited;
  // The kernel echoes ^C after it has sent the signal: before what stats prints then, or behind it.
  const [, table = "", status] = /^(.*)status (\d+)\r\n/s.exec(shown.replace("^C", "")) ?? [];
  return { status: Number(status), shown: table };
}

test("on a terminal the table is drawn in the place of the last one, and Ctrl-C shows the cursor again", async () => {
  const b = started();
  const { status, shown } = await onTerminal(24, 120, (text) => text.split("\x1b[2A").length > 2);
  expect(status).toBe(130);
  expect(shown).toStartWith("\x1b[?25lID");
  expect(shown).toContain(b.id);
  expect(shown).toEndWith("\x1b[?25h");
});

test("a small terminal gets what fits", async () => {
  for (let i = 0; i < 4; i++) started();
  const { shown } = await onTerminal(4, 30, (text) => text.includes("\x1b[3A"));
  const lines = shown.split("\x1b[J")[0]?.split("\r\n") ?? [];
  expect(lines.slice(0, 3).map((line) => line.replace("\x1b[?25l", "").replace("\x1b[K", ""))).toEqual([
    expect.stringMatching(/^ID .{27}$/),
    expect.stringMatching(/^stats-.{24}$/),
    "… 3 more",
  ]);
});
