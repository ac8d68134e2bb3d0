/**
 * What Bun changes in its own process never shows inside: a program's view of itself is compared with that of the same
 * program run directly by the same parent.
 */
import { test as bunTest, expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CAPABILITIES } from "../../src/kernel/consts/capability.ts";
import {
  hasCapability,
  KONTENA,
  openBox,
  type TestBundle,
  type TestConfig,
  test,
  testNeeding,
} from "./helpers.ts";

const box = openBox("inherited");
const python = testNeeding("root", "busybox", "python3");

/** Prints what the kernel knows of the shell that runs it. Only builtins and cat, so that it is the shell's own. */
const DUMP = `
echo "== status"; cat /proc/$$/status
echo "== limits"; cat /proc/$$/limits
echo "== environ"; cat /proc/$$/environ; echo
echo "== descriptors"; for f in /proc/$$/fd/*; do echo $f; done
for n in 0 1 2; do echo "== flags $n"; cat /proc/$$/fdinfo/$n; done
echo "== other"; cat /proc/$$/oom_score_adj /proc/$$/coredump_filter /proc/$$/personality /proc/$$/timerslack_ns
umask
`;

/** What has to differ: numbers of processes, namespaces, memory, and how often it ran. */
const DIFFERS =
  /^(Name|State|Pid|Tgid|Ngid|PPid|NS\w+|Vm\w+|Rss\w+|Hugetlb\w+|SigQ|Mems_allowed\w*|\w*voluntary_ctxt_switches|x86_Thread\w+):|^(pos|mnt_id|ino):/;

function comparable(dump: string): string[] {
  return dump
    .split("\n")
    .filter((line) => !DIFFERS.test(line))
    .map((line) => line.replace(/\/proc\/\d+\//g, "/proc/PID/"));
}

/** A container that differs from its caller in nothing that the config could ask for. */
const asCaller = (config: TestConfig) => {
  // Without a list there would be none; the caller is root, and has what its bounding set has.
  const own = CAPABILITIES.filter((_, i) => hasCapability(i));
  config.process.capabilities = { bounding: own, effective: own, permitted: own };
  delete config.process.rlimits;
  config.process.noNewPrivileges = false;
  config.process.env = ["PATH=/bin", "HOME=/"];
};

function dumper(): TestBundle {
  return box.bundle({ args: ["/bin/busybox", "sh", "-c", DUMP], patch: asCaller });
}

const words = (...args: string[]) => args.map((a) => `'${a.replaceAll("'", "'\\''")}'`).join(" ");
// A shell adds variables of its own, such as PWD; env takes them away.
const direct = words("env", "-i", "PATH=/bin", "HOME=/", "/bin/busybox", "sh", "-c", DUMP);
const inContainer = (b: TestBundle, ...more: string[]) =>
  words(KONTENA, "--root", box.root, "run", "--bundle", b.directory, ...more, b.id);

/** Runs both from one shell, after some preparation of that shell; the results of each, as comparable lines. */
function both(preparation: string, decorate = (command: string) => command): [string[], string[]] {
  const b = dumper();
  const one = join(box.directory, `${b.id}-direct`);
  const two = join(box.directory, `${b.id}-contained`);
  // The last command isn't the container, or the shell would become it.
  const script = `umask 022; ${preparation}\n${decorate(direct)} >${one}\n${decorate(inContainer(b))} >${two}\nexit $?`;
  const finished = Bun.spawnSync(["sh", "-c", script], {
    env: { PATH: "/usr/bin:/bin" },
    stdin: Bun.file("/dev/null"),
    stderr: "pipe",
  });
  expect({ status: finished.exitCode, stderr: finished.stderr.toString() }).toEqual({
    status: 0,
    stderr: "",
  });
  return [read(one), read(two)];
}

function read(path: string): string[] {
  const text = Bun.spawnSync(["cat", path]).stdout.toString();
  expect(text).toContain("== other");
  return comparable(text);
}

test("the program sees the same signals, limits, environment, descriptors and flags as when run directly", () => {
  const [alone, contained] = both("ulimit -Sn 512");
  expect(contained).toEqual(alone);
});

test("low and high limits of the caller arrive unchanged", () => {
  const [alone, contained] = both(
    "ulimit -Sn 64; ulimit -Hn 900; ulimit -c 0; ulimit -Ss 4096; ulimit -t 1000",
  );
  expect(contained).toEqual(alone);
  expect(contained.find((line) => line.startsWith("Max open files"))).toMatch(/\s64\s+900\s/);
});

test("an unlimited stack and other odd limits arrive unchanged", () => {
  const [alone, contained] = both("ulimit -s unlimited; ulimit -f 1000000; ulimit -v 800000000");
  expect(contained).toEqual(alone);
});

test("a nice value and an oom_score_adj of the caller arrive unchanged", () => {
  const [alone, contained] = both("echo 300 >/proc/$$/oom_score_adj");
  expect(contained).toEqual(alone);
  expect(contained).toContain("300");
});

test("pipes as standard input, output and error keep their flags", () => {
  const b = dumper();
  const flagsOf = (command: string) => {
    const script = `{ cat /dev/null | ${command}; } 2>&1 | cat`;
    const text = Bun.spawnSync(["sh", "-c", script], { env: { PATH: "/usr/bin:/bin" } }).stdout.toString();
    return text.split("\n").filter((line) => line.startsWith("flags:"));
  };
  const alone = flagsOf(direct);
  expect(alone).toHaveLength(3);
  expect(flagsOf(inContainer(b))).toEqual(alone);
});

test("after run the caller's own descriptors are as they were", () => {
  const b = dumper();
  const flags = "for n in 0 1 2; do grep flags /proc/$$/fdinfo/$n; done";
  const script = `{ { ${flags}; ${inContainer(b)} >/dev/null; ${flags}; exit; } <&3 2>&1 | cat; } 3</dev/null`;
  const lines = Bun.spawnSync(["sh", "-c", script], { env: { PATH: "/usr/bin:/bin" } })
    .stdout.toString()
    .trim()
    .split("\n");
  expect(lines).toHaveLength(6);
  expect(lines.slice(3)).toEqual(lines.slice(0, 3));
});

/** The glob's own descriptor is closed again when its result is looked at. */
const DESCRIPTORS = "cd /proc/self/fd; for n in *; do if test -h $n; then echo $n; fi; done";

function descriptorsWith(redirections: string, ...more: string[]): number[] {
  const b = box.bundle({ args: ["/bin/busybox", "sh", "-c", DESCRIPTORS], patch: asCaller });
  const script = `exec ${redirections}\n${inContainer(b, ...more)}\nexit $?`;
  const { stdout, exitCode } = Bun.spawnSync(["bash", "-c", script], { env: { PATH: "/usr/bin:/bin" } });
  expect(exitCode).toBe(0);
  return stdout
    .toString()
    .trim()
    .split("\n")
    .map(Number)
    .sort((x, y) => x - y);
}

test("descriptors that the caller leaks don't reach the program", () => {
  expect(descriptorsWith("3</dev/null 4</ 9>/dev/null 77</etc/passwd")).toEqual([0, 1, 2]);
});

test("--preserve-fds hands over exactly as many descriptors, from 3 on", () => {
  const redirections = "3</dev/null 4</dev/null 5</dev/null 9</dev/null";
  for (const count of [0, 1, 2, 3])
    expect(descriptorsWith(redirections, "--preserve-fds", String(count))).toEqual(
      [0, 1, 2, 3, 4, 5].slice(0, 3 + count),
    );
});

test("preserved descriptors are the caller's own", () => {
  const file = join(box.directory, "preserved");
  writeFileSync(file, "three\n");
  const b = box.bundle({ args: ["sh", "-c", "cat <&3; echo out >&4"] });
  const out = join(box.directory, "preserved-out");
  const script = `exec 3<${file} 4>${out}\n${inContainer(b, "--preserve-fds", "2")}\nexit $?`;
  const { stdout, exitCode } = Bun.spawnSync(["sh", "-c", script], { env: {} });
  expect({ exitCode, stdout: stdout.toString() }).toEqual({ exitCode: 0, stdout: "three\n" });
  expect(Bun.spawnSync(["cat", out]).stdout.toString()).toBe("out\n");
});

test("twenty preserved descriptors don't collide with kontena's own", () => {
  const numbers = Array.from({ length: 20 }, (_, i) => i + 3);
  const redirections = numbers.map((n) => `${n}</dev/null`).join(" ");
  expect(descriptorsWith(redirections, "--preserve-fds", "20")).toEqual([0, 1, 2, ...numbers]);
});

test("a preserved number that the caller hasn't opened shows nothing of kontena's own", () => {
  const b = box.bundle({
    args: "cd /proc/self/fd; for n in 3 4 5 6 7 8; do readlink $n; done; true",
    patch: asCaller,
  });
  const { stdout } = box.kontena(["run", "--bundle", b.directory, "--preserve-fds", "6", b.id]);
  expect(stdout).toBe("");
});

bunTest.todo("a soft limit of open files that only kontena itself was given arrives unchanged", () => {
  // Bun has raised it before the first line of ours runs, and the parent's is another one.
  const b = box.bundle({ args: ["sh", "-c", "ulimit -Sn"], patch: asCaller });
  const before = ["sh", "-c", 'ulimit -Sn 512; exec "$0" "$@"'];
  expect(box.kontena(["run", "--bundle", b.directory, b.id], { before }).stdout).toBe("512\n");
});

test("the environment of the caller doesn't reach the program", () => {
  const b = box.bundle({ args: ["/bin/cat", "/proc/self/environ"], patch: asCaller });
  const options = { env: { SECRET: "1", BUN_CONFIG: "2", KONTENA: "3" } };
  expect(box.kontena(["run", "--bundle", b.directory, b.id], options).stdout).toBe("PATH=/bin\0HOME=/\0");
});

const MASKS = ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"];
const masksOf = (status: string) =>
  MASKS.map((name) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1]);
const NONE = MASKS.map(() => "0".repeat(16));

test("signals that the caller ignores do in the container what they do by default", () => {
  const b = box.bundle({ args: ["cat", "/proc/self/status"] });
  const script = `trap '' HUP INT TERM PIPE USR1 XFSZ CHLD; ${inContainer(b)}; exit $?`;
  const { stdout } = Bun.spawnSync(["sh", "-c", script], { env: { PATH: "/usr/bin:/bin" } });
  expect(masksOf(stdout.toString())).toEqual(NONE);
});

python("signals that the caller blocks aren't blocked in the container", () => {
  const b = box.bundle({ args: ["cat", "/proc/self/status"] });
  const script = `import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD, signal.SIGRTMIN + 3])
os.execv(sys.argv[1], sys.argv[1:])`;
  const options = { before: ["python3", "-c", script] };
  const { status, stdout } = box.kontena(["run", "--bundle", b.directory, b.id], options);
  expect(status).toBe(0);
  expect(masksOf(stdout)).toEqual(NONE);
});

test("init parked between create and start is one thread, small, and has none of the runtime's files", () => {
  const b = box.bundle();
  box.create(b);
  const pid = box.state(b.id).pid ?? 0;
  const sh = (script: string) => Bun.spawnSync(["sh", "-c", script]).stdout.toString();
  const status = sh(`cat /proc/${pid}/status`);
  expect(status).toMatch(/^Threads:\s*1$/m);
  expect(Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1])).toBeLessThanOrEqual(64);
  expect(sh(`readlink /proc/${pid}/exe`)).toContain("memfd:kontena-init");
  expect(sh(`cat /proc/${pid}/maps`)).not.toContain(KONTENA);
  expect(sh(`cat /proc/${pid}/environ`)).toBe("");
  // Nothing of the host but the state directory, which is closed before the program runs, and the container's root.
  const others = sh(`cd /proc/${pid}/fd; for f in *; do test $f -gt 2 && readlink $f; done`)
    .trim()
    .split("\n");
  expect(others.filter((path) => path !== "/" && path !== join(box.root, b.id))).toEqual([]);
});
