/** NOTIFY_SOCKET: a container says that it is ready, and a service manager hears it. */
import { afterEach, expect } from "bun:test";
import { closeSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { bindDatagram } from "../../src/kernel/datagram.ts";
import { rawSyscall } from "../../src/kernel/libc.ts";
import { openBox, type TestConfig, testNeeding, until } from "./helpers.ts";

const box = openBox("notify");
const test = testNeeding("root", "busybox", "python3");

const PATH = "/usr/bin:/bin";
/** Sends each argument, then waits for the file /go. */
const PROGRAM = `
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
for message in sys.argv[1:]: s.send(message.encode())
while not os.path.exists("/go"): time.sleep(0.01)
`;

const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) closeSync(fd);
});

/** The service manager. */
function manager() {
  const path = join(box.directory, `${box.next()}.sock`);
  const fd = bindDatagram(path);
  open.push(fd);
  let heard = "";
  const bytes = new Uint8Array(4096);
  return {
    env: { PATH, NOTIFY_SOCKET: path },
    heard() {
      for (;;) {
        const got = rawSyscall("read", fd, bytes, bytes.length);
        if (got < 0) return heard;
        heard += new TextDecoder().decode(bytes.subarray(0, got));
      }
    },
  };
}

/** A bundle with the host's python3. */
function pythonBundle(messages: string[], patch?: (config: TestConfig) => void) {
  return box.bundle({
    args: ["python3", "-c", PROGRAM, ...messages],
    fill: (rootfs) => mkdirSync(join(rootfs, "run")),
    patch: (config) => {
      for (const path of ["/usr", "/lib", "/lib64"].filter(existsSync))
        config.mounts.push({ destination: path, type: "bind", source: path, options: ["rbind", "ro"] });
      config.process.env = ["PATH=/usr/bin:/bin", "NOTIFY_SOCKET=/host/only"];
      config.root.readonly = false;
      patch?.(config);
    },
  });
}

const go = (rootfs: string) => Bun.write(join(rootfs, "go"), "");

test("run passes READY on while the program runs, with the pid that the service manager sees", async () => {
  const { env, heard } = manager();
  const b = pythonBundle(["STATUS=starting", "STATUS=up\nREADY=1\nMAINPID=1"]);
  const running = box.spawn(["run", "--bundle", b.directory, b.id], { env });
  await until("the service manager has heard of it", () => heard().includes("MAINPID="));
  expect(heard()).toBe(`READY=1\nMAINPID=${box.state(b.id).pid}\n`);
  await go(b.rootfs);
  expect(await running.exited).toBe(0);
  expect(running.errors()).toBe("");
});

test.each(["start", "run --detach"])(
  "%s comes back when the program is ready, and the service manager has taken the message",
  async (command) => {
    const { env, heard } = manager();
    const b = pythonBundle(["READY=1"]);
    if (command === "start") {
      const created = box.kontena(["create", "--bundle", b.directory, b.id], { env });
      expect(created).toMatchObject({ status: 0, stderr: "" });
      expect(heard()).toBe("");
    }
    const args = command === "start" ? ["start"] : ["run", "--detach", "--bundle", b.directory];
    const running = box.spawn([...args, b.id], { env });
    await until("the service manager has heard of it", () => heard().endsWith("BARRIER=1"));
    expect(heard()).toBe(`READY=1\nMAINPID=${box.state(b.id).pid}\nBARRIER=1`);
    expect(await running.exited).toBe(0);
    expect(running.errors()).toBe("");
    await go(b.rootfs);
    await until("the program has ended", () => box.state(b.id).status === "stopped");
    expect(box.kontena(["delete", b.id])).toMatchObject({ status: 0, stderr: "" });
  },
);

test("start comes back when the program ends without a word, and can be killed meanwhile", async () => {
  const { env, heard } = manager();
  const b = pythonBundle([]);
  expect(box.kontena(["create", "--bundle", b.directory, b.id], { env }).status).toBe(0);
  const running = box.spawn(["start", b.id], { env });
  await until("it runs", () => box.state(b.id).status === "running");
  expect(box.kontena(["kill", b.id, "KILL"]).status).toBe(0);
  expect(await running.exited).toBe(0);
  expect(heard()).toBe("");
});

test("a start without NOTIFY_SOCKET waits for nothing", async () => {
  const { env } = manager();
  const b = pythonBundle([]);
  expect(box.kontena(["create", "--bundle", b.directory, b.id], { env }).status).toBe(0);
  expect(box.kontena(["start", b.id]).status).toBe(0);
});

test("a service manager that is gone is a warning, not the container's end", () => {
  const b = pythonBundle(["READY=1"]);
  const finished = box.kontena(["run", "--detach", "--bundle", b.directory, b.id], {
    env: { PATH, NOTIFY_SOCKET: join(box.directory, "nobody.sock") },
  });
  expect(finished.status).toBe(0);
  expect(finished.stderr).toContain("cannot tell the service manager that the container is ready");
});

testNeeding(
  "root",
  "busybox",
  "python3",
  "user namespaces",
)("it works in a user namespace", async () => {
  const { env, heard } = manager();
  const b = pythonBundle(["READY=1"], (config) => {
    config.linux.namespaces?.push({ type: "user" });
    config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
  });
  Bun.spawnSync(["chown", "-R", "100000:100000", b.rootfs]);
  const running = box.spawn(["run", "--detach", "--bundle", b.directory, b.id], { env });
  await until("the service manager has heard of it", () => heard().endsWith("BARRIER=1"));
  expect(heard()).toStartWith("READY=1\nMAINPID=");
  expect(await running.exited).toBe(0);
  expect(running.errors()).toBe("");
});
