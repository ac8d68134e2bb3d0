/** A program that can't be run: create or start says so, in words that engines match and with a shell's 126 and 127. */
import { expect } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BundleOptions, isAlive, openBox, type TestBundle, test, until } from "./helpers.ts";

const box = openBox("exec");

function writeProgram(rootfs: string, path: string, text: string, mode = 0o755): void {
  writeFileSync(join(rootfs, path), text);
  chmodSync(join(rootfs, path), mode);
}

/** create fails so, and leaves nothing. */
function expectCreateFails(options: BundleOptions, status: number, ...texts: string[]): void {
  const b = box.bundle(options);
  const finished = box.create(b);
  expect({ status: finished.status, stdout: finished.stdout }).toEqual({ status, stdout: "" });
  for (const text of texts) expect(finished.stderr).toContain(text);
  expect(box.ids()).toEqual([]);
}

/** create succeeds, then something happens, and start fails so; the container is stopped and can be deleted. */
async function expectStartFails(
  b: TestBundle,
  change: () => void,
  status: number,
  ...texts: string[]
): Promise<void> {
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  change();
  const finished = box.kontena(["start", b.id]);
  expect(finished.status).toBe(status);
  for (const text of texts) expect(finished.stderr).toContain(text);
  expect(box.state(b.id).status).toBe("stopped");
  expect(box.kontena(["delete", b.id])).toMatchObject({ status: 0, stderr: "" });
}

test("a program that isn't in PATH fails create with 127 and the words that engines match", () => {
  expectCreateFails(
    { args: ["nosuch"] },
    127,
    'exec: "nosuch": executable file not found in $PATH',
    "process.args[0]",
  );
});

test("a path that isn't there fails create with 127", () => {
  expectCreateFails({ args: ["/bin/nosuch"] }, 127, 'exec: "/bin/nosuch": no such file or directory');
});

test("a path through a file fails create with 127", () => {
  expectCreateFails({ args: ["/bin/busybox/x"] }, 127, "/bin/busybox/x");
});

test("a file without the x bit fails create with 126 and the words that engines match", () => {
  const fill = (rootfs: string) => writeProgram(rootfs, "plain", "text", 0o644);
  expectCreateFails({ args: ["/plain"], fill }, 126, 'exec: "/plain": permission denied');
});

test("a file without the x bit in PATH fails create with 126", () => {
  const fill = (rootfs: string) => writeProgram(rootfs, "bin/plain", "text", 0o644);
  expectCreateFails({ args: ["plain"], fill }, 126, "permission denied");
});

test("a program that only another user may execute fails create with 126", () => {
  const fill = (rootfs: string) => writeProgram(rootfs, "bin/private", "#!/bin/sh\n", 0o700);
  const patch: BundleOptions["patch"] = (config) => {
    config.process.user = { uid: 1000, gid: 1000 };
  };
  expectCreateFails({ args: ["private"], fill, patch }, 126, "permission denied");
});

test("a directory fails create with 126", () => {
  expectCreateFails({ args: ["/bin"] }, 126, "permission denied", "directory");
});

test("a directory of the program's name in PATH is passed over", () => {
  const b = box.bundle({
    args: ["echo", "found"],
    fill: (rootfs) => mkdirSync(join(rootfs, "first/echo"), { recursive: true }),
    patch: (config) => {
      config.process.env = ["PATH=/first:/bin"];
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "found\n" });
});

test("a symlink to nothing fails create with 127", () => {
  const fill = (rootfs: string) => symlinkSync("/nowhere", join(rootfs, "bin/dangling"));
  expectCreateFails({ args: ["dangling"], fill }, 127, "executable file not found in");
});

test("a host's program that isn't in the container isn't found", () => {
  expect(existsSync("/usr/bin/python3") || existsSync("/usr/bin/perl")).toBe(true);
  expectCreateFails({ args: ["/usr/bin/perl"] }, 127, "no such file or directory");
});

test("run with a program that isn't there exits with 127 and leaves nothing", () => {
  const finished = box.run(box.bundle({ args: ["nosuch"] }));
  expect(finished.status).toBe(127);
  expect(box.ids()).toEqual([]);
});

test("a program removed between create and start fails start with the real reason", async () => {
  const b = box.bundle({
    args: ["/bin/mine"],
    fill: (rootfs) => writeProgram(rootfs, "bin/mine", "#!/bin/sh\n"),
  });
  const remove = () => rmSync(join(b.rootfs, "bin/mine"));
  await expectStartFails(b, remove, 127, "exec /bin/mine: no such file or directory", "process.args");
});

test("a program that loses its x bit between create and start fails start with 126", async () => {
  const b = box.bundle({
    args: ["/bin/mine"],
    fill: (rootfs) => writeProgram(rootfs, "bin/mine", "#!/bin/sh\n"),
  });
  const change = () => chmodSync(join(b.rootfs, "bin/mine"), 0o644);
  await expectStartFails(b, change, 126, "exec /bin/mine: permission denied");
});

test("a script without #! fails start with 126 and says what it is", async () => {
  const b = box.bundle({
    args: ["/script"],
    fill: (rootfs) => writeProgram(rootfs, "script", "echo hello\n"),
  });
  await expectStartFails(b, () => {}, 126, "exec /script", "#!");
});

test("a script whose interpreter is missing fails start with 127 and a hint", async () => {
  const b = box.bundle({
    args: ["/script"],
    fill: (rootfs) => writeProgram(rootfs, "script", "#!/no/such/interpreter\n"),
  });
  await expectStartFails(b, () => {}, 127, "exec /script: no such file or directory", "interpreter");
});

test("a script whose interpreter is there runs", () => {
  const b = box.bundle({
    args: ["/script"],
    fill: (rootfs) => writeProgram(rootfs, "script", "#!/bin/sh\necho from a script\n"),
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "from a script\n" });
});

test("an argument of 128 KiB is refused with a word on the length, and nothing is left", () => {
  const b = box.bundle({ args: ["true", "x".repeat(131072)] });
  const finished = box.run(b);
  expect(finished.status).not.toBe(0);
  expect(finished.stderr).toMatch(/128 KiB|too long|131072/i);
  expect(box.ids()).toEqual([]);
});

test("an argument just below 128 KiB arrives whole", () => {
  const b = box.bundle({ args: ["sh", "-c", 'echo -n "$1" | wc -c', "sh", "x".repeat(131071)] });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "131071\n" });
});

test("a hundred thousand arguments arrive, in order", () => {
  const many = Array.from({ length: 100_000 }, (_, i) => String(i));
  const b = box.bundle({ args: ["sh", "-c", 'shift 99999; echo "$# $1"', "sh", ...many] });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "1 99999\n" });
});

test("init killed between create and start fails start clearly", async () => {
  const b = box.bundle();
  expect(box.create(b).status).toBe(0);
  const pid = box.state(b.id).pid ?? 0;
  process.kill(pid, "SIGKILL");
  await until("init is dead", () => !isAlive(pid));
  const finished = box.kontena(["start", b.id]);
  expect(finished.status).toBe(1);
  expect(finished.stderr).toContain("stopped");
  expect(box.state(b.id)).toMatchObject({ status: "stopped", pid: 0 });
  expect(box.kontena(["delete", b.id])).toMatchObject({ status: 0, stderr: "" });
});

test("init killed while start waits for it fails start clearly", async () => {
  const b = box.bundle();
  box.create(b);
  const pid = box.state(b.id).pid ?? 0;
  // A stopped init doesn't go on when the FIFO is opened, so start waits.
  process.kill(pid, "SIGSTOP");
  const starting = box.spawn(["start", b.id]);
  await until("start holds the FIFO", () => holdsFifo(starting.pid, b.id));
  process.kill(pid, "SIGKILL");
  expect(await starting.exited).toBe(1);
  expect(starting.errors()).toContain("init ended before the program ran");
  expect(box.state(b.id).status).toBe("stopped");
});

function holdsFifo(pid: number, id: string): boolean {
  const finished = Bun.spawnSync(["sh", "-c", `readlink /proc/${pid}/fd/* 2>/dev/null`]);
  return finished.stdout.toString().includes(`${id}/exec.fifo`);
}

test("start killed before init goes on leaves a container that the next start starts", async () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  box.create(b);
  const pid = box.state(b.id).pid ?? 0;
  process.kill(pid, "SIGSTOP");
  const starting = box.spawn(["start", b.id]);
  await until("start holds the FIFO", () => holdsFifo(starting.pid, b.id));
  starting.kill("SIGKILL");
  await starting.exited;
  process.kill(pid, "SIGCONT");
  expect(box.kontena(["start", b.id])).toMatchObject({ status: 0, stderr: "" });
  expect(box.state(b.id).status).toBe("running");
});

test("start killed after init went on leaves a running container, which another start doesn't wait for", async () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  box.create(b);
  // The part of start that lets init go on, without what it does after.
  expect(readFileSync(join(box.root, b.id, "exec.fifo"), "utf8")).toBe("R");
  expect(box.state(b.id).status).toBe("running");
  const again = box.kontena(["start", b.id]);
  expect(again.status).toBe(1);
  expect(again.stderr).toContain("running");
});

test("start killed after init went on leaves a container that delete --force removes", () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  box.create(b);
  expect(readFileSync(join(box.root, b.id, "exec.fifo"), "utf8")).toBe("R");
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stderr: "" });
});

test("delete --force doesn't wait for a start that waits for init", async () => {
  const b = box.bundle();
  box.create(b);
  process.kill(box.state(b.id).pid ?? 0, "SIGSTOP");
  const starting = box.spawn(["start", b.id]);
  await until("start holds the FIFO", () => holdsFifo(starting.pid, b.id));
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stderr: "" });
  expect(await starting.exited).toBe(1);
});

for (const milliseconds of [0, 5, 10, 15, 20, 30])
  test(`start killed after ${milliseconds} ms leaves a container that start answers for and delete --force removes`, async () => {
    const b = box.bundle({ args: ["sleep", "1000"] });
    box.create(b);
    const starting = box.spawn(["start", b.id]);
    await Bun.sleep(milliseconds);
    starting.kill("SIGKILL");
    await starting.exited;
    // Whatever it got to: another one starts the container, or finds it running or ended.
    const again = box.kontena(["start", b.id]);
    expect(again.status).toBeOneOf([0, 1]);
    if (again.status === 1) expect(again.stderr).toMatch(/running|stopped|init/);
    expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stderr: "" });
  });
