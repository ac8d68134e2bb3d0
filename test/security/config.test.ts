/** Hostile bundles: what stands in the place of config.json, and what it may hold. Nothing hangs, and nothing is left. */
import { expect } from "bun:test";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Finished,
  NOBODY,
  openBox,
  type TestBundle,
  type TestConfig,
  testNeeding,
} from "../integration/helpers.ts";
import { expectClear, outsideIn } from "./hostile.ts";

const box = openBox("hostile");
const test = testNeeding("root", "busybox");

const configOf = (b: TestBundle) => join(b.directory, "config.json");
const sh = (script: string) => Bun.spawnSync(["sh", "-ec", script]);

/** create with another text as config.json; `edit` gets the default one. */
function createWith(edit: (config: TestConfig, text: string) => string | Uint8Array): Finished {
  const b = box.bundle();
  writeFileSync(configOf(b), edit(b.config, JSON.stringify(b.config)));
  const finished = box.create(b);
  expectClear(box, b, finished);
  box.kontena(["delete", "--force", b.id]);
  return finished;
}

/** The same for a config that is JSON. */
const createPatched = (patch: (config: TestConfig) => void) =>
  createWith((config) => {
    patch(config);
    return JSON.stringify(config);
  });

function expectRefusal({ status, stderr }: Finished, ...texts: string[]): void {
  expect({ status, stderr }).toMatchObject({ status: 1 });
  for (const text of texts) expect(stderr).toContain(text);
}

for (const [what, make, told] of [
  ["a FIFO", (path: string) => `mkfifo ${path}`, "is not a regular file"],
  ["a device", (path: string) => `ln -s /dev/zero ${path}`, "is not a regular file"],
  ["a directory", (path: string) => `mkdir ${path}`, "cannot read"],
  ["a link to itself", (path: string) => `ln -s config.json ${path}`, "ELOOP"],
  ["missing", () => "true", "no such file"],
] as const)
  test(`a config.json that is ${what} is told, at once`, () => {
    const b = box.bundle();
    sh(`rm ${configOf(b)}; ${make(configOf(b))}`);
    expectRefusal(box.create(b), told, configOf(b));
  });

test("a --config without an end is refused, and a pipe is read", () => {
  const b = box.bundle();
  expectRefusal(box.create(b, "--config", "/dev/zero"), "/dev/zero is longer than 16777216 bytes");
  const piped = `cat ${configOf(b)} | "$@"`;
  const given = { before: ["sh", "-c", piped, "sh"] };
  const args = ["create", "--bundle", b.directory, "--config", "/dev/stdin", b.id];
  expect(box.kontena(args, given)).toMatchObject({ status: 0, stderr: "" });
});

for (const [what, make] of [
  ["a FIFO", (path: string) => `mkfifo ${path}`],
  ["a device", (path: string) => `mknod ${path} c 1 5`],
  ["a link to itself", (path: string) => `ln -s rootfs ${path}`],
  ["a link to nothing", (path: string) => `ln -s nowhere ${path}`],
] as const)
  test(`a root file system that is ${what} is told`, () => {
    const b = box.bundle();
    rmSync(b.rootfs, { recursive: true });
    sh(make(b.rootfs));
    expectRefusal(box.create(b), "root.path: ");
  });

test("a text that isn't JSON, or not UTF-8, is told with its place", () => {
  const texts = [
    "",
    "null",
    "[]",
    '"x"',
    "1e400",
    "{",
    "[".repeat(1e5),
    `${"[".repeat(1e5)}${"]".repeat(1e5)}`,
  ];
  for (const text of texts)
    expectRefusal(
      createWith(() => text),
      "config.json: ",
    );
  const bytes = createWith((_, text) =>
    Buffer.from(text.replace('"hostname":"', '"hostname":"\xff'), "latin1"),
  );
  expectRefusal(bytes, "is not UTF-8");
  expectRefusal(
    createWith((_, text) => text.replace('"uid":0', '"uid":NaN')),
    "line 1, column",
  );
});

test("deep, long and many things are taken or refused, in time", () => {
  const deep = `${"[".repeat(5e4)}${"]".repeat(5e4)}`;
  const created = [
    createWith((_, text) => text.replace(/}$/, `,"unknown":${deep}}`)),
    createPatched((config) => {
      config.process.env = Array.from({ length: 1e5 }, (_, i) => `A${i}=1`);
    }),
    createPatched((config) => {
      config.annotations = Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`a${i}`, "b"]));
    }),
    createPatched((config) => {
      config.linux.maskedPaths = Array.from({ length: 1e4 }, (_, i) => `/none${i}`);
    }),
    createPatched((config) => {
      config.annotations = { long: "x".repeat(1e7) };
    }),
    createPatched((config) => {
      config.mounts.push({ destination: "/x".repeat(500), type: "tmpfs" });
    }),
    createPatched((config) => {
      config.mounts.push({
        destination: "/x",
        type: "tmpfs",
        options: Array.from({ length: 1e4 }, () => "ro"),
      });
    }),
  ];
  expect(created.map(({ status }) => status)).toEqual(created.map(() => 0));
  expectRefusal(
    createWith((_, text) => text.replace(/"mounts":/, `"mounts":${deep},"m":`)),
    "mounts[0]: expected an object",
  );
  const long = (path: string) => `${path}: expected at most 4095 bytes`;
  const cwd = createPatched((config) => {
    config.process.cwd = "/x".repeat(1e5);
    config.mounts.push({ destination: "/x".repeat(1e5), type: "tmpfs" });
    config.linux.cgroupsPath = "x".repeat(1e6);
  });
  expectRefusal(cwd, long("process.cwd"), long("mounts[7].destination"), long("linux.cgroupsPath"));
  expectRefusal(
    createPatched((config) => {
      config.annotations = { long: "x".repeat(2e7) };
    }),
    "is longer than 16777216 bytes",
  );
  expectRefusal(
    createPatched((config) => {
      config.hostname = "x".repeat(1e6);
    }),
    "hostname: expected at most 64 bytes",
  );
});

test("arguments and environment of a megabyte reach the program; where the kernel takes no more, start says so", () => {
  const part = "x".repeat(65536);
  const b = box.bundle({
    args: ["sh", "-c", `echo $# $\{#1} $\{#V0}`, "sh", ...Array.from({ length: 8 }, () => part)],
    patch: (config) => {
      for (let i = 0; i < 8; i++) config.process.env?.push(`V${i}=${part}`);
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "8 65536 65536\n", stderr: "" });
  for (const args of [
    ["true", "x".repeat(1 << 20)],
    ["true", ...Array.from({ length: 128 }, () => part)],
  ]) {
    const { status, stderr } = box.run(box.bundle({ args }));
    expect(status).toBe(126);
    expect(stderr).toContain("process.args: exec true: argument list too long");
  }
});

/** Every string and every name of a document, replaced one at a time. */
function* poisoned(value: unknown, poison: string): Generator<unknown> {
  if (typeof value === "string") yield `${value}${poison}`;
  if (Array.isArray(value))
    for (const [i, item] of value.entries())
      for (const bad of poisoned(item, poison)) yield value.with(i, bad);
  else if (typeof value === "object" && value !== null)
    for (const [key, item] of Object.entries(value))
      for (const bad of poisoned(item, poison)) yield { ...value, [key]: bad };
}

test("a NUL in any string of a config is refused with its place", () => {
  const b = box.bundle({
    patch: (config) => {
      config.hooks = { poststop: [{ path: "/bin/true", args: ["a"], env: ["A=b"] }] };
      config.annotations = { a: "b" };
      config.linux.sysctl = { "net.core.somaxconn": "1" };
      config.linux.cgroupsPath = "/a";
      config.process.rlimits = [];
      config.process.capabilities = { bounding: ["CAP_CHOWN"] };
      config.mounts = config.mounts.slice(0, 2);
      config.linux.maskedPaths = ["/proc/keys"];
      config.linux.readonlyPaths = ["/proc/sys"];
    },
  });
  const seen = new Set<string>();
  for (const bad of poisoned(b.config, "\0")) {
    writeFileSync(configOf(b), JSON.stringify(bad));
    const { status, stderr } = box.kontena(["explain", "--bundle", b.directory]);
    expect(status).toBe(1);
    // Those of an enumeration are just none of its values.
    expect(stderr).toMatch(/^kontena: [\w.[\]"]+: (".*" contains U\+0000|expected|unknown|is )/);
    seen.add(stderr);
  }
  expect(seen.size).toBeGreaterThan(30);
});

test("names that every object of JavaScript has are names like others, or refused", () => {
  for (const name of ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf"]) {
    const object = (value: string) => `{"${name}":${value}}`;
    const place = (property: string, value: string) =>
      createWith(({ linux, ...config }) =>
        JSON.stringify({ ...config, linux: { ...linux, [property]: "@" } }).replace('"@"', value),
      );
    expect(createWith((_, text) => text.replace(/}$/, `,"${name}":{"x":1}}`)).status).toBe(0);
    for (const value of ['"sysctl"', '"netDevices"'].map((p) => JSON.parse(p) as string))
      expectRefusal(place(value, object(value === "sysctl" ? '"1"' : "{}")), `linux.${value}.${name}`);
    expectRefusal(place("timeOffsets", object('{"secs":1}')), "linux.timeOffsets");
    expectRefusal(place("namespaces", `[{"type":"${name}"}]`), "linux.namespaces[0].type");
    expectRefusal(place("resources", `{"unified":${object('"1"')}}`), `linux.resources.unified`);
  }
});

test("numbers are exact or refused, however they are written", () => {
  const withNumber = (property: string, number: string) =>
    createWith((config) => {
      const { process, linux } = config;
      const values: Record<string, unknown> = {
        uid: { ...config, process: { ...process, user: { uid: "@", gid: 0 } } },
        rlimit: {
          ...config,
          process: { ...process, rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: "@" }] },
        },
        pids: { ...config, linux: { ...linux, resources: { ...linux.resources, pids: { limit: "@" } } } },
        height: { ...config, process: { ...process, consoleSize: { height: "@", width: 1 } } },
        major: {
          ...config,
          linux: { ...linux, devices: [{ path: "/dev/x", type: "c", major: "@", minor: 1 }] },
        },
      };
      return JSON.stringify(values[property]).replace('"@"', number);
    });
  for (const property of ["uid", "rlimit", "pids", "height", "major"]) {
    for (const good of ["1", "-0", "1e3", "0.1e1"]) expect(withNumber(property, good).stderr).toBe("");
    for (const bad of ["1.5", "1e400", "18446744073709551616"])
      expectRefusal(withNumber(property, bad), "expected a");
  }
  // More than a double can hold, and what the kernel can't take is the kernel's answer.
  expect(withNumber("rlimit", "9007199254740993").stderr).toBe("");
  expectRefusal(withNumber("pids", "9007199254740993"), "linux.resources.pids.limit");
});

test("a config whose names hold orders for a terminal doesn't give them", () => {
  const b = box.bundle({ args: ["x\x1b[2J\x07"] });
  const { status, stderr } = box.create(b);
  expect(status).toBe(127);
  expect(stderr).toContain("x\\x1b[2J\\x07");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must not be there
  expect(stderr).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f]/);
});

test("a bundle that belongs to another user is as good as one's own", () => {
  const b = box.bundle({ args: ["id", "-u"] });
  Bun.spawnSync(["chown", "-R", `${NOBODY}:${NOBODY}`, b.directory]);
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "0\n", stderr: "" });
});

test("a state directory that others may write to, or with other things in it, is refused or passed over", () => {
  const root = join(box.directory, "others");
  mkdirSync(root, { mode: 0o777 });
  sh(`chmod 777 ${root}`);
  const globals = ["--root", root];
  const b = box.bundle();
  const args = ["create", "--bundle", b.directory, b.id];
  expectRefusal(box.kontena(args, { globals }), "others may write to the state directory");
  const elsewhere = outsideIn(box);
  for (const name of ["config.json", "state.json", "plan"]) writeFileSync(join(elsewhere, name), "{}");
  const before = readdirSync(elsewhere);
  sh(`chmod 700 ${root}; cd ${root}; mkfifo fifo; ln -s ${elsewhere} link; ln -s nowhere dangling; echo >file; mkdir half
     echo '{"format":1,"id":"half","pid":1,"startTime":"0"' >half/state.json`);
  expect(box.kontena(["list"], { globals }).status).toBe(0);
  for (const id of ["fifo", "link", "dangling", "file", "half"]) {
    for (const command of [["state"], ["kill"], ["delete"], ["delete", "--force"]]) {
      const { status, stderr } = box.kontena([...command, id], { globals });
      expect([0, 1]).toContain(status);
      if (status === 1) expect(stderr).toStartWith("kontena: ");
    }
  }
  expect(readdirSync(elsewhere)).toEqual(before);
});
