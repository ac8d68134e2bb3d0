import { describe, expect, test } from "bun:test";
import type { Process } from "../../spec/process.ts";
import { stepsOf } from "../../src/init/step.ts";
import { hasLabels, labels } from "../../src/plan/labels.ts";
import { mounts } from "../../src/plan/mounts.ts";
import { planContainer } from "../../src/plan/order.ts";
import { prepareMasks } from "../../src/plan/paths.ts";
import { throughProcfs } from "../../src/plan/through-procfs.ts";
import { callsIn, inputOf, short, withNamespaces } from "./helpers.ts";

const inputFor = (process: Partial<Process>) => inputOf({ process: { cwd: "/", args: ["sh"], ...process } });
const callsFor = (process: Partial<Process>) => callsIn(labels(inputFor(process)));

describe("AppArmor:", () => {
  test("the profile is for the next execve", () => {
    expect(callsFor({ apparmorProfile: "web" }).map(short)).toEqual([
      'openat2(<procfs>, "thread-self/attr/apparmor/exec", open_how, 24) = apparmor attribute',
      'write(<apparmor attribute>, "exec web", 8)',
    ]);
  });

  test("a kernel without it is told as that", () => {
    const [open, write] = callsFor({ apparmorProfile: "web" });
    expect(open?.fail?.codes).toEqual({ ENOENT: "HOST_UNSUPPORTED" });
    expect(open?.on).toBeUndefined();
    expect(write?.fail).toMatchObject({ code: "LABEL_FAILED", codes: { EINVAL: "HOST_UNSUPPORTED" } });
    expect(write?.on).toBeUndefined();
  });

  test("unconfined is what every program is without it", () => {
    const [open, write] = callsFor({ apparmorProfile: "unconfined" });
    expect(open?.on).toEqual({ ENOENT: "leave" });
    expect(write?.on).toEqual({ EINVAL: "next" });
  });
});

test("SELinux: it has to be switched on, and the label is for the next execve", () => {
  expect(callsFor({ selinuxLabel: "a:b:c:s0" }).map(short)).toEqual([
    'faccessat2(-100, "/sys/fs/selinux/enforce", 0, 0)',
    'openat2(<procfs>, "thread-self/attr/exec", open_how, 24) = selinux exec',
    'write(<selinux exec>, "a:b:c:s0", 8)',
    'openat2(<procfs>, "thread-self/attr/keycreate", open_how, 24) = selinux keycreate',
    'write(<selinux keycreate>, "a:b:c:s0", 8)',
  ]);
  expect(callsFor({ selinuxLabel: "a:b:c:s0" })[0]?.fail?.code).toBe("HOST_UNSUPPORTED");
});

describe("mountLabel:", () => {
  const label = "system_u:object_r:container_file_t:s0:c1,c2";
  const inputWith = (mountLabel: string, options: string[] = []) =>
    inputOf({
      mounts: [
        { destination: "/a", type: "tmpfs", options },
        { destination: "/proc", type: "proc" },
        { destination: "/b", type: "bind", source: "/b" },
      ],
      linux: { ...withNamespaces("mount"), mountLabel, maskedPaths: ["/c"] },
    });

  test("new file systems get it, those that the kernel has once and binds don't", () => {
    const list = callsIn(mounts(inputWith(label)));
    expect(list.filter((c) => c.args.includes("context")).map(short)).toEqual([
      `fsconfig(<mounts[0] mount context>, 1, "context", "${label}", 0)`,
    ]);
    expect(callsIn(prepareMasks(inputWith(label))).filter((c) => c.args.includes("context"))).toHaveLength(1);
  });

  test("a kernel without SELinux is told as that, before anything is mounted", () => {
    const { create } = planContainer(inputWith(label));
    const list = callsIn(stepsOf(create));
    const check = list.findIndex((c) => c.at === "linux.mountLabel");
    expect(list[check]).toMatchObject({ call: "faccessat2", fail: { code: "HOST_UNSUPPORTED" } });
    expect(list.findIndex((c) => c.call === "fsopen")).toBeGreaterThan(check);
  });

  test("for mount(2) it is quoted, since commas part its options", () => {
    const mount = callsIn(mounts(inputWith(label, ["silent"]))).find((c) => c.call === "mount");
    expect(mount?.args[4]).toBe(`context="${label}"`);
  });

  test("an empty one is none", () => {
    expect(
      callsIn(mounts(inputWith(""))).filter((c) => c.call === "faccessat2" || c.args.includes("context")),
    ).toEqual([]);
  });
});

test("an empty string is none", () => {
  const input = inputFor({ apparmorProfile: "", selinuxLabel: "" });
  expect(hasLabels(input)).toBe(false);
  expect(throughProcfs(input, true)).toEqual([]);
});

test("one procfs serves parameters and labels", () => {
  const input = inputFor({ apparmorProfile: "web" });
  const both = { ...input, config: { ...input.config, linux: { sysctl: { "net.a": "1" } } } };
  expect(callsIn(throughProcfs(both, true)).filter((c) => c.call === "fsopen")).toHaveLength(1);
  expect(callsIn(throughProcfs(input, true))[0]?.at).toBe("process.apparmorProfile");
});
