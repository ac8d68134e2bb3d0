import { describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BOOTSTRAP_FAILED, bootstrapElf, buildInitElf, ELF_BASE, ELF_SIZE_MAX } from "../../src/init/elf.ts";
import { machineFor } from "../../src/init/machine/index.ts";
import { OP_NONE, OP_SIZE, type Op, writeOp } from "../../src/init/op.ts";
import { type Arch, syscallNumber } from "../../src/kernel/syscalls.ts";
import { inDirectory, missing } from "./helpers/tools.ts";

const PLAN_BASE = 0x1000_0000n;
const PLAN_SIZE = 65536;
const PLAN_FD = 7;
const RECORD = 0x4000;
const CELLS = 0x4100;
const TEXT = 0x4200;
const at = (offset: number) => PLAN_BASE + BigInt(offset);
const opAt = (index: number) => at(index * OP_SIZE);

function bootstrap(arch: Arch, change: Partial<Parameters<typeof bootstrapElf>[0]> = {}): Uint8Array {
  return bootstrapElf({
    machine: machineFor(arch),
    planFd: PLAN_FD,
    planBase: PLAN_BASE,
    planSize: PLAN_SIZE,
    firstOp: opAt(0),
    numbers: {
      mmap: syscallNumber("mmap", arch),
      close: syscallNumber("close", arch),
      exit_group: syscallNumber("exit_group", arch),
    },
    ...change,
  });
}

/** How this machine runs programs of `arch`: itself, or through an emulator. */
function runner(arch: Arch): { command: string[]; reason: string } {
  if (process.arch === arch) return { command: [], reason: "" };
  const emulator = `qemu-${arch === "x64" ? "x86_64" : "aarch64"}-static`;
  return { command: [emulator], reason: missing(emulator) };
}

interface Ended {
  out: string;
  exit: number | null;
  signal: string | undefined;
  plan: DataView;
}

/** Runs the init `elf` from a file, with a plan of `ops` and strings behind descriptor 7. */
function runInit(arch: Arch, elf: Uint8Array, ops: Op[], strings: Record<number, string> = {}): Ended {
  return inDirectory((directory) => {
    const plan = new Uint8Array(PLAN_SIZE);
    for (const [index, op] of ops.entries()) writeOp(new DataView(plan.buffer), index * OP_SIZE, op);
    for (const [offset, text] of Object.entries(strings)) {
      plan.set(new TextEncoder().encode(`${text}\0`), Number(offset));
    }
    writeFileSync(join(directory, "plan"), plan);
    writeFileSync(join(directory, "init"), elf);
    chmodSync(join(directory, "init"), 0o755);
    const script = `ulimit -c 0; exec ${PLAN_FD}<>plan; exec "$@"`;
    const command = ["sh", "-c", script, "sh", ...runner(arch).command, "./init"];
    const ended = Bun.spawnSync(command, { cwd: directory });
    return {
      out: ended.stdout.toString(),
      exit: ended.signalCode === undefined ? ended.exitCode : null,
      signal: ended.signalCode?.toString(),
      plan: new DataView(new Uint8Array(readFileSync(join(directory, "plan"))).buffer),
    };
  });
}

test("numbers that can't be meant are refused", () => {
  const refused: Partial<Parameters<typeof bootstrapElf>[0]>[] = [
    { planFd: -1 },
    { planFd: 1.5 },
    { planFd: 2 ** 31 },
    { planSize: 0 },
    { planSize: Number.NaN },
    { planBase: PLAN_BASE + 4096n, machine: machineFor("arm64") },
    { planBase: 0n },
    { planBase: ELF_BASE, firstOp: ELF_BASE },
    { firstOp: PLAN_BASE - 128n },
    { firstOp: PLAN_BASE + BigInt(PLAN_SIZE) },
    { firstOp: PLAN_BASE + 4n },
  ];
  for (const change of refused) expect(() => bootstrap("x64", change)).toThrow(RangeError);
});

test("an init never exceeds a page, and has ops", () => {
  const machine = machineFor("arm64");
  const ops = (count: number) => () => Array.from({ length: count }, () => ({ ...OP_NONE, nr: 1 }));
  expect(buildInitElf({ machine, ops: ops(28) }).length).toBeLessThanOrEqual(ELF_SIZE_MAX);
  expect(() => buildInitElf({ machine, ops: ops(30) })).toThrow("an init may have 4096");
  expect(() => buildInitElf({ machine, ops: ops(0) })).toThrow("without ops");
  expect(() => buildInitElf({ machine, base: 0x40_1000n, ops: ops(1) })).toThrow("not a multiple");
  expect(() => buildInitElf({ machine, strings: ["a\0b"], ops: ops(1) })).toThrow("NUL");
});

const noReadelf = missing("readelf");

describe.each(["x64", "arm64"] as const)("%s", (arch) => {
  const { reason } = runner(arch);
  const number = (name: Parameters<typeof syscallNumber>[0]) => syscallNumber(name, arch);
  const exit = (status: number): Op => ({ ...OP_NONE, nr: number("exit_group"), args: [status] });

  test.skipIf(noReadelf !== "")(
    `readelf finds one segment, not writable, and no code on the stack${noReadelf}`,
    () => {
      const text = inDirectory((directory) => {
        writeFileSync(join(directory, "init"), bootstrap(arch));
        const { exitCode, stdout, stderr } = Bun.spawnSync(["readelf", "-hlW", "init"], { cwd: directory });
        expect([exitCode, stderr.toString()]).toEqual([0, ""]);
        return stdout.toString();
      });
      expect(text).toContain(arch === "x64" ? "Advanced Micro Devices X86-64" : "AArch64");
      const segments = text.split("\n").filter((line) => /^\s+(LOAD|GNU_STACK)\s/.test(line));
      expect(segments).toHaveLength(2);
      expect(segments[0]).toMatch(/LOAD\s+0x0+ 0x0+400000 0x0+400000 (0x\w+) \1 R E 0x10{3,4}$/);
      expect(segments[1]).toMatch(/GNU_STACK .* RW\s+0x10$/);
      expect(bootstrap(arch).length).toBeLessThan(1024);
    },
  );

  test.skipIf(reason !== "")(`init maps its plan, runs it and closes the plan's descriptor${reason}`, () => {
    const ops: Op[] = [
      {
        ...OP_NONE,
        nr: number("close"),
        args: [PLAN_FD],
        result: at(CELLS),
        onFail: opAt(1),
        record: at(RECORD),
      },
      { ...OP_NONE, nr: number("write"), args: [1, at(TEXT), 5], result: at(CELLS + 8), next: opAt(2) },
      { ...OP_NONE, nr: number("write"), args: [1, at(TEXT), at(CELLS + 8)], cells: 0b100, next: opAt(3) },
      exit(42),
    ];
    const { out, exit: status, signal, plan } = runInit(arch, bootstrap(arch), ops, { [TEXT]: "hello" });
    expect({ out, status, signal }).toEqual({ out: "hellohello", status: 42, signal: undefined });
    // EBADF, from op 0.
    expect(plan.getBigInt64(CELLS, true)).toBe(-9n);
    expect(plan.getBigUint64(RECORD, true)).toBe(9n);
    expect(plan.getBigUint64(RECORD + 8, true)).toBe(opAt(0));
    expect(plan.getBigInt64(CELLS + 8, true)).toBe(5n);
  });

  test.skipIf(reason !== "")(`every kind of successor is taken in a program too${reason}`, () => {
    const mkdir = { ...OP_NONE, nr: number("mkdirat"), args: [-100, at(TEXT), 0o755] };
    const ops: Op[] = [
      { ...mkdir, onZero: opAt(2), next: opAt(1), onFail: opAt(1) },
      exit(1),
      { ...mkdir, errno1: 17, onErrno1: opAt(3), next: opAt(1), onFail: opAt(1) },
      { ...mkdir, errno1: 2, errno2: 17, onErrno1: opAt(1), onErrno2: opAt(4), onFail: opAt(1) },
      { ...mkdir, errno1: 2, errno2: 13, onErrno1: opAt(1), onErrno2: opAt(1), onFail: opAt(5) },
      { ...OP_NONE, nr: number("getpid"), result: at(CELLS), onZero: opAt(1), next: opAt(6) },
      {
        ...OP_NONE,
        nr: number("openat"),
        args: [-100, at(TEXT + 16), 0, 0],
        result: at(CELLS + 8),
        next: opAt(7),
        onFail: opAt(1),
      },
      // One byte of /proc/version is "L"; then its end through a read of no bytes.
      { ...OP_NONE, nr: number("read"), args: [at(CELLS + 8), at(TEXT + 64), 1], cells: 1, next: opAt(8) },
      { ...OP_NONE, nr: number("read"), args: [at(CELLS + 8), at(TEXT + 64), 0], cells: 1, onZero: opAt(9) },
      { ...OP_NONE, nr: number("write"), args: [1, at(TEXT + 64), 1], next: opAt(10) },
      { ...OP_NONE, nr: number("write"), args: [1, at(TEXT), 4], next: opAt(11) },
      exit(7),
    ];
    const strings = { [TEXT]: "made", [TEXT + 16]: "/proc/version" };
    const { out, exit: status, plan } = runInit(arch, bootstrap(arch), ops, strings);
    expect({ out, status }).toEqual({ out: "Lmade", status: 7 });
    expect(plan.getBigInt64(CELLS, true)).toBeGreaterThan(1n);
  });

  test.skipIf(reason !== "")(`without its plan init exits with ${BOOTSTRAP_FAILED}${reason}`, () => {
    const { exit: status } = runInit(arch, bootstrap(arch, { planFd: 99 }), [exit(0)]);
    expect(status).toBe(BOOTSTRAP_FAILED);
  });

  test.skipIf(reason !== "")(
    `init traps after the last op, and so when a failure has no successor${reason}`,
    () => {
      const trap = arch === "x64" ? "SIGILL" : "SIGTRAP";
      const getpid = { ...OP_NONE, nr: number("getpid") };
      expect(runInit(arch, bootstrap(arch), [getpid]).signal).toBe(trap);
      const failing = { ...OP_NONE, nr: number("close"), args: [99], next: opAt(1), record: at(RECORD) };
      const { signal, plan } = runInit(arch, bootstrap(arch), [failing, exit(0)]);
      expect(signal).toBe(trap);
      expect(plan.getBigUint64(RECORD, true)).toBe(9n);
    },
  );

  test.skipIf(reason !== "")(`ops and strings within the file work, and can't be written to${reason}`, () => {
    const elf = buildInitElf({
      machine: machineFor(arch),
      strings: ["unused", "from the file\n"],
      ops: ({ op, string }) => [
        { ...OP_NONE, nr: number("write"), args: [1, string(1), 14], next: op(1) },
        { ...OP_NONE, nr: number("getpid"), result: op(0), next: op(2) },
        exit(0),
      ],
    });
    expect(runInit(arch, elf, [])).toMatchObject({ out: "from the file\n", signal: "SIGSEGV" });
  });
});
