import { describe, expect, test } from "bun:test";
import { GIVEN } from "../../src/container/birth.ts";
import { encodePlan, type Sections } from "../../src/init/encode.ts";
import {
  bufferOffset,
  cellOffset,
  type EncodedPlan,
  EXIT_FAILED,
  HEAD_SIZE,
  LAST_CALL,
  PARK_ADDRESS,
  PARK_LENGTH,
  PLAN_BASE,
  reachedExecve,
  readRecord,
  SOCKET,
  UNSET,
} from "../../src/init/memory.ts";
import { OP_OFFSET, OP_SIZE } from "../../src/init/op.ts";
import {
  buffer,
  type Call,
  cell,
  type Outcome,
  type Step,
  stepsOf,
  struct,
  words,
} from "../../src/init/step.ts";
import { ERRNO } from "../../src/kernel/errno.ts";
import { syscallNumber } from "../../src/kernel/syscalls.ts";
import { planContainer } from "../../src/plan/order.ts";
import { SAMPLE_NAMES, sample } from "../plan/samples.ts";

const PAGE = 4096;
const fail = { code: "INTERNAL", message: "no" } as const;
const call = (name: Call["call"], args: Call["args"] = [], more: Partial<Call> = {}): Call => ({
  call: name,
  args,
  why: name,
  fail,
  ...more,
});

interface Decoded {
  nr: number;
  cells: number;
  args: bigint[];
  result: number;
  errno1: number;
  errno2: number;
  next: number;
  onErrno1: number;
  onErrno2: number;
  onZero: number;
  onFail: number;
  record: number;
}

/** The op at an address, as init's interpreter reads it. */
function opAt({ bytes }: EncodedPlan, address: number, base = PLAN_BASE): Decoded {
  const view = new DataView(bytes.buffer, bytes.byteOffset + address - base, OP_SIZE);
  const word = (offset: number) => Number(view.getBigUint64(offset, true));
  return {
    nr: view.getUint32(OP_OFFSET.nr, true),
    cells: view.getUint32(OP_OFFSET.cells, true),
    args: Array.from({ length: 6 }, (_, i) => view.getBigUint64(OP_OFFSET.args + 8 * i, true)),
    result: word(OP_OFFSET.result),
    errno1: word(OP_OFFSET.errno1),
    errno2: word(OP_OFFSET.errno2),
    next: word(OP_OFFSET.next),
    onErrno1: word(OP_OFFSET.onErrno1),
    onErrno2: word(OP_OFFSET.onErrno2),
    onZero: word(OP_OFFSET.onZero),
    onFail: word(OP_OFFSET.onFail),
    record: word(OP_OFFSET.record),
  };
}

const encode = (
  create: readonly Step[],
  start: readonly Step[] = [],
  given: Record<string, number | bigint> = {},
) => encodePlan({ create, start }, { [SOCKET]: 9, ...given });

/** Address of the op of the first call with this `why`. */
function addressOf(plan: EncodedPlan, why: string): number {
  const found = plan.ops.find((op) => op.call.why === why);
  if (found === undefined) throw new Error(`no op ${why}`);
  return found.address;
}
const opOf = (plan: EncodedPlan, why: string) => opAt(plan, addressOf(plan, why));
const exitOf = (plan: EncodedPlan) => addressOf(plan, "end init");
const wordAt = ({ bytes }: EncodedPlan, offset: number) =>
  new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(offset, true);
function textAt({ bytes }: EncodedPlan, address: bigint): string {
  const from = Number(address) - PLAN_BASE;
  return new TextDecoder().decode(bytes.subarray(from, bytes.indexOf(0, from)));
}

describe("arguments", () => {
  test("that are integers stay as they are, 64 bits wide", () => {
    const plan = encode([call("prctl", [-1, 2 ** 53 - 1, 0xffff_ffff_ffff_ffffn, -(1n << 63n), 0])]);
    expect(opOf(plan, "prctl").args).toEqual([
      0xffff_ffff_ffff_ffffn,
      0x1f_ffff_ffff_ffffn,
      0xffff_ffff_ffff_ffffn,
      1n << 63n,
      0n,
      0n,
    ]);
    expect(opOf(plan, "prctl").cells).toBe(0);
  });

  test("that are strings are addresses of UTF-8 with a NUL", () => {
    const plan = encode([call("mkdirat", [-100, "größe/📦", 0]), call("chdir", [""])]);
    expect(textAt(plan, opOf(plan, "mkdirat").args[1] as bigint)).toBe("größe/📦");
    expect(textAt(plan, opOf(plan, "chdir").args[0] as bigint)).toBe("");
  });

  test("that are cells are addresses whose value is read at the call", () => {
    const plan = encode([
      call("openat", [-100, "/", 0], { save: "fd" }),
      call("write", [cell("fd"), "x", cell("fd")]),
    ]);
    const address = BigInt(PLAN_BASE + cellOffset(plan, "fd"));
    expect(opOf(plan, "openat").result).toBe(Number(address));
    expect(
      opOf(plan, "write")
        .args.filter((_, i) => i !== 1)
        .slice(0, 2),
    ).toEqual([address, address]);
    expect(opOf(plan, "write").cells).toBe(0b101);
  });

  test("that are structs and lists of strings lie in plan memory, aligned", () => {
    const plan = encode([
      call("setgroups", [2, struct("gid_list", [1, 2])]),
      call("execve", ["/x", { strings: ["a", "bc"] }, { strings: [] }]),
    ]);
    const { args } = opOf(plan, "setgroups");
    expect(Number(args[1]) % 8).toBe(0);
    expect(wordAt(plan, Number(args[1]) - PLAN_BASE)).toBe((2n << 32n) | 1n);
    const [, argv, envp] = opOf(plan, "execve").args.map(Number) as [number, number, number];
    const pointers = [0, 8, 16].map((o) => wordAt(plan, argv - PLAN_BASE + o));
    expect(pointers.slice(0, 2).map((p) => textAt(plan, p))).toEqual(["a", "bc"]);
    expect(pointers[2]).toBe(0n);
    expect(wordAt(plan, envp - PLAN_BASE)).toBe(0n);
  });

  test("that are bytes lie in plan memory as they are, aligned", () => {
    const plan = encode([call("seccomp", [1, 0, { bytes: new Uint8Array([7, 8, 9]), name: "program" }])]);
    const at = Number(opAt(plan, plan.firstOp).args[2]) - PLAN_BASE;
    expect(at % 8).toBe(0);
    expect([...plan.bytes.subarray(at, at + 3)]).toEqual([7, 8, 9]);
  });

  test("that are words are integers, addresses of what is nested, and the homes of cells", () => {
    const message = words(3n << 32n, "name", words(-1, 5), cell("descriptor"));
    const plan = encode(
      [call("openat", [0, "f", 0], { save: "descriptor" })],
      [call("sendmsg", [1, message, 0]), call("close", [cell("descriptor")])],
    );
    const view = new DataView(plan.bytes.buffer, plan.bytes.byteOffset);
    const send = plan.ops.find((op) => op.call.call === "sendmsg")?.address ?? 0;
    const at = Number(opAt(plan, send).args[1]) - PLAN_BASE;
    expect(view.getBigUint64(at, true)).toBe(3n << 32n);
    const name = Number(view.getBigUint64(at + 8, true)) - PLAN_BASE;
    expect(new TextDecoder().decode(plan.bytes.subarray(name, name + 5))).toBe("name\0");
    const nested = Number(view.getBigUint64(at + 16, true)) - PLAN_BASE;
    expect([view.getBigInt64(nested, true), view.getBigInt64(nested + 8, true)]).toEqual([-1n, 5n]);
    expect(cellOffset(plan, "descriptor")).toBe(at + 24);
    expect(view.getBigInt64(at + 24, true)).toBe(UNSET);
    expect(opAt(plan, plan.firstOp).result).toBe(PLAN_BASE + at + 24);
    // Both sections reach it: parked, init has the first one only.
    expect(at + 32).toBeLessThanOrEqual(plan.parkedSize);
    const close = plan.ops.find((op) => op.call.call === "close")?.address ?? 0;
    expect(opAt(plan, close).args[0]).toBe(BigInt(PLAN_BASE + at + 24));
  });

  test("that are words hold a given value too, and a cell has one home", () => {
    const plan = encode([call("sendmsg", [1, words(1, cell("given"))])], [], { given: 42 });
    const view = new DataView(plan.bytes.buffer, plan.bytes.byteOffset);
    expect(view.getBigInt64(cellOffset(plan, "given"), true)).toBe(42n);
    const twice = [call("sendmsg", [words(cell("a")), words(cell("a"))])];
    expect(() => encode(twice)).toThrow('"a" is in two lists of words');
  });

  test("that are the same buffer are the same memory, of its size, and other buffers aren't in it", () => {
    const plan = encode([
      call("getcwd", [buffer("a", 100), 100]),
      call("read", [0, buffer("b", 8), 8]),
      call("write", [1, buffer("a", 100), 100]),
    ]);
    const a = opOf(plan, "getcwd").args[0] as bigint;
    expect(opOf(plan, "write").args[1]).toBe(a);
    expect(Number(a)).toBe(PLAN_BASE + bufferOffset(plan, "a"));
    expect(Math.abs(bufferOffset(plan, "b") - bufferOffset(plan, "a"))).toBeGreaterThanOrEqual(8);
    expect(bufferOffset(plan, "b")).toBeGreaterThanOrEqual(bufferOffset(plan, "a") + 100);
  });

  test("that the kernel would read as something else are refused", () => {
    expect(() => encode([call("chdir", ["a\0b"])])).toThrow("NUL");
    expect(() => encode([call("execve", ["/x", { strings: ["a\0"] }, 0])])).toThrow("NUL");
    expect(() => encode([call("close", [cell("never saved")])])).toThrow('no step saves "never saved"');
    expect(() => encode([call("close", [Number.NaN])])).toThrow(RangeError);
    expect(() => encode([call("close", [1.5])])).toThrow(RangeError);
    expect(() => encode([call("close", [1n << 64n])])).toThrow(RangeError);
    expect(() => encode([call("prctl", [1, 2, 3, 4, 5, 6, 7])])).toThrow("six");
  });
});

describe("successors", () => {
  const a = (more: Partial<Call>) => call("getpid", [], { why: "a", ...more });
  const b = call("getuid", [], { why: "b" });
  const c = call("getppid", [], { why: "c" });

  test("lead from step to step, to exit in the end and on a failure, which is recorded", () => {
    const plan = encode([a({}), b]);
    const op = opOf(plan, "a");
    expect(plan.firstOp).toBe(addressOf(plan, "a"));
    expect(op).toMatchObject({
      next: addressOf(plan, "b"),
      onFail: exitOf(plan),
      record: PLAN_BASE,
      onZero: 0,
      errno1: 0,
    });
    expect(opOf(plan, "b").next).toBe(exitOf(plan));
    expect(opAt(plan, exitOf(plan))).toMatchObject({
      nr: syscallNumber("exit_group"),
      next: 0,
      onFail: 0,
      record: 0,
    });
    expect(opAt(plan, exitOf(plan)).args[0]).toBe(BigInt(EXIT_FAILED));
  });

  test("of create's end are start's first step, and all failures share one exit", () => {
    const plan = encode([a({})], [b]);
    expect(opOf(plan, "a").next).toBe(addressOf(plan, "b"));
    expect(plan.ops.filter((op) => op.call.why === "end init")).toHaveLength(1);
  });

  test("of the loader's list return to the caller", () => {
    const plan = encodePlan({ create: [a({}), b], start: [] }, {}, { end: "return" });
    expect(opOf(plan, "b").next).toBe(0);
  });

  test("on expected errors are what the step says", () => {
    const plan = encode([a({ on: { EEXIST: "next", EAGAIN: "again" } }), b]);
    expect(opOf(plan, "a")).toMatchObject({
      errno1: ERRNO.EEXIST,
      onErrno1: addressOf(plan, "b"),
      errno2: ERRNO.EAGAIN,
      onErrno2: addressOf(plan, "a"),
    });
    const exits = encode([a({ on: { EPERM: "exit" }, zero: "exit" }), b]);
    expect(opOf(exits, "a")).toMatchObject({ onErrno1: exitOf(exits), onZero: exitOf(exits) });
  });

  test("on three expected errors don't fit into an op", () => {
    expect(() => encode([a({ on: { EPERM: "next", ENOENT: "next", EIO: "next" } })])).toThrow("room for two");
  });

  test("`otherwise` goes on whatever the error is, and records nothing", () => {
    const plan = encode([a({ otherwise: "next" }), b]);
    expect(opOf(plan, "a")).toMatchObject({ onFail: addressOf(plan, "b"), record: 0 });
  });

  test("of a branch come back behind its call", () => {
    const plan = encode([a({ on: { ENOENT: [b] } }), c]);
    expect(opOf(plan, "a")).toMatchObject({ onErrno1: addressOf(plan, "b"), next: addressOf(plan, "c") });
    expect(opOf(plan, "b").next).toBe(addressOf(plan, "c"));
  });

  test("of a branch in a branch come back behind the outer call", () => {
    const inner = call("getuid", [], { why: "inner" });
    const outer = call("getgid" as never, [], { why: "outer", call: "geteuid", on: { EIO: [inner] } });
    const plan = encode([a({ zero: [outer] }), c]);
    expect(opOf(plan, "a").onZero).toBe(addressOf(plan, "outer"));
    expect(opOf(plan, "outer").onErrno1).toBe(addressOf(plan, "inner"));
    for (const why of ["outer", "inner"]) expect(opOf(plan, why).next).toBe(addressOf(plan, "c"));
  });

  test("`leave` skips the rest of its own block, from a branch too, and not of the block around it", () => {
    const skipped = call("getuid", [], { why: "skipped" });
    const plan = encode([
      {
        block: [
          {
            block: [
              a({
                on: { ENOENT: "leave", EIO: [call("getpid", [], { why: "branch", on: { EPERM: "leave" } })] },
              }),
              skipped,
            ],
          },
          b,
        ],
      },
      c,
    ]);
    expect(opOf(plan, "a").onErrno1).toBe(addressOf(plan, "b"));
    expect(opOf(plan, "branch").onErrno1).toBe(addressOf(plan, "b"));
    expect(opOf(plan, "branch").next).toBe(addressOf(plan, "skipped"));
    expect(opOf(plan, "b").next).toBe(addressOf(plan, "c"));
  });

  test("`restart` begins its own block anew", () => {
    const plan = encode([
      b,
      { block: [a({}), call("write", [1, "", 0], { why: "w", on: { EPIPE: "restart" } }), c] },
    ]);
    expect(opOf(plan, "w").onErrno1).toBe(addressOf(plan, "a"));
    const nested = encode([
      {
        block: [
          b,
          { block: [a({ on: { EIO: "restart" } })] },
          call("getppid", [], { why: "w", on: { EIO: "restart" } }),
        ],
      },
    ]);
    expect(opOf(nested, "a").onErrno1).toBe(addressOf(nested, "a"));
    expect(opOf(nested, "w").onErrno1).toBe(addressOf(nested, "b"));
  });

  test("`restart` where there is no block, or as another outcome, works as meant or is refused", () => {
    expect(() => encode([b, a({ on: { EIO: "restart" } })])).toThrow(RangeError);
    for (const outcome of [{ zero: "restart" }, { otherwise: "restart" }] as const) {
      let plan: EncodedPlan | undefined;
      try {
        plan = encode([{ block: [b, a(outcome)] }]);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        continue;
      }
      const op = opOf(plan, "a");
      expect("zero" in outcome ? op.onZero : op.onFail).toBe(addressOf(plan, "b"));
    }
  });

  test("of a mount call that fails are a read of the kernel's message, one for each context", () => {
    const context = call("fsopen", ["tmpfs", 1], { save: "context", why: "open" });
    const config = (why: string) => call("fsconfig", [cell("context"), 6, 0, 0, 0], { why, log: "context" });
    const plan = encode([context, config("one"), config("two")]);
    const log = addressOf(plan, "read the kernel's message");
    expect(opOf(plan, "one")).toMatchObject({ onFail: log, record: PLAN_BASE });
    expect(opOf(plan, "two").onFail).toBe(log);
    // The first failure is what is told: that of the read doesn't overwrite it.
    expect(opAt(plan, log)).toMatchObject({ next: exitOf(plan), onFail: exitOf(plan), record: 0, cells: 1 });
    expect(opAt(plan, log).args[1]).toBe(BigInt(PLAN_BASE + bufferOffset(plan, "message log")));
  });
});

describe("a pause", () => {
  test("says that init is there and waits; the runtime's end is init's end", () => {
    const plan = encode([{ pause: "made", why: "all is made" }, call("getpid")]);
    const write = plan.ops.find((op) => op.call.call === "write")?.address ?? 0;
    const read = plan.ops.find((op) => op.call.call === "read")?.address ?? 0;
    expect(plan.firstOp).toBe(write);
    expect(opAt(plan, write).next).toBe(read);
    expect(opAt(plan, read)).toMatchObject({
      next: addressOf(plan, "getpid"),
      onZero: exitOf(plan),
      onFail: exitOf(plan),
    });
    expect(wordAt(plan, cellOffset(plan, SOCKET))).toBe(9n);
  });

  test("that is silent only waits", () => {
    const plan = encode([{ pause: "born", why: "wait", silent: true }]);
    expect(plan.ops.map((op) => op.call.call)).toEqual(["exit_group", "read"]);
  });
});

describe("memory", () => {
  test("begins with no failure, and with cells that no call has saved", () => {
    const plan = encode([call("getpid", [], { save: "pid" })]);
    expect(readRecord(plan.bytes)).toBeUndefined();
    expect(reachedExecve(plan.bytes.slice(0, HEAD_SIZE))).toBe(false);
    expect(wordAt(plan, cellOffset(plan, "pid"))).toBe(UNSET);
    expect(() => cellOffset(plan, "nothing")).toThrow(RangeError);
    expect(() => bufferOffset(plan, "nothing")).toThrow(RangeError);
  });

  test("holds the given cells' values, negative and 64-bit ones too", () => {
    const plan = encode([call("close", [cell("a")])], [], { a: -1, b: (1n << 62n) + 1n });
    expect(wordAt(plan, cellOffset(plan, "a"))).toBe(-1n);
    expect(wordAt(plan, cellOffset(plan, "b"))).toBe((1n << 62n) + 1n);
  });

  test("tells in its head that the last call before execve was made", () => {
    const plan = encode([call("close_range", [3, 4, 4], { save: LAST_CALL })]);
    expect(cellOffset(plan, LAST_CALL)).toBeLessThan(HEAD_SIZE);
    expect(opOf(plan, "close_range").result).toBe(PLAN_BASE + cellOffset(plan, LAST_CALL));
    const head = plan.bytes.slice(0, HEAD_SIZE);
    new DataView(head.buffer).setBigInt64(cellOffset(plan, LAST_CALL), 0n, true);
    expect(reachedExecve(head)).toBe(true);
  });

  test("is whole pages, and what create has for itself begins at one", () => {
    const plan = encode([call("getpid")], [call("getuid")]);
    expect(plan.bytes.length % PAGE).toBe(0);
    expect(plan.parkedSize % PAGE).toBe(0);
    expect(wordAt(plan, cellOffset(plan, PARK_ADDRESS))).toBe(BigInt(PLAN_BASE + plan.parkedSize));
    expect(wordAt(plan, cellOffset(plan, PARK_LENGTH))).toBe(BigInt(plan.bytes.length - plan.parkedSize));
    expect(addressOf(plan, "getuid")).toBeLessThan(PLAN_BASE + plan.parkedSize);
    expect(addressOf(plan, "getpid")).toBeGreaterThanOrEqual(PLAN_BASE + plan.parkedSize);
  });

  test("grows with the plan, and no two things in it overlap", () => {
    const long = "x".repeat(100_000);
    const steps = Array.from({ length: 1000 }, (_, i) =>
      call("chdir", [`${long.slice(0, i)}${i}`], { why: `${i}` }),
    );
    const plan = encode(
      [...steps, call("chdir", [long], { why: "long" })],
      [call("execve", [long, 0, 0], { why: "e" })],
    );
    expect(plan.bytes.length).toBeGreaterThan(64 * 1024);
    for (const i of [0, 1, 500, 999])
      expect(textAt(plan, opOf(plan, `${i}`).args[0] as bigint)).toBe(`${long.slice(0, i)}${i}`);
    expect(textAt(plan, opOf(plan, "long").args[0] as bigint)).toBe(long);
    expect(textAt(plan, opOf(plan, "e").args[0] as bigint)).toBe(long);
  });

  test("lies at another base for the loader", () => {
    const base = 0x7f00_0000_0000;
    const plan = encodePlan(
      { create: [call("chdir", ["/x"]), call("getpid")], start: [] },
      {},
      { base, end: "return" },
    );
    expect(plan.firstOp).toBeGreaterThan(base);
    const op = opAt(plan, plan.firstOp, base);
    expect(op.record).toBe(base);
    expect(op.next - (op.next % 8)).toBeGreaterThan(base);
    expect(Number(op.args[0])).toBeGreaterThan(base);
  });

  test("has no plan without steps", () => {
    expect(() => encodePlan({ create: [], start: [] }, {}, { end: "return" })).toThrow("without steps");
  });

  test("is the same for the other architecture but for the numbers of its calls", () => {
    const sections: Sections = { create: [call("openat", [-100, "/", 0])], start: [call("getpid")] };
    const [x64, arm64] = (["x64", "arm64"] as const).map((arch) => encodePlan(sections, {}, { arch }));
    if (x64 === undefined || arm64 === undefined) throw new Error();
    expect(opOf(x64, "openat")).toEqual({ ...opOf(arm64, "openat"), nr: 257 });
    expect(opOf(arm64, "openat").nr).toBe(56);
  });
});

describe("a failure record", () => {
  const head = (errno: bigint, op: bigint, log = "") => {
    const plan = encode([call("getpid")]);
    const bytes = plan.bytes.slice(0, HEAD_SIZE);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, errno, true);
    view.setBigUint64(8, op, true);
    bytes.set(new TextEncoder().encode(log), bufferOffset(plan, "message log"));
    return bytes;
  };

  test("is the error's number, the op's address and what the kernel said", () => {
    expect(readRecord(head(22n, 0x1000_1000n, "e tmpfs: Bad value for 'size'\n"))).toEqual({
      errno: 22,
      op: 0x1000_1000,
      log: "tmpfs: Bad value for 'size'",
    });
  });

  test("is read from wherever the bytes lie, to the end of the log when there is no NUL", () => {
    const bytes = head(1n, 2n, "w ".padEnd(600, "x").slice(0, 480));
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(readRecord(shifted.subarray(3))?.log).toBe("x".repeat(478));
  });

  test("of a container that lies is only numbers and text", () => {
    const garbage = readRecord(new Uint8Array(HEAD_SIZE).fill(0xff));
    expect(garbage?.errno).toBeGreaterThan(0);
    expect(typeof garbage?.log).toBe("string");
  });
});

describe.each(SAMPLE_NAMES)("start's part of the plan of %s", (name) => {
  const input = sample(name);
  const { create, start, handles } = planContainer(input);
  const given = [...GIVEN, ...handles.map(({ cell }) => cell)];
  const cells = Object.fromEntries(given.map((n, i) => [n, 10 + i]));
  const plan = encodePlan({ create: stepsOf(create), start: stepsOf(start) }, cells);
  const end = PLAN_BASE + plan.parkedSize;
  const ops = plan.ops.filter((op) => op.address < end);

  test("is all there, and create's isn't in it", () => {
    const names = new Set(ops.map((op) => op.call.why));
    for (const step of stepsOf(start)) if ("call" in step) expect(names.has(step.why)).toBe(true);
    expect(plan.firstOp).toBeGreaterThanOrEqual(end);
    expect(plan.parkedSize).toBeLessThanOrEqual(64 * 1024);
  });

  test("names nothing that is unmapped while init is parked", () => {
    for (const { address, call: step } of ops) {
      const op = opAt(plan, address);
      const addresses = [op.result, op.next, op.onErrno1, op.onErrno2, op.onZero, op.onFail, op.record];
      for (const [i, arg] of step.args.entries())
        if (typeof arg === "object" || typeof arg === "string") addresses.push(Number(op.args[i]));
      for (const one of addresses.filter((n) => n !== 0)) {
        expect(one, step.why).toBeGreaterThanOrEqual(PLAN_BASE);
        expect(one, step.why).toBeLessThan(end);
      }
      for (const arg of step.args)
        if (typeof arg === "object" && "strings" in arg) {
          const at = Number(op.args[step.args.indexOf(arg)]) - PLAN_BASE;
          for (let i = 0; i < arg.strings.length; i++)
            expect(Number(wordAt(plan, at + 8 * i)), step.why).toBeLessThan(end);
        }
    }
  });

  test("has every cell, those that the runtime reads as well", () => {
    for (const { call: step } of plan.ops)
      if (step.save !== undefined) expect(cellOffset(plan, step.save)).toBeLessThan(plan.parkedSize);
  });
});

test("a way back to the caller after a result of 0 is refused where it would be the next step", () => {
  const encode = (zero: Outcome) =>
    encodePlan(
      { create: [call("lseek", [0, 0, 0], { zero }), call("getpid")], start: [] },
      {},
      { end: "return" },
    );
  expect(() => encode("leave")).toThrow("needs a call of its own after a result of 0");
  const closes: Step[] = [call("close", [3], { after: "leave" })];
  expect(() => encode(closes)).not.toThrow();
});
