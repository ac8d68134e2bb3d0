/** run: the program's end is the command's, signals pass through, and nothing of it depends on the shell. */
import { expect } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KONTENA, openBox, type TestBundle, test, until } from "./helpers.ts";

const box = openBox("run");

/** `kontena run` of the bundle as words of a shell, where the shell's own redirections can follow. */
function inShell(b: TestBundle): string {
  return `"${KONTENA}" --root "${box.root}" run --bundle "${b.directory}" ${b.id}`;
}

function shell(script: string, options: { env?: Record<string, string>; input?: string } = {}) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["sh", "-c", script], {
    env: options.env ?? { PATH: process.env["PATH"] ?? "/bin" },
    stdin: options.input === undefined ? "ignore" : new TextEncoder().encode(options.input),
    stdout: "pipe",
    stderr: "pipe",
  });
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

for (const status of [0, 1, 7, 125, 126, 127, 255])
  test(`run exits with the program's status ${status}`, () => {
    expect(box.run(box.bundle({ args: `exit ${status}` }))).toMatchObject({ status, stdout: "", stderr: "" });
  });

const ENDS = { HUP: 1, INT: 2, KILL: 9, SEGV: 11, TERM: 15, PIPE: 13 };
for (const [name, number] of Object.entries(ENDS))
  test(`run exits with 128+${number} when SIG${name} ends the program`, () => {
    const b = box.bundle({
      args: `kill -${name} $$`,
      // The first process of a pid namespace doesn't get signals that it doesn't handle.
      patch: (config) => {
        config.linux.namespaces = config.linux.namespaces?.filter((n) => n.type !== "pid") ?? [];
      },
    });
    expect(box.run(b)).toMatchObject({ status: 128 + number, stderr: "" });
  });

test("run removes the container when the program has ended", () => {
  box.run(box.bundle());
  expect(box.ids()).toEqual([]);
});

test("run tells the status of a program to a caller that ignores SIGCHLD, and removes the container", () => {
  for (const args of ["exit 7", "sleep 0.1; exit 7"]) {
    const b = box.bundle({ args });
    expect(shell(`exec env --ignore-signal=CHLD ${inShell(b)}`)).toEqual({
      status: 7,
      stdout: "",
      stderr: "",
    });
    expect(box.ids()).toEqual([]);
  }
});

test("run says how its program has ended when somebody else has removed the container meanwhile", async () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  const running = box.spawn(["run", "--bundle", b.directory, b.id]);
  await until("it runs", () => box.ids().includes(b.id) && box.state(b.id).status === "running");
  box.kontena(["delete", "--force", b.id]);
  expect(await running.exited).toBe(137);
  expect(running.errors()).toBe("");
  expect(box.ids()).toEqual([]);
});

test("run leaves another container alone that has got its id meanwhile", async () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  const running = box.spawn(["run", "--bundle", b.directory, b.id]);
  await until("it runs", () => box.ids().includes(b.id) && box.state(b.id).status === "running");
  running.kill("SIGSTOP");
  box.kontena(["delete", "--force", b.id]);
  expect(box.run(b, "--detach").status).toBe(0);
  running.kill("SIGCONT");
  expect(await running.exited).toBe(137);
  expect(running.errors()).toBe("");
  expect(box.state(b.id).status).toBe("running");
});

test("run --keep leaves the stopped container", () => {
  const b = box.bundle({ args: "exit 3" });
  expect(box.run(b, "--keep").status).toBe(3);
  expect(box.state(b.id).status).toBe("stopped");
});

test("run --detach returns while the program runs", () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  expect(box.run(b, "--detach")).toMatchObject({ status: 0, stdout: "", stderr: "" });
  expect(box.state(b.id).status).toBe("running");
});

test("run --detach with a program that fails to start removes the container", () => {
  expect(box.run(box.bundle({ args: ["nosuch"] }), "--detach").status).toBe(127);
  expect(box.ids()).toEqual([]);
});

test("run writes the pid file while the program runs", () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  const file = join(box.directory, "detached.pid");
  box.run(b, "--detach", "--pid-file", file);
  expect(readFileSync(file, "utf8").trim()).toBe(String(box.state(b.id).pid));
});

const TRAPS =
  'for s in HUP INT TERM USR1 USR2; do trap "echo $s; exit 5" $s; done; echo ready; while :; do sleep 0.01; done';

for (const signal of ["SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const)
  test(`run passes ${signal} on to the program`, async () => {
    const b = box.bundle({ args: TRAPS });
    const running = box.spawn(["run", "--bundle", b.directory, b.id]);
    await until("the traps are set", () => running.output() === "ready\n");
    running.kill(signal);
    expect(await running.exited).toBe(5);
    expect(running.output()).toBe(`ready\n${signal.slice(3)}\n`);
  });

for (const signal of ["INT", "QUIT", "TERM"])
  test(`run in the background of a shell, where SIGINT and SIGQUIT are ignored, passes SIG${signal} on`, () => {
    const script = TRAPS.replace("HUP INT", "HUP INT QUIT");
    const b = box.bundle({ args: script });
    const out = join(box.directory, `background-${signal}`);
    // A shell without job control starts background commands with both signals ignored.
    const finished = shell(
      `${inShell(b)} >"${out}" & until grep -qs ready "${out}"; do sleep 0.01; done; kill -${signal} $!; wait $!`,
    );
    expect(finished).toEqual({ status: 5, stdout: "", stderr: "" });
    expect(readFileSync(out, "utf8")).toBe(`ready\n${signal}\n`);
  });

test("run started with SIGTERM and SIGHUP ignored passes them on all the same", () => {
  const b = box.bundle({ args: TRAPS });
  const out = join(box.directory, "ignored");
  const finished = shell(
    `trap '' TERM HUP; ${inShell(b)} >"${out}" & until grep -qs ready "${out}"; do sleep 0.01; done; kill -TERM $!; wait $!`,
  );
  expect(finished).toEqual({ status: 5, stdout: "", stderr: "" });
});

test("run goes on when the program ignores the signal", async () => {
  const b = box.bundle({ args: "trap '' TERM; echo ready; sleep 0.3; exit 4" });
  const running = box.spawn(["run", "--bundle", b.directory, b.id]);
  await until("the trap is set", () => running.output() === "ready\n");
  running.kill("SIGTERM");
  expect(await running.exited).toBe(4);
});

test("run killed by SIGKILL leaves a container that delete --force removes", async () => {
  const b = box.bundle({ args: "echo ready; sleep 1000" });
  const running = box.spawn(["run", "--bundle", b.directory, b.id]);
  await until("the program runs", () => running.output() === "ready\n");
  running.kill("SIGKILL");
  await running.exited;
  expect(box.state(b.id).status).toBe("running");
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stderr: "" });
});

test("standard input reaches the program, to its end", () => {
  const b = box.bundle({ args: ["cat"] });
  expect(shell(inShell(b), { input: "one\ntwo\n" })).toEqual({ status: 0, stdout: "one\ntwo\n", stderr: "" });
});

test("a megabyte of standard input passes through a pipe whole", () => {
  const b = box.bundle({ args: ["wc", "-c"] });
  expect(shell(`head -c 1048576 /dev/zero | ${inShell(b)}`).stdout.trim()).toBe("1048576");
});

test("sixteen megabytes of standard output pass through a pipe whole, to a slow reader", () => {
  const b = box.bundle({ args: 'head() { busybox head "$@"; }; head -c 16777216 /dev/zero' });
  expect(shell(`${inShell(b)} | { sleep 0.1; wc -c; }`).stdout.trim()).toBe("16777216");
});

test("standard output and standard error stay apart", () => {
  const b = box.bundle({ args: "echo out; echo err >&2" });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "out\n", stderr: "err\n" });
});

for (const [what, redirection] of [
  ["input", "<&-"],
  ["output", ">&-"],
  ["error", "2>&-"],
  ["input, output and error", "<&- >&- 2>&-"],
])
  test(`run works with standard ${what} closed`, () => {
    const b = box.bundle({ args: "exit 6" });
    expect(shell(`${inShell(b)} ${redirection}`).status).toBe(6);
  });

test("a program whose reader goes away is ended by SIGPIPE, as a shell's would be", () => {
  const b = box.bundle({
    args: ["busybox", "yes"],
    patch: (config) => {
      config.linux.namespaces = config.linux.namespaces?.filter((n) => n.type !== "pid") ?? [];
    },
  });
  const status = join(box.directory, "status");
  shell(`{ ${inShell(b)}; echo $? >"${status}"; } | head -n 1`);
  expect(readFileSync(status, "utf8")).toBe("141\n");
});

test("run needs no HOME, no PATH and no SHELL", () => {
  const b = box.bundle({ args: "echo works" });
  expect(box.kontena(["run", "--bundle", b.directory, b.id], { env: {} })).toMatchObject({
    status: 0,
    stdout: "works\n",
  });
});

test("run reads the bundle in the working directory when none is named", () => {
  const b = box.bundle({ args: "echo here" });
  expect(box.kontena(["run", b.id], { cwd: b.directory })).toMatchObject({ status: 0, stdout: "here\n" });
});

test("run --config reads another file than the bundle's config.json", () => {
  const b = box.bundle({ args: "echo wrong" });
  const file = join(box.directory, "other.json");
  const other = { ...b.config, process: { ...b.config.process, args: ["echo", "right"] } };
  writeFileSync(file, JSON.stringify(other));
  expect(box.run(b, "--config", file)).toMatchObject({ status: 0, stdout: "right\n" });
});

test("an orphan in the container ends with its first process, and run doesn't wait for it", () => {
  const b = box.bundle({ args: "sleep 1000 & exit 2" });
  const begin = Date.now();
  expect(box.run(b).status).toBe(2);
  expect(Date.now() - begin).toBeLessThan(5000);
});

test("an orphan in a container without a pid namespace is ended with it", () => {
  const b = box.bundle({
    args: "sleep 1000 & exit 2",
    patch: (config) => {
      config.linux.namespaces = config.linux.namespaces?.filter((n) => n.type !== "pid") ?? [];
    },
  });
  expect(box.run(b).status).toBe(2);
  expect(existsSync(join(box.root, b.id))).toBe(false);
});

test("six runs at once don't disturb one another", async () => {
  const bundles = Array.from({ length: 6 }, (_, i) => box.bundle({ args: `echo ${i}; exit ${i}` }));
  const running = bundles.map((b) => box.spawn(["run", "--bundle", b.directory, b.id]));
  expect(await Promise.all(running.map((r) => r.exited))).toEqual([0, 1, 2, 3, 4, 5]);
  expect(running.map((r) => r.output())).toEqual([0, 1, 2, 3, 4, 5].map((i) => `${i}\n`));
});

test("a terminal whose output nobody reads any more hangs up: run ends, and so does the program", () => {
  const b = box.bundle({
    args: "while :; do echo y; done",
    patch: (config) => {
      config.process.terminal = true;
    },
  });
  const { stdout, stderr } = shell(`timeout 20 ${inShell(b)} | head -n 1`);
  expect(stdout).toBe("y\r\n");
  expect(stderr).toContain(
    "process.terminal: the program's output can't be passed on: nobody reads it any more",
  );
  expect(existsSync(join(box.root, b.id))).toBe(false);
});
