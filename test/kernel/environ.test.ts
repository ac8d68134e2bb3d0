import { expect, test } from "bun:test";
import { join } from "node:path";

/** In a process of its own, with this environment and no other. */
function mentions(env: Record<string, string>, ...names: string[]): boolean {
  const code = `import { mentions } from ${JSON.stringify(join(import.meta.dir, "../../src/kernel/environ.ts"))};
    console.log(mentions(...${JSON.stringify(names)}));`;
  const { stdout } = Bun.spawnSync([process.execPath, "-e", code], { env });
  return stdout.toString().trim() === "true";
}

test("a variable that is there is told of", () => {
  expect(mentions({ LISTEN_FDS: "1", HOME: "/" }, "NOTIFY_SOCKET", "LISTEN_FDS")).toBe(true);
});

test("one that isn't there isn't, nor one of a name that begins like it", () => {
  expect(mentions({ HOME: "/", LISTEN_FDSX: "2" }, "NOTIFY_SOCKET", "LISTEN_FDS")).toBe(false);
  expect(mentions({}, "HOME")).toBe(false);
});

test("an environment that is too long to be looked through may have any", () => {
  for (const long of ["x".repeat(9000), "x".repeat(20_000), "語".repeat(6000), "語".repeat(4000)])
    expect(mentions({ LONG: long, NOTIFY_SOCKET: "/s" }, "NOTIFY_SOCKET")).toBe(true);
});
