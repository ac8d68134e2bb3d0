/** config.json.example: the question that kontena began with, runs as it is. */
import { expect } from "bun:test";
import { chownSync, cpSync, mkdirSync, readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { openBox, test, testNeeding } from "./helpers.ts";

const box = openBox("example");
const EXAMPLE = join(import.meta.dir, "../../config.json.example");

const NOBODY = 65534;
const asNobody = ["setpriv", "--reuid", String(NOBODY), "--regid", String(NOBODY), "--clear-groups", "--"];

/** A bundle of nothing but the example, as config.json. */
function example(): { id: string; directory: string } {
  const id = box.next();
  const directory = join(box.directory, id);
  mkdirSync(directory);
  cpSync(EXAMPLE, join(directory, "config.json"));
  return { id, directory };
}

const rootTest = testNeeding("root");
const userTest = testNeeding("root", "setpriv", "user namespaces");

rootTest("the example asks for a hostname, a uts namespace and the host's root, and for nothing else", () => {
  const config = JSON.parse(readFileSync(EXAMPLE, "utf8"));
  expect(Object.keys(config).sort()).toEqual(["hostname", "linux", "ociVersion", "process", "root"]);
  expect(config.root).toEqual({ path: "/" });
  expect(config.linux).toEqual({ namespaces: [{ type: "uts" }] });
});

rootTest("the example runs as it is under its own hostname, in its own uts namespace", () => {
  const { id, directory } = example();
  const before = hostname();
  const { status, stdout, stderr } = box.kontena(["run", "--bundle", directory, id]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const [name, uts] = stdout.split("\n");
  expect(name).toBe("kontena");
  expect(uts).toMatch(/^uts:\[\d+\]$/);
  expect(uts).not.toBe(readlinkSync("/proc/self/ns/uts"));
  expect(readFileSync("/proc/sys/kernel/hostname", "utf8").trim()).toBe(before);
});

rootTest("the example runs straight from its own name with --config", () => {
  const { id, directory } = example();
  const { status, stdout } = box.kontena(["run", "--bundle", directory, "--config", EXAMPLE, id]);
  expect(status).toBe(0);
  expect(stdout).toStartWith("kontena\n");
});

/** A state root and a bundle that the other user owns. */
function exampleOfNobody(): { id: string; directory: string; options: Parameters<typeof box.kontena>[1] } {
  const { id, directory } = example();
  const runtime = join(box.directory, `runtime-${id}`);
  mkdirSync(runtime, { mode: 0o700 });
  chownSync(runtime, NOBODY, NOBODY);
  const env = { PATH: "/usr/bin:/bin", XDG_RUNTIME_DIR: runtime };
  return { id, directory, options: { before: asNobody, env, globals: [], cwd: directory } };
}

userTest("the example runs as it is for a user without rights, in a user namespace", () => {
  const { id, directory, options } = exampleOfNobody();
  const before = hostname();
  const { status, stdout, stderr } = box.kontena(["run", "--bundle", directory, id], options);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toStartWith("kontena\nuts:[");
  expect(stdout).not.toContain(readlinkSync("/proc/self/ns/uts"));
  expect(readFileSync("/proc/sys/kernel/hostname", "utf8").trim()).toBe(before);
});

userTest("a user without rights creates, starts and deletes, and the container's root is that user", () => {
  const { id, directory, options } = exampleOfNobody();
  const run = (...args: string[]) => box.kontena(args, options);
  const created = run("create", "--bundle", directory, id);
  expect(created).toMatchObject({ status: 0, stderr: "" });
  const state = JSON.parse(run("state", id).stdout);
  expect(state).toMatchObject({ status: "created", owner: String(NOBODY) });
  expect(readFileSync(`/proc/${state.pid}/uid_map`, "utf8").trim().split(/\s+/)).toEqual([
    "0",
    String(NOBODY),
    "1",
  ]);
  expect(run("start", id)).toMatchObject({ status: 0, stderr: "" });
  expect(run("delete", "--force", id)).toMatchObject({ status: 0, stderr: "" });
  expect(run("list", "-q").stdout).toBe("");
  expect(created.output()).toStartWith("kontena\nuts:[");
});

test("the example's hostname is what the config says when another one is put there", () => {
  const changed = box.bundle({
    patch: (config) => {
      const base = JSON.parse(readFileSync(EXAMPLE, "utf8"));
      for (const key of Object.keys(config)) delete (config as Record<string, unknown>)[key];
      Object.assign(config, base, { hostname: "another.example" });
    },
  });
  expect(box.run(changed).stdout).toStartWith("another.example\n");
});
