import { describe, expect, test } from "bun:test";
import { scopeName, slicePath } from "../../../src/cgroup/systemd/names.ts";

test("a slice lies in the slices that its name begins with", () => {
  expect(slicePath("a-b-c.slice")).toBe("/a.slice/a-b.slice/a-b-c.slice");
  expect(slicePath("system.slice")).toBe("/system.slice");
  expect(slicePath("-.slice")).toBe("");
});

test.each([".slice", "a", "a--b.slice", "-a.slice", "a-.slice", "a/b.slice", "a b.slice"])(
  "%p is no slice",
  (name) => {
    expect(slicePath(name)).toBeUndefined();
  },
);

describe("the scope", () => {
  test("is that of slice:prefix:name", () => {
    expect(scopeName("machine.slice:libpod:abc", "id", "system")).toEqual({
      slice: "machine.slice",
      unit: "libpod-abc.scope",
      path: "/machine.slice/libpod-abc.scope",
    });
  });

  test("has the name alone without a prefix, and the usual slice without one", () => {
    expect(scopeName("::abc", "id", "user").path).toBe("/user.slice/abc.scope");
    expect(scopeName("::abc", "id", "system").path).toBe("/system.slice/abc.scope");
  });

  test("is named after the id when the config says nothing", () => {
    expect(scopeName(undefined, "web1", "system").path).toBe("/system.slice/kontena-web1.scope");
    expect(scopeName("", "web1", "user").path).toBe("/user.slice/kontena-web1.scope");
  });

  test("has no character that a unit's name may not have", () => {
    expect(scopeName(undefined, "a+b", "system").unit).toBe("kontena-a\\x2bb.scope");
  });

  test.each([
    "/a/path",
    "system.slice:only-two",
    "a:b:c:d",
    "system.slice:kontena:",
    "system:kontena:x",
    "system.slice:kontena:a/b",
    "system.slice:kontena:x.slice",
    `system.slice:kontena:${"x".repeat(250)}`,
  ])("is refused when it is %p", (path) => {
    expect(() => scopeName(path, "id", "system")).toThrow(
      expect.objectContaining({
        code: "CONFIG_INVALID",
        details: expect.objectContaining({ at: "linux.cgroupsPath" }),
      }),
    );
  });
});
