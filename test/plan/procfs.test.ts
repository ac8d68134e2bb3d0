import { expect, test } from "bun:test";
import type { Config } from "../../spec/config.ts";
import { O } from "../../src/kernel/consts/fcntl.ts";
import { planExec } from "../../src/plan/exec.ts";
import { planContainer } from "../../src/plan/order.ts";
import { openForWriting, openProcfs } from "../../src/plan/procfs.ts";
import { callsIn, inputOf, phaseOf, short, structAt } from "./helpers.ts";

const fail = { code: "SYSCTL_FAILED", message: "no procfs" } as const;
const open = (hosts: boolean) => callsIn([openProcfs("linux.sysctl", fail, hosts)]);
const HOSTS = `openat(-100, "/proc", ${O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC}) = procfs`;

test("a new one, mounted nowhere; the host's where the kernel gives none to a user namespace", () => {
  const list = open(true);
  expect(list.map(short)).toEqual([
    'fsopen("proc", 1) = procfs context',
    HOSTS,
    "fsconfig(<procfs context>, 6, 0, 0, 0)",
    HOSTS,
    "fsmount(<procfs context>, 1, 0) = procfs",
    HOSTS,
  ]);
  for (const call of list.filter((c) => c.call !== "openat"))
    expect(Object.keys(call.on ?? {})).toEqual(["EPERM"]);
  for (const call of list.filter((c) => c.call === "openat")) expect(call.after).toBe("leave");
});

test("where /proc is somebody else's, it is never taken", () => {
  const list = open(false);
  expect(list.map((c) => c.call)).toEqual(["fsopen", "fsconfig", "fsmount"]);
  for (const call of list) expect(call.on).toBeUndefined();
});

test("/proc of a joined mount namespace is somebody else's; exec writes labels before it enters one", () => {
  const joined = { namespaces: [{ type: "mount", path: "/proc/1/ns/mnt" }], sysctl: { "net.a": "1" } };
  const input = inputOf({
    process: { cwd: "/", args: ["sh"], apparmorProfile: "web" },
    linux: joined as NonNullable<Config["linux"]>,
  });
  const create = callsIn(phaseOf(planContainer(input), "procfs")).map(short);
  expect(create).toContain('fsopen("proc", 1) = procfs context');
  expect(create).not.toContain(HOSTS);
  const exec = planExec({ ...input, namespaces: 0x20000, chroot: true, cgroups: [] }, []);
  const names = exec.create.map(({ phase }) => phase);
  expect(names.indexOf("procfs")).toBeLessThan(names.indexOf("enter"));
});

test("a file of it is opened for writing only, and closes at execve", () => {
  const call = openForWriting("sys/net/a", { why: "a test", at: "linux.sysctl", save: "file", fail });
  expect(short(call)).toBe('openat2(<procfs>, "sys/net/a", open_how, 24) = file');
  expect(structAt(call, 2, "open_how").flags).toBe(0o2000001);
});
