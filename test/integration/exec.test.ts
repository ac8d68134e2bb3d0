/** exec: one more process in a running container, by the built executable. */
import { expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  type BundleOptions,
  controllerOf,
  openBox,
  readOr,
  statusFields,
  type TestBundle,
  test,
  testNeeding,
  until,
} from "./helpers.ts";

const box = openBox("exec");

/** A container that runs, and sleeps. */
function running(options: BundleOptions = {}): TestBundle {
  const b = box.bundle({ args: ["sleep", "1000"], ...options });
  expect(box.run(b, "--detach")).toMatchObject({ status: 0, stderr: "" });
  return b;
}

/** Output of a script that has to run well in the container. */
function outputIn(b: TestBundle, script: string, ...options: string[]): string {
  const finished = box.kontena(["exec", ...options, b.id, "sh", "-c", script]);
  expect(finished).toMatchObject({ status: 0, stderr: "" });
  return finished.stdout;
}

const NAMESPACES = ["uts", "mnt", "pid", "ipc", "net", "user", "cgroup"];

test("a program is in every namespace of the container, has its root, and sees its first process as 1", () => {
  const b = running();
  const { pid } = box.state(b.id);
  const script = `for n in ${NAMESPACES.join(" ")}; do readlink /proc/self/ns/$n; done; cat /proc/1/comm; ls /`;
  const lines = outputIn(b, script).trim().split("\n");
  for (const [i, name] of NAMESPACES.entries())
    expect(lines[i]).toBe(readlinkSync(`/proc/${pid}/ns/${name}`));
  expect(lines[NAMESPACES.length]).toBe("sleep");
  expect(lines.slice(NAMESPACES.length + 1)).toEqual(["bin", "dev", "proc", "sys"]);
});

test("a program is in the container's cgroups, all of them", () => {
  const b = running();
  const { pid } = box.state(b.id);
  const child = box.spawn(["exec", "--pid-file", join(box.directory, "pid"), b.id, "sleep", "1000"]);
  return until("it runs", () => existsSync(join(box.directory, "pid"))).then(async () => {
    const executed = readFileSync(join(box.directory, "pid"), "utf8");
    expect(readOr(`/proc/${executed}/cgroup`, "gone")).toBe(readOr(`/proc/${pid}/cgroup`, ""));
    child.kill("SIGKILL");
    await child.exited;
  });
});

test("the exit status is the program's, and 128 + N when signal N ended it", () => {
  const b = running();
  expect(box.kontena(["exec", b.id, "sh", "-c", "exit 7"])).toMatchObject({ status: 7, stderr: "" });
  expect(box.kontena(["exec", b.id, "sh", "-c", "kill -9 $$"])).toMatchObject({ status: 137, stderr: "" });
});

test("a program that isn't there is 127, one that can't be executed 126, and every other failure 255", () => {
  const b = running({ fill: (rootfs) => writeFileSync(join(rootfs, "note"), "no program", { mode: 0o644 }) });
  expect(box.kontena(["exec", b.id, "no-such-program"])).toMatchObject({ status: 127 });
  expect(box.kontena(["exec", b.id, "/note"])).toMatchObject({ status: 126 });
  expect(box.kontena(["exec", "no-such-container", "true"])).toMatchObject({ status: 255 });
  expect(box.kontena(["exec", b.id])).toMatchObject({ status: 255 });
  expect(box.kontena(["exec", "--user", "root", b.id, "true"])).toMatchObject({ status: 255 });
});

test("the options change the user, the environment, the directory and the rights, and nothing else", () => {
  const b = running({
    patch: (c) => {
      c.process.env?.push("KEPT=1");
    },
  });
  const options = [
    "-u",
    "1000:1001",
    "-g",
    "5",
    "-g",
    "6",
    "-e",
    "A=1",
    "--env=B=two words",
    "--cwd",
    "/bin",
  ];
  const text = outputIn(b, "id; echo $A-$B-$KEPT; pwd; cat /proc/self/status", ...options);
  expect(text).toStartWith("uid=1000 gid=1001 groups=5,6\n1-two words-1\n/bin\n");
  expect(statusFields(text)).toMatchObject({ NoNewPrivs: "1", Groups: "5 6 " });
  const own = statusFields(outputIn(b, "cat /proc/self/status"));
  const more = statusFields(outputIn(b, "cat /proc/self/status", "--cap", "CAP_CHOWN"));
  expect([BigInt(`0x${own.CapEff}`) & 1n, BigInt(`0x${more.CapEff}`) & 1n]).toEqual([0n, 1n]);
});

test("a variable of --env is there once, in the place of the container's own", () => {
  const b = running({ patch: (c) => c.process.env?.push("TZ=UTC", "FOO=a") });
  const { stdout } = box.kontena(["exec", "-e", "TZ=XXX-5", "-e", "FOO=b", "-e", "FOO=c", b.id, "env"]);
  expect(stdout.split("\n").filter((line) => /^(TZ|FOO)=/.test(line))).toEqual(["TZ=XXX-5", "FOO=c"]);
});

test("options that can't be meant are refused: a relative directory, a user of three parts", () => {
  const b = running();
  for (const options of [
    ["--cwd", "rel"],
    ["--user", "1:2:3"],
  ]) {
    const { status, stderr } = box.kontena(["exec", ...options, b.id, "true"]);
    expect(status).toBe(255);
    expect(stderr).toContain(options[1] as string);
  }
});

test("a process of a file is taken as it is, in the place of the container's own", () => {
  const b = running();
  const file = join(box.directory, "process.json");
  const process = {
    args: ["sh", "-c", "pwd; env; id -u"],
    cwd: "/proc",
    env: ["PATH=/bin", "X=1"],
    user: { uid: 7, gid: 7 },
  };
  writeFileSync(file, JSON.stringify(process));
  const { status, stdout } = box.kontena(["exec", "--process", file, b.id]);
  expect(status).toBe(0);
  expect(stdout.split("\n")).toEqual(expect.arrayContaining(["/proc", "PATH=/bin", "X=1", "7"]));
});

test("exec --process refuses what is no file of a process, such as a device without end", () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  box.run(b, "--detach");
  const { status, stderr } = box.kontena(["exec", "--process", "/dev/zero", b.id]);
  expect(stderr).toContain("cannot read /dev/zero: EFBIG");
  expect(status).not.toBe(0);
});

test("a process with mistakes is refused, with the place of each", () => {
  const b = running();
  const file = join(box.directory, "broken.json");
  writeFileSync(file, JSON.stringify({ args: ["true"], cwd: "relative", user: { uid: -1 } }));
  const { status, stderr } = box.kontena(["exec", "--process", file, b.id]);
  expect(status).toBe(255);
  expect(stderr).toContain("user.uid");
});

test("detached, exec returns while the program runs, and its pid is in the file", async () => {
  const b = running();
  const pidFile = join(box.directory, "detached");
  const options = ["exec", "--detach", "--pid-file", pidFile, b.id, "sleep", "1000"];
  expect(box.kontena(options)).toMatchObject({ status: 0, stdout: "", stderr: "" });
  const pid = Number(readFileSync(pidFile, "utf8"));
  expect(readOr(`/proc/${pid}/comm`, "gone")).toBe("sleep\n");
  expect(readlinkSync(`/proc/${pid}/ns/pid`)).toBe(readlinkSync(`/proc/${box.state(b.id).pid}/ns/pid`));
  box.kontena(["kill", b.id, "KILL"]);
  await until("it ends with the container", () => readOr(`/proc/${pid}/comm`, "") === "");
});

test("a created container takes a program too, a stopped one none", async () => {
  const b = box.bundle({ args: ["sleep", "1000"] });
  expect(box.create(b).status).toBe(0);
  expect(outputIn(b, "cat /proc/1/comm")).toBe("kontena-init\n");
  box.kontena(["kill", b.id, "KILL"]);
  await until("it has stopped", () => box.state(b.id).status === "stopped");
  const { status, stderr } = box.kontena(["exec", b.id, "true"]);
  expect(status).toBe(255);
  expect(stderr).toContain("cannot exec in a stopped container");
});

test("a paused container takes none, unless that is asked for; then the program waits for its resumption", async () => {
  const b = running();
  expect(box.kontena(["pause", b.id]).status).toBe(0);
  const { status, stderr } = box.kontena(["exec", b.id, "true"]);
  expect(status).toBe(255);
  expect(stderr).toContain("cannot exec in a paused container");
  const waiting = box.spawn(["exec", "--ignore-paused", b.id, "echo", "resumed"]);
  await Bun.sleep(50);
  expect(waiting.output()).toBe("");
  expect(box.kontena(["resume", b.id]).status).toBe(0);
  expect(await waiting.exited).toBe(0);
  expect(waiting.output()).toBe("resumed\n");
});

test("a container with a user namespace takes programs as its own root, and as others", () => {
  const b = running({
    patch: (c) => {
      c.linux.namespaces?.push({ type: "user" });
      c.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 2000 }];
      c.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 2000 }];
    },
    fill: (rootfs) => Bun.spawnSync(["chown", "-R", "100000:100000", rootfs]),
  });
  const { pid } = box.state(b.id);
  const script = "readlink /proc/self/ns/user; id -u; grep CapEff /proc/self/status";
  const lines = outputIn(b, script).trim().split("\n");
  expect(lines[0]).toBe(readlinkSync(`/proc/${pid}/ns/user`));
  expect(lines[1]).toBe("0");
  expect(outputIn(b, "id", "-u", "1000:1000")).toBe("uid=1000 gid=1000\n");
});

test("a container without namespaces of its own but uts takes programs into its root by chroot", () => {
  const b = running({
    patch: (c) => {
      c.linux.namespaces = [{ type: "uts" }];
      c.mounts = [];
      c.root.readonly = false;
      delete c.linux.maskedPaths;
      delete c.linux.readonlyPaths;
    },
  });
  expect(outputIn(b, "ls /; hostname")).toBe("bin\nkontena\n");
});

test("nothing of the host is open in the program: only its three streams", () => {
  const b = running();
  const script = "for f in /proc/self/fd/*; do readlink $f; done; true";
  const targets = outputIn(b, script).trim().split("\n");
  // The shell's own descriptor of the directory is gone when readlink looks.
  for (const target of targets) expect(target).toMatch(/^(\/dev\/null|.*\/io-\d+\/(out|err|in))$/);
});

test("signals reach the program", async () => {
  const b = running();
  const child = box.spawn([
    "exec",
    b.id,
    "sh",
    "-c",
    "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done",
  ]);
  await until("it is ready", () => child.output() === "ready\n");
  child.kill("SIGTERM");
  expect(await child.exited).toBe(3);
  expect(child.output()).toBe("ready\ngot\n");
});

test("the config of the time of create counts, whatever the bundle says now", () => {
  const b = running();
  const config = {
    ...b.config,
    process: { ...b.config.process, env: ["PATH=/bin", "CHANGED=1"], cwd: "/nowhere" },
  };
  writeFileSync(join(b.directory, "config.json"), JSON.stringify(config));
  expect(outputIn(b, "pwd; echo [$CHANGED]")).toBe("/\n[]\n");
});

test("exec whose pid file or pidfd socket can't be had fails before its program runs", () => {
  const b = running({
    patch: (c, directory) => {
      c.root.readonly = false;
      c.mounts.push({ destination: "/shared", type: "bind", source: directory, options: ["bind"] });
    },
  });
  for (const option of ["--pid-file", "--pidfd-socket"]) {
    const nowhere = join(box.directory, "no/such/place");
    const script = "touch /shared/ran; sleep 1000";
    const finished = box.kontena(["exec", "--detach", option, nowhere, b.id, "sh", "-c", script]);
    expect(finished).toMatchObject({ status: 255 });
    expect(finished.stderr).toContain(nowhere);
    expect(finished.stderr).toContain(option);
    expect(existsSync(join(b.directory, "ran"))).toBe(false);
  }
  expect(box.kontena(["ps", "--format", "json", b.id]).stdout.split(",")).toHaveLength(1);
});

for (const shares of [false, true])
  test(`exec while the container is deleted runs or fails, and leaves no process${shares ? ", without a pid namespace too" : ""}`, async () => {
    const mark = String(1_000_000 + process.pid);
    const marked = () =>
      readdirSync("/proc").filter(
        (name) => /^\d+$/.test(name) && readOr(`/proc/${name}/cmdline`, "").endsWith(`\0${mark}\0`),
      );
    for (let i = 0; i < 3; i++) {
      const b = running({
        patch: (c) => {
          if (shares) c.linux.namespaces = c.linux.namespaces?.filter(({ type }) => type !== "pid") ?? [];
        },
      });
      const execs = Array.from({ length: 4 }, () => box.spawn(["exec", "--detach", b.id, "sleep", mark]));
      await Bun.sleep(10 * i);
      expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stderr: "" });
      for (const exec of execs) {
        expect([0, 255]).toContain(await exec.exited);
        expect(exec.errors()).not.toMatch(/linux\.namespaces|ENOENT|\n./);
      }
      await until("no process is left", () => marked().length === 0);
    }
  });

test("a container that is half removed is told as one that isn't there", () => {
  const b = running();
  rmSync(join(box.root, b.id, "config.json"));
  expect(box.kontena(["exec", b.id, "true"])).toMatchObject({
    status: 255,
    stderr: expect.stringContaining(`container does not exist: ${b.id}`),
  });
});

test("a cgroup of --cgroup is below the container's own, and is there", () => {
  const b = running();
  const inCgroup = (cgroup: string) => box.kontena(["exec", "--cgroup", cgroup, b.id, "true"]);
  for (const cgroup of ["..", "../other", "a/../../b"]) {
    const { status, stderr } = inCgroup(cgroup);
    expect({ status, stderr }).toEqual({
      status: 255,
      stderr: `kontena: --cgroup: ${cgroup} isn't below the container's own cgroup\n`,
    });
  }
  const { status, stderr } = inCgroup("nosuch");
  expect(status).toBe(255);
  expect(stderr).toMatch(
    /^kontena: --cgroup: cannot enter the cgroup \/.*\/nosuch\b.*: no such file or directory/,
  );
});

testNeeding(
  "root",
  "busybox",
  "cgroup v1",
)("on v1 a cgroup can be of some controllers, and the others stay the container's own", () => {
  const b = running();
  const own = (controller: string) => controllerOf(`kontena-${b.id}`, controller)?.path ?? "";
  for (const controller of ["memory", "pids"]) mkdirSync(join(own(controller), "sub"));
  const inCgroups = (...cgroups: string[]) => {
    const options = cgroups.flatMap((cgroup) => ["--cgroup", cgroup]);
    return box.kontena(["exec", ...options, b.id, "cat", "/proc/self/cgroup"]);
  };
  const pathOf = (controller: string, text: string) =>
    new RegExp(`^\\d+:[^:\n]*\\b${controller}\\b[^:\n]*:(.*)$`, "m").exec(text)?.[1];
  const { stdout } = inCgroups("memory:/sub");
  expect([pathOf("memory", stdout), pathOf("pids", stdout)]).toEqual(["/sub", "/"]);
  const both = inCgroups("memory:sub", "pids:/sub").stdout;
  expect([pathOf("memory", both), pathOf("pids", both), pathOf("freezer", both)]).toEqual([
    "/sub",
    "/sub",
    "/",
  ]);
  for (const [cgroups, text] of [
    [["memory:nosuch"], "memory/kontena"],
    [["memory:../x"], "../x isn't below the container's own cgroup"],
    [["nosuch:sub"], "no cgroup of a v1 controller nosuch"],
    [["/sub", "memory:sub"], "/sub is for all controllers"],
  ] as const)
    expect(inCgroups(...cgroups)).toMatchObject({ status: 255, stderr: expect.stringContaining(text) });
});

test("an additional group is added to those of the config", () => {
  const b = running({
    patch: (c) => Object.assign(c.process, { user: { uid: 0, gid: 0, additionalGids: [10] } }),
  });
  expect(box.kontena(["exec", "-g", "20", "-g", "10", b.id, "id", "-G"]).stdout).toBe("0 10 20\n");
});

test("a process that is given whole says its program too", () => {
  const b = running();
  const file = join(box.directory, "whole.json");
  const run = (process: object) => {
    writeFileSync(file, JSON.stringify({ cwd: "/", env: ["PATH=/bin"], ...process }));
    return box.kontena(["exec", "--process", file, b.id, "echo", "words"]).stdout;
  };
  expect(run({ args: ["echo", "file"] })).toBe("file\n");
});

test("a process that isn't UTF-8 is refused, as such a config is", () => {
  const b = running();
  const file = join(box.directory, "latin.json");
  writeFileSync(file, Buffer.from('{"cwd":"/","args":["/bin/echo","a\xffb"]}', "latin1"));
  expect(box.kontena(["exec", "--process", file, b.id])).toMatchObject({
    status: 255,
    stdout: "",
    stderr: expect.stringContaining("is not UTF-8"),
  });
});

test("a flag's value in letters' form, and empty values of options, are what runc takes them for", () => {
  const b = running();
  const exec = (...words: string[]) => box.kontena(["exec", ...words, b.id, "echo", "x"]);
  expect(exec("-d=false", "-t=false")).toMatchObject({ status: 0, stdout: "x\n", stderr: "" });
  const options = ["--pid-file=", "--console-socket", "", "--cwd=", "--user=", "--cgroup=", "--apparmor="];
  expect(exec(...options.filter((option) => option !== "--cgroup="))).toMatchObject({
    status: 0,
    stdout: "x\n",
    stderr: "",
  });
  expect(exec("-e", "=x")).toMatchObject({
    status: 255,
    stderr: expect.stringContaining("isn't NAME=VALUE"),
  });
});

test("a capability that can't be had is told of", () => {
  const b = running();
  expect(box.kontena(["exec", "--cap", "FOO", b.id, "true"])).toMatchObject({
    status: 0,
    stderr: expect.stringContaining("--cap CAP_FOO is left out: this kernel doesn't know it"),
  });
});

test("a pid file that can't be written leaves nothing beside it, and no link there is followed", () => {
  const b = running();
  const place = join(box.directory, "pids");
  mkdirSync(join(place, "directory"), { recursive: true });
  expect(box.kontena(["exec", "--pid-file", join(place, "directory"), b.id, "true"]).status).toBe(255);
  expect(readdirSync(place)).toEqual(["directory"]);
});

test("execCPUAffinity is for processes of exec: the container's init keeps the caller's CPUs", () => {
  const b = running({
    patch: (c) => {
      c.process.execCPUAffinity = { initial: "0", final: "1" };
    },
  });
  const cpus = (text: string) => /^Cpus_allowed_list:\s*(\S+)/m.exec(text)?.[1];
  expect(cpus(outputIn(b, "cat /proc/self/status"))).toBe("1");
  expect(cpus(readOr(`/proc/${box.state(b.id).pid}/status`, ""))).toBe(cpus(readOr("/proc/self/status", "")));
});

test("a program that only the user's groups, or CAP_DAC_OVERRIDE, let it execute is run, and no other", () => {
  const names = { groups: 0o750, root: 0o700 };
  const fill = (rootfs: string) => {
    for (const [name, mode] of Object.entries(names)) {
      mkdirSync(join(rootfs, name));
      const path = join(rootfs, name, "busybox");
      writeFileSync(path, readFileSync("/bin/busybox"), { mode: 0o755 });
      chownSync(path, 0, 2000);
      chmodSync(path, mode);
    }
  };
  const b = running({ fill });
  const words = (name: string) => [b.id, `/${name}/busybox`, "true"];
  const user = ["-u", "1000:1000"];
  expect(box.kontena(["exec", ...user, ...words("groups")])).toMatchObject({ status: 126 });
  expect(box.kontena(["exec", ...user, "-g", "2000", ...words("groups")])).toMatchObject({
    status: 0,
    stderr: "",
  });
  expect(box.kontena(["exec", ...user, "-g", "2000", ...words("root")])).toMatchObject({ status: 126 });
  const capable = box.bundle({
    args: ["/root/busybox", "true"],
    fill,
    patch: (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
      const sets = ["bounding", "permitted", "effective", "inheritable", "ambient"] as const;
      config.process.capabilities = Object.fromEntries(sets.map((set) => [set, ["CAP_DAC_OVERRIDE"]]));
    },
  });
  expect(box.run(capable)).toMatchObject({ status: 0, stderr: "" });
});
