/** Namespaces that a container joins by path, seen from inside and from the host. */
import { afterEach, expect } from "bun:test";
import { readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { openBox, type TestConfig, test, until } from "./helpers.ts";

const box = openBox("join");

type Type = NonNullable<TestConfig["linux"]["namespaces"]>[number]["type"];

const holders: Subprocess[] = [];
afterEach(() => {
  for (const holder of holders.splice(0)) holder.kill("SIGKILL");
});

/** A process in new namespaces, as unshare(1) makes them; gives its pid. */
async function holder(...options: string[]): Promise<number> {
  const ready = join(box.directory, `ready-${holders.length}`);
  const script = `cat /proc/self/stat | cut -d' ' -f4 >/dev/null; echo $$ > ${ready}; exec sleep 1000`;
  const child = Bun.spawn(["unshare", ...options, "sh", "-c", script], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  holders.push(child);
  await until("the namespaces are there", () => Bun.file(ready).size > 0);
  return child.pid;
}

const link = (pid: number | string, file: string) => readlinkSync(`/proc/${pid}/ns/${file}`);

/** Joins the namespace at `path` in place of a new one of that type. */
function joining(config: TestConfig, ...joined: { type: Type; path: string }[]): void {
  const others = (config.linux.namespaces ?? []).filter((n) => !joined.some((j) => j.type === n.type));
  config.linux.namespaces = [...others, ...joined];
}

test("a container is in the uts, ipc, network and cgroup namespaces that it joins, and in no other of theirs", async () => {
  const pid = await holder("--uts", "--ipc", "--net", "--cgroup");
  const files = { uts: "uts", ipc: "ipc", network: "net", cgroup: "cgroup" } as const;
  const types = Object.keys(files) as (keyof typeof files)[];
  const output = box.outputOf({
    args: "for n in uts ipc net cgroup pid mnt; do readlink /proc/self/ns/$n; done",
    patch: (c) => {
      delete c.hostname;
      joining(c, ...types.map((type) => ({ type, path: `/proc/${pid}/ns/${files[type]}` })));
    },
  });
  const lines = output.trim().split("\n");
  expect(lines.slice(0, 4)).toEqual(types.map((type) => link(pid, files[type])));
  for (const [i, file] of (["pid", "mnt"] as const).entries()) {
    expect(lines[4 + i]).not.toBe(link("self", file));
    expect(lines[4 + i]).not.toBe(link(pid, file));
  }
});

test("a hostname is set in the uts namespace that is joined", async () => {
  const pid = await holder("--uts");
  box.outputOf({ patch: (c) => joining(c, { type: "uts", path: `/proc/${pid}/ns/uts` }) });
  const { stdout } = Bun.spawnSync(["nsenter", "-t", String(pid), "-u", "hostname"]);
  expect(stdout.toString()).toBe("kontena\n");
});

test("a program really is in the pid namespace that it joins, beside those that were there", async () => {
  await holder("--pid", "--fork", "--kill-child", "--mount-proc");
  const child = await childOf(holders[0]?.pid ?? 0);
  const b = box.bundle({
    args: "readlink /proc/self/ns/pid; echo $$; ls /proc | grep -c '^1$'; cat /proc/1/comm",
    patch: (c) => joining(c, { type: "pid", path: `/proc/${child}/ns/pid` }),
  });
  const { status, stdout, stderr } = box.run(b);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const [namespace, own, first, name] = stdout.trim().split("\n");
  expect(namespace).toBe(link(child, "pid"));
  expect(Number(own)).toBeGreaterThan(1);
  expect([first, name]).toEqual(["1", "sleep"]);
});

async function childOf(pid: number): Promise<number> {
  const path = `/proc/${pid}/task/${pid}/children`;
  let children = "";
  await until("it has a child", () => {
    const { stdout } = Bun.spawnSync(["cat", path]);
    children = stdout.toString().trim();
    return children !== "";
  });
  return Number(children.split(" ")[0]);
}

test("created with a joined pid namespace, a container is the runtime's own child, and its state has its pid", async () => {
  await holder("--pid", "--fork", "--kill-child", "--mount-proc");
  const child = await childOf(holders[0]?.pid ?? 0);
  const b = box.bundle({
    args: ["sleep", "100"],
    patch: (c) => joining(c, { type: "pid", path: `/proc/${child}/ns/pid` }),
  });
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  const { pid, status } = box.state(b.id);
  expect(status).toBe("created");
  expect(link(pid ?? 0, "pid")).toBe(link(child, "pid"));
  expect(box.kontena(["start", b.id])).toMatchObject({ status: 0, stderr: "" });
  expect(box.state(b.id)).toMatchObject({ status: "running", pid });
  expect(box.kontena(["kill", b.id, "KILL"]).status).toBe(0);
});

test("a user namespace is joined together with others, whoever owns them", async () => {
  const user = await holder("--user", "--map-root-user", "--uts", "--net");
  const host = await holder("--ipc");
  const b = box.bundle({
    args: "for n in user uts ipc net; do readlink /proc/self/ns/$n; done; id -u; cat /proc/self/uid_map",
    patch: (c) => {
      c.mounts = c.mounts.filter((m) => m.destination === "/proc");
      joining(
        c,
        { type: "network", path: `/proc/${user}/ns/net` },
        { type: "user", path: `/proc/${user}/ns/user` },
        { type: "ipc", path: `/proc/${host}/ns/ipc` },
        { type: "uts", path: `/proc/${user}/ns/uts` },
      );
    },
  });
  const { status, stdout, stderr } = box.run(b);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const lines = stdout.trim().split("\n");
  expect(lines.slice(0, 4)).toEqual([
    link(user, "user"),
    link(user, "uts"),
    link(host, "ipc"),
    link(user, "net"),
  ]);
  expect(lines[4]).toBe("0");
  expect(lines[5]?.trim().split(/\s+/)).toEqual(["0", "0", "1"]);
});

test("a new user namespace goes with a network namespace of the host's", async () => {
  const pid = await holder("--net");
  const b = box.bundle({
    args: "readlink /proc/self/ns/net; cat /proc/self/uid_map",
    patch: (c) => {
      c.mounts = c.mounts.filter((m) => !m.destination.startsWith("/sys"));
      joining(c, { type: "network", path: `/proc/${pid}/ns/net` });
      c.linux.namespaces?.push({ type: "user" });
      c.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
      c.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
    },
    fill: (rootfs) => Bun.spawnSync(["chown", "-R", "100000:100000", rootfs]),
  });
  const { status, stdout, stderr } = box.run(b);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const [network, map] = stdout.trim().split("\n");
  expect(network).toBe(link(pid, "net"));
  expect(map?.trim().split(/\s+/)).toEqual(["0", "100000", "1000"]);
});

const WRONG: [name: string, path: (pid: number) => string, text: RegExp][] = [
  ["isn't there", () => "/run/netns/no-such-namespace", /no such file or directory/],
  ["is of another type", (pid) => `/proc/${pid}/ns/uts`, /it is a uts namespace/],
  ["is no namespace", () => "/etc/hostname", /it is not a namespace/],
  ["is a FIFO", () => join(box.directory, "fifo"), /it is not a namespace/],
];

for (const [name, path, text] of WRONG)
  test(`a path that ${name} is an error that names it, and nothing is left`, async () => {
    const pid = await holder("--net", "--uts");
    Bun.spawnSync(["mkfifo", join(box.directory, "fifo")]);
    const b = box.bundle({ patch: (c) => joining(c, { type: "network", path: path(pid) }) });
    const { status, stderr } = box.run(b);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^kontena: linux\.namespaces\[\d\]\.path: cannot join the network namespace/);
    expect(stderr).toMatch(text);
    expect(box.ids()).toEqual([]);
  });

test("the user namespace of kontena itself can't be joined, and the error says why", () => {
  const b = box.bundle({ patch: (c) => joining(c, { type: "user", path: "/proc/self/ns/user" }) });
  writeFileSync(join(b.directory, "note"), "");
  const { status, stderr } = box.run(b);
  expect(status).toBe(1);
  expect(stderr).toMatch(/it is the user namespace that kontena itself runs in/);
});
