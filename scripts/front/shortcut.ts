/**
 * The way of `start` and `delete` without Bun: where `create` has left a shortcut (src/init/shortcut.ts), it is run here, and ends the
 * process. In whatever is unusual, this goes on as if nothing had been: the program behind it does the same, and says what is wrong.
 *
 *     kontena [--root DIR] [--log FILE] [--log-format text|json] [--systemd-cgroup] start|delete [--force] ID
 *
 * with `--option=VALUE` too. What a shortcut does is done with the caller's rights, so it is taken only from directories and a file
 * that are the caller's or root's, and that nobody else may write to.
 */
import { DELETE_SHORTCUT, START_SHORTCUT } from "../../src/container/directory.ts";
import { code, type Line, label } from "../../src/init/machine/assemble.ts";
import {
  addNumber,
  addressOf,
  addToStack,
  call,
  compare,
  compareByte,
  compareByteAt,
  compareNumber,
  farJump,
  farJumpIf,
  jump,
  jumpIf,
  load,
  load32,
  loadByte,
  move,
  moveFromStack,
  moveNumber,
  moveNumber32,
  moveToStack,
  pop,
  push,
  ret,
  store,
  test,
  testBits,
  x64,
} from "../../src/init/machine/x64.ts";
import { MAX_ERRNO } from "../../src/init/op.ts";
import { SHORTCUT_BASE, SHORTCUT_HEADER, SHORTCUT_MAGIC } from "../../src/init/shortcut.ts";
import { AT_EMPTY_PATH, AT_FDCWD, O } from "../../src/kernel/consts/fcntl.ts";
import { MAP, PROT } from "../../src/kernel/consts/mman.ts";
import { S_IF, S_IFMT } from "../../src/kernel/consts/stat.ts";
import { ERRNO } from "../../src/kernel/errno.ts";
import { kernelCall } from "./kernel-call.ts";

/** LOCK_EX, and LOCK_NB: who waits for the lock may have to end its holder first, as `delete --force` does. */
const LOCK = 2 | 4;
/** Of a shortcut: no more, no less. */
const LEAST = 512;
const MOST = 1 << 20;

/** What is kept on the stack, at r15. `stat` is a struct stat, 144 bytes (asm/stat.h). */
const FRAME = {
  root: 0,
  id: 8,
  file: 16,
  states: 24,
  own: 32,
  size: 40,
  user: 48,
  log: 56,
  opened: 64,
  stat: 72,
} as const;
const FRAME_SIZE = 256;
const STAT = { mode: 24, uid: 28, size: 48 } as const;
/** The first argument: behind the frame, rdx, argc, and the program's name. */
const FIRST = FRAME_SIZE + 24;

const TEXTS = {
  empty: "",
  root: "--root",
  log: "--log",
  "log-format": "--log-format",
  text: "text",
  json: "json",
  "systemd-cgroup": "--systemd-cgroup",
  start: "start",
  delete: "delete",
  force: "--force",
  f: "-f",
  "start's": START_SHORTCUT,
  "delete's": DELETE_SHORTCUT,
  "XDG_RUNTIME_DIR=": "XDG_RUNTIME_DIR=",
  "USER=root": "USER=root",
  default: "/run/kontena",
} as const;
type Text = keyof typeof TEXTS;

const textOf = (to: "rdi" | "rsi" | "rax", text: Text) => addressOf(to, `text ${text}`);
const get = (to: Parameters<typeof load>[0], name: keyof typeof FRAME) => load(to, "r15", FRAME[name]);
const put = (name: keyof typeof FRAME, from: Parameters<typeof store>[2]) => store("r15", FRAME[name], from);
const word = (value: number) => BigInt.asUintN(64, BigInt(value));
const little64 = (text: string) => new DataView(new TextEncoder().encode(text).buffer).getBigUint64(0, true);

/** Where rsi's text is the one, or is `--name` with a value, which is in rsi then. */
const when = (text: Text, target: string): Line[] => [
  textOf("rdi", text),
  call("equal"),
  farJumpIf("z", target),
];
const withValue = (text: Text, target: string): Line[] => [
  textOf("rdi", text),
  call("option"),
  farJumpIf("z", target),
];
/** A character that rules the shortcut out. */
const unlike = (character: string): Line[] => [compareByte(character.charCodeAt(0)), farJumpIf("z", "none")];

/** The next argument, or none. */
const nextArgument: Line[] = [load("rsi", "r14"), test("rsi"), farJumpIf("z", "none")];

function readArguments(): Line[] {
  return [
    label("argument"),
    ...nextArgument,
    addNumber("r14", 8),
    ...withValue("root", "root"),
    ...withValue("log-format", "log-format"),
    ...withValue("log", "log"),
    ...when("systemd-cgroup", "argument"),
    textOf("rax", "start's"),
    put("file", "rax"),
    ...when("start", "id"),
    textOf("rax", "delete's"),
    put("file", "rax"),
    textOf("rdi", "delete"),
    call("equal"),
    farJumpIf("nz", "none"),

    label("force"),
    ...nextArgument,
    ...when("force", "forced"),
    ...when("f", "forced"),
    farJump("id"),
    label("forced"),
    addNumber("r14", 8),
    farJump("force"),

    label("log-format"),
    ...when("text", "argument"),
    ...when("json", "argument"),
    farJump("none"),
  ];
}

/** One of `syslog:` and the like is left to the program, and a second one is too. */
function readLog(): Line[] {
  return [
    label("log"),
    get("rax", "log"),
    test("rax"),
    farJumpIf("nz", "none"),
    put("log", "rsi"),
    move("rbx", "rsi"),
    label("character of the log"),
    loadByte("rax", "rbx"),
    ...unlike(":"),
    addNumber("rbx", 1),
    test("rax"),
    jumpIf("nz", "character of the log"),
    farJump("argument"),
  ];
}

/** `..` means another place to the kernel than to the program, and a link is followed where a `/` or `/.` is behind it. */
function readRoot(): Line[] {
  return [
    label("root"),
    put("root", "rsi"),
    move("rbx", "rsi"),
    moveNumber32("rcx", 0),
    label("character of the root"),
    // The one before it is in rcx.
    loadByte("rax", "rbx"),
    addNumber("rbx", 1),
    test("rax"),
    jumpIf("z", "end of the root"),
    compareByte(".".charCodeAt(0)),
    jumpIf("nz", "no dot"),
    compare("rax", "rcx"),
    farJumpIf("z", "none"),
    label("no dot"),
    move("rcx", "rax"),
    jump("character of the root"),
    label("end of the root"),
    move("rax", "rcx"),
    ...unlike("/"),
    ...unlike("."),
    farJump("argument"),
  ];
}

/** It is made, as the program does, when nothing else is in the way. Only a regular file: opening others can do anything. */
function openLog(): Line[] {
  return [
    get("rsi", "log"),
    test("rsi"),
    jumpIf("z", "logged"),
    moveNumber("rdi", word(AT_FDCWD)),
    move("rdx", "r15"),
    addNumber("rdx", FRAME.stat),
    moveNumber32("r10", 0),
    ...kernelCall("newfstatat"),
    compareNumber("rax", -ERRNO.ENOENT),
    jumpIf("z", "make the log"),
    test("rax"),
    farJumpIf("nz", "unmap"),
    ...isRegular("unmap"),
    label("make the log"),
    moveNumber("rdi", word(AT_FDCWD)),
    get("rsi", "log"),
    moveNumber32("rdx", O.O_WRONLY | O.O_CREAT | O.O_APPEND | O.O_NONBLOCK | O.O_CLOEXEC),
    moveNumber32("r10", 0o644),
    ...kernelCall("openat"),
    compareNumber("rax", -MAX_ERRNO),
    farJumpIf("nc", "unmap"),
    move("rdi", "rax"),
    ...kernelCall("close"),
    label("logged"),
  ];
}

/** By its status in the frame. */
const isRegular = (otherwise: string): Line[] => [
  load32("rax", "r15", FRAME.stat + STAT.mode),
  testBits("rax", S_IFMT & ~S_IF.S_IFREG),
  farJumpIf("nz", otherwise),
];

/** The last argument; whether it is a name at all is seen by the directory that it has. */
function readId(): Line[] {
  return [
    label("id"),
    ...nextArgument,
    put("id", "rsi"),
    load("rax", "r14", 8),
    test("rax"),
    farJumpIf("nz", "none"),
    move("rbx", "rsi"),
    loadByte("rax", "rbx"),
    ...unlike("-"),
    ...unlike("."),
    label("character of the id"),
    loadByte("rax", "rbx"),
    ...unlike("/"),
    addNumber("rbx", 1),
    test("rax"),
    jumpIf("nz", "character of the id"),
  ];
}

/** `/run/kontena` for root, unless the environment may say that this is the root of a user namespace (runtime.ts, isUserOnHost). */
function chooseRoot(): Line[] {
  return [
    ...kernelCall("geteuid"),
    put("user", "rax"),
    get("rcx", "root"),
    test("rcx"),
    farJumpIf("nz", "rooted"),
    test("rax"),
    farJumpIf("nz", "none"),
    textOf("rax", "default"),
    put("root", "rax"),
    // The environment, behind the end of the arguments.
    move("rbx", "r14"),
    addNumber("rbx", 16),
    // None found yet: r14 is a runtime directory, r8 the name root.
    moveNumber32("r14", 0),
    moveNumber32("r8", 0),
    label("variable"),
    load("rsi", "rbx"),
    test("rsi"),
    jumpIf("z", "last variable"),
    addNumber("rbx", 8),
    textOf("rdi", "XDG_RUNTIME_DIR="),
    call("begins"),
    jumpIf("nz", "no directory"),
    loadByte("rax", "rcx"),
    test("rax"),
    jumpIf("z", "variable"),
    moveNumber32("r14", 1),
    jump("variable"),
    label("no directory"),
    textOf("rdi", "USER=root"),
    call("equal"),
    jumpIf("nz", "variable"),
    moveNumber32("r8", 1),
    jump("variable"),
    label("last variable"),
    test("r14"),
    jumpIf("z", "rooted"),
    test("r8"),
    farJumpIf("z", "none"),
    label("rooted"),
  ];
}

/** Opens what is at rsi below rdi, checks whose it is, and leaves the descriptor in the frame. */
const openOwn = (flags: number, name: "states" | "own"): Line[] => [
  moveNumber32("rdx", flags | O.O_NOFOLLOW | O.O_CLOEXEC),
  ...kernelCall("openat"),
  compareNumber("rax", -MAX_ERRNO),
  farJumpIf("nc", "close"),
  put(name, "rax"),
  // With a standard stream closed, what is opened here would be it.
  compareNumber("rax", 3),
  farJumpIf("less", "close"),
  call("owned"),
];

function openDirectories(): Line[] {
  return [
    moveNumber("rdi", word(AT_FDCWD)),
    get("rsi", "root"),
    ...openOwn(O.O_PATH | O.O_DIRECTORY, "states"),
    get("rdi", "states"),
    get("rsi", "id"),
    ...openOwn(O.O_DIRECTORY, "own"),
    // As every command does: whoever has it may remove the container, and with it the shortcut.
    get("rdi", "own"),
    moveNumber32("rsi", LOCK),
    ...kernelCall("flock"),
    test("rax"),
    farJumpIf("nz", "close"),
  ];
}

function mapFile(): Line[] {
  return [
    get("rdi", "own"),
    get("rsi", "file"),
    moveNumber32("rdx", O.O_NONBLOCK | O.O_NOFOLLOW | O.O_CLOEXEC),
    ...kernelCall("openat"),
    compareNumber("rax", -MAX_ERRNO),
    farJumpIf("nc", "close"),
    put("opened", "rax"),
    call("owned"),
    ...isRegular("close"),
    load("rsi", "r15", FRAME.stat + STAT.size),
    put("size", "rsi"),
    compareNumber("rsi", LEAST),
    farJumpIf("c", "close"),
    compareNumber("rsi", MOST),
    farJumpIf("nc", "close"),
    moveNumber32("rdi", SHORTCUT_BASE),
    moveNumber32("rdx", PROT.PROT_READ | PROT.PROT_WRITE),
    moveNumber32("r10", MAP.MAP_PRIVATE | MAP.MAP_FIXED_NOREPLACE),
    get("r8", "opened"),
    moveNumber32("r9", 0),
    ...kernelCall("mmap"),
    moveNumber32("rcx", SHORTCUT_BASE),
    compare("rax", "rcx"),
    farJumpIf("nz", "close"),
  ];
}

/** The file lies at its fixed address. */
const header = (name: keyof typeof SHORTCUT_HEADER, to: "rax" | "rcx" | "rdi"): Line[] => [
  moveNumber32(to, SHORTCUT_BASE),
  load(to, to, SHORTCUT_HEADER[name]),
];

function runFile(): Line[] {
  return [
    ...header("magic", "rax"),
    moveNumber("rcx", little64(SHORTCUT_MAGIC)),
    compare("rax", "rcx"),
    farJumpIf("nz", "unmap"),
    // One whose writing was cut off is shorter than it says.
    ...header("size", "rax"),
    get("rcx", "size"),
    compare("rax", "rcx"),
    farJumpIf("nz", "unmap"),
    // The directory can have got another name.
    ...header("id", "rdi"),
    get("rsi", "id"),
    call("equal"),
    farJumpIf("nz", "unmap"),
    ...openLog(),
    ...header("root", "rcx"),
    get("rax", "states"),
    store("rcx", 0, "rax"),
    ...header("directory", "rcx"),
    get("rax", "own"),
    store("rcx", 0, "rax"),
    ...header("firstOp", "rdi"),
    call("interpreter"),
    // All that was opened since: these commands have no use for what they inherit there.
    get("rdi", "states"),
    moveNumber32("rsi", -1),
    moveNumber32("rdx", 0),
    ...kernelCall("close_range"),
    moveNumber("rax", word(-1)),
    put("opened", "rax"),
    put("states", "rax"),
    put("own", "rax"),
    label("unmap"),
    moveNumber32("rdi", SHORTCUT_BASE),
    get("rsi", "size"),
    ...kernelCall("munmap"),
    label("close"),
    get("rdi", "opened"),
    ...kernelCall("close"),
    get("rdi", "own"),
    ...kernelCall("close"),
    get("rdi", "states"),
    ...kernelCall("close"),
    // From wherever it was decided: what was called has nothing to return to.
    label("none"),
    moveToStack("r15"),
    addToStack(FRAME_SIZE),
    pop("rdx"),
    farJump("shortcut's end"),
  ];
}

/** Whether the text at rdi is the beginning of that at rsi: the zero flag; rcx is behind it then. */
const begins: Line[] = [
  label("begins"),
  move("rcx", "rsi"),
  label("beginning"),
  loadByte("rax", "rdi"),
  test("rax"),
  jumpIf("z", "begun"),
  compareByteAt("rcx"),
  jumpIf("nz", "begun"),
  addNumber("rdi", 1),
  addNumber("rcx", 1),
  jump("beginning"),
  label("begun"),
  ret,
];

const equal: Line[] = [
  label("equal"),
  call("begins"),
  jumpIf("nz", "different"),
  loadByte("rax", "rcx"),
  test("rax"),
  label("different"),
  ret,
];

/** Whether rsi is the option of the name at rdi; rsi is its value then. One without a value is wrong. */
const option: Line[] = [
  label("option"),
  call("begins"),
  jumpIf("nz", "no option"),
  loadByte("rax", "rcx"),
  test("rax"),
  jumpIf("z", "value follows"),
  compareByte("=".charCodeAt(0)),
  jumpIf("nz", "no option"),
  addNumber("rcx", 1),
  move("rsi", "rcx"),
  compare("rsi", "rsi"),
  label("no option"),
  ret,
  label("value follows"),
  ...nextArgument,
  addNumber("r14", 8),
  loadByte("rax", "rsi"),
  ...unlike("-"),
  compare("rsi", "rsi"),
  ret,
];

/** Returns when the file at the descriptor rax is root's or the caller's and nobody else may write there. */
const owned: Line[] = [
  label("owned"),
  move("rdi", "rax"),
  textOf("rsi", "empty"),
  move("rdx", "r15"),
  addNumber("rdx", FRAME.stat),
  moveNumber32("r10", AT_EMPTY_PATH),
  ...kernelCall("newfstatat"),
  test("rax"),
  farJumpIf("nz", "close"),
  load32("rax", "r15", FRAME.stat + STAT.mode),
  testBits("rax", 0o022),
  farJumpIf("nz", "close"),
  load32("rax", "r15", FRAME.stat + STAT.uid),
  test("rax"),
  jumpIf("z", "root's"),
  get("rcx", "user"),
  compare("rax", "rcx"),
  farJumpIf("nz", "close"),
  label("root's"),
  ret,
];

/** At a program's start only rdx and the stack pointer mean something (System V psABI). */
export function shortcut(): Line[] {
  const texts = Object.entries(TEXTS).flatMap(([name, text]) => [
    label(`text ${name}`),
    code(...new TextEncoder().encode(`${text}\0`)),
  ]);
  return [
    push("rdx"),
    addToStack(-FRAME_SIZE),
    moveFromStack("r15"),
    move("r14", "r15"),
    addNumber("r14", FIRST),
    moveNumber32("rax", 0),
    put("root", "rax"),
    put("log", "rax"),
    moveNumber("rax", word(-1)),
    put("states", "rax"),
    put("own", "rax"),
    put("opened", "rax"),
    ...readArguments(),
    ...readRoot(),
    ...readLog(),
    ...readId(),
    ...chooseRoot(),
    ...openDirectories(),
    ...mapFile(),
    ...runFile(),
    ...begins,
    ...equal,
    ...option,
    ...owned,
    label("interpreter"),
    code(...x64.interpreter()),
    ...texts,
    label("shortcut's end"),
  ];
}
