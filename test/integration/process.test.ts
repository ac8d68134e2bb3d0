/** The program's process: which file, where, with what environment, ids, capabilities and limits. */
import { expect } from "bun:test";
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CAPABILITIES, type CapabilityName } from "../../src/kernel/consts/capability.ts";
import { boundingSet, hasCapability, openBox, statusFields, type TestConfig, test } from "./helpers.ts";

const box = openBox("process");

/** /proc/self/status of a program with this process. */
function statusOf(patch: (config: TestConfig) => void): Record<string, string> {
  return statusFields(box.outputOf({ args: ["cat", "/proc/self/status"], patch }));
}

/** A script in the root file system that says where it is. */
function putScript(rootfs: string, path: string, mode = 0o755): void {
  mkdirSync(join(rootfs, path, ".."), { recursive: true });
  writeFileSync(join(rootfs, path), `#!/bin/sh\necho ${path}\n`);
  chmodSync(join(rootfs, path), mode);
}

test("the program is the first one in the container's PATH", () => {
  const output = box.outputOf({
    args: ["prog"],
    fill: (rootfs) => {
      putScript(rootfs, "/second/prog");
      putScript(rootfs, "/third/prog");
    },
    patch: (config) => {
      config.process.env = ["PATH=/first:/second:/third"];
    },
  });
  expect(output).toBe("/second/prog\n");
});

test("a file that can't be executed is passed over in PATH", () => {
  const output = box.outputOf({
    args: ["prog"],
    fill: (rootfs) => {
      putScript(rootfs, "/first/prog", 0o644);
      putScript(rootfs, "/second/prog");
    },
    patch: (config) => {
      config.process.env = ["PATH=/first:/second"];
    },
  });
  expect(output).toBe("/second/prog\n");
});

test("kontena's own PATH doesn't matter", () => {
  const b = box.bundle({ args: ["echo", "found"] });
  const { status, stdout } = box.kontena(["run", "--bundle", b.directory, b.id], { env: { PATH: "/nowhere" } });
  expect({ status, stdout }).toEqual({ status: 0, stdout: "found\n" });
});

test("without a PATH in the environment, /bin is searched", () => {
  const output = box.outputOf({
    args: ["echo", "found"],
    patch: (config) => {
      config.process.env = [];
    },
  });
  expect(output).toBe("found\n");
});

test("a path with a slash is relative to the working directory", () => {
  const output = box.outputOf({
    args: ["sub/prog"],
    fill: (rootfs) => putScript(rootfs, "/work/sub/prog"),
    patch: (config) => {
      config.process.cwd = "/work";
    },
  });
  expect(output).toBe("/work/sub/prog\n");
});

test("an empty element of PATH is the working directory", () => {
  const output = box.outputOf({
    args: ["prog"],
    fill: (rootfs) => putScript(rootfs, "/work/prog"),
    patch: (config) => {
      config.process.cwd = "/work";
      config.process.env = ["PATH=/first::/bin"];
    },
  });
  expect(output).toBe("/work/prog\n");
});

test("arguments arrive byte by byte", () => {
  const odd = ["", "two words", "$HOME", "new\nline", "ü€😀", "'\"\\", "--help"];
  const script = 'for a; do echo "[$a]"; done';
  const output = box.outputOf({ args: ["sh", "-c", script, "sh", ...odd] });
  expect(output).toBe(odd.map((a) => `[${a}]\n`).join(""));
});

test("args[0] is what the program is called by", () => {
  expect(box.outputOf({ args: ["cat", "/proc/self/cmdline"] })).toBe("cat\0/proc/self/cmdline\0");
});

test("the environment is exactly the config's, in its order", () => {
  const env = ["Z=last letter first", "PATH=/bin", "EMPTY=", "A=1=2", "UTF8=ü😀"];
  const output = box.outputOf({
    args: ["cat", "/proc/self/environ"],
    patch: (config) => {
      config.process.env = env;
    },
  });
  expect(output).toBe(env.map((e) => `${e}\0`).join(""));
});

test("an environment that isn't there is empty", () => {
  const output = box.outputOf({
    args: ["/bin/cat", "/proc/self/environ"],
    patch: (config) => {
      delete config.process.env;
    },
  });
  expect(output).toBe("");
});

test("the program starts in the working directory", () => {
  const output = box.outputOf({
    args: ["pwd"],
    fill: (rootfs) => mkdirSync(join(rootfs, "a/b"), { recursive: true }),
    patch: (config) => {
      config.process.cwd = "/a/b";
    },
  });
  expect(output).toBe("/a/b\n");
});

test("a missing working directory is made", () => {
  const b = box.bundle({
    args: ["pwd"],
    patch: (config) => {
      config.process.cwd = "/new/deep/place";
      config.root.readonly = false;
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "/new/deep/place\n", stderr: "" });
  expect(statSync(join(b.rootfs, "new/deep/place")).mode & 0o777).toBe(0o755);
});

test("a missing working directory in a read-only root is an error that names it", () => {
  const b = box.bundle({
    patch: (config) => {
      config.process.cwd = "/new";
    },
  });
  const { status, stderr } = box.run(b);
  expect(status).toBe(1);
  expect(stderr).toContain("process.cwd");
});

test("a working directory through a symlink stays inside of the root", () => {
  const b = box.bundle({
    args: ["pwd", "-P"],
    fill: (rootfs) => {
      symlinkSync(box.directory, join(rootfs, "link"));
    },
    patch: (config) => {
      config.process.cwd = "/link";
      config.root.readonly = false;
    },
  });
  const { status, stdout } = box.run(b);
  // What the link names isn't there in the container: an error, or made there; never the host's.
  if (status === 0) expect(existsSync(join(b.rootfs, stdout.trim()))).toBe(true);
});

test("a working directory in /proc/self/fd is refused", () => {
  for (const fd of ["3", "7", "8", "9"]) {
    const b = box.bundle({
      args: ["ls", "../../.."],
      patch: (config) => {
        config.process.cwd = `/proc/self/fd/${fd}`;
      },
    });
    const { status, stdout } = box.run(b);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  }
});

test("uid, gid and groups are exactly the config's", () => {
  const fields = statusOf((config) => {
    config.process.user = { uid: 1001, gid: 1002, additionalGids: [5, 1003, 70000] };
  });
  expect(fields).toMatchObject({ Uid: "1001\t1001\t1001\t1001", Gid: "1002\t1002\t1002\t1002" });
  expect((fields["Groups"] ?? "").trim()).toBe("5 1003 70000");
});

test("without additionalGids the program has no additional groups", () => {
  expect((statusOf(() => {})["Groups"] ?? "").trim()).toBe("");
});

test("the umask is the config's", () => {
  const fields = statusOf((config) => {
    config.process.user = { uid: 0, gid: 0, umask: 0o27 };
  });
  expect(fields["Umask"]).toBe("0027");
});

test("the umask is 022 when the config has none, whatever the caller's is", () => {
  const b = box.bundle({ args: "umask" });
  const options = { before: ["sh", "-c", 'umask 077; exec "$0" "$@"'] };
  expect(box.kontena(["run", "--bundle", b.directory, b.id], options)).toMatchObject({ status: 0, stdout: "0022\n" });
});

const SETS = { CapBnd: "bounding", CapEff: "effective", CapPrm: "permitted", CapInh: "inheritable", CapAmb: "ambient" } as const;

function bits(names: readonly string[]): bigint {
  return names.reduce((sum, name) => sum | (1n << BigInt(CAPABILITIES.indexOf(name as CapabilityName))), 0n);
}

function capabilitiesIn(fields: Record<string, string>) {
  return Object.fromEntries(Object.entries(SETS).map(([field, set]) => [set, BigInt(`0x${fields[field]}`)]));
}

test("the five capability sets of root are what the kernel makes of those asked for", () => {
  const asked = {
    bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
    permitted: ["CAP_CHOWN", "CAP_KILL"],
    effective: ["CAP_KILL"],
    inheritable: ["CAP_CHOWN"],
    ambient: [],
  };
  const fields = statusOf((config) => {
    config.process.capabilities = asked;
    config.process.noNewPrivileges = false;
  });
  // capabilities(7): at execve root's permitted set becomes inheritable | bounding, and effective the same.
  expect(capabilitiesIn(fields)).toEqual({
    bounding: bits(asked.bounding),
    permitted: bits(asked.bounding),
    effective: bits(asked.bounding),
    inheritable: bits(asked.inheritable),
    ambient: 0n,
  });
});

test("with noNewPrivileges root keeps the permitted set that was asked for and gains nothing", () => {
  const asked = { bounding: ["CAP_CHOWN", "CAP_KILL"], permitted: ["CAP_KILL"], effective: ["CAP_KILL"], inheritable: [], ambient: [] };
  const fields = statusOf((config) => {
    config.process.capabilities = asked;
    config.process.noNewPrivileges = true;
  });
  expect(capabilitiesIn(fields)).toEqual({
    bounding: bits(asked.bounding),
    permitted: bits(asked.permitted),
    effective: bits(asked.effective),
    inheritable: 0n,
    ambient: 0n,
  });
});

test("the capability sets of another user are the ambient ones, bounded as asked", () => {
  const asked = {
    bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
    permitted: ["CAP_CHOWN", "CAP_KILL"],
    effective: ["CAP_CHOWN", "CAP_KILL"],
    inheritable: ["CAP_CHOWN", "CAP_KILL"],
    ambient: ["CAP_KILL"],
  };
  const fields = statusOf((config) => {
    config.process.user = { uid: 1000, gid: 1000 };
    config.process.capabilities = asked;
  });
  expect(capabilitiesIn(fields)).toEqual({
    bounding: bits(asked.bounding),
    permitted: bits(asked.ambient),
    effective: bits(asked.ambient),
    inheritable: bits(asked.inheritable),
    ambient: bits(asked.ambient),
  });
});

test("another user without ambient capabilities has none", () => {
  const fields = statusOf((config) => {
    config.process.user = { uid: 1000, gid: 1000 };
  });
  expect(capabilitiesIn(fields)).toMatchObject({ permitted: 0n, effective: 0n, ambient: 0n });
});

test("empty capability sets leave root with nothing", () => {
  const fields = statusOf((config) => {
    config.process.capabilities = { bounding: [], permitted: [], effective: [], inheritable: [], ambient: [] };
  });
  expect(Object.values(capabilitiesIn(fields))).toEqual([0n, 0n, 0n, 0n, 0n]);
});

test("all the capabilities that this machine's root has can be asked for", () => {
  const all = CAPABILITIES.filter((_, number) => hasCapability(number));
  const fields = statusOf((config) => {
    config.process.capabilities = { bounding: all, permitted: all, effective: all, inheritable: all, ambient: all };
  });
  for (const set of Object.values(capabilitiesIn(fields))) expect(set).toBe(boundingSet());
});

const lacking = CAPABILITIES.find((_, number) => number < 38 && !hasCapability(number));

test.skipIf(lacking === undefined)("a capability that this machine's root lacks is a warning, not a failure", () => {
  const asked = ["CAP_KILL", lacking ?? ""];
  const b = box.bundle({
    args: ["cat", "/proc/self/status"],
    patch: (config) => {
      config.process.capabilities = { bounding: asked, permitted: asked, effective: asked, inheritable: [], ambient: [] };
    },
  });
  const { status, stdout, stderr } = box.run(b);
  expect(status).toBe(0);
  expect(stderr).toContain("warning");
  expect(stderr).toContain(lacking ?? "");
  expect(stderr).toContain("process.capabilities.bounding[1]");
  expect(capabilitiesIn(statusFields(stdout))).toMatchObject({ bounding: bits(["CAP_KILL"]) });
});

test("noNewPrivileges is set when asked for, and only then", () => {
  for (const asked of [true, false]) {
    const fields = statusOf((config) => {
      config.process.noNewPrivileges = asked;
    });
    expect(fields["NoNewPrivs"]).toBe(asked ? "1" : "0");
  }
});

test("rlimits are exactly the config's, also very low ones", () => {
  const output = box.outputOf({
    args: ["cat", "/proc/self/limits"],
    patch: (config) => {
      config.process.rlimits = [
        { type: "RLIMIT_NOFILE", soft: 4, hard: 8 },
        { type: "RLIMIT_CORE", soft: 0, hard: 1000 },
        { type: "RLIMIT_NPROC", soft: 100, hard: 200 },
        { type: "RLIMIT_FSIZE", soft: 4096, hard: 8192 },
        { type: "RLIMIT_STACK", soft: 1048576, hard: 2097152 },
      ];
    },
  });
  const limit = (name: string) => new RegExp(`^${name}\\s+(\\S+)\\s+(\\S+)`, "m").exec(output)?.slice(1);
  expect({
    files: limit("Max open files"),
    core: limit("Max core file size"),
    processes: limit("Max processes"),
    size: limit("Max file size"),
    stack: limit("Max stack size"),
  }).toEqual({
    files: ["4", "8"],
    core: ["0", "1000"],
    processes: ["100", "200"],
    size: ["4096", "8192"],
    stack: ["1048576", "2097152"],
  });
});

test("a program runs with RLIMIT_NOFILE 3, though init needs more descriptors", () => {
  const output = box.outputOf({
    args: ["sh", "-c", "ulimit -n; ulimit -Hn"],
    patch: (config) => {
      config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 3, hard: 3 }];
    },
  });
  expect(output).toBe("3\n3\n");
});

const HARD_RAISE = { type: "RLIMIT_NOFILE", soft: 2_000_000, hard: 2_000_000 };
const SYS_RESOURCE = 24;

test.skipIf(hasCapability(SYS_RESOURCE))("a hard limit above the caller's is refused where root can't raise it, with the reason", () => {
  const b = box.bundle({
    patch: (config) => {
      config.process.rlimits = [HARD_RAISE];
    },
  });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain("process.rlimits[0]");
  expect(stderr).toContain("CAP_SYS_RESOURCE");
  expect(stderr).toContain("operation not permitted");
});

test.skipIf(!hasCapability(SYS_RESOURCE))("a hard limit above the caller's is raised", () => {
  const output = box.outputOf({
    args: ["sh", "-c", "ulimit -Hn"],
    patch: (config) => {
      config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 1000, hard: 1_000_000 }];
    },
  });
  expect(output).toBe("1000000\n");
});

test("hostname and domainname are the config's", () => {
  const output = box.outputOf({
    args: "hostname; cat /proc/sys/kernel/domainname",
    patch: (config) => {
      config.hostname = "a-name.example";
      config.domainname = "domain.example";
    },
  });
  expect(output).toBe("a-name.example\ndomain.example\n");
});

test("the program leads a session of its own", () => {
  // proc(5), stat: pid, then after the name state, ppid, pgrp, session.
  const [pid, , , , group, session] = box.outputOf({ args: ["cat", "/proc/self/stat"] }).split(" ");
  expect([pid, group, session]).toEqual(["1", "1", "1"]);
});

test("the program is dumpable again, unlike init", () => {
  const owner = box.outputOf({
    args: ["stat", "-c", "%u", "/proc/self/environ"],
    patch: (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
    },
  });
  expect(owner).toBe("1000\n");
});
