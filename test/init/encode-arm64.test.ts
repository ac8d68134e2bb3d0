/**
 * Encoder and interpreter of arm64 together, in an emulator of single programs (qemu-user): steps become plan memory, and
 * an arm64 init runs it. The newest calls aren't emulated there; test/arm64 has a whole machine for those.
 */
import { expect, test } from "bun:test";
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bootstrapElf } from "../../src/init/elf.ts";
import { encodePlan, type Sections } from "../../src/init/encode.ts";
import { machineFor } from "../../src/init/machine/index.ts";
import {
  bufferOffset,
  cellOffset,
  type EncodedPlan,
  EXIT_FAILED,
  type FailureRecord,
  PARK_ADDRESS,
  PARK_LENGTH,
  PLAN_BASE,
  readRecord,
  SOCKET,
} from "../../src/init/memory.ts";
import { buffer, type Call, cell, type Step, struct } from "../../src/init/step.ts";
import { AT_FDCWD, O } from "../../src/kernel/consts/fcntl.ts";
import { ERRNO } from "../../src/kernel/errno.ts";
import { type Arch, syscallNumber } from "../../src/kernel/syscalls.ts";
import { inDirectory, missing } from "./helpers/tools.ts";

const ARM64: Arch = "arm64";
const EMULATOR = process.arch === ARM64 ? [] : ["qemu-aarch64-static"];
const reason = missing(...EMULATOR);
const PLAN_FD = 7;
const TALK_FD = 8;
const RLIMIT_NOFILE = 7;

interface Ended {
  status: number | null;
  out: string;
  /** The files that there are now, with their text; `""` for a directory. */
  files: Record<string, string>;
  encoded: EncodedPlan;
  plan: DataView;
  record: FailureRecord | undefined;
  /** The call that the record names. */
  failed: Call | undefined;
  value(cellName: string): number;
}

function filesIn(directory: string): Record<string, string> {
  const names = readdirSync(directory, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    names
      .filter((entry) => !["init", "plan", "talk"].includes(entry.name))
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [path.slice(directory.length + 1), entry.isFile() ? readFileSync(path, "utf8") : ""];
      }),
  );
}

function bootstrap(encoded: EncodedPlan): Uint8Array {
  return bootstrapElf({
    machine: machineFor(ARM64),
    planFd: PLAN_FD,
    planBase: BigInt(PLAN_BASE),
    planSize: encoded.bytes.length,
    firstOp: BigInt(encoded.firstOp),
    numbers: {
      mmap: syscallNumber("mmap", ARM64),
      close: syscallNumber("close", ARM64),
      exit_group: syscallNumber("exit_group", ARM64),
    },
  });
}

/** Encodes for arm64 and runs it in an empty directory; descriptor 8 is a FIFO that gives back what is written to it, or /dev/null. */
function run(sections: Partial<Sections>, talk: "fifo" | "/dev/null" = "/dev/null"): Ended {
  const encoded = encodePlan({ create: [], start: [], ...sections }, { [SOCKET]: TALK_FD }, { arch: ARM64 });
  return inDirectory((directory) => {
    writeFileSync(join(directory, "plan"), encoded.bytes);
    writeFileSync(join(directory, "init"), bootstrap(encoded));
    chmodSync(join(directory, "init"), 0o755);
    const open = talk === "fifo" ? `mkfifo talk; exec ${TALK_FD}<>talk` : `exec ${TALK_FD}<>/dev/null`;
    const script = `ulimit -c 0; ${open} ${PLAN_FD}<>plan; exec "$@"`;
    const ended = Bun.spawnSync(["sh", "-c", script, "sh", ...EMULATOR, "./init"], {
      cwd: directory,
      timeout: 20_000,
    });
    const bytes = new Uint8Array(readFileSync(join(directory, "plan")));
    const plan = new DataView(bytes.buffer);
    const record = readRecord(bytes);
    return {
      status: ended.signalCode === undefined ? ended.exitCode : null,
      out: ended.stdout.toString(),
      files: filesIn(directory),
      encoded,
      plan,
      record,
      failed: encoded.ops.find(({ address }) => address === record?.op)?.call,
      value: (name) => Number(plan.getBigInt64(cellOffset(encoded, name), true)),
    };
  });
}

const arm64 = (name: string, body: () => void) => test.skipIf(reason !== "")(`${name}${reason}`, body);

type More = Partial<Omit<Call, "call" | "args">>;
const fail = { code: "INTERNAL", message: "it failed" } as const;
const call = (name: Call["call"], args: Call["args"], more: More = {}): Call => ({
  call: name,
  args,
  why: "a test",
  fail,
  ...more,
});
const mkdir = (path: string, more?: More) => call("mkdirat", [AT_FDCWD, path, 0o755], more);
const rmdir = (path: string, more?: More) => call("unlinkat", [AT_FDCWD, path, 0x200], more);
const create = (path: string, more?: More) =>
  call("openat", [AT_FDCWD, path, O.O_CREAT | O.O_WRONLY | O.O_APPEND, 0o644], more);
const put = (file: string, text: string, more?: More) => call("write", [cell(file), text, text.length], more);
const exit = (status: number) => call("exit_group", [status]);

arm64("the result of one call feeds several others, and every result is kept", () => {
  const ended = run({
    create: [
      mkdir("made", { save: "made" }),
      create("made/file", { save: "file" }),
      put("file", "five\n", { save: "length" }),
      call("write", [cell("file"), "more than five", cell("length")]),
      call("close", [cell("file")]),
      call("close", [cell("file")], { save: "closed", on: { EBADF: "next" } }),
      exit(7),
    ],
  });
  expect(ended).toMatchObject({ status: 7, record: undefined });
  expect(ended.files).toEqual({ made: "", "made/file": "five\nmore " });
  expect(["made", "length", "closed"].map(ended.value)).toEqual([0, 5, -ERRNO.EBADF]);
  expect(ended.value("file")).toBeGreaterThan(2);
});

arm64("a plan whose last step is done exits, with nothing recorded", () => {
  expect(run({ create: [mkdir("made")] })).toMatchObject({
    status: EXIT_FAILED,
    record: undefined,
    files: { made: "" },
  });
});

arm64("each of two expected errors takes its own way, and success takes neither", () => {
  const open = (path: string): Step[] => [
    create(path, {
      on: { ENOENT: [mkdir(`absent ${path.length}`)], ENOTDIR: [mkdir(`blocked ${path.length}`)] },
    }),
    mkdir(`after ${path.length}`),
  ];
  const ended = run({ create: ["abc", "none/d", "abc/e"].flatMap((path) => open(path)) });
  expect(Object.keys(ended.files).sort()).toEqual([
    "abc",
    "absent 6",
    "after 3",
    "after 5",
    "after 6",
    "blocked 5",
  ]);
  expect(ended.record).toBeUndefined();
});

arm64("the steps of an outcome may fill the cell that the failed call left an error in", () => {
  const ended = run({
    create: [
      create("way/file", {
        save: "file",
        on: { ENOENT: [mkdir("way"), create("way/file", { save: "file" })] },
      }),
      put("file", "here"),
    ],
  });
  expect(ended.files).toEqual({ way: "", "way/file": "here" });
});

arm64("a call is made again until its error is the expected one", () => {
  const ended = run({
    create: [mkdir("made"), rmdir("made", { zero: "again", on: { ENOENT: "next" } }), exit(3)],
  });
  expect(ended).toMatchObject({ status: 3, files: {}, record: undefined });
});

arm64("a block is left for the step behind it, inner ones first", () => {
  const ended = run({
    create: [
      {
        block: [
          { block: [rmdir("none", { on: { ENOENT: "leave" } }), mkdir("not made")] },
          mkdir("made"),
          mkdir("made", { on: { EEXIST: "leave" } }),
          mkdir("not made either"),
        ],
      },
      mkdir("last"),
    ],
  });
  expect(ended.files).toEqual({ made: "", last: "" });
});

arm64("a block begins anew", () => {
  const ended = run({
    create: [
      create("log", { save: "log" }),
      {
        block: [
          put("log", "x"),
          mkdir("second time", { on: { EEXIST: "leave" } }),
          rmdir("none", { on: { ENOENT: "restart" } }),
        ],
      },
      put("log", "."),
    ],
  });
  expect(ended.files["log"]).toBe("xx.");
});

arm64("an unexpected error is recorded with its step, and no other step runs", () => {
  const failing = mkdir("none/such", { on: { EEXIST: "next" }, at: "mounts[3]" });
  const ended = run({ create: [mkdir("before"), failing, mkdir("behind")] });
  expect(ended.status).toBe(EXIT_FAILED);
  expect(ended.files).toEqual({ before: "" });
  expect(ended.record).toMatchObject({ errno: ERRNO.ENOENT, log: "" });
  expect(ended.failed).toBe(failing);
});

arm64("a failure with a way of its own isn't recorded", () => {
  const ended = run({ create: [mkdir("none/such", { otherwise: [mkdir("otherwise")] }), exit(4)] });
  expect(ended).toMatchObject({ status: 4, files: { otherwise: "" }, record: undefined });
});

arm64("structs go in and buffers come out", () => {
  const limit = struct("rlimit64", { rlim_cur: 77n, rlim_max: 99n });
  const ended = run({
    create: [
      call("prlimit64", [0, RLIMIT_NOFILE, limit, 0]),
      call("prlimit64", [0, RLIMIT_NOFILE, 0, buffer("limit", 16)]),
      exit(0),
    ],
  });
  expect(ended.status).toBe(0);
  const at = bufferOffset(ended.encoded, "limit");
  expect([0, 8].map((offset) => ended.plan.getBigUint64(at + offset, true))).toEqual([77n, 99n]);
});

arm64("init says that it is there and goes on when it is told to", () => {
  const pause: Step = { pause: "batch", why: "the test's FIFO gives init's own byte back" };
  const ended = run({ create: [mkdir("one"), pause, mkdir("two"), pause, exit(5)] }, "fifo");
  expect(ended).toMatchObject({ status: 5, files: { one: "", two: "" } });
});

arm64("the end of the conversation is init's end", () => {
  const ended = run({ create: [mkdir("one"), { pause: "batch", why: "nobody is there" }, mkdir("two")] });
  expect(ended).toMatchObject({ status: EXIT_FAILED, files: { one: "" }, record: undefined });
});

arm64(
  "start's part runs when create's is unmapped, and ends in a program with its arguments and environment",
  () => {
    const program = { strings: ["sh", "-c", 'echo "$0 $1 $VAR"', "zero", "one"] };
    const ended = run({
      create: [create("kept", { save: "kept" })],
      start: [
        call("munmap", [cell(PARK_ADDRESS), cell(PARK_LENGTH)]),
        put("kept", "after"),
        call("execve", ["/bin/sh", program, { strings: ["VAR=value"] }]),
      ],
    });
    expect(ended).toMatchObject({
      status: 0,
      out: "zero one value\n",
      files: { kept: "after" },
      record: undefined,
    });
  },
);

arm64("a program that isn't there is recorded", () => {
  const ended = run({
    create: [mkdir("made")],
    start: [call("execve", ["/none", { strings: [] }, { strings: [] }])],
  });
  expect(ended).toMatchObject({ status: EXIT_FAILED, record: { errno: ERRNO.ENOENT } });
  expect(ended.failed?.call).toBe("execve");
});
