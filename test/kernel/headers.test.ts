/** Numbers against the machine's own headers: a C program that prints what they say. Skipped where gcc or a header is missing. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { _LINUX_CAPABILITY_VERSION_3, CAPABILITIES } from "../../src/kernel/consts/capability.ts";
import * as fcntl from "../../src/kernel/consts/fcntl.ts";
import { IOPRIO_CLASS, IOPRIO_WHO_PROCESS } from "../../src/kernel/consts/ioprio.ts";
import { KEYCTL } from "../../src/kernel/consts/keyctl.ts";
import { MPOL, MPOL_F } from "../../src/kernel/consts/mempolicy.ts";
import { MADV, MAP, PROT } from "../../src/kernel/consts/mman.ts";
import * as mount from "../../src/kernel/consts/mount.ts";
import * as netlink from "../../src/kernel/consts/netlink.ts";
import { PER } from "../../src/kernel/consts/personality.ts";
import { PR, PR_CAP_AMBIENT } from "../../src/kernel/consts/prctl.ts";
import { RLIMIT } from "../../src/kernel/consts/resource.ts";
import { CLONE, CLONE3, SCHED, SCHED_FLAG } from "../../src/kernel/consts/sched.ts";
import {
  BPF_MAXINSNS,
  SECCOMP_FILTER_FLAG,
  SECCOMP_RET,
  SECCOMP_SET_MODE_FILTER,
} from "../../src/kernel/consts/seccomp.ts";
import { SIG, SIGCHLD, SIGKILL } from "../../src/kernel/consts/signal.ts";
import { AF_UNIX, POLL, SOCK } from "../../src/kernel/consts/socket.ts";
import { S_IF, S_IFMT } from "../../src/kernel/consts/stat.ts";
import { ERRNOS } from "../../src/kernel/errno-table.ts";
import { type Arch, syscallNames, syscallNumber } from "../../src/kernel/syscalls.ts";
import { inDirectory, missing } from "../init/helpers/tools.ts";

/** What newer kernels have than the oldest headers that tests run with: told, not compared, when the headers lack it. */
const compiler = missing("gcc");
const libcHeaders = existsSync("/usr/include/stdlib.h") ? "" : " (skipped: no C library headers)";
const noCompiler = compiler || libcHeaders;

const numbers = (values: Record<string, unknown>): Record<string, number | bigint> =>
  Object.fromEntries(
    Object.entries(values).filter(([, v]) => typeof v === "number" || typeof v === "bigint"),
  ) as Record<string, number | bigint>;

/** Values of the names that these headers define; those that they don't are left out. */
function askHeaders(headers: readonly string[], names: readonly string[]): Record<string, bigint> {
  const source = [
    "#define _GNU_SOURCE",
    "#include <stdio.h>",
    ...headers.map((header) => `#if __has_include(<${header}>)\n#include <${header}>\n#endif`),
    "int main(void) {",
    ...names.map(
      (name) => `#ifdef ${name}\nprintf("${name} %llu\\n", (unsigned long long)(${name}));\n#endif`,
    ),
    "}",
  ].join("\n");
  return inDirectory((directory) => {
    writeFileSync(join(directory, "a.c"), source);
    const built = Bun.spawnSync(["gcc", "-w", "-o", "a", "a.c"], { cwd: directory });
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
    const lines = Bun.spawnSync(["./a"], { cwd: directory }).stdout.toString().trim().split("\n");
    return Object.fromEntries(lines.map((line) => [line.split(" ")[0], BigInt(line.split(" ")[1] ?? 0)]));
  });
}

/** Groups of headers that can be included together, what they must agree with, and how many names at least they know. */
const GROUPS: [string, string[], Record<string, number | bigint>, number][] = [
  [
    "linux/netlink.h and its relatives",
    ["sys/socket.h", "linux/netlink.h", "linux/rtnetlink.h", "linux/if_link.h", "linux/if_addr.h"],
    {
      ...numbers(netlink),
      ...netlink.NLMSG,
      ...netlink.NLM_F,
      ...netlink.RTM,
      ...netlink.IFLA,
      ...netlink.IFA_F,
    },
    20,
  ],
  [
    "fcntl.h and its Linux relatives",
    ["fcntl.h", "linux/openat2.h", "linux/close_range.h", "sys/mman.h", "sys/stat.h"],
    {
      ...numbers(fcntl),
      ...fcntl.O,
      ...fcntl.RESOLVE,
      ...fcntl.CLOSE_RANGE,
      ...fcntl.F,
      ...fcntl.F_SEAL,
      ...fcntl.MFD,
      ...PROT,
      ...MAP,
      ...MADV,
      ...S_IF,
      S_IFMT,
    },
    45,
  ],
  ["unistd.h", ["unistd.h"], fcntl.ACCESS, 4],
  [
    "linux/mount.h",
    ["fcntl.h", "linux/mount.h"],
    {
      ...numbers(mount),
      ...mount.MS,
      ...mount.MOUNT_ATTR,
      ...mount.OPEN_TREE,
      ...mount.MOVE_MOUNT,
    },
    25,
  ],
  ["sys/mount.h", ["sys/mount.h"], { ...mount.UMOUNT, ...mount.MS }, 14],
  ["linux/prctl.h", ["linux/prctl.h"], { ...PR, ...PR_CAP_AMBIENT }, 10],
  ["linux/sched.h", ["linux/sched.h"], { ...CLONE, ...CLONE3, ...SCHED, ...SCHED_FLAG }, 26],
  [
    "linux/seccomp.h",
    ["linux/seccomp.h"],
    { SECCOMP_SET_MODE_FILTER, ...SECCOMP_FILTER_FLAG, ...SECCOMP_RET },
    15,
  ],
  ["linux/bpf_common.h", ["linux/bpf_common.h"], { BPF_MAXINSNS }, 1],
  ["linux/keyctl.h", ["linux/keyctl.h"], KEYCTL, 2],
  ["linux/mempolicy.h", ["linux/mempolicy.h"], MPOL_F, 3],
  ["linux/capability.h", ["linux/capability.h"], { _LINUX_CAPABILITY_VERSION_3, ...capabilityNumbers() }, 40],
  ["errno.h", ["errno.h"], ERRNOS, 120],
  ["signal.h", ["signal.h"], { ...SIG, SIGCHLD, SIGKILL }, 5],
  ["sys/resource.h", ["linux/resource.h", "asm-generic/resource.h"], RLIMIT, 15],
];

function capabilityNumbers(): Record<string, number> {
  return Object.fromEntries(CAPABILITIES.map((name, number) => [name, number]));
}

/** Debian 12's header ends before it. */
const { MPOL_WEIGHTED_INTERLEAVE: _, ...OLD_MPOL } = MPOL;

/** Enumerators can't be asked for by #ifdef: these are. */
const ENUMERATORS = {
  ...numbers({ AF_UNIX }),
  ...SOCK,
  ...POLL,
  ...PER,
  ...IOPRIO_CLASS,
  IOPRIO_WHO_PROCESS,
  ...OLD_MPOL,
};

describe.skipIf(noCompiler !== "")(`constants are those of the headers${noCompiler}`, () => {
  test.each(GROUPS)("%s", (_, headers, values, least) => {
    const known = askHeaders(headers, Object.keys(values));
    expect(Object.keys(known).length).toBeGreaterThanOrEqual(least);
    // Signed ones, such as AT_FDCWD, come as 64 bits.
    for (const [name, value] of Object.entries(known))
      expect(BigInt.asUintN(32, value), name).toBe(BigInt.asUintN(32, BigInt(values[name] as number)));
    for (const [name, value] of Object.entries(known))
      if (typeof values[name] === "bigint") expect(value, name).toBe(values[name] as bigint);
  });

  test("numbers that are enumerators in the headers", () => {
    const all = { ...mount.FSCONFIG, ...ENUMERATORS };
    const names = Object.keys(all);
    const text = inDirectory((directory) => {
      const prints = names.map((name) => `printf("${name} %d\\n", (int)${name});`).join("\n");
      const source = `#define _GNU_SOURCE\n#include <stdio.h>\n#include <sys/socket.h>\n#include <poll.h>\n#include <sys/personality.h>\n#include <linux/ioprio.h>\n#include <linux/mempolicy.h>\n#include <linux/mount.h>\nint main(void) {\n${prints}\n}`;
      writeFileSync(join(directory, "a.c"), source);
      const built = Bun.spawnSync(["gcc", "-w", "-o", "a", "a.c"], { cwd: directory });
      if (built.exitCode !== 0) throw new Error(built.stderr.toString());
      return Bun.spawnSync(["./a"], { cwd: directory }).stdout.toString().trim();
    });
    const known = Object.fromEntries(
      text.split("\n").map((line) => [line.split(" ")[0], Number(line.split(" ")[1])]),
    );
    expect(known).toEqual(all);
  });
});

/** System call numbers are compared with the header text, so that both architectures can be looked at on one machine. */
const TABLES: [Arch, string, RegExp][] = [
  ["x64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", /^#define __NR_(\w+) (\d+)$/gm],
  ["arm64", "/usr/include/asm-generic/unistd.h", /^#define __NR(?:3264)?_(\w+) (\d+)$/gm],
];

test.each(TABLES)("system call numbers of %s are those of %s", (arch, path, line) => {
  if (!existsSync(path)) {
    console.warn(`not compared: ${path} is missing`);
    return;
  }
  const known = new Map([...readFileSync(path, "utf8").matchAll(line)].map((m) => [m[1], Number(m[2])]));
  const compared = syscallNames().filter((name) => known.has(name));
  expect(compared.length).toBeGreaterThan(syscallNames().length - 12);
  for (const name of compared) expect(syscallNumber(name, arch), name).toBe(known.get(name) as number);
});

test("numbers from 424 on are the same on both architectures, and none is there twice", () => {
  for (const name of syscallNames()) {
    const [x64, arm64] = [syscallNumber(name, "x64"), syscallNumber(name, "arm64")];
    if (x64 >= 424 || arm64 >= 424) expect(x64, name).toBe(arm64);
  }
  for (const arch of ["x64", "arm64"] as const)
    expect(new Set(syscallNames().map((name) => syscallNumber(name, arch))).size).toBe(syscallNames().length);
});
