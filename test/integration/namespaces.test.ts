/** Each namespace new or shared, as the config says, and `kontena ns`, which shows it. */
import { expect } from "bun:test";
import { readlinkSync } from "node:fs";
import { openBox, test } from "./helpers.ts";

const box = openBox("namespaces");
const FOREVER = ["sleep", "1000"];

/** The spec's word and the kernel's file. */
const FILES = { uts: "uts", mount: "mnt", pid: "pid", ipc: "ipc", network: "net", cgroup: "cgroup" } as const;
type Type = keyof typeof FILES;
const TYPES = Object.keys(FILES) as Type[];

const inode = (pid: number | string, type: Type) => readlinkSync(`/proc/${pid}/ns/${FILES[type]}`);

interface Row {
  type: string;
  inode: number;
  own: boolean;
  hostInode: number;
  path: string;
}

for (const type of TYPES)
  test(`a container with only a new ${type} namespace shares all others with the host`, () => {
    const b = box.bundle({
      args: FOREVER,
      patch: (config) => {
        config.linux = { namespaces: [{ type }] };
        config.mounts = [];
        config.root.readonly = false;
        if (type !== "uts") delete config.hostname;
      },
    });
    expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
    const pid = box.state(b.id).pid ?? 0;
    const own = TYPES.filter((t) => inode(pid, t) !== inode("self", t));
    expect(own).toEqual([type]);
  });

test("a container without any namespaces shares all of them", () => {
  const b = box.bundle({
    args: FOREVER,
    patch: (config) => {
      config.linux = { namespaces: [] };
      config.mounts = [];
      config.root.readonly = false;
      delete config.hostname;
    },
  });
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  const pid = box.state(b.id).pid ?? 0;
  expect(TYPES.filter((t) => inode(pid, t) !== inode("self", t))).toEqual([]);
});

test("the namespaces at create are those of the running program", () => {
  const b = box.bundle({ args: FOREVER });
  box.create(b);
  const pid = box.state(b.id).pid ?? 0;
  const before = TYPES.map((t) => inode(pid, t));
  box.kontena(["start", b.id]);
  expect(TYPES.map((t) => inode(pid, t))).toEqual(before);
});

test("the program is process 1 of a new pid namespace and sees no other", () => {
  const output = box.outputOf({ args: "echo $$; cd /proc; echo [0-9]*" });
  expect(output).toBe("1\n1\n");
});

test("a new network namespace has only a loopback interface", () => {
  expect(box.outputOf({ args: "cd /sys/class/net; echo *" })).toBe("lo\n");
});

test("a new cgroup namespace sees the container's cgroup as /", () => {
  const output = box.outputOf({ args: ["cat", "/proc/self/cgroup"] });
  expect(
    output
      .trim()
      .split("\n")
      .map((line) => line.replace(/^\d+:[^:]*:/, "")),
  ).toSatisfy((paths: string[]) => paths.every((path) => path === "/"));
});

test("without a new cgroup namespace the container's cgroup has its host's name", () => {
  const b = box.bundle({
    args: ["cat", "/proc/self/cgroup"],
    patch: (config) => {
      config.linux.namespaces = config.linux.namespaces?.filter((n) => n.type !== "cgroup") ?? [];
    },
  });
  const { status, stdout } = box.run(b);
  expect(status).toBe(0);
  expect(stdout).toContain(`/kontena-${b.id}\n`);
});

test("linux.cgroupsPath names the cgroup", () => {
  const name = `kontena-${box.next()}-path`;
  const b = box.bundle({
    args: ["cat", "/proc/self/cgroup"],
    patch: (config) => {
      config.linux.cgroupsPath = `/${name}/inner`;
      config.linux.namespaces = config.linux.namespaces?.filter((n) => n.type !== "cgroup") ?? [];
    },
  });
  expect(box.run(b).stdout).toContain(`:/${name}/inner\n`);
});

test("a cgroupsPath that leads out of the hierarchy is refused", () => {
  const b = box.bundle({
    patch: (config) => {
      config.linux.cgroupsPath = "/../../escape";
    },
  });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain("linux.cgroupsPath");
});

test("a hostname without a new uts namespace is refused, and the host keeps its own", () => {
  const before = readlinkSync("/proc/self/ns/uts");
  const b = box.bundle({
    patch: (config) => {
      config.hostname = "never";
      config.linux.namespaces = config.linux.namespaces?.filter((n) => n.type !== "uts") ?? [];
    },
  });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain("hostname");
  expect(readlinkSync("/proc/self/ns/uts")).toBe(before);
  expect(Bun.spawnSync(["hostname"]).stdout.toString()).not.toContain("never");
});

test("in a user namespace the program is root, mapped as the config says", () => {
  const output = box.outputOf({
    args: "cat /proc/self/uid_map /proc/self/gid_map; id -u; hostname",
    patch: (config) => {
      config.linux.namespaces?.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 1000 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 2000 }];
    },
  });
  expect(
    output
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/)),
  ).toEqual([["0", "0", "1000"], ["0", "0", "2000"], ["0"], ["kontena"]]);
});

test("ns --format json tells type, inode and whether the namespace is the container's own", () => {
  const b = box.bundle({
    args: FOREVER,
    patch: (config) => {
      config.linux.namespaces = config.linux.namespaces?.filter((n) => n.type !== "network") ?? [];
    },
  });
  box.create(b);
  const pid = box.state(b.id).pid ?? 0;
  const { status, stdout } = box.kontena(["ns", "--format", "json", b.id]);
  expect(status).toBe(0);
  const rows = JSON.parse(stdout) as Row[];
  for (const type of TYPES) {
    const row = rows.find((r) => r.type === type);
    expect(`${FILES[type]}:[${row?.inode}]`).toBe(inode(pid, type));
    expect(`${FILES[type]}:[${row?.hostInode}]`).toBe(inode("self", type));
    expect(row?.own).toBe(type !== "network");
    expect(row?.path).toBe(`/proc/${pid}/ns/${FILES[type]}`);
  }
});

test("ns prints a table with one line for each namespace", () => {
  const b = box.bundle({ args: FOREVER });
  box.create(b);
  const pid = box.state(b.id).pid ?? 0;
  const lines = box.kontena(["ns", b.id]).stdout.trimEnd().split("\n");
  expect(lines[0]?.trim().split(/\s{2,}/)).toEqual(["TYPE", "INODE", "OWN"]);
  const uts = lines.find((line) => line.startsWith("uts"));
  expect(uts?.trim().split(/\s{2,}/)).toEqual(["uts", inode(pid, "uts").replace(/\D/g, ""), "own"]);
  expect(lines.find((line) => line.startsWith("user"))).toEndWith("shared with the host");
});

test("ns of a stopped container fails and says that it has no process", () => {
  const b = box.bundle();
  box.run(b, "--keep");
  const { status, stderr } = box.kontena(["ns", b.id]);
  expect(status).toBe(1);
  expect(stderr).toContain("stopped");
});
