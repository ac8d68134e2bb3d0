/** Terminals: handed over by --console-socket, and passed through in the foreground. */
import { afterEach, expect } from "bun:test";
import { existsSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { KONTENA, openBox, type TestBundle, type TestConfig, testNeeding, until } from "./helpers.ts";

const box = openBox("terminal");
const test = testNeeding("root", "busybox", "python3");

const children: Subprocess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** Listens on a socket, takes the descriptor that comes, and shows what is read from it; writes what its standard input has. */
const RECEIVER = `
import array, os, select, socket, sys
path, = sys.argv[1:]
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(1)
connection, _ = server.accept()
data, fds, _, _ = socket.recv_fds(connection, 256, 4)
if not fds: sys.exit()
print("received", len(data) > 0, len(fds), os.isatty(fds[0]), flush=True)
open(path + ".rest", "wb").write(connection.recv(16))
while True:
    ready, _, _ = select.select([fds[0], 0], [], [])
    if fds[0] in ready:
        try: text = os.read(fds[0], 4096)
        except OSError: break
        if not text: break
        os.write(1, text)
    if 0 in ready:
        text = os.read(0, 4096)
        if text: os.write(fds[0], text)
        else: select.select([fds[0]], [], [])
`;

interface Receiver {
  path: string;
  output(): string;
  type(text: string): void;
}

async function receiver(): Promise<Receiver> {
  const path = join(box.directory, `socket-${children.length}-${box.next()}`);
  const out = `${path}.out`;
  writeFileSync(out, "");
  const child = Bun.spawn(["python3", "-c", RECEIVER, path], {
    stdin: "pipe",
    stdout: Bun.file(out),
    stderr: "inherit",
  });
  children.push(child);
  await until("the socket is there", () => existsSync(path));
  return {
    path,
    output: () => readFileSync(out, "utf8"),
    type: (text) => {
      child.stdin.write(text);
      child.stdin.flush();
    },
  };
}

/**
 * The end of a program: the kernel hangs up a terminal when the leader of its session ends, and may drop what was written just
 * before. So it waits for a line, which comes when all was seen, or never.
 */
const STAY = "read end";

const withTerminal = (config: TestConfig) => {
  config.process.terminal = true;
};

test("the master end goes through the console socket, and the program has a terminal as its streams and its console", async () => {
  const { path, output } = await receiver();
  const script = `ls -l /dev/console | cut -c1; for i in 0 1 2; do readlink /proc/self/fd/$i; done; cat /proc/self/stat | cut -d' ' -f7; echo done; ${STAY}`;
  const b = box.bundle({ args: script, patch: withTerminal });
  expect(box.create(b, "--console-socket", path)).toMatchObject({ status: 0, stdout: "", stderr: "" });
  await until("it is received", () => output().startsWith("received True 1 True"));
  // Nothing keeps the connection open.
  await until("the connection has ended", () => existsSync(`${path}.rest`));
  expect(readFileSync(`${path}.rest`, "utf8")).toBe("");
  expect(box.kontena(["start", b.id])).toMatchObject({ status: 0, stdout: "", stderr: "" });
  await until("the program is done", () => output().includes("done"));
  const lines = output().replaceAll("\r", "").split("\n").slice(1);
  expect(lines.slice(0, 4)).toEqual(["c", "/dev/pts/0", "/dev/pts/0", "/dev/pts/0"]);
  // tty_nr of proc(5): it is the controlling terminal, of major 136.
  expect(Number(lines[4]) >> 8).toBe(136);
});

test("the terminal has the size of consoleSize, and belongs to the process's user", async () => {
  const { path, output } = await receiver();
  const b = box.bundle({
    args: `busybox stty size; stat -c %u /dev/pts/0; echo done; ${STAY}`,
    patch: (c) => {
      withTerminal(c);
      c.process.consoleSize = { height: 33, width: 111 };
      c.process.user = { uid: 1000, gid: 1000 };
    },
  });
  expect(box.create(b, "--console-socket", path)).toMatchObject({ status: 0, stderr: "" });
  box.kontena(["start", b.id]);
  await until("the program is done", () => output().includes("done"));
  expect(output().replaceAll("\r", "").split("\n").slice(1, 3)).toEqual(["33 111", "1000"]);
});

test("what is typed reaches the program, Ctrl-C as a signal", async () => {
  const { path, output, type } = await receiver();
  const b = box.bundle({
    args: `trap 'echo interrupted' INT; echo ready; read x; echo got $x; read y; ${STAY}`,
    patch: withTerminal,
  });
  expect(box.run(b, "--detach", "--keep", "--console-socket", path)).toMatchObject({ status: 0, stderr: "" });
  await until("it is ready", () => output().includes("ready"));
  type("hello\n");
  await until("it has read", () => output().includes("got hello"));
  type("\x03");
  await until("it was interrupted", () => output().includes("interrupted"));
});

test("exec gives a terminal of the container's own, too", async () => {
  const { path, output } = await receiver();
  const b = box.bundle({ args: ["sleep", "1000"] });
  expect(box.run(b, "--detach").status).toBe(0);
  const command = [
    "exec",
    "--tty",
    "--detach",
    "--console-socket",
    path,
    b.id,
    "sh",
    "-c",
    `readlink /proc/self/fd/0; echo done; ${STAY}`,
  ];
  expect(box.kontena(command)).toMatchObject({ status: 0, stdout: "", stderr: "" });
  await until("the program is done", () => output().includes("done"));
  expect(output().replaceAll("\r", "")).toBe("received True 1 True\n/dev/pts/0\ndone\n");
});

/**
 * Runs a command on a terminal of its own, as a person would, and shows all that it sees. Its shell outlives it, and ends when
 * its status was seen.
 */
const ON_TERMINAL = `
import fcntl, os, pty, select, struct, sys, termios
rows, columns, typed, *command = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))
    os.execv("/bin/sh", ["sh", "-c", 'trap : INT; "$@"; echo "status $?"; read end', "sh", *command])
before = termios.tcgetattr(fd)
seen = b""
steps = [s for s in typed.split("|") if s]
after = None
while True:
    try: text = os.read(fd, 4096)
    except OSError: break
    if not text: break
    seen += text
    if after is None and b"\\nstatus " in seen and seen.endswith(b"\\n"):
        after = termios.tcgetattr(fd)
        os.write(fd, b"\\4")
    if steps and seen.rstrip().endswith(steps[0].split(">")[0].encode()):
        action = steps.pop(0).split(">")[1]
        if action == "RESIZE": fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 150, 0, 0))
        else: os.write(fd, action.encode().decode("unicode_escape").encode())
os.waitpid(pid, 0)
sys.stdout.write(seen.decode().replace("\\r", ""))
sys.stdout.write("settings %s\\n" % (before == after))
`;

/** \`steps\`: \`what is seen at the end>what is then typed\`, separated by bars. */
function onTerminal(command: string[], steps = ""): string {
  const { stdout, stderr } = Bun.spawnSync(
    ["python3", "-c", ON_TERMINAL, "30", "90", steps, KONTENA, "--root", box.root, ...command],
    { timeout: 20_000, env: { PATH: "/usr/bin:/bin" } },
  );
  return stdout.toString() + stderr.toString();
}

const bundleFor = (args: string): TestBundle => box.bundle({ args, patch: withTerminal });

test("in the foreground run passes the terminal through, with its size, and leaves its settings as they were", () => {
  const b = bundleFor(`busybox stty size; readlink /proc/self/fd/0; ${STAY}; exit 5`);
  const seen = onTerminal(["run", "--bundle", b.directory, b.id], "/dev/pts/0>\\n");
  expect(seen).toBe("30 90\n/dev/pts/0\n\nstatus 5\nsettings True\n");
});

test("what is typed goes through, keys that mean a signal as well, and a new size reaches the program", () => {
  const b = bundleFor(
    "trap 'echo int' INT; trap 'busybox stty size; echo resized' WINCH; echo one; read x; echo got $x; while :; do read y && exit 4; done",
  );
  const seen = onTerminal(
    ["run", "--bundle", b.directory, b.id],
    "one>hi\\n|got hi>\\x03|int>RESIZE|resized>end\\n",
  );
  expect(seen).toContain("got hi\n");
  expect(seen).toContain("int\n");
  expect(seen).toContain("50 150\nresized\n");
  expect(seen).toEndWith("status 4\nsettings True\n");
});

test("exec --tty passes the terminal through as well", () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  expect(box.run(b, "--detach").status).toBe(0);
  const seen = onTerminal(
    ["exec", "-t", b.id, "sh", "-c", `busybox stty size; read x; echo got $x; ${STAY}; exit 6`],
    "30 90>typed\\n|got typed>\\n",
  );
  expect(seen).toBe("30 90\ntyped\ngot typed\n\nstatus 6\nsettings True\n");
});

test("much output arrives whole", () => {
  const b = bundleFor(
    `i=0; while [ $i -lt 3000 ]; do echo line $i of many that fill the buffers of the terminal; i=$((i+1)); done; echo all; ${STAY}`,
  );
  const lines = onTerminal(["run", "--bundle", b.directory, b.id], "all>\\n").split("\n");
  expect(lines.slice(3000)).toEqual(["all", "", "status 0", "settings True", ""]);
  expect(lines[2999]).toStartWith("line 2999 ");
});

test("a terminal that nobody would hold is refused, and a console socket without a terminal", async () => {
  const b = bundleFor("true");
  const created = box.create(b);
  expect(created.status).toBe(1);
  expect(created.stderr).toContain("process.terminal: a process with a terminal needs --console-socket");
  const plain = box.bundle();
  const useless = box.create(plain, "--console-socket", join(box.directory, "any"));
  expect(useless.status).toBe(1);
  expect(useless.stderr).toContain("--console-socket is for a process with a terminal");
  const absent = box.create(b, "--console-socket", join(box.directory, "absent"));
  expect(absent.status).toBe(1);
  expect(absent.stderr).toContain("cannot connect to");
  expect(box.ids()).toEqual([]);
});

test("without a devpts in the container the error says what is missing", async () => {
  const { path } = await receiver();
  const b = box.bundle({
    patch: (c) => {
      withTerminal(c);
      c.mounts = c.mounts.filter((m) => m.destination !== "/dev/pts");
    },
  });
  const { status, stderr } = box.create(b, "--console-socket", path);
  expect(status).toBe(1);
  expect(stderr).toContain("a mount of type devpts on /dev/pts");
});

test("the pidfd of the container's init goes to the socket of --pidfd-socket", async () => {
  const path = join(box.directory, "pidfd");
  const program = `
import os, socket, sys
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen(1)
connection, _ = server.accept()
data, fds, _, _ = socket.recv_fds(connection, 256, 4)
print([line.split()[1] for line in open("/proc/self/fdinfo/%d" % fds[0]) if line.startswith("Pid:")][0], flush=True)
`;
  const child = Bun.spawn(["python3", "-c", program, path], { stdout: "pipe" });
  children.push(child);
  await until("the socket is there", () => existsSync(path));
  const b = box.bundle({ args: ["sleep", "1000"] });
  expect(box.create(b, "--pidfd-socket", path)).toMatchObject({ status: 0, stderr: "" });
  expect(Number(await new Response(child.stdout).text())).toBe(box.state(b.id).pid ?? 0);
  expect(readlinkSync(`/proc/${box.state(b.id).pid}/ns/pid`)).toMatch(/^pid:/);
});
