/** linux.seccomp from inside: what the kernel does with calls of a program in a container. */
import { test as bunTest, describe, expect } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Seccomp } from "../../spec/seccomp.ts";
import { ARCH, syscallNumber } from "../../src/kernel/syscalls.ts";
import { engineProfile, PROFILE } from "../seccomp/helpers.ts";
import { openBox, statusFields, type TestConfig, test, testWhen } from "./helpers.ts";
import {
  asProbe,
  callOfX86,
  denying,
  failedWith,
  KILLED,
  oneCall,
  takesCallsOfX86,
} from "./seccomp-helpers.ts";

const box = openBox("seccomp");
const onX64 = testWhen(ARCH === "x64");

const withFilter = (seccomp: Seccomp, more?: (config: TestConfig) => void) => (config: TestConfig) => {
  config.linux.seccomp = seccomp;
  more?.(config);
};

/** JSON.stringify knows no bigint: one becomes text here, and a number in the file. */
const asText = (seccomp: Seccomp) =>
  JSON.parse(
    JSON.stringify(seccomp, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value)),
  ) as Seccomp;

function statusOfProbe(program: Uint8Array, seccomp: Seccomp): number {
  const bundle = box.bundle({ args: ["/probe"], patch: withFilter(asText(seccomp)), fill: asProbe(program) });
  const path = join(bundle.directory, "config.json");
  writeFileSync(path, readFileSync(path, "utf8").replace(/"(\d+)n"/g, "$1"));
  const finished = box.run(bundle);
  expect(finished.stderr).toBe("");
  return finished.status;
}

describe("actions", () => {
  test.each([
    ["SCMP_ACT_ERRNO", failedWith(1)],
    ["SCMP_ACT_KILL", KILLED],
    ["SCMP_ACT_KILL_THREAD", KILLED],
    ["SCMP_ACT_KILL_PROCESS", KILLED],
    ["SCMP_ACT_TRAP", KILLED],
    // Without a tracer, ENOSYS.
    ["SCMP_ACT_TRACE", failedWith(38)],
    ["SCMP_ACT_LOG", 0],
    ["SCMP_ACT_ALLOW", 0],
  ] as const)("%s", (action, status) => {
    expect(statusOfProbe(oneCall("getppid"), denying(action, "getppid"))).toBe(status);
    expect(statusOfProbe(oneCall("umask", 0o22), denying(action, "getppid"))).toBe(0o22);
  });

  test("errnoRet and defaultErrnoRet are what the program sees", () => {
    const seccomp: Seccomp = {
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 95,
      syscalls: [
        { names: ["execve", "mmap", "exit_group", "capset", "sethostname"], action: "SCMP_ACT_ALLOW" },
        { names: ["getppid"], action: "SCMP_ACT_ERRNO", errnoRet: 77 },
      ],
    };
    expect(statusOfProbe(oneCall("getppid"), seccomp)).toBe(failedWith(77));
    expect(statusOfProbe(oneCall("umask", 0), seccomp)).toBe(failedWith(95));
  });

  test("conditions see all 64 bits of an argument", () => {
    const value = 0xffff_ffff_0000_0001n;
    const seccomp: Seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [
        {
          names: ["getppid"],
          action: "SCMP_ACT_ERRNO",
          args: [
            { index: 0, op: "SCMP_CMP_EQ", value },
            {
              index: 5,
              op: "SCMP_CMP_MASKED_EQ",
              value: 0xff00_0000_0000_0000n,
              valueTwo: 0x8000_0000_0000_0000n,
            },
          ],
        },
      ],
    };
    const seen = (...args: bigint[]) => statusOfProbe(oneCall("getppid", ...args), seccomp);
    expect(seen(value, 0n, 0n, 0n, 0n, 0x80ff_0000_0000_0001n)).toBe(failedWith(1));
    expect(seen(value, 0n, 0n, 0n, 0n, 0x81ff_0000_0000_0001n)).toBe(0);
    expect(seen(1n, 0n, 0n, 0n, 0n, 0x80ff_0000_0000_0001n)).toBe(0);
  });
});

describe("architectures", () => {
  const named = (...architectures: NonNullable<Seccomp["architectures"]>): Seccomp => ({
    ...denying("SCMP_ACT_ERRNO", "getpid"),
    architectures,
  });

  const name = "a call of x86 is killed unless the profile names x86, and then decided by its own number";
  if (!takesCallsOfX86()) bunTest.skip(`${name} (skipped: the kernel takes no calls of x86)`, () => {});
  else
    test(name, () => {
      expect(statusOfProbe(callOfX86(), named())).toBe(KILLED);
      expect(statusOfProbe(callOfX86(), named("SCMP_ARCH_X86"))).toBe(failedWith(1));
    });

  onX64("a call of x32 likewise", () => {
    const program = oneCall(syscallNumber("getpid") | 0x4000_0000);
    expect(statusOfProbe(program, named("SCMP_ARCH_X86_64"))).toBe(KILLED);
    expect(statusOfProbe(program, named("SCMP_ARCH_X32"))).toBe(failedWith(1));
  });
});

test("a system call newer than the profile gets ENOSYS, an older one that it leaves out its default", () => {
  const seccomp: Seccomp = {
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [{ names: ["execve", "mmap", "exit_group", "capset", "openat2"], action: "SCMP_ACT_ALLOW" }],
  };
  // The kernel has all three: 434, 438 and 439.
  expect(statusOfProbe(oneCall("pidfd_open", 1, 0), seccomp)).toBe(failedWith(1));
  expect(statusOfProbe(oneCall("pidfd_getfd", -1, 0, 0), seccomp)).toBe(failedWith(38));
  expect(statusOfProbe(oneCall("faccessat2", -1, 0, 0, 0), seccomp)).toBe(failedWith(38));
});

describe("rights", () => {
  const SETS = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Uid", "Groups"];
  const capabilities = ["CAP_KILL", "CAP_CHOWN"];
  const fieldsOf = (seccomp: Seccomp | undefined, change: (config: TestConfig) => void) =>
    statusFields(
      box.outputOf({
        args: ["cat", "/proc/self/status"],
        // Another user's root can't make them.
        fill: (rootfs) => {
          for (const name of ["proc", "sys", "dev"]) mkdirSync(join(rootfs, name));
        },
        patch: (config) => {
          if (seccomp !== undefined) config.linux.seccomp = seccomp;
          change(config);
        },
      }),
    );
  const pick = (fields: Record<string, string>) =>
    Object.fromEntries(SETS.map((name) => [name, fields[name]]));

  test.each([
    [true, 0, "own"],
    [true, 1000, "own"],
    [false, 0, "own"],
    [false, 1000, "own"],
    [false, 0, "none"],
    [false, 1000, "none"],
    [false, 1000, "ambient"],
    [true, 1000, "ambient"],
    [false, 1000, "absent"],
    [false, 0, "absent"],
  ] as const)(
    "noNewPrivileges %p, uid %i, %s capabilities: the filter is there and changes nothing of them",
    (noNewPrivileges, uid, kind) => {
      const sets = { bounding: capabilities, permitted: capabilities, effective: capabilities };
      const change = (config: TestConfig) => {
        config.process.noNewPrivileges = noNewPrivileges;
        config.process.user = { uid, gid: 0, additionalGids: [5] };
        if (kind === "absent") delete config.process.capabilities;
        else if (kind === "none") config.process.capabilities = {};
        else
          config.process.capabilities =
            kind === "own" ? sets : { ...sets, inheritable: capabilities, ambient: ["CAP_KILL"] };
      };
      const without = fieldsOf(undefined, change);
      const filtered = fieldsOf(denying("SCMP_ACT_ERRNO", "mkdir"), change);
      expect([without["Seccomp"], filtered["Seccomp"]]).toEqual(["0", "2"]);
      expect(pick(filtered)).toEqual(pick(without));
      expect(filtered["NoNewPrivs"]).toBe(noNewPrivileges ? "1" : "0");
    },
  );

  test("in a user namespace its root loads the filter", () => {
    for (const noNewPrivileges of [true, false]) {
      const fields = fieldsOf(denying("SCMP_ACT_ERRNO", "mkdir"), (config) => {
        config.process.noNewPrivileges = noNewPrivileges;
        config.linux.namespaces?.push({ type: "user" });
        config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
        config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
      });
      expect(fields["Seccomp"]).toBe("2");
    }
  });

  test("a process that exec adds has the same filter", () => {
    const bundle = box.bundle({
      args: ["sleep", "100"],
      patch: withFilter(denying("SCMP_ACT_ERRNO", "mkdir", "mkdirat")),
    });
    expect(box.run(bundle, "--detach").status).toBe(0);
    const added = box.kontena(["exec", bundle.id, "sh", "-c", "cat /proc/self/status; mkdir /tmp/x"]);
    expect(statusFields(added.stdout)["Seccomp"]).toBe("2");
    expect(added.stderr).toContain("mkdir: can't create directory '/tmp/x': Operation not permitted");
  });
});

test("every flag is taken; the default is speculation as it is, and an empty list is none", () => {
  const flags = (list?: Seccomp["flags"]) => {
    const bundle = box.bundle({
      patch: withFilter({
        ...denying("SCMP_ACT_ERRNO", "mkdir"),
        ...(list === undefined ? {} : { flags: list }),
      }),
    });
    expect(box.run(bundle).status).toBe(0);
    const { stdout } = box.kontena(["explain", "--bundle", bundle.directory]);
    expect(stdout).toMatch(/compile a filter of \d+ instructions.*\n\s*\[linux\.seccomp\]/);
    return /seccomp\(SECCOMP_SET_MODE_FILTER, (\S+), /.exec(stdout)?.[1];
  };
  expect(flags()).toBe("SECCOMP_FILTER_FLAG_SPEC_ALLOW");
  expect(flags([])).toBe("0");
  expect(flags(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"])).toBe(
    "SECCOMP_FILTER_FLAG_TSYNC|SECCOMP_FILTER_FLAG_LOG",
  );
  // Without notifications the kernel refuses it.
  expect(flags(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])).toBe("0");
});

test("unknown names are skipped; --debug tells them", () => {
  const bundle = box.bundle({ patch: withFilter(denying("SCMP_ACT_ERRNO", "no_such_call", "mkdir")) });
  const { status, stderr } = box.kontena(["--debug", "run", "--bundle", bundle.directory, bundle.id], {
    globals: ["--root", box.root],
  });
  expect(status).toBe(0);
  expect(stderr).toContain('linux.seccomp.syscalls[0].names[0]: "no_such_call" is skipped');
});

describe("the profile of Debian's engines", () => {
  const engineTest = existsSync(PROFILE) && ARCH === "x64" ? test : bunTest.skip;
  const script =
    "hostname; mkdir /dev/shm/d && ls -d /dev/shm/d; busybox chroot / /bin/true; sleep 0.01 & wait; echo done";

  engineTest.each([true, false])("lets a shell work (noNewPrivileges %p)", (noNewPrivileges) => {
    const bundle = box.bundle({
      args: script,
      patch: withFilter(engineProfile(), (config) => {
        config.process.noNewPrivileges = noNewPrivileges;
      }),
    });
    const { status, stdout, stderr } = box.run(bundle);
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: `${bundle.config.hostname}\n/dev/shm/d\ndone\n`,
      stderr: "chroot: can't change root directory to '/': Operation not permitted\n",
    });
  });
});

describe("compiled filters", () => {
  const directory = join(box.root, "@seccomp");
  const files = () => (existsSync(directory) ? readdirSync(directory) : []);
  const start = (seccomp: Seccomp) => {
    const bundle = box.bundle({ args: "mkdir /tmp/x", patch: withFilter(seccomp) });
    expect(box.create(bundle)).toMatchObject({ status: 0, stderr: "" });
    box.kontena(["delete", "--force", bundle.id]);
  };
  const fresh = () => denying("SCMP_ACT_ERRNO", "mkdir", `call_${Math.random()}`);

  test("are kept by what enters them, and made anew when they aren't whole", () => {
    const before = files();
    const seccomp = fresh();
    start(seccomp);
    const [name = ""] = files().filter((file) => !before.includes(file));
    expect(name).toMatch(/^[0-9a-f]{64}$/);
    const path = join(directory, name);
    const { size, mode, mtimeMs } = statSync(path);
    expect([mode & 0o777, statSync(directory).mode & 0o777]).toEqual([0o600, 0o700]);
    start({ ...seccomp, flags: ["SECCOMP_FILTER_FLAG_LOG"] });
    expect(files().length).toBe(before.length + 1);
    expect(statSync(path).mtimeMs).toBe(mtimeMs);
    truncateSync(path, size - 8);
    start(seccomp);
    expect(statSync(path).size).toBe(size);
  });

  test("aren't taken from a directory that others may write to", () => {
    start(fresh());
    const before = files();
    chmodSync(directory, 0o777);
    start(fresh());
    expect(files()).toEqual(before);
    chmodSync(directory, 0o700);
  });
});

describe("without libseccomp", () => {
  const places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
  const library = places.map((place) => join(place, "libseccomp.so.2")).find(existsSync);
  const hidden = [
    ...["unshare", "--mount", "--propagation", "private", "sh", "-c"],
    ...['mount --bind /dev/null "$0" && exec "$@"', library === undefined ? "" : realpathSync(library)],
  ];

  testWhen(library !== undefined)("a profile is an error that names the package, and only a profile", () => {
    const bundle = box.bundle({ patch: withFilter(denying("SCMP_ACT_ERRNO", "mkdir")) });
    const refused = box.kontena(["run", "--bundle", bundle.directory, bundle.id], { before: hidden });
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(
      /linux\.seccomp: libseccomp\.so\.2 can't be loaded: .*libseccomp2 on Debian/,
    );
    const plain = box.bundle();
    const ran = box.kontena(["run", "--bundle", plain.directory, plain.id], { before: hidden });
    expect(ran).toMatchObject({ status: 0, stderr: "" });
  });
});
