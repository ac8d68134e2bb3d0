/**
 * The whole of kontena on an arm64 kernel: a machine in qemu that runs the script `guest`, whose sections are looked at
 * here. It takes half a minute, and its image about 110 MB once, so it runs when it was asked for or the image is there.
 */
import { beforeAll, test as bunTest, expect, setDefaultTimeout } from "bun:test";
import { join } from "node:path";
import { parseState } from "../../spec/parse.ts";

setDefaultTimeout(600_000);

const script = (name: string) => join(import.meta.dir, name);

function missing(): string {
  if (Bun.which("qemu-system-aarch64") === null)
    return " (skipped: no qemu-system-aarch64; Debian's qemu-system-arm has it)";
  // It downloads a kernel and emulates a machine: half a minute, for who asks for it.
  return process.env["KONTENA_TEST_ARM64"] === "1" ? "" : " (skipped: KONTENA_TEST_ARM64=1 runs it)";
}

const reason = missing();
const test = (name: string, body: () => void) =>
  bunTest.skipIf(reason !== "")(`arm64: ${name}${reason}`, body);

interface Section {
  text: string;
  lines: string[];
  status: number;
}

const sections = new Map<string, Section>();

beforeAll(() => {
  if (reason !== "") return;
  const { stdout, stderr, exitCode } = Bun.spawnSync([script("run")]);
  const marks = /^\[\[begin (.+)\]\]\n([\s\S]*?)\n*^\[\[end \1 (\d+)\]\]$/gm;
  for (const [, name = "", text = "", status] of stdout.toString().matchAll(marks))
    sections.set(name, { text, lines: text.split("\n").filter(Boolean), status: Number(status) });
  if (exitCode !== 0) throw new Error(`test/arm64/run ended with ${exitCode}: ${stderr}\n${stdout}`);
});

function section(name: string): Section {
  const found = sections.get(name);
  if (found === undefined) throw new Error(`the guest told nothing of "${name}"`);
  return found;
}

/** The rest of the lines that begin with `word`. */
const after = (name: string, word: string) =>
  section(name).lines.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []));

/** The JSON texts of a section that has other lines too. */
function documents(name: string): string[] {
  return section(name).text.match(/^([{[])\n[\s\S]*?^[}\]]$/gm) ?? [];
}

test("the machine is one, and the executable runs on it", () => {
  expect(section("machine").lines).toContain("aarch64");
  expect(section("version")).toMatchObject({ status: 0 });
  expect(section("version").lines[0]).toMatch(/^kontena version \d/);
});

test("config.json.example shows its own hostname in a namespace of its own", () => {
  const [hostname, namespace] = section("example").lines;
  expect([section("example").status, hostname]).toEqual([0, "kontena"]);
  expect(namespace).toMatch(/^uts:\[\d+\]$/);
  expect(after("machine", "ns")).not.toContain(namespace as string);
});

test("the default config gives its hostname, pid 1 and six namespaces of its own", () => {
  expect(section("default").status).toBe(0);
  expect(after("default", "hostname")).toEqual(["kontena"]);
  expect(after("default", "pid")).toEqual(["1"]);
  const own = after("default", "ns");
  const host = after("machine", "ns");
  expect(own.map((text) => text.split(":")[0])).toEqual(["cgroup", "ipc", "mnt", "net", "pid", "uts"]);
  expect(own.filter((text) => host.includes(text))).toEqual([]);
});

test("capabilities, no_new_privs, limits, signals and descriptors are those of the config", () => {
  const status = Object.fromEntries(section("default").lines.map((line) => line.split(":\t")));
  // CAP_AUDIT_WRITE, CAP_KILL, CAP_NET_BIND_SERVICE.
  const three = "0000000020000420";
  const none = "0000000000000000";
  expect(status).toMatchObject({ CapPrm: three, CapEff: three, CapBnd: three, CapInh: none, CapAmb: none });
  expect(status).toMatchObject({ NoNewPrivs: "1", Threads: "1", SigIgn: none, SigBlk: none });
  expect(after("default", "nofile")).toEqual(["1024 1024"]);
  // The shell's script is 10, and 3 the directory that it reads just then.
  const numbers = after("default", "descriptors")[0]
    ?.split(" ")
    .map((path) => Number(path.split("/").pop()));
  expect(numbers?.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 10]);
});

test("the default mounts are there, masked and read-only paths too, and nothing else", () => {
  const mounts = after("default", "mount").map((line) => line.split(" "));
  const points = mounts.map(([point]) => point);
  const places = ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"];
  // Newer kernels list by the order in which mounts were made, not in which they came here.
  expect(points.filter((path) => places.includes(path ?? ""))).toEqual(places);
  const options = Object.fromEntries(mounts.map(([point, flags]) => [point, flags?.split(",") ?? []]));
  const readOnly = ["/", "/sys", "/proc/kcore", "/sys/firmware", "/sys/block", "/proc/sys", "/proc/irq"];
  for (const path of readOnly) expect(options[path]).toContain("ro");
  const types = Object.fromEntries(mounts.map(([point, , type]) => [point, type]));
  expect(types).toMatchObject({
    "/sys/firmware": "tmpfs",
    "/sys/block": "tmpfs",
    "/sys/fs/cgroup": "cgroup2",
  });
  const others = points.filter((path) => !places.includes(path ?? ""));
  expect(others.filter((path) => !/^\/(proc|sys)\//.test(path ?? ""))).toEqual([]);
  expect(after("default", "kcore")).toEqual(["0"]);
  expect(section("default").lines).toContain("root read-only");
});

test("loopback is up, and the container is the top of its cgroup namespace", () => {
  expect(section("default").text).toContain("<LOOPBACK,UP,LOWER_UP>");
  expect(section("default").lines).toContain("0::/");
});

test("create, state, start, kill and delete do what they say, and refuse what must fail", () => {
  const { lines } = section("lifecycle");
  const statuses = { create: 0, start: 0, again: 1, "delete running": 1, kill: 0, delete: 0 };
  for (const [step, status] of Object.entries(statuses)) expect(lines).toContain(`${step} ${status}`);
  expect(lines).toContain("in kontena");
  expect(lines.indexOf("in kontena")).toBeGreaterThan(lines.indexOf("create 0"));
  const states = documents("lifecycle").filter((text) => text.startsWith("{"));
  expect(states.map((text) => parseState(text))).toMatchObject([
    { state: { status: "created" } },
    { state: { status: "running" } },
  ]);
  expect(lines).toContain('  "status": "stopped",');
});

test("ns tells which namespaces are the container's own", () => {
  const text = documents("lifecycle").find((document) => document.startsWith("["));
  const list = JSON.parse(text ?? "[]") as { type: string; own: boolean }[];
  const own = list.filter((namespace) => namespace.own).map(({ type }) => type);
  expect(own.sort()).toEqual(["cgroup", "ipc", "mount", "network", "pid", "uts"]);
});

test("parked, init is one thread of a few pages, and its executable is in memory", () => {
  const { text, lines } = section("lifecycle");
  const value = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(text)?.[1];
  expect(value("Name")).toBe("kontena-init");
  expect(value("Threads")).toBe("1");
  // 64 kB where pages have 4.
  const page = Number(/KernelPageSize:\s+(\d+) kB/.exec(section("machine").text)?.[1]);
  expect(Number(value("VmRSS"))).toBeLessThanOrEqual(16 * page);
  expect(lines).toContain("/memfd:kontena-init (deleted)");
});

test("two parked containers start in reverse order", () => {
  expect(section("reverse").lines).toEqual(["second", "first"]);
});

for (const [name, status, text] of [
  ["not found", 127, 'process.args[0]: exec: "/bin/none": no such file or directory'],
  ["not executable", 126, 'process.args[0]: exec: "/plain": permission denied'],
  ["wrong format", 126, "process.args: exec /text: exec format error"],
  ["removed", 127, "process.args: exec /report: no such file or directory"],
  [
    "mount fails",
    1,
    "cannot mount \"tmpfs\" on /dev: invalid argument (the kernel said: tmpfs: Bad value for 'size')",
  ],
] as const)
  test(`the reason of a failure is told, and its place: ${name}`, () => {
    expect(section(name)).toMatchObject({ status, text: expect.stringContaining(text) });
  });

test("the program's exit status is that of run, 128 more for a signal", () => {
  expect(section("exit status").status).toBe(42);
  expect(section("killed").status).toBe(137);
});

test("a user without rights gets a container, with a user namespace", () => {
  const { status, lines } = section("rootless");
  const [uid, map, hostname, namespace, host] = lines;
  expect([status, uid, map?.trim().split(/ +/), hostname]).toEqual([0, "0", ["0", "1000", "1"], "kontena"]);
  expect(`host ${namespace}`).not.toBe(host as string);
});

test("containers run where no cgroup file system is mounted", () => {
  expect(section("without cgroups")).toMatchObject({ status: 0, lines: ["kontena"] });
});

test("nothing is left: no container, cgroup, mount or process", () => {
  const { lines } = section("leftovers");
  const [header, states, mounts, ...others] = lines;
  expect(header).toStartWith("ID ");
  // Plans that `run` keeps for the next command.
  expect(states).toMatch(/^states \/run\/kontena\/(\*|@plans)$/);
  expect(mounts).toBe(section("mounts before").lines[0] as string);
  expect(others).toEqual([]);
});
