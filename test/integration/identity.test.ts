/** Who the program is and what it may do: ids, umask, capabilities, no_new_privs, limits. */
import { expect } from "bun:test";
import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CAPABILITIES, type CapabilityName } from "../../src/kernel/consts/capability.ts";
import {
  boundingSet,
  hasCapability,
  openBox,
  statusFields,
  type TestConfig,
  test,
  testNeeding,
  testWhen,
} from "./helpers.ts";

const box = openBox("identity");

/** /proc/self/status of a program with this process. */
function statusOf(patch: (config: TestConfig) => void): Record<string, string> {
  return statusFields(box.outputOf({ args: ["cat", "/proc/self/status"], patch }));
}

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

test.each(["077", "002", "0"])("the umask is the caller's when the config has none: %s", (umask) => {
  const b = box.bundle({ args: "umask; touch /file; stat -c %a /file" });
  b.config.root.readonly = false;
  writeFileSync(join(b.directory, "config.json"), JSON.stringify(b.config));
  const options = { before: ["sh", "-c", `umask ${umask}; exec "$0" "$@"`] };
  const mode = (0o666 & ~Number.parseInt(umask, 8)).toString(8);
  expect(box.kontena(["run", "--bundle", b.directory, b.id], options)).toMatchObject({
    status: 0,
    stdout: `${umask.padStart(4, "0")}\n${mode}\n`,
  });
});

testNeeding(
  "root",
  "busybox",
  "user namespaces",
)("a caller's umask of 077 doesn't keep an init of other ids from its FIFO", () => {
  const b = box.bundle({
    args: "umask",
    fill: (rootfs) => chownSync(rootfs, 100000, 100000),
    patch: (config) => {
      config.linux.namespaces?.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    },
  });
  const options = {
    before: ["sh", "-c", 'umask 077; exec "$0" "$@"'],
    globals: ["--root", join(box.directory, "state-of-077")],
  };
  expect(box.kontena(["run", "--bundle", b.directory, b.id], options)).toMatchObject({
    status: 0,
    stdout: "0077\n",
  });
});

test("a program has no capabilities when the config says nothing of them, root included", () => {
  const fields = statusOf((config) => {
    delete config.process.capabilities;
  });
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
    expect(fields[set], set).toBe("0".repeat(16));
});

const SETS = {
  CapBnd: "bounding",
  CapEff: "effective",
  CapPrm: "permitted",
  CapInh: "inheritable",
  CapAmb: "ambient",
} as const;

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
  const asked = {
    bounding: ["CAP_CHOWN", "CAP_KILL"],
    permitted: ["CAP_KILL"],
    effective: ["CAP_KILL"],
    inheritable: [],
    ambient: [],
  };
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
    config.process.capabilities = {
      bounding: [],
      permitted: [],
      effective: [],
      inheritable: [],
      ambient: [],
    };
  });
  expect(Object.values(capabilitiesIn(fields))).toEqual([0n, 0n, 0n, 0n, 0n]);
});

test("all the capabilities that this machine's root has can be asked for", () => {
  const all = CAPABILITIES.filter((_, number) => hasCapability(number));
  const fields = statusOf((config) => {
    config.process.capabilities = {
      bounding: all,
      permitted: all,
      effective: all,
      inheritable: all,
      ambient: all,
    };
  });
  for (const set of Object.values(capabilitiesIn(fields))) expect(set).toBe(boundingSet());
});

const lacking = CAPABILITIES.find((_, number) => number < 38 && !hasCapability(number));

testWhen(lacking !== undefined)(
  "a capability that this machine's root lacks is a warning, not a failure",
  () => {
    const asked = ["CAP_KILL", lacking ?? ""];
    const b = box.bundle({
      args: ["cat", "/proc/self/status"],
      patch: (config) => {
        config.process.capabilities = {
          bounding: asked,
          permitted: asked,
          effective: asked,
          inheritable: [],
          ambient: [],
        };
      },
    });
    const { status, stdout, stderr } = box.run(b);
    expect(status).toBe(0);
    expect(stderr).toContain("warning");
    expect(stderr).toContain(lacking ?? "");
    expect(stderr).toContain("process.capabilities.bounding[1]");
    expect(capabilitiesIn(statusFields(stdout))).toMatchObject({ bounding: bits(["CAP_KILL"]) });
  },
);

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

testWhen(!hasCapability(SYS_RESOURCE))(
  "a hard limit above the caller's is refused where root can't raise it, with the reason",
  () => {
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
  },
);

testWhen(hasCapability(SYS_RESOURCE))("a hard limit above the caller's is raised", () => {
  const output = box.outputOf({
    args: ["sh", "-c", "ulimit -Hn"],
    patch: (config) => {
      config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 1000, hard: 1_000_000 }];
    },
  });
  expect(output).toBe("1000000\n");
});
