/** What of the host a process on its way into a container could give away: itself, its descriptors, its program. */
import { expect } from "bun:test";
import {
  existsSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  type BundleOptions,
  KONTENA,
  openBox,
  readOr,
  statusFields,
  type TestBundle,
  type TestConfig,
  testNeeding,
  until,
} from "../integration/helpers.ts";
import { sameIds } from "./hostile.ts";
import { type Weakening, WITHOUT, weakenedIn } from "./weakened.ts";

const box = openBox("descriptors");
const weakened = weakenedIn(box);
const test = testNeeding("root", "busybox");
const ifTraced = Bun.which("strace") === null ? test.skip : test;

const BUILT = [KONTENA];
const SECRET = "a secret of the host";
const secret = join(box.directory, "secret");
writeFileSync(secret, SECRET);

/** The caller has opened the host's root, and forgot to close it: engines have done that. */
const LEAKING = { before: ["sh", "-c", 'exec 3</; exec "$@"', "sh"] };

/** All that is open in the runtime reaches init, at its number. */
const LEAKY_BIRTH: Weakening[] = [
  { file: "src/init/kit.ts", from: "{ length: preserved },", to: "{ length: 1 }," },
  {
    file: "src/init/kit.ts",
    from: 'fail: fail("cannot preserve a descriptor"),',
    to: 'otherwise: "next",',
  },
  // Nor does init close what it hasn't opened itself.
  { file: "src/plan/destination.ts", from: "range(LOWEST, cell(BELOW))", to: "range(BELOW, cell(BELOW))" },
];

function running(options: BundleOptions): TestBundle {
  const b = box.bundle(options);
  expect(box.run(b, "--detach")).toMatchObject({ status: 0, stderr: "" });
  return b;
}

/** Runs `act` on every init that shows up among the processes that the container sees; `$p` is its directory in /proc. */
const spying = (act: string) =>
  `while :; do for p in /proc/[0-9]*; do
     read -r name 2>/dev/null <$p/comm || continue
     [ "$name" = kontena-init ] || continue
     ${act}
   done; usleep 2000; done`;

function allRights(config: TestConfig): void {
  config.root.readonly = false;
  sameIds(config);
  const all = ["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_KILL"];
  config.process.capabilities = { bounding: all, effective: all, permitted: all };
}

/** A container in the pid and user namespaces of another, as those of a pod are. */
function neighbourOf(b: TestBundle): TestBundle {
  const { pid } = box.state(b.id);
  return box.bundle({
    patch: (config) => {
      const shared = ["pid", "user"] as const;
      config.linux.namespaces = [
        ...(config.linux.namespaces ?? []).filter(({ type }) => type !== "pid"),
        ...shared.map((type) => ({ type, path: `/proc/${pid}/ns/${type}` })),
      ];
    },
  });
}

test("CVE-2016-9962: a container sees another's waiting init in their pid namespace, and reads nothing through it", async () => {
  const spy = running({
    args: spying("ls -l $p/fd >>/seen 2>&1; cat $p/fd/*/state.json >>/stolen 2>/dev/null; echo >>/looked"),
    patch: allRights,
  });
  const found = (name: string) => readOr(join(spy.rootfs, name), "");
  const attack = async (program: readonly string[]) => {
    const victim = neighbourOf(spy);
    const created = box.kontena(["create", "--bundle", victim.directory, victim.id], { program });
    expect(created).toMatchObject({ status: 0, stderr: "" });
    const before = found("looked").length;
    await until("it has looked at the waiting init", () => found("looked").length > before + 1);
    box.kontena(["delete", "--force", victim.id]);
  };
  await attack(BUILT);
  expect(found("seen")).toContain("Permission denied");
  expect(found("seen")).not.toContain("->");
  expect(found("stolen")).toBe("");
  await attack(weakened(WITHOUT.dumpable));
  // The state directory of the host, of which only a waiting init has the descriptor.
  expect(found("stolen")).toContain('"rootfs"');
});

ifTraced(
  "CVE-2016-9962: a process that is executed into a container can't be looked into before its program runs",
  () => {
    const results: string[] = [];
    for (const program of [BUILT, weakened(WITHOUT.dumpable)]) {
      const spy = running({
        // Nothing but what every container has: the rights of the process to come are the same by then.
        args: spying("ls -l $p/fd >>/seen 2>&1"),
        patch: (config) => {
          config.root.readonly = false;
        },
      });
      const late = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=execve:delay_enter=200000"];
      expect(box.kontena(["exec", spy.id, "true"], { program, before: late })).toMatchObject({ status: 0 });
      const seen = readFileSync(join(spy.rootfs, "seen"), "utf8");
      results.push(seen);
      box.kontena(["delete", "--force", spy.id]);
    }
    expect(results[0]).toContain("Permission denied");
    // Its end of the conversation, which it has until execve.
    expect(results[0]).not.toContain("-> socket:");
    expect(results[1]).toContain("-> socket:");
  },
);

test("CVE-2016-9962: no descriptor that the caller has left open reaches a program, of run, exec or a hook", () => {
  const leaky = weakened(
    ...LEAKY_BIRTH,
    {
      file: "src/plan/process.ts",
      from: "args: [3 + preserveFds, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC],",
      to: "args: [4, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC],",
    },
    {
      file: "src/plan/order.ts",
      from: 'sweep("all"), workingDirectory(input), sweep("all")',
      to: "workingDirectory(input)",
    },
    {
      file: "src/plan/exec.ts",
      from: 'sweep("all"), workingDirectory(input), sweep("all")',
      to: "workingDirectory(input)",
    },
    {
      file: "src/plan/hook.ts",
      from: "args: [3, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC],",
      to: "args: [4, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC],",
    },
  );
  for (const program of [BUILT, leaky]) {
    const hooked = box.next();
    const script = `ls -l /proc/self/fd >${box.directory}/${hooked}`;
    const b = box.bundle({
      args: "ls -l /proc/self/fd; exec sleep 1000",
      patch: (config) => {
        config.hooks = {
          createRuntime: [{ path: "/bin/busybox", args: ["sh", "-c", script] }],
        };
      },
    });
    const given = { program, ...LEAKING };
    const run = box.kontena(["run", "--detach", "--bundle", b.directory, b.id], given);
    expect(run.status).toBe(0);
    Bun.sleepSync(100);
    const executed = box.kontena(["exec", b.id, "ls", "-l", "/proc/self/fd"], given);
    // What ls has open itself is the directory that it reads.
    const toRoot = (text: string) => / 3 -> \/\n/.test(text);
    const all = [run.output(), executed.stdout, readFileSync(join(box.directory, hooked), "utf8")];
    for (const text of all) expect(text).toContain("-> ");
    expect(all.map(toRoot)).toEqual(all.map(() => program === leaky));
  }
});

/** The program of every init becomes a file of the host, which is what runc's was. */
const HOST_PROGRAM: Weakening = {
  file: "src/init/init-file.ts",
  from: "  const flags = MFD.MFD_CLOEXEC | MFD.MFD_ALLOW_SEALING;",
  to: `  const { openSync, writeFileSync } = require("node:fs") as typeof import("node:fs");
  const hosts = process.env["HOST_PROGRAM"] ?? "";
  writeFileSync(hosts, image, { mode: 0o755 });
  if (hosts !== "") return openSync(hosts, "r");
  const flags = MFD.MFD_CLOEXEC | MFD.MFD_ALLOW_SEALING;`,
};
const UNSEALED: Weakening = {
  file: "src/init/init-file.ts",
  from: '  syscall("fcntl", fd, F.F_ADD_SEALS, seals);',
  to: "",
};

/** Opens init's program, waits until nobody executes it any more, and writes to it. */
const OVERWRITE = spying(
  `cat $p/exe >/dev/null 2>&1 && exec 9<$p/exe && echo >/opened && for i in 1 2 3 4 5 6 7 8 9; do
     (echo overwritten >/proc/self/fd/9) 2>/dev/null && echo >/written && break; usleep 20000
   done && exec 9<&- && echo >/tried`,
);

test("CVE-2019-5736: the program that a container's processes begin as can't be opened by others, nor written to", async () => {
  const file = join(box.directory, "program");
  const spy = running({ args: OVERWRITE, patch: allRights });
  const at = (name: string) => join(spy.rootfs, name);
  const attack = async (program: readonly string[]) => {
    const victim = neighbourOf(spy);
    const given = { program, env: { PATH: process.env["PATH"] ?? "", HOST_PROGRAM: file } };
    expect(box.kontena(["create", "--bundle", victim.directory, victim.id], given).status).toBe(0);
    const executable = readlinkSync(`/proc/${box.state(victim.id).pid}/exe`);
    // Only somebody who isn't refused gets further; it writes when the program has ended.
    if (program === BUILT) await Bun.sleep(200);
    else await until("it has opened the program", () => existsSync(at("opened")));
    box.kontena(["delete", "--force", victim.id]);
    if (program !== BUILT) await until("it has tried", () => existsSync(at("tried")));
    const result = { executable, opened: existsSync(at("opened")), written: existsSync(at("written")) };
    for (const name of ["opened", "written", "tried"]) rmSync(at(name), { force: true });
    return result;
  };
  const before = statSync(KONTENA);
  const executable = "/memfd:kontena-init (deleted)";
  expect(await attack(BUILT)).toEqual({ executable, opened: false, written: false });
  // Each protection does without the other.
  expect(await attack(weakened(WITHOUT.dumpable))).toEqual({ executable, opened: true, written: false });
  expect(await attack(weakened(WITHOUT.dumpable, UNSEALED))).toEqual({
    executable,
    opened: true,
    written: true,
  });
  expect(await attack(weakened(WITHOUT.dumpable, HOST_PROGRAM))).toEqual({
    executable: file,
    opened: true,
    written: true,
  });
  expect(readFileSync(file, "utf8")).toBe("overwritten\n");
  const after = statSync(KONTENA);
  expect([after.ino, after.mtimeMs, after.size]).toEqual([before.ino, before.mtimeMs, before.size]);
});

test("CVE-2019-5736: a program that is /proc/self/exe, or a script for it, is init without a plan: it ends at once", () => {
  const script = (rootfs: string) =>
    writeFileSync(join(rootfs, "script"), "#!/proc/self/exe\n", { mode: 0o755 });
  const sleeping = running({ args: ["sleep", "1000"], fill: script });
  for (const name of ["/proc/self/exe", "/script"]) {
    const { status, stdout, stderr } = box.run(box.bundle({ args: [name], fill: script }));
    expect({ name, status, stdout, stderr }).toEqual({ name, status: 125, stdout: "", stderr: "" });
    expect(box.kontena(["exec", sleeping.id, name])).toMatchObject({ status: 125, stdout: "", stderr: "" });
  }
});

/** The protections of a working directory, taken out one after the other. */
const CWD: Weakening[] = [
  {
    file: "src/plan/process.ts",
    from: "    resolve: RESOLVE.RESOLVE_NO_MAGICLINKS,\n",
    to: "    resolve: 0,\n",
  },
  { file: "src/container/results.ts", from: 'if (memory[cwd] !== "/".charCodeAt(0))', to: "if (cwd < 0)" },
];
const SWEPT: Weakening[] = ["src/plan/order.ts", "src/plan/exec.ts"].map((file) => ({
  file,
  from: 'sweep("all"), workingDirectory(input)',
  to: "workingDirectory(input)",
}));

/** Numbers that a descriptor of init or of the caller may have. */
const NUMBERS = Array.from({ length: 16 }, (_, i) => i + 3);

test("CVE-2024-21626: a working directory that is one of init's descriptors is refused, also through a symlink of the image", () => {
  const reach = (program: readonly string[], cwd: string) => {
    const b = box.bundle({
      args: `cat ../../../../../../../..${secret}`,
      patch: (config) => {
        config.process.cwd = cwd;
      },
      fill: links,
    });
    return box.kontena(["run", "--bundle", b.directory, b.id], { program, ...LEAKING });
  };
  for (const n of NUMBERS) {
    const cwd = n % 2 === 0 ? `/proc/self/fd/${n}` : `/link${n}`;
    const { status, stdout } = reach(BUILT, cwd);
    expect({ cwd, status, stdout }).toEqual({ cwd, status: 1, stdout: "" });
  }
  const open = weakened(...CWD, ...SWEPT, ...LEAKY_BIRTH);
  expect(reach(open, "/link3").stdout).toBe(SECRET);
  // The directory is open, and a magic link leads there: what getcwd(2) says is enough.
  const checked = reach(weakened(CWD[0] as Weakening, ...SWEPT, ...LEAKY_BIRTH), "/link3");
  expect(checked.stdout).toBe("");
  expect(checked.stderr).toContain("process.cwd: the working directory is outside");
});

test("CVE-2024-21626: exec --cwd is held to the same", () => {
  const b = running({ args: ["sleep", "1000"], fill: links });
  const reach = (program: readonly string[], cwd: string) =>
    box.kontena(["exec", "--cwd", cwd, b.id, "sh", "-c", `cat ../../../../../../../..${secret}`], {
      program,
      ...LEAKING,
    });
  for (const n of NUMBERS) {
    const cwd = n % 2 === 0 ? `/proc/self/fd/${n}` : `/link${n}`;
    const { status, stdout } = reach(BUILT, cwd);
    expect({ cwd, status, stdout }).toEqual({ cwd, status: 255, stdout: "" });
  }
  expect(reach(weakened(...CWD, ...SWEPT, ...LEAKY_BIRTH), "/proc/self/fd/3").stdout).toBe(SECRET);
});

function links(rootfs: string): void {
  for (const n of NUMBERS) symlinkSync(`/proc/self/fd/${n}`, join(rootfs, `link${n}`));
}

test("CVE-2022-29162: capabilities that exec adds aren't inheritable, so no file of the image raises them", () => {
  const b = running({ args: ["sleep", "1000"] });
  const inheritable = (program: readonly string[]) =>
    statusFields(
      box.kontena(["exec", "--cap", "CAP_NET_RAW", b.id, "cat", "/proc/self/status"], { program }).stdout,
    )["CapInh"];
  const none = "0".repeat(16);
  expect(statusFields(box.kontena(["exec", b.id, "cat", "/proc/self/status"]).stdout)["CapInh"]).toBe(none);
  expect(inheritable(BUILT)).toBe(none);
  const weak = weakened({
    file: "src/container/exec-process.ts",
    from: 'set === "inheritable" || (set === "ambient"',
    to: '(set === "ambient"',
  });
  expect(inheritable(weak)).not.toBe(none);
});
