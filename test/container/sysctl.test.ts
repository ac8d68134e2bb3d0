import { expect, test } from "bun:test";
import type { Config } from "../../spec/config.ts";
import { checkSysctls } from "../../src/container/sysctl.ts";

const check = (sysctl: Record<string, string>, type: "network" | "ipc", path?: string) =>
  checkSysctls({
    ociVersion: "1.3.0",
    linux: { sysctl, namespaces: [path === undefined ? { type } : { type, path }] },
  } as Config);

test("a parameter of a joined namespace that is the runtime's own is refused by name", () => {
  const own = () => check({ "kernel.sem": "1", "net.a": "1" }, "network", "/proc/self/ns/net");
  expect(own).toThrow(
    expect.objectContaining({
      code: "CONFIG_INVALID",
      details: { at: 'linux.sysctl["net.a"]', path: "/proc/self/ns/net" },
    }),
  );
  expect(() => check({ "net/a": "1" }, "network", "/proc/self/ns/net")).toThrow();
});

test("new namespaces, others' namespaces, and parameters of other types pass", () => {
  expect(() => check({ "net.a": "1" }, "network")).not.toThrow();
  expect(() => check({ "net.a": "1" }, "network", "/nowhere")).not.toThrow();
  expect(() => check({ "kernel.sem": "1" }, "network", "/proc/self/ns/net")).not.toThrow();
});
