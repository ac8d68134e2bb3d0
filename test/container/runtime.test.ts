import { afterEach, beforeEach, expect, test } from "bun:test";
import { openRuntime } from "../../src/container/runtime.ts";

const { XDG_RUNTIME_DIR, USER } = process.env;
const quiet = { warn: () => {}, debug: () => {} };

function set(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

beforeEach(() => set("XDG_RUNTIME_DIR", "/run/user/7"));
afterEach(() => {
  set("XDG_RUNTIME_DIR", XDG_RUNTIME_DIR);
  set("USER", USER);
});

test("--root is the place of the states", () => {
  expect(openRuntime({ ...quiet, root: "/somewhere" }).root).toBe("/somewhere");
});

test("who is said to be rootless has them below XDG_RUNTIME_DIR, and who isn't in /run", () => {
  expect(openRuntime({ ...quiet, rootless: "true" }).root).toBe("/run/user/7/kontena");
  expect(openRuntime({ ...quiet, rootless: "false" }).root).toBe("/run/kontena");
});

const noRoot = process.geteuid?.() === 0 ? "" : " (skipped: not root)";
test.skipIf(noRoot !== "")(`root has them in /run, whatever XDG_RUNTIME_DIR says${noRoot}`, () => {
  expect(openRuntime(quiet).root).toBe("/run/kontena");
});

const unshare = Bun.which("unshare");
const noUnshare = unshare === null ? " (skipped: no unshare; Debian's util-linux has it)" : "";
/** What root of a new user namespace would take. */
function rootInNamespace(env: Record<string, string>): string {
  const code = `const { openRuntime } = await import("${import.meta.dir}/../../src/container/runtime.ts");
    require("node:fs").writeSync(1, openRuntime({ warn() {}, debug() {} }).root);`;
  const { stdout } = Bun.spawnSync([unshare ?? "", "-r", process.execPath, "-e", code], { env });
  return stdout.toString();
}

test.skipIf(noUnshare !== "")(
  `root of a user namespace has them where the user has, unless USER is root${noUnshare}`,
  () => {
    expect(rootInNamespace({ XDG_RUNTIME_DIR: "/run/user/7" })).toBe("/run/user/7/kontena");
    expect(rootInNamespace({ XDG_RUNTIME_DIR: "/run/user/7", USER: "lab" })).toBe("/run/user/7/kontena");
    expect(rootInNamespace({ XDG_RUNTIME_DIR: "/run/user/7", USER: "root" })).toBe("/run/kontena");
    expect(rootInNamespace({ XDG_RUNTIME_DIR: "" })).toBe("/run/kontena");
  },
);
