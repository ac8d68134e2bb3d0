import { expect, test } from "bun:test";
import { insteadOf } from "../../src/plan/filesystem.ts";
import type { Host } from "../../src/plan/input.ts";
import { mounts } from "../../src/plan/mounts.ts";
import { callsIn, inputOf, short, structAt, USER_HOST, withNamespaces } from "./helpers.ts";

const inputFor = (type: string, namespaces: string[], host: Partial<Host> = {}) =>
  inputOf(
    {
      mounts: [{ destination: "/a", type, options: ["ro", "nosuid"] }],
      linux: withNamespaces("mount", ...namespaces),
    },
    { host },
  );

test.each([
  ["sysfs", "/sys"],
  ["mqueue", "/dev/mqueue"],
])("a %s that a user namespace may not mount is the host's %s", (type, source) => {
  expect(insteadOf(inputFor(type, ["user"]), type)).toMatchObject({ source });
  expect(insteadOf(inputFor(type, [], USER_HOST), type), "for a caller without rights").toMatchObject({
    source,
  });
  expect(insteadOf(inputFor(type, [], { firstUserNamespace: false }), type), "in a container").toBeDefined();
  expect(insteadOf(inputFor(type, []), type), "never for root of the machine").toBeUndefined();
});

test.each(["proc", "tmpfs", "devpts", "ext4"])("nothing takes the place of a %s", (type) => {
  expect(insteadOf(inputFor(type, ["user"]), type)).toBeUndefined();
});

test("what takes the place is bound with all below, and has the flags on all of it", () => {
  const list = callsIn(mounts(inputFor("sysfs", ["user"])));
  const fallbacks = list.filter((c) => c.on?.EPERM !== undefined);
  expect(fallbacks.map((c) => c.call)).toEqual(["fsopen", "fsconfig", "fsmount"]);
  for (const { on } of fallbacks) {
    const [open, flags] = callsIn(on?.EPERM as never);
    expect(short(open as never)).toBe('open_tree(-100, "/sys", 557057) = mounts[0] mount');
    expect(flags).toMatchObject({ call: "mount_setattr", after: "leave" });
    expect(flags?.args[2]).toBe(0x9000);
    expect(structAt(flags, 3, "mount_attr")).toEqual({ attr_set: 3, attr_clr: 0 });
  }
});
