/** Hooks: when they run, where, with what, and what their failure means. */
import { expect } from "bun:test";
import { existsSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HookName } from "../../spec/hooks.ts";
import { isAlive, openBox, type TestBundle, type TestConfig, test, until } from "./helpers.ts";

const box = openBox("hooks");

const log = (b: { directory: string }) => join(b.directory, "log");
const logOf = (b: TestBundle) => (existsSync(log(b)) ? readFileSync(log(b), "utf8").trim().split("\n") : []);

/** A hook that runs a script of the host's sh; `$log` is a file of the bundle. */
function script(directory: string, text: string, more: object = {}) {
  const env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", `log=${log({ directory })}`];
  return { path: "/bin/sh", args: ["sh", "-c", text], env, ...more };
}

function add(config: TestConfig, name: HookName, ...hooks: object[]): void {
  Object.assign(config, { hooks: { ...config.hooks, [name]: [...(config.hooks?.[name] ?? []), ...hooks] } });
}

const HOST: readonly HookName[] = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];

test("the kinds run in the spec's order, each list from first to last, around the program", async () => {
  const b = box.bundle({
    args: "echo program >> /shared/log",
    patch: (c, directory) => {
      c.root.readonly = false;
      c.mounts.push({ destination: "/shared", type: "bind", source: directory, options: ["bind"] });
      for (const name of HOST)
        add(
          c,
          name,
          script(directory, `echo ${name} 1 >> $log`),
          script(directory, `echo ${name} 2 >> $log`),
        );
      add(c, "startContainer", {
        path: "/bin/sh",
        args: ["sh", "-c", "echo startContainer >> /shared/log"],
        env: ["PATH=/bin"],
      });
    },
  });
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  const created = ["prestart", "createRuntime", "createContainer"].flatMap((n) => [`${n} 1`, `${n} 2`]);
  expect(logOf(b)).toEqual(created);
  expect(box.kontena(["start", b.id])).toMatchObject({ status: 0, stderr: "" });
  await until("the program has ended", () => box.state(b.id).status === "stopped");
  const started = logOf(b).slice(created.length);
  expect(started[0]).toBe("startContainer");
  expect(started.slice(1).sort()).toEqual(["poststart 1", "poststart 2", "program"]);
  expect(box.kontena(["delete", b.id])).toMatchObject({ status: 0, stderr: "" });
  expect(logOf(b).slice(-2)).toEqual(["poststop 1", "poststop 2"]);
});

test("each gets the state on its standard input, with the status and the pid of that moment", async () => {
  const b = box.bundle({
    args: ["sleep", "1000"],
    patch: (c, directory) => {
      c.annotations = { "org.example": "yes" };
      for (const name of HOST) add(c, name, script(directory, "cat >> $log; echo >> $log"));
    },
  });
  box.create(b);
  const { pid } = box.state(b.id);
  box.kontena(["start", b.id]);
  box.kontena(["kill", b.id, "KILL"]);
  await until("it has stopped", () => box.state(b.id).status === "stopped");
  box.kontena(["delete", b.id]);
  const states = logOf(b).map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const state of states)
    expect(state).toMatchObject({ id: b.id, bundle: b.directory, annotations: { "org.example": "yes" } });
  expect(states.map(({ status, pid: seen }) => [status, seen])).toEqual([
    ["creating", pid],
    ["creating", pid],
    // In the container's pid namespace.
    ["creating", 1],
    ["running", pid],
    ["stopped", 0],
  ]);
});

test("prestart and createRuntime run in the runtime's namespaces, createContainer in the container's before the pivot", () => {
  const b = box.bundle({
    patch: (c, directory) => {
      const where = "for n in mnt uts net pid; do readlink /proc/self/ns/$n; done >> $log; pwd >> $log";
      add(c, "createRuntime", script(directory, where));
      add(
        c,
        "createContainer",
        script(directory, `${where}; grep -c ' ${directory}/rootfs/proc ' /proc/self/mountinfo >> $log`),
      );
    },
  });
  box.create(b);
  const lines = logOf(b);
  const own = (name: string) => readlinkSync(`/proc/self/ns/${name}`);
  const { pid } = box.state(b.id);
  const theirs = (name: string) => readlinkSync(`/proc/${pid}/ns/${name}`);
  const names = ["mnt", "uts", "net", "pid"];
  expect(lines.slice(0, 4)).toEqual(names.map(own));
  expect(lines[4]).toBe(b.directory);
  expect(lines.slice(5, 9)).toEqual(names.map(theirs));
  expect(lines[9]).toBe(b.rootfs);
  // The container's mounts are done, and named by their places on the host.
  expect(lines[10]).toBe("1");
});

test("when createRuntime runs, the mounts are done and seen through init's root", () => {
  const b = box.bundle({
    patch: (c, directory) => {
      const text = `pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/'); grep -c ' ${directory}/rootfs/dev/pts ' /proc/$pid/mountinfo >> $log`;
      add(c, "createRuntime", script(directory, text));
    },
  });
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  expect(logOf(b)).toEqual(["1"]);
});

test("a startContainer hook is a program of the container's, in its namespaces and its cgroup", () => {
  const b = box.bundle({
    args: ["sleep", "1000"],
    patch: (c, directory) => {
      c.root.readonly = false;
      c.mounts.push({ destination: "/shared", type: "bind", source: directory, options: ["bind"] });
      const text =
        "for n in mnt uts pid; do readlink /proc/self/ns/$n; done > /shared/log; pwd >> /shared/log; cat /proc/self/cgroup > /shared/cgroup";
      add(c, "startContainer", { path: "/bin/sh", args: ["sh", "-c", text], env: ["PATH=/bin"] });
    },
  });
  expect(box.run(b, "--detach")).toMatchObject({ status: 0, stderr: "" });
  const { pid } = box.state(b.id);
  expect(logOf(b)).toEqual([...["mnt", "uts", "pid"].map((n) => readlinkSync(`/proc/${pid}/ns/${n}`)), "/"]);
  const { stdout } = box.kontena(["exec", b.id, "cat", "/proc/self/cgroup"]);
  expect(readFileSync(join(b.directory, "cgroup"), "utf8")).toBe(stdout);
});

test("a hook has its own environment, its own arguments and three descriptors, and no other", () => {
  const b = box.bundle({
    patch: (c, directory) => {
      // The fourth is the directory that ls itself reads.
      const text = `cat /proc/$$/environ | tr '\\0' ' ' >> $log; echo >> $log; echo $0 $1 >> $log; ls /proc/self/fd >> $log`;
      add(c, "createRuntime", {
        path: "/bin/sh",
        args: ["name", "-c", text, "zero", "one"],
        env: [`log=${log({ directory })}`],
      });
    },
  });
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  const [environment, args, ...descriptors] = logOf(b);
  expect(environment).toStartWith(`log=${log(b)}`);
  expect(environment).not.toContain("kontena-hooks-root");
  expect(args).toBe("zero one");
  expect(descriptors).toEqual(["0", "1", "2", "3"]);
});

for (const name of ["prestart", "createRuntime", "createContainer"] as const)
  test(`a ${name} hook that fails is create's failure, with what it said; nothing is left, and poststop runs`, () => {
    const b = box.bundle({
      patch: (c, directory) => {
        add(c, name, script(directory, "echo no luck >&2; exit 3"), script(directory, "echo never >> $log"));
        add(c, "poststop", script(directory, "echo poststop >> $log"));
      },
    });
    const { status, stderr } = box.create(b);
    expect(status).toBe(1);
    expect(stderr).toStartWith(
      `kontena: hooks.${name}[0]: the ${name} hook /bin/sh failed: exit status 3 (it said: no luck)`,
    );
    expect(box.ids()).toEqual([]);
    expect(logOf(b)).toEqual(["poststop"]);
  });

/** What create says of a hook with this script. */
function failureOf(text: string, more: object = {}): string {
  const b = box.bundle({ patch: (c, directory) => add(c, "createRuntime", script(directory, text, more)) });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  return stderr;
}

test("what a hook says is whole, wherever it opens its standard error anew", () => {
  expect(failureOf("echo one; echo two > /dev/stderr; echo three >&2; exit 3")).toContain(
    "(it said: one\ntwo\nthree)",
  );
});

test("of much that it says the end is told, and it never waits for a reader", () => {
  const stderr = failureOf(
    "i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; echo the end; exit 3",
  );
  expect(stderr).toMatch(/exit status 3 \(it said: … .*line 29999\nthe end\)/s);
  expect(stderr.length).toBeLessThan(2300);
});

test("one that talks without end is ended by its timeout", () => {
  expect(failureOf("while :; do echo again; done", { timeout: 1 })).toContain(
    "it took more than 1 s, and was killed (it said: … ",
  );
});

test("a process that a hook leaves behind with its output is not waited for", async () => {
  const b = box.bundle({
    patch: (c, directory) => add(c, "createRuntime", script(directory, "sleep 777 & echo $! > $log; exit 0")),
  });
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  const pid = Number(logOf(b)[0]);
  expect(isAlive(pid)).toBe(true);
  process.kill(pid, "SIGKILL");
  await until("it is gone", () => !isAlive(pid));
});

test("a startContainer or poststart hook that fails is start's failure, and the container stops", async () => {
  for (const name of ["startContainer", "poststart"] as const) {
    const b = box.bundle({
      args: ["sleep", "1000"],
      patch: (c) => add(c, name, { path: "/bin/false" }),
    });
    expect(box.create(b).status).toBe(0);
    const { status, stderr } = box.kontena(["start", b.id]);
    expect(status).toBe(1);
    expect(stderr).toContain(`hooks.${name}[0]: the ${name} hook /bin/false failed: exit status 1`);
    expect(box.state(b.id).status).toBe("stopped");
    expect(box.kontena(["delete", b.id])).toMatchObject({ status: 0, stderr: "" });
  }
});

test("a poststop hook that fails is a warning; those behind it run, and the container is gone", () => {
  const b = box.bundle({
    patch: (c, directory) => {
      add(c, "poststop", { path: "/bin/false" }, script(directory, "echo second >> $log"));
    },
  });
  box.create(b);
  const { status, stderr } = box.kontena(["delete", "--force", b.id]);
  expect(status).toBe(0);
  expect(stderr).toContain("warning: hooks.poststop[0]: the poststop hook /bin/false failed: exit status 1");
  expect(box.ids()).toEqual([]);
  expect(logOf(b)).toEqual(["second"]);
});

test("a hook that takes longer than its timeout is killed, and has failed", () => {
  const b = box.bundle({
    patch: (c, directory) =>
      add(c, "createRuntime", script(directory, "echo $$ > $log; exec sleep 1000", { timeout: 1 })),
  });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain("it took more than 1 s, and was killed");
  expect(existsSync(`/proc/${logOf(b)[0]}`)).toBe(false);
});

test("a hook that leaves a process behind doesn't keep create waiting", () => {
  const b = box.bundle({
    patch: (c, directory) => add(c, "createRuntime", script(directory, "sleep 1000 & echo $! > $log")),
  });
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  process.kill(Number(logOf(b)[0]), "SIGKILL");
});

test("a hook that isn't there is an error with its place", () => {
  const b = box.bundle({ patch: (c) => add(c, "createRuntime", { path: "/no/such/hook" }) });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain(
    "hooks.createRuntime[0].path: cannot run the hook /no/such/hook: no such file or directory",
  );
});

test("in a container with a user namespace, hooks inside are its root", () => {
  const b = box.bundle({
    args: ["sleep", "1000"],
    patch: (c, directory) => {
      c.linux.namespaces?.push({ type: "user" });
      c.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
      c.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
      Bun.spawnSync(["chmod", "777", directory]);
      add(c, "createContainer", script(directory, "id -u > $log; cat /proc/self/uid_map >> $log"));
      add(c, "startContainer", { path: "/bin/true" });
    },
    fill: (rootfs) => Bun.spawnSync(["chown", "-R", "100000:100000", rootfs]),
  });
  expect(box.run(b, "--detach")).toMatchObject({ status: 0, stderr: "" });
  expect(logOf(b).map((line) => line.trim().split(/\s+/))).toEqual([["0"], ["0", "100000", "1000"]]);
});

test("the hooks of the time of create run, whatever the bundle says now", () => {
  const b = box.bundle({
    patch: (c, directory) => add(c, "poststop", script(directory, "echo frozen >> $log")),
  });
  box.create(b);
  writeFileSync(join(b.directory, "config.json"), JSON.stringify({ ...b.config, hooks: {} }));
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stderr: "" });
  expect(logOf(b)).toEqual(["frozen"]);
});

test("delete --force doesn't wait for a hook of create that doesn't end", async () => {
  const b = box.bundle({
    patch: (c, directory) => {
      add(c, "createRuntime", script(directory, "echo here >> $log; exec sleep 1000"));
    },
  });
  const creating = box.spawn(["create", "--bundle", b.directory, b.id]);
  await until("the hook runs", () => logOf(b).length > 0);
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stderr: "" });
  expect(await creating.exited).toBe(1);
  expect(creating.errors()).toContain("createRuntime hook /bin/sh failed: the container's init has ended");
  expect(creating.errors()).toContain("hooks.createRuntime[0]");
});

test("nor for a startContainer hook that doesn't end", async () => {
  const b = box.bundle({
    patch: (c) => add(c, "startContainer", { path: "/bin/sleep", args: ["sleep", "1000"] }),
  });
  expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
  const starting = box.spawn(["start", b.id]);
  await until("the hook runs", () => box.kontena(["ps", b.id]).stdout.includes("sleep 1000"));
  expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stderr: "" });
  expect(await starting.exited).toBe(1);
});

test("a start that comes while run makes the container is as good as run's own", async () => {
  const b = box.bundle({
    args: "sleep 0.3; exit 7",
    patch: (c, directory) => add(c, "createRuntime", script(directory, "sleep 0.5")),
  });
  const run = box.spawn(["run", "--bundle", b.directory, b.id]);
  await until("create is under way", () => existsSync(join(box.root, b.id, "state.json")));
  const { status, stderr } = box.kontena(["start", b.id]);
  if (status !== 0) expect(stderr).toContain("cannot start a container in the");
  expect(await run.exited).toBe(7);
  expect(run.errors()).toBe("");
});
