/** What list, spec, explain, --version and wrong command lines print. */
import { expect } from "bun:test";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseConfig } from "../../spec/parse.ts";
import { openBox, test, testNeeding } from "./helpers.ts";

const box = openBox("cli");
const runc = testNeeding("root", "busybox", "runc");
const userTest = testNeeding("root", "busybox", "setpriv", "user namespaces");
const FOREVER = ["sleep", "1000"];

test("list prints a table of runc's columns", () => {
  const b = box.bundle({ args: FOREVER });
  box.create(b);
  const { pid } = box.state(b.id);
  const [head, row, ...more] = box.kontena(["list"]).stdout.trimEnd().split("\n");
  expect(head?.trim().split(/\s{2,}/)).toEqual(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
  expect(row?.split(/\s+/).slice(0, 4)).toEqual([b.id, String(pid), "created", b.directory]);
  expect(row?.split(/\s+/)[5]).toBe("root");
  expect(more).toEqual([]);
});

test("list --format json has the states of all containers, sorted by id", () => {
  const made = [box.bundle({ args: FOREVER }), box.bundle({ args: FOREVER })];
  for (const b of made.toReversed()) box.create(b);
  const listed = JSON.parse(box.kontena(["list", "--format", "json"]).stdout) as unknown[];
  const states = made.map((b) => JSON.parse(box.kontena(["state", b.id]).stdout) as { id: string });
  // The owner is a name here, as runc has it.
  const named = states.map((state) => ({ ...state, owner: "root" }));
  expect(listed).toEqual(named.sort((a, b) => (a.id < b.id ? -1 : 1)));
});

test("list -q prints ids alone", () => {
  const b = box.bundle({ args: FOREVER });
  box.create(b);
  expect(box.kontena(["list", "-q"]).stdout).toBe(`${b.id}\n`);
});

test("an empty list is a head without rows, an empty array, or nothing", () => {
  expect(box.kontena(["list"]).stdout.split("\n")).toHaveLength(2);
  expect(JSON.parse(box.kontena(["list", "--format", "json"]).stdout)).toEqual([]);
  expect(box.kontena(["list", "-q"]).stdout).toBe("");
});

test("something strange in the state root is a warning and hides no container", () => {
  const b = box.bundle({ args: FOREVER });
  box.create(b);
  mkdirSync(join(box.root, "broken"));
  writeFileSync(join(box.root, "broken", "state.json"), "{");
  writeFileSync(join(box.root, "a-file"), "");
  const { status, stdout, stderr } = box.kontena(["list", "-q"]);
  expect({ status, stdout }).toEqual({ status: 0, stdout: `${b.id}\n` });
  expect(stderr).toContain("broken");
  Bun.spawnSync(["rm", "-r", join(box.root, "broken"), join(box.root, "a-file")]);
});

test("--version begins as runc's does: name and version, commit, spec", () => {
  const lines = box.kontena(["--version"]).stdout.split("\n");
  expect(lines[0]).toMatch(/^kontena version \d+\.\d+\.\d+/);
  expect(lines[1]).toMatch(/^commit: \S+/);
  expect(lines[2]).toBe("spec: 1.3.0");
});

test("spec writes a config that parses without problems or warnings", () => {
  const directory = join(box.directory, box.next());
  mkdirSync(directory);
  expect(box.kontena(["spec", "--bundle", directory])).toMatchObject({ status: 0, stdout: "", stderr: "" });
  const parsed = parseConfig(readFileSync(join(directory, "config.json"), "utf8"));
  expect(parsed).not.toHaveProperty("problems");
  expect(parsed.warnings).toEqual([]);
});

test("spec doesn't overwrite a file", () => {
  const directory = join(box.directory, box.next());
  mkdirSync(directory);
  writeFileSync(join(directory, "config.json"), "mine");
  const { status, stderr } = box.kontena(["spec", "--bundle", directory]);
  expect(status).toBe(1);
  expect(stderr).toContain("exists already");
  expect(readFileSync(join(directory, "config.json"), "utf8")).toBe("mine");
});

runc("runc runs what spec wrote", () => {
  const b = box.bundle({ args: ["hostname"] });
  const finished = Bun.spawnSync([
    "runc",
    "--root",
    join(box.directory, "runc"),
    "run",
    "--bundle",
    b.directory,
    b.id,
  ]);
  expect(finished.stderr.toString()).toBe("");
  expect(finished.stdout.toString()).toBe("kontena\n");
});

userTest("a user without rights runs what spec --rootless wrote", () => {
  const nobody = 65534;
  const options = {
    before: ["setpriv", "--reuid", String(nobody), "--regid", String(nobody), "--clear-groups", "--"],
    globals: ["--root", join(box.directory, "rootless")],
  };
  mkdirSync(join(box.directory, "rootless"));
  const b = box.bundle();
  Bun.spawnSync(["rm", join(b.directory, "config.json")]);
  for (const path of [b.directory, b.rootfs, join(box.directory, "rootless")])
    chownSync(path, nobody, nobody);
  expect(box.kontena(["spec", "--rootless", "--bundle", b.directory], options)).toMatchObject({
    status: 0,
    stderr: "",
  });
  const config = JSON.parse(readFileSync(join(b.directory, "config.json"), "utf8"));
  config.process.args = ["sh", "-c", "hostname; id -u; echo $$; stat -c %t:%T /dev/null"];
  writeFileSync(join(b.directory, "config.json"), JSON.stringify(config));
  const { status, stdout, stderr } = box.kontena(["run", "--bundle", b.directory, b.id], options);
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "kontena\n0\n1\n1:3\n", stderr: "" });
});

test("explain prints the plan in its order, with the place of each step in the config, and does nothing", () => {
  const b = box.bundle({
    patch: (config) => {
      config.hostname = "explained";
    },
  });
  const cgroups = readdirSync("/sys/fs/cgroup");
  const { status, stdout, stderr } = box.kontena(["explain", "--bundle", b.directory, b.id]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const order = ["clone3", "pivot_root", 'sethostname("explained"', "execve("].map((call) =>
    stdout.indexOf(call),
  );
  expect(order).toEqual(order.toSorted((x, y) => x - y));
  expect(order).not.toContain(-1);
  for (const at of ["[hostname]", "mounts[0]", "CLONE_NEWUTS", "linux.maskedPaths[0]"])
    expect(stdout).toContain(at);
  expect(existsSync(join(box.root, b.id))).toBe(false);
  expect(readdirSync(b.rootfs)).toEqual(["bin"]);
  expect(readdirSync("/sys/fs/cgroup")).toEqual(cgroups);
});

test("explain --format json is the same plan for programs", () => {
  const b = box.bundle();
  const { stdout } = box.kontena(["explain", "--bundle", b.directory, "--format", "json"]);
  const plan = JSON.parse(stdout) as Record<string, unknown>;
  expect(Object.keys(plan).sort()).toEqual(["bundle", "create", "namespaces", "rootfs", "runtime", "start"]);
  expect(plan["rootfs"]).toBe(b.rootfs);
});

test("explain of a config with problems names them as create does", () => {
  const b = box.bundle({
    patch: (config) => {
      config.process.cwd = "relative";
    },
  });
  const explained = box.kontena(["explain", "--bundle", b.directory]);
  expect(explained.status).toBe(1);
  expect(explained.stderr).toBe(box.create(b).stderr);
});

test("broken JSON is an error with line and column", () => {
  const b = box.bundle();
  writeFileSync(join(b.directory, "config.json"), '{\n  "ociVersion": "1.3.0",,\n}');
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toMatch(/line 2,? column \d+|2:\d+/);
});

test("a bundle without a config.json is an error that tells how to get one", () => {
  const directory = join(box.directory, box.next());
  mkdirSync(directory);
  const { status, stderr } = box.kontena(["create", "--bundle", directory, "x"]);
  expect(status).toBe(1);
  expect(stderr).toContain(`${directory}/config.json: no such file or directory`);
  expect(stderr).toContain("kontena spec");
});

test("an unknown command is an error that names the nearest one", () => {
  const { status, stderr } = box.kontena(["crate"]);
  expect(status).toBe(1);
  expect(stderr).toContain('unknown command "crate"');
  expect(stderr).toContain("create");
});

test("an unknown option is an error, not ignored", () => {
  const { status, stderr } = box.kontena(["create", "--bundel", ".", "x"]);
  expect(status).toBe(1);
  expect(stderr).toContain("--bundel");
  expect(stderr).toContain("--bundle");
});

test("errors are one line that begins with the program's name", () => {
  const { stdout, stderr } = box.kontena(["state", "nobody"]);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^kontena: [^\n]+\n$/);
});

test("--help prints every command to standard output", () => {
  const { status, stdout } = box.kontena(["--help"]);
  expect(status).toBe(0);
  for (const command of [
    "create",
    "start",
    "state",
    "kill",
    "delete",
    "run",
    "list",
    "spec",
    "explain",
    "ns",
  ])
    expect(stdout).toContain(`\n  ${command}`);
});
