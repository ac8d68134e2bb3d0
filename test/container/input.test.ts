import { describe, expect, test } from "bun:test";
import type { Config } from "../../spec/config.ts";
import { absoluteSources, cgroupPathOf, checkPreserved, toInput } from "../../src/container/input.ts";
import { openRuntime, type RuntimeOptions } from "../../src/container/runtime.ts";
import { KontenaError } from "../../src/error.ts";
import { HOST, inputOf, USER_HOST, withNamespaces } from "../plan/helpers.ts";

describe("the cgroup's path", () => {
  const of = (cgroupsPath: string | undefined, id = "c1") => cgroupPathOf(cgroupsPath, id);

  test.each([
    [undefined, "/kontena-c1"],
    ["", "/kontena-c1"],
    ["/a/b", "/a/b"],
    ["a/b", "/a/b"],
    ["/a//b/", "/a/b"],
    ["/a/./b", "/a/b"],
    ["/...", "/..."],
    ["/a..b", "/a..b"],
  ])("%j is %j below each hierarchy", (asked, expected) => {
    expect(of(asked)).toBe(expected);
  });

  test.each(["/", "//", ".", "/.", "..", "/../x", "/a/../..", "a/..", "/a/../b"])(
    "%j is none of the container's own",
    (asked) => {
      let error: unknown;
      try {
        of(asked);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(KontenaError);
      expect(error).toMatchObject({ code: "CONFIG_INVALID", details: { at: "linux.cgroupsPath" } });
    },
  );
});

describe("the source of a bind mount", () => {
  const sourceOf = (mount: object) =>
    absoluteSources(inputOf({ mounts: [{ destination: "/d", ...mount }] }).config, "/bundle").mounts?.[0]
      ?.source;

  test("is from the bundle when it is relative", () => {
    expect(sourceOf({ source: "data", options: ["rbind"] })).toBe("/bundle/data");
    expect(sourceOf({ source: "./a/../b", type: "bind" })).toBe("/bundle/b");
    expect(sourceOf({ source: "../shared", options: ["bind"] })).toBe("/shared");
  });

  test("stays as it is when it is absolute, or no bind mount's", () => {
    expect(sourceOf({ source: "/data", options: ["bind"] })).toBe("/data");
    expect(sourceOf({ source: "tmpfs", type: "tmpfs" })).toBe("tmpfs");
    expect(sourceOf({ type: "bind" })).toBeUndefined();
  });

  test("isn't changed in the caller's config", () => {
    const { config } = inputOf({ mounts: [{ destination: "/d", source: "data", options: ["bind"] }] });
    absoluteSources(config, "/bundle");
    expect(config.mounts?.[0]?.source).toBe("data");
  });
});

describe("the planner's input", () => {
  const runtime = (change: Partial<RuntimeOptions> = {}) =>
    openRuntime({ root: "/nowhere", rootless: "false", warn: () => {}, debug: () => {}, ...change });
  const of = (config: Partial<Config>, host = HOST, change: Partial<RuntimeOptions> = {}, options = {}) =>
    toInput(
      runtime(change),
      { id: "c1", bundle: "/bundle", ...options },
      { path: "/bundle", text: "", rootfs: "/bundle/rootfs", config: { ociVersion: "1.3.0", ...config } },
      host,
    );
  const types = (input: ReturnType<typeof of>) => input.config.linux?.namespaces?.map((n) => n.type);
  const rootless = { rootless: "true" } as const;

  test("has what the caller asked for, and otherwise nothing preserved and pivot_root", () => {
    expect(of({})).toMatchObject({
      rootfs: "/bundle/rootfs",
      preserveFds: 0,
      noPivot: false,
      cgroupPath: "/kontena-c1",
    });
    expect(of({}, HOST, {}, { preserveFds: 3, noPivot: true })).toMatchObject({
      preserveFds: 3,
      noPivot: true,
    });
  });

  test("has no capabilities where the config says nothing of them", () => {
    expect(of({ process: { cwd: "/" } }).config.process?.capabilities).toEqual({});
    const capabilities = { bounding: ["CAP_KILL"] };
    expect(of({ process: { cwd: "/", capabilities } }).config.process?.capabilities).toEqual(capabilities);
  });

  test("has the service manager's sockets first, and the variables that tell of them", () => {
    const config = {
      process: { cwd: "/", env: ["A=1", "LISTEN_FDS=9", "LISTEN_PID=9", "LISTEN_FDNAMES=x"] },
    };
    const input = of(config, HOST, {}, { listenFds: 2, preserveFds: 3 });
    expect(input.preserveFds).toBe(5);
    expect(input.config.process?.env).toEqual(["A=1", "LISTEN_FDNAMES=x", "LISTEN_FDS=2", "LISTEN_PID=1"]);
    expect(of(config, HOST, {}, { preserveFds: 3 }).config.process?.env).toEqual(config.process.env);
  });

  test("has no cgroup when cgroups are disabled", () => {
    expect(of({}, HOST, { cgroupManager: "disabled" }).cgroupPath).toBeUndefined();
  });

  test("has a user namespace of its own where the caller has no other right to make one", () => {
    expect(types(of({ linux: withNamespaces("uts") }, USER_HOST, rootless))).toEqual(["uts", "user"]);
    expect(types(of({ linux: withNamespaces("uts", "user") }, USER_HOST, rootless))).toEqual(["uts", "user"]);
    expect(types(of({ linux: withNamespaces("uts") }, HOST, {}))).toEqual(["uts"]);
    expect(types(of({ linux: withNamespaces() }, USER_HOST, rootless))).toEqual([]);
  });

  test("maps root to the caller unless the config says how", () => {
    const own = of({ linux: withNamespaces("user") }, { ...USER_HOST, gid: 100 }).config.linux;
    expect(own?.uidMappings).toEqual([{ containerID: 0, hostID: 1000, size: 1 }]);
    expect(own?.gidMappings).toEqual([{ containerID: 0, hostID: 100, size: 1 }]);
    const uidMappings = [{ containerID: 0, hostID: 5, size: 9 }];
    const given = of({ linux: { ...withNamespaces("user"), uidMappings } }).config.linux;
    expect(given?.uidMappings).toEqual(uidMappings);
    expect(of({ linux: withNamespaces("uts") }).config.linux?.uidMappings).toBeUndefined();
  });

  test("leaves the config of the bundle as it was", () => {
    const config = Object.freeze({ linux: Object.freeze(withNamespaces("uts")) });
    of(config, USER_HOST, rootless);
    expect(config.linux.namespaces).toHaveLength(1);
  });
});

describe("preserved descriptors", () => {
  test("none is always right", () => {
    expect(() => checkPreserved({ id: "c1", bundle: "." })).not.toThrow();
  });

  test("that aren't open are refused by number", () => {
    const check = (options: object) => checkPreserved({ id: "c1", bundle: ".", ...options });
    expect(() => check({ preserveFds: 5000 })).toThrow(/^--preserve-fds 5000: descriptor \d+ isn't open/);
    expect(() => check({ listenFds: 5000, preserveFds: 1 })).toThrow(
      /^LISTEN_FDS=5000: descriptor \d+ isn't/,
    );
  });
});
