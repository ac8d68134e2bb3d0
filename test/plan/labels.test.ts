import { describe, expect, test } from "bun:test";
import type { Process } from "../../spec/process.ts";
import { hasLabels, labels } from "../../src/plan/labels.ts";
import { throughProcfs } from "../../src/plan/through-procfs.ts";
import { callsIn, inputOf, short } from "./helpers.ts";

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
    'openat2(<procfs>, "thread-self/attr/exec", open_how, 24) = selinux attribute',
    'write(<selinux attribute>, "a:b:c:s0", 8)',
  ]);
  expect(callsFor({ selinuxLabel: "a:b:c:s0" })[0]?.fail?.code).toBe("HOST_UNSUPPORTED");
});

test("an empty string is none", () => {
  const input = inputFor({ apparmorProfile: "", selinuxLabel: "" });
  expect(hasLabels(input)).toBe(false);
  expect(throughProcfs(input)).toEqual([]);
});

test("one procfs serves parameters and labels", () => {
  const input = inputFor({ apparmorProfile: "web" });
  const both = { ...input, config: { ...input.config, linux: { sysctl: { "net.a": "1" } } } };
  expect(callsIn(throughProcfs(both)).filter((c) => c.call === "fsopen")).toHaveLength(1);
  expect(callsIn(throughProcfs(input))[0]?.at).toBe("process.apparmorProfile");
});
