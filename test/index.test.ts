/** The library: containers from this very process, as root, with a static busybox as their root file system. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config } from "../spec/config.ts";
import { defaultConfig } from "../src/container/spec.ts";
import { type Container, KontenaError, open } from "../src/index.ts";
import { rawSyscall } from "../src/kernel/libc.ts";
import { children, descriptors } from "./init/helpers/park.ts";

const BUSYBOX = "/bin/busybox";
const isStatic = existsSync(BUSYBOX) && !readFileSync(BUSYBOX).subarray(0, 4096).includes("/ld-");
const skipped =
  process.geteuid?.() !== 0 ? " (skipped: not root)" : isStatic ? "" : " (skipped: no static busybox)";
const real = test.skipIf(skipped !== "");

const place = mkdtempSync(join(tmpdir(), "kontena-index-"));
const root = join(place, "state");
const kontena = open({ root });
let count = 0;
const containers: Container[] = [];

interface Bundle {
  directory: string;
  rootfs: string;
}

function bundle(args: string[] | string, change: (config: Config) => void = () => {}): Bundle {
  const directory = join(place, `bundle-${++count}`);
  const rootfs = join(directory, "rootfs");
  for (const name of ["bin", "out"]) mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync(BUSYBOX, join(rootfs, "bin/busybox"));
  for (const applet of ["sh", "cat", "echo", "sleep", "true"])
    symlinkSync("busybox", join(rootfs, "bin", applet));
  const config = structuredClone(defaultConfig({ rootless: false }));
  config.root = { path: "rootfs" };
  (config.process as { args: string[] }).args = typeof args === "string" ? ["sh", "-c", args] : args;
  change(config);
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  return { directory, rootfs };
}

function create(of: Bundle, id = `index-${process.pid}-${++count}`): Container {
  const container = kontena.create({ id, bundle: of.directory });
  containers.push(container);
  return container;
}

const cgroups = () =>
  ["", ...readdirSync("/sys/fs/cgroup")].flatMap((h) => {
    try {
      return readdirSync(join("/sys/fs/cgroup", h)).filter((name) =>
        name.startsWith(`kontena-index-${process.pid}-`),
      );
    } catch {
      return [];
    }
  });
const leftovers = () => ({
  states: existsSync(root) ? readdirSync(root) : [],
  mounts: readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(place)),
  cgroups: cgroups(),
});
const NOTHING = { states: [], mounts: [], cgroups: [] };

function errorOf(action: () => unknown): KontenaError {
  try {
    action();
  } catch (error) {
    if (error instanceof KontenaError) return error;
    throw error;
  }
  throw new Error("no error");
}

/** The event loop's. */
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

afterEach(() => {
  for (const container of containers.splice(0)) container.delete({ force: true });
  if (skipped === "") expect(leftovers()).toEqual(NOTHING);
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

describe("a container", () => {
  real(`is ended and removed where the block of its \`using\` ends, however that is${skipped}`, () => {
    const made = bundle(["sleep", "1000"]);
    const inBlock = (then: (container: Container) => void): string => {
      using container = create(made);
      container.start();
      then(container);
      return container.id;
    };
    const id = inBlock(() => {});
    expect(leftovers()).toEqual(NOTHING);
    const failing = () =>
      inBlock(() => {
        throw new Error("the block's");
      });
    expect(failing).toThrow("the block's");
    expect(leftovers()).toEqual(NOTHING);
    expect(children()).toEqual([]);
    // Gone before, and its id is another one's.
    let other: Container | undefined;
    inBlock((container) => {
      container.delete({ force: true });
      other = create(made, container.id);
    });
    expect(other?.state()).toMatchObject({ status: "created" });
    expect(kontena.list().map((state) => state.id)).not.toContain(id);
  });

  real(`ends although what exec added to it has ended and isn't waited for${skipped}`, async () => {
    const made = bundle(["sleep", "1000"]);
    const withExec = (args: string[]) => {
      const container = create(made);
      container.start();
      return { container, child: container.exec({ args }) };
    };
    const forced = withExec(["sleep", "1000"]);
    forced.container.delete({ force: true });
    expect(forced.child.waitSync()).toEqual({ code: 137, signal: 9 });
    const waited = withExec(["true"]);
    while (!readFileSync(`/proc/${waited.child.pid}/stat`, "utf8").includes(") Z ")) Bun.sleepSync(1);
    waited.container.kill(9);
    expect(await waited.container.wait()).toEqual({ code: 137, signal: 9 });
    expect(await waited.child.wait()).toEqual({ code: 0 });
    const held = withExec(["sleep", "1000"]);
    held.container.kill(9);
    expect(held.container.waitSync()).toEqual({ code: 137, signal: 9 });
    expect(children().length).toBeLessThanOrEqual(1);
    held.child.waitSync();
    expect(children()).toEqual([]);
  });

  real(`takes no program of the user -1, which would be this process's own${skipped}`, () => {
    const container = create(bundle(["sleep", "1000"]));
    for (const options of [
      { user: { uid: 4294967295 } },
      { user: { uid: 1, gid: -1 } },
      { additionalGids: [0.5] },
    ])
      expect(errorOf(() => container.exec({ args: ["true"], ...options })).code).toBe("USAGE");
  });

  real(`is never taken for another one that has its id${skipped}`, () => {
    const made = bundle(["sleep", "1000"]);
    const one = create(made);
    one.delete({ force: true });
    const other = create(made, one.id);
    other.start();
    expect(errorOf(() => one.kill(9)).code).toBe("WRONG_STATUS");
    for (const act of [
      () => one.start(),
      () => one.state(),
      () => one.exec({ args: ["true"] }),
      () => one.pause(),
      () => one.processes(),
      () => one.delete(),
    ])
      expect(errorOf(act).code).toBe("NOT_FOUND");
    one.delete({ force: true });
    expect(other.state().status).toBe("running");
  });

  real(`is created, started, waited for and deleted${skipped}`, async () => {
    const made = bundle("cat /proc/sys/kernel/hostname > /out/name; exit 3");
    const container = create(made);
    expect(container.state()).toMatchObject({ status: "created", pid: container.pid, id: container.id });
    container.start();
    expect(await container.wait()).toEqual({ code: 3 });
    expect(readFileSync(join(made.rootfs, "out/name"), "utf8")).toBe("kontena\n");
    expect(container.state()).toMatchObject({ status: "stopped", pid: 0 });
    container.delete();
    expect(leftovers()).toEqual(NOTHING);
  });

  real(`is small while it waits: one thread, 64 kB of memory at most${skipped}`, () => {
    const { pid } = create(bundle(["true"]));
    const status = () => readFileSync(`/proc/${pid}/status`, "utf8");
    const end = Date.now() + 1000;
    // create returns while init is on its way from the last batch to the FIFO.
    while (readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.[0] !== "S" && Date.now() < end)
      Bun.sleepSync(1);
    expect(/^Threads:\s+1$/m.test(status())).toBe(true);
    expect(Number(/^VmRSS:\s+(\d+) kB/m.exec(status())?.[1])).toBeLessThanOrEqual(64);
  });

  real(`is one of the list${skipped}`, () => {
    const [a, b] = [create(bundle(["true"])), create(bundle(["true"]))];
    expect(kontena.list().map((c) => c.id)).toEqual([a.id, b.id].sort());
    expect(open({ root: join(place, "elsewhere") }).list()).toEqual([]);
  });

  real(`can be paused and resumed, and its processes counted${skipped}`, () => {
    const container = create(bundle(["sleep", "60"]));
    container.start();
    expect(container.processes()).toEqual([container.pid]);
    container.pause();
    expect(container.state()).toMatchObject({ status: "paused", pid: container.pid });
    expect(errorOf(() => container.pause()).code).toBe("WRONG_STATUS");
    container.resume();
    expect(container.state().status).toBe("running");
    expect(errorOf(() => container.resume()).code).toBe("WRONG_STATUS");
    container.delete({ force: true });
    expect(leftovers()).toEqual(NOTHING);
  });

  real(
    `that was waited for keeps its mounts until it is deleted or the event loop goes on${skipped}`,
    async () => {
      // Not so short that it has ended before anybody waits.
      const made = bundle(["sleep", "0.05"]);
      const ended = () => {
        const container = create(made);
        container.start();
        container.waitSync();
        return container;
      };
      const held = () =>
        descriptors().filter((fd) => readlinkSync(`/proc/self/fd/${fd}`).startsWith("mnt:")).length;
      const [first, second] = [ended(), ended()];
      expect(held()).toBe(1);
      await nextTurn();
      expect(held()).toBe(0);
      // Told before: nobody is waited for, and its pid may be another's.
      expect([first.waitSync(), second.waitSync()]).toEqual([{ code: 0 }, { code: 0 }]);
      expect(held()).toBe(0);
      const third = ended();
      expect(held()).toBe(1);
      third.delete();
      expect(held()).toBe(0);
    },
  );

  real(
    `shares init's file with others of its bundle, also when it was closed behind its back${skipped}`,
    () => {
      const made = bundle(["true"]);
      const fileOf = ({ pid }: Container) => statSync(`/proc/${pid}/exe`).ino;
      const kept = () =>
        descriptors().filter((fd) => readlinkSync(`/proc/self/fd/${fd}`).startsWith("/memfd:kontena-init"));
      const [first, second] = [create(made), create(made)];
      expect(fileOf(second)).toBe(fileOf(first));
      const [number] = kept();
      expect(kept()).toEqual([number as never]);
      closeSync(Number(number));
      const other = openSync("/dev/null", "r");
      expect(rawSyscall("dup3", other, Number(number), 0)).toBe(Number(number));
      const third = create(made);
      expect(fileOf(third)).not.toBe(fileOf(first));
      expect(readlinkSync(`/proc/self/fd/${number}`)).toBe("/dev/null");
      closeSync(other);
      closeSync(Number(number));
      third.start();
      expect(third.waitSync()).toEqual({ code: 0 });
    },
  );

  real(`that a signal ends tells which${skipped}`, async () => {
    const container = create(bundle(["sleep", "60"]));
    container.start();
    container.kill(9);
    expect(await container.wait()).toEqual({ code: 137, signal: 9 });
    expect(errorOf(() => container.kill(9)).code).toBe("WRONG_STATUS");
  });
});

describe("exec", () => {
  real(`runs one more program, which is waited for and killed as a container's own${skipped}`, async () => {
    const container = create(bundle(["sleep", "60"]));
    expect(errorOf(() => container.exec({ args: ["nothing"] })).code).toBe("EXEC_NOT_FOUND");
    container.start();
    const one = container.exec({ args: ["sh", "-c", "exit $N"], env: ["N=4"] });
    expect(await one.wait()).toEqual({ code: 4 });
    expect(one.waitSync()).toEqual({ code: 4 });
    const other = container.exec({ args: ["sleep", "60"] });
    expect(container.processes()).toEqual([container.pid, other.pid].sort((a, b) => a - b));
    other.kill(9);
    expect(other.waitSync()).toEqual({ code: 137, signal: 9 });
    expect(errorOf(() => other.kill(9)).code).toBe("WRONG_STATUS");
    expect(container.state().status).toBe("running");
  });

  real(`leaves no child and no descriptor, whether the program runs or can't${skipped}`, () => {
    const container = create(bundle(["sleep", "60"]));
    container.start();
    container.exec({ args: ["true"] }).waitSync();
    const before = { children: children(), descriptors: descriptors() };
    for (const args of [["true"], ["nothing"], ["/out"]])
      try {
        container.exec({ args }).waitSync();
      } catch (error) {
        expect(error).toBeInstanceOf(KontenaError);
      }
    expect({ children: children(), descriptors: descriptors() }).toEqual(before);
  });
});

describe("what isn't checked by a command line", () => {
  const running = () => {
    const container = create(bundle(["sleep", "1000"]));
    container.start();
    return container;
  };

  real(`is checked by exec, before anything is done${skipped}`, () => {
    const container = running();
    const rlimits = [{ type: "RLIMIT_NOPE", soft: 1, hard: 1 }] as never;
    for (const process of [
      { cwd: "/", args: ["true"], rlimits },
      { cwd: "rel", args: ["true"] },
    ])
      expect(errorOf(() => container.exec({ args: ["true"], process }))).toMatchObject({
        code: "CONFIG_INVALID",
      });
    for (const options of [
      { args: ["echo", "a\0b"] },
      { args: ["echo", "a\ud800b"] },
      { args: ["true"], env: ["FOO"] },
      { args: ["true"], env: ["A=\0"] },
      { args: ["true"], cwd: "/\0" },
      { args: ["true"], preserveFds: -1 },
      { args: ["true"], preserveFds: Number.NaN },
      { args: ["true"], preserveFds: 1.5 },
    ])
      expect(errorOf(() => container.exec(options)).code).toBe("USAGE");
    container.delete({ force: true });
  });

  real(`is checked by update, and what it doesn't know is told${skipped}`, () => {
    const warnings: string[] = [];
    const own = open({ root, onWarning: (_, details) => warnings.push(details?.at ?? "") });
    const of = bundle(["sleep", "1000"]);
    const container = own.create({ id: `index-${process.pid}-${++count}`, bundle: of.directory });
    containers.push(container);
    for (const resources of [{ memory: { limit: "64m" } }, { pids: { limit: Number.NaN } }])
      expect(errorOf(() => container.update(resources as never)).code).toBe("CONFIG_INVALID");
    container.update({ memry: { limit: 1 } } as never);
    expect(warnings).toEqual(["memry"]);
    container.delete({ force: true });
  });

  real(`is an error with a code, for signals and roots too${skipped}`, () => {
    const container = running();
    expect(errorOf(() => container.kill(999)).code).toBe("USAGE");
    expect(errorOf(() => open({ root: "/run/\0x" })).code).toBe("USAGE");
    container.delete({ force: true });
  });
});

describe("standard streams", () => {
  real(`are the descriptors that are given, of the container and of exec${skipped}`, async () => {
    const made = bundle("cat; echo error >&2");
    const [input, output, errors] = ["input", "output", "errors"].map((name) =>
      join(made.directory, name),
    ) as [string, string, string];
    writeFileSync(input, "text\n");
    const opened = [openSync(input, "r"), openSync(output, "a"), openSync(errors, "a")] as const;
    const [, out, err] = opened;
    const before = descriptors();
    const id = `index-${process.pid}-${++count}`;
    const container = kontena.create({ id, bundle: made.directory, stdio: opened });
    containers.push(container);
    // The same numbers in another order, and one twice.
    container.exec({ args: ["sh", "-c", "echo exec; echo other >&2"], stdio: [err, err, out] }).waitSync();
    container.start();
    expect(container.waitSync()).toEqual({ code: 0 });
    await nextTurn();
    expect(descriptors()).toEqual(before);
    expect(readFileSync(output, "utf8")).toBe("other\ntext\n");
    expect(readFileSync(errors, "utf8")).toBe("exec\nerror\n");
    for (const fd of opened) closeSync(fd);
    const closed = errorOf(() =>
      kontena.create({ id: `${id}-bad`, bundle: made.directory, stdio: [0, 9999, 2] }),
    );
    expect(closed).toMatchObject({ code: "USAGE", message: expect.stringContaining("stdio[1]") });
  });
});

describe("resources", () => {
  const limited = (config: Config) => {
    Object.assign(config.linux as object, { resources: { pids: { limit: 50 } } });
  };

  real(`are counted, and limits changed while the program runs${skipped}`, () => {
    const container = create(bundle(["sleep", "60"], limited));
    container.start();
    expect(container.stats()).toMatchObject({ status: "running", pids: { current: 1n, limit: 50n } });
    container.update({ pids: { limit: 7 } });
    expect(container.stats()).toMatchObject({ pids: { limit: 7n }, cpuPercent: expect.any(Number) });
    container.delete({ force: true });
    expect(errorOf(() => container.stats()).code).toBe("NOT_FOUND");
    expect(errorOf(() => container.update({})).code).toBe("NOT_FOUND");
  });
});

describe("two containers", () => {
  real(`that wait at once are started in reverse order, each with its own program${skipped}`, async () => {
    const first = bundle("echo first > /out/x");
    const second = bundle("echo second > /out/x; exit 2");
    const [a, b] = [create(first), create(second)];
    b.start();
    a.start();
    expect(await Promise.all([a.wait(), b.wait()])).toEqual([{ code: 0 }, { code: 2 }]);
    expect(readFileSync(join(first.rootfs, "out/x"), "utf8")).toBe("first\n");
    expect(readFileSync(join(second.rootfs, "out/x"), "utf8")).toBe("second\n");
  });

  real(`of one bundle, whose plan is kept, have cgroups of their own${skipped}`, async () => {
    const one = bundle("cat /proc/self/cgroup >> /out/cgroups; sleep 60");
    const [a, b] = [create(one), create(one)];
    for (const { pid, id } of [a, b])
      expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(`/kontena-${id}`);
    b.start();
    a.start();
    for (const { pid, id } of [a, b])
      expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(`/kontena-${id}`);
  });

  real(`can't have one id${skipped}`, () => {
    const one = create(bundle(["true"]));
    expect(errorOf(() => kontena.create({ id: one.id, bundle: bundle(["true"]).directory })).code).toBe(
      "ID_IN_USE",
    );
    expect(one.state().status).toBe("created");
  });
});

describe("a hundred containers", () => {
  real(`at once take no descriptor each, and each end is its own${skipped}`, async () => {
    const one = bundle(["sleep", "60"]);
    create(one);
    const before = descriptors();
    const all = Array.from({ length: 100 }, () => create(one));
    for (const container of all) container.start();
    expect(descriptors()).toEqual(before);
    const states = new Map(kontena.list().map(({ id, status }) => [id, status]));
    expect(all.filter(({ id }) => states.get(id) !== "running")).toEqual([]);
    const ends = all.map((container) => container.wait());
    // Many at a time: one SIGCHLD stands for several ends.
    for (const container of all) container.kill(9);
    expect(await Promise.all(ends)).toEqual(all.map(() => ({ code: 137, signal: 9 })));
    for (const container of all) container.delete();
  });
});

describe("waiting", () => {
  real(`tells the same every time, at once and later, both ways${skipped}`, async () => {
    const container = create(bundle("exit 7"));
    const early = [container.wait(), container.wait()];
    container.start();
    expect(await Promise.all(early)).toEqual([{ code: 7 }, { code: 7 }]);
    expect(container.waitSync()).toEqual({ code: 7 });
    expect(await container.wait()).toEqual({ code: 7 });
  });

  real(`holds the thread when it is asked to${skipped}`, () => {
    const container = create(bundle("exit 8"));
    container.start();
    expect(container.waitSync()).toEqual({ code: 8 });
    expect(container.waitSync()).toEqual({ code: 8 });
  });

  real(
    `for a container that is deleted by force ends${skipped}`,
    async () => {
      const container = create(bundle(["sleep", "60"]));
      container.start();
      const waiting = container.wait();
      container.delete({ force: true });
      expect(await waiting).toEqual({ code: 137, signal: 9 });
      expect(await container.wait()).toEqual({ code: 137, signal: 9 });
      expect(container.waitSync()).toEqual({ code: 137, signal: 9 });
    },
    5000,
  );

  real(
    `for a container whose start has failed ends${skipped}`,
    async () => {
      const made = bundle(["/bin/app"]);
      copyFileSync(BUSYBOX, join(made.rootfs, "bin/app"));
      const container = create(made);
      rmSync(join(made.rootfs, "bin/app"));
      const waiting = container.wait();
      expect(errorOf(() => container.start()).code).toBe("EXEC_NOT_FOUND");
      expect((await waiting).code).toBe(1);
    },
    5000,
  );
});

describe("an error", () => {
  real(`of create leaves nothing, not even a child or a descriptor${skipped}`, () => {
    // The first create opens what stays open: the loader's memory, the library.
    create(bundle(["true"])).delete({ force: true });
    const before = { children: children(), descriptors: descriptors() };
    const wrong: [string, Bundle][] = [
      ["EXEC_NOT_FOUND", bundle(["/bin/nothing"])],
      ["EXEC_NOT_EXECUTABLE", bundle(["/out"])],
      [
        "MOUNT_FAILED",
        bundle(
          ["true"],
          (c) => void c.mounts?.push({ destination: "/x", type: "tmpfs", options: ["sizee=1"] }),
        ),
      ],
      [
        "CONFIG_NOT_APPLIED",
        // Read-only paths of the host.
        bundle(["true"], (c) => void Object.assign(c.linux as object, { namespaces: [{ type: "uts" }] })),
      ],
      ["CONFIG_INVALID", bundle(["true"], (c) => void Object.assign(c, { ociVersion: "x" }))],
    ];
    for (const [code, { directory }] of wrong) {
      const error = errorOf(() => kontena.create({ id: `index-${process.pid}-bad`, bundle: directory }));
      expect(error.code).toBe(code as never);
      expect(leftovers()).toEqual(NOTHING);
    }
    expect({ children: children(), descriptors: descriptors() }).toEqual(before);
  });

  real(`names the option that the kernel doesn't know${skipped}`, () => {
    const { directory } = bundle(
      ["true"],
      (c) => void c.mounts?.push({ destination: "/x", type: "tmpfs", options: ["ro", "sizee=1"] }),
    );
    const error = errorOf(() => kontena.create({ id: `index-${process.pid}-bad`, bundle: directory }));
    expect(error.details.at).toMatch(/^mounts\[\d+\]\.options\[1\]$/);
    expect(error.details.hint).toContain("sizee");
  });

  real(`of start says what stopped the program${skipped}`, () => {
    const made = bundle(["/bin/app"]);
    writeFileSync(join(made.rootfs, "bin/app"), "not a program", { mode: 0o755 });
    const container = create(made);
    const error = errorOf(() => container.start());
    expect(error).toMatchObject({
      code: "EXEC_NOT_EXECUTABLE",
      details: { syscall: "execve", errno: "ENOEXEC" },
    });
    // And says it again, for as long as the container is there.
    expect(container.state().status).toBe("stopped");
    expect(errorOf(() => container.start()).code).toBe("EXEC_NOT_EXECUTABLE");
  });

  real(`tells a wrong status: started twice, deleted while it runs${skipped}`, () => {
    const container = create(bundle(["sleep", "60"]));
    container.start();
    expect(errorOf(() => container.start()).code).toBe("WRONG_STATUS");
    expect(errorOf(() => container.delete()).code).toBe("WRONG_STATUS");
    container.delete({ force: true });
    container.delete({ force: true });
    expect(errorOf(() => container.delete()).code).toBe("NOT_FOUND");
    expect(errorOf(() => container.state()).code).toBe("NOT_FOUND");
  });
});

describe("capabilities", () => {
  real(
    `that the rules of the kernel forbid are left out with a warning, and the container runs${skipped}`,
    async () => {
      const warnings: string[] = [];
      const telling = open({
        root,
        onWarning: (message, details) => warnings.push(`${details?.at} ${message}`),
      });
      const made = bundle("cat /proc/self/status > /out/status", (config) => {
        (config.process as { capabilities: object }).capabilities = {
          bounding: [],
          permitted: ["CAP_KILL"],
          inheritable: ["CAP_KILL"],
        };
      });
      const container = telling.create({ id: `index-${process.pid}-${++count}`, bundle: made.directory });
      containers.push(container);
      container.start();
      expect((await container.wait()).code).toBe(0);
      expect(readFileSync(join(made.rootfs, "out/status"), "utf8")).toMatch(/^CapInh:\s+0{16}$/m);
      expect(warnings.join()).toContain("process.capabilities.inheritable[0] CAP_KILL");
    },
  );
});

real(`a warning is told, and none is printed${skipped}`, () => {
  const warnings: string[] = [];
  const telling = open({
    root,
    onWarning: (message, details) => warnings.push(`${details?.at}: ${message}`),
  });
  const made = bundle(
    ["true"],
    (config) => void Object.assign(config.linux as object, { maskedPath: ["/x"] }),
  );
  containers.push(telling.create({ id: `index-${process.pid}-${++count}`, bundle: made.directory }));
  expect(warnings.join()).toContain("linux.maskedPath");
});

real(`this process stays what it was${skipped}`, async () => {
  const dumpable = () => rawSyscall("prctl", 3, 0, 0, 0, 0);
  create(bundle(["true"])).delete({ force: true });
  const before = {
    children: children(),
    descriptors: descriptors(),
    dumpable: dumpable(),
    cwd: process.cwd(),
  };
  for (let i = 0; i < 3; i++) {
    const container = create(bundle("exit 0"));
    container.start();
    await container.wait();
    container.delete();
  }
  expect({
    children: children(),
    descriptors: descriptors(),
    dumpable: dumpable(),
    cwd: process.cwd(),
  }).toEqual(before);
});
