/**
 * Steps → plan memory: ops, strings, structs and cells at fixed addresses (memory.ts has the layout).
 *
 * Results live in cells and never in ops, so one result can feed any number of later calls. Addresses are numbers, not
 * bigints, and loops are plain: this runs once a process, in code that no compiler has warmed up.
 */
import type { ErrnoName } from "../kernel/errno.ts";
import { ERRNOS } from "../kernel/errno-table.ts";
import { pageSize } from "../kernel/page.ts";
import { encodeStruct } from "../kernel/structs.ts";
import { ARCH, type Arch, syscallNumber } from "../kernel/syscalls.ts";
import {
  BYTE,
  CELLS,
  type EncodedPlan,
  EXIT_FAILED,
  LAST,
  LAST_CALL,
  LOG,
  LOG_SIZE,
  PAGE,
  PARK_ADDRESS,
  PARK_LENGTH,
  PLAN_BASE,
  putText,
  RECORD,
  SOCKET,
  UNSET,
} from "./memory.ts";
import { OP_NONE, OP_SIZE, putOp } from "./op.ts";
import { type Arg, type Buffer, type Call, cell, type Outcome, type Step, type Words } from "./step.ts";

/** One op before it has an address. */
interface Node {
  call: Call;
  next: Node | undefined;
  errno1: number;
  errno2: number;
  on1: Node | undefined;
  on2: Node | undefined;
  zero: Node | undefined;
  fail: Node | undefined;
  /** A failure here is written to the record. */
  recorded: boolean;
  /** 0 until it has one. */
  address: number;
  placed: boolean;
}

export interface Sections {
  create: readonly Step[];
  start: readonly Step[];
}

export interface EncodeOptions {
  arch?: Arch;
  /** Address of the first byte in the process that runs it. */
  base?: number;
  /** What follows the last step: init exits, the loader's list returns to its caller. */
  end?: "exit" | "return";
}

/** The conversation's byte and the log have fixed places, and so fixed names. */
const CONVERSATION: Buffer = { buffer: "conversation", size: 1 };
const LOG_BUFFER: Buffer = { buffer: "message log", size: LOG_SIZE };

function say(step: string, why: string): Call {
  return {
    call: "write",
    args: [cell(SOCKET), CONVERSATION, 1],
    why: `${why} (${step})`,
    fail: { code: "INTERNAL", message: "init could not tell the runtime how far it got" },
  };
}

function listen(step: string): Call {
  return {
    call: "read",
    args: [cell(SOCKET), CONVERSATION, 1],
    why: `wait for the runtime to go on (${step}); its end is init's end`,
    zero: "exit",
    fail: { code: "INTERNAL", message: "init could not hear the runtime" },
  };
}

const EXIT: Call = { call: "exit_group", args: [EXIT_FAILED], why: "end init" };

function newNode(call: Call, next: Node | undefined): Node {
  return {
    call,
    next,
    errno1: 0,
    errno2: 0,
    on1: undefined,
    on2: undefined,
    zero: undefined,
    fail: undefined,
    recorded: false,
    address: 0,
    placed: false,
  };
}

/** Stands for the beginning of the enclosing block until that is linked. */
const RESTART = newNode(EXIT, undefined);

/** What links steps to each other: the exit that failures share, and the reads of message logs, one a context. */
interface Linker {
  exit: Node;
  logs: Map<string, Node>;
  /** Nodes that stand for the beginning of a block that isn't linked yet. */
  restarts: Node[];
  inBlock: boolean;
}

/** Turns steps into linked ops, from the last to the first, so that every successor exists when it is named. */
function link(
  linker: Linker,
  steps: readonly Step[],
  after: Node | undefined,
  leave: Node | undefined,
): Node | undefined {
  let next = after;
  for (let i = steps.length - 1; i >= 0; i--) {
    const step = steps[i] as Step;
    if ("call" in step) next = linkCall(linker, step, next, leave);
    else if ("block" in step) next = linkBlock(linker, step.block, next);
    else {
      next = linkCall(linker, listen(step.pause), next, leave);
      if (!step.silent) next = linkCall(linker, say(step.pause, step.why), next, leave);
    }
  }
  return next;
}

/** Successors are named before the block's beginning has an op; those that mean it are set when it has. */
function linkBlock(linker: Linker, steps: readonly Step[], after: Node | undefined): Node | undefined {
  const { restarts: outer, inBlock } = linker;
  linker.restarts = [];
  linker.inBlock = true;
  const entry = link(linker, steps, after, after);
  for (const node of linker.restarts) {
    if (node.on1 === RESTART) node.on1 = entry;
    if (node.on2 === RESTART) node.on2 = entry;
  }
  linker.restarts = outer;
  linker.inBlock = inBlock;
  return entry;
}

function linkCall(linker: Linker, call: Call, next: Node | undefined, leave: Node | undefined): Node {
  const node = newNode(call, call.after === "leave" ? leave : next);
  const { on, zero, otherwise, log } = call;
  if (on !== undefined)
    for (const name in on) {
      const errno = ERRNOS[name as ErrnoName];
      const to = follow(linker, on[name as ErrnoName] as Outcome, node, next, leave);
      if (node.errno1 === 0) {
        node.errno1 = errno;
        node.on1 = to;
      } else if (node.errno2 === 0) {
        node.errno2 = errno;
        node.on2 = to;
      } else throw new RangeError(`${call.call}: an op has room for two expected errors`);
    }
  if (zero !== undefined) {
    node.zero = follow(linker, zero, node, next, leave);
    // None after a result of 0 is the next one (op.ts, `onZero`).
    if (node.zero === undefined && node.next !== undefined)
      throw new RangeError(
        `${call.call}: the way back to the caller needs a call of its own after a result of 0`,
      );
  }
  node.recorded = otherwise === undefined;
  if (otherwise !== undefined) node.fail = follow(linker, otherwise, node, next, leave);
  else node.fail = log === undefined ? linker.exit : readLog(linker, log);
  return node;
}

function follow(
  linker: Linker,
  outcome: Outcome,
  node: Node,
  next: Node | undefined,
  leave: Node | undefined,
): Node | undefined {
  switch (outcome) {
    case "next":
      return next;
    case "again":
      return node;
    case "restart":
      // Only errors of a call in a block: those are set when the block's beginning is known.
      if (!linker.inBlock || outcome === node.call.zero || outcome === node.call.otherwise)
        throw new RangeError(`${node.call.call}: "restart" is for an expected error in a block`);
      linker.restarts.push(node);
      return RESTART;
    case "leave":
      return leave;
    case "exit":
      return linker.exit;
    default:
      return link(linker, outcome, next, leave);
  }
}

/** The kernel's own words on a failed mount are read from the context's descriptor, one message per read. */
function readLog(linker: Linker, context: string): Node {
  let node = linker.logs.get(context);
  if (node === undefined) {
    const args = [cell(context), LOG_BUFFER, LOG_SIZE - 1];
    node = newNode({ call: "read", args, why: "read the kernel's message" }, linker.exit);
    node.fail = linker.exit;
    linker.logs.set(context, node);
  }
  return node;
}

/** Nodes in the order in which they run when nothing goes wrong, branches behind. */
function order(entry: Node | undefined): Node[] {
  const nodes: Node[] = [];
  const branches: (Node | undefined)[] = [entry];
  while (branches.length > 0) {
    let node = branches.pop();
    while (node !== undefined && !node.placed) {
      node.placed = true;
      nodes.push(node);
      if (node.fail !== undefined && !node.fail.placed) branches.push(node.fail);
      if (node.zero !== undefined) branches.push(node.zero);
      if (node.on2 !== undefined) branches.push(node.on2);
      if (node.on1 !== undefined) branches.push(node.on1);
      node = node.next;
    }
  }
  return nodes;
}

/** Bytes that grow, with a place for every string and struct. */
interface Region {
  base: number;
  bytes: Uint8Array;
  view: DataView;
  words: Uint32Array;
  top: number;
  cells: Map<string, number>;
  buffers: Map<string, number>;
  /** Strings of one section are not shared with the other, which may be gone from memory. */
  strings: Map<string, number>;
  /** Words that hold cells: placed before all ops, where both sections can reach them. */
  shared: Map<Words, number>;
}

function newRegion(base: number): Region {
  const bytes = new Uint8Array(64 * 1024);
  return {
    base,
    bytes,
    view: new DataView(bytes.buffer),
    words: new Uint32Array(bytes.buffer),
    top: CELLS,
    cells: new Map([[LAST_CALL, LAST]]),
    buffers: new Map([
      [CONVERSATION.buffer, BYTE],
      [LOG_BUFFER.buffer, LOG],
    ]),
    strings: new Map(),
    shared: new Map(),
  };
}

function allocate(region: Region, size: number, align = 8): number {
  const at = Math.ceil(region.top / align) * align;
  region.top = at + size;
  if (region.top > region.bytes.length) {
    const grown = new Uint8Array(2 ** Math.ceil(Math.log2(region.top)));
    grown.set(region.bytes);
    region.bytes = grown;
    region.view = new DataView(grown.buffer);
    region.words = new Uint32Array(grown.buffer);
  }
  return at;
}

const encoder = new TextEncoder();

function putString(region: Region, text: string): number {
  let at = region.strings.get(text);
  if (at === undefined) {
    // The kernel reads to the first NUL: one within would cut the string short.
    if (text.includes("\0"))
      throw new RangeError(`a string for the kernel holds a NUL: ${JSON.stringify(text)}`);
    // UTF-8 takes at most three bytes for a UTF-16 unit.
    at = allocate(region, text.length * 3 + 1);
    const { written } = encoder.encodeInto(text, region.bytes.subarray(at));
    region.top = at + written + 1;
    region.strings.set(text, at);
  }
  return at;
}

function putStrings(region: Region, texts: readonly string[]): number {
  const pointers = texts.map((text) => putString(region, text));
  const at = allocate(region, 8 * (texts.length + 1));
  pointers.forEach((p, i) => {
    region.view.setBigUint64(at + 8 * i, BigInt(region.base + p), true);
  });
  return at;
}

/** Cells among the words get their home here. */
function putWords(region: Region, arg: Words): number {
  const at = allocate(region, 8 * arg.words.length);
  arg.words.forEach((word, i) => {
    const here = at + 8 * i;
    if (typeof word === "object" && "cell" in word) {
      if (region.cells.has(word.cell)) throw new RangeError(`"${word.cell}" is in two lists of words`);
      region.cells.set(word.cell, here);
      region.view.setBigInt64(here, UNSET, true);
      return;
    }
    const value =
      typeof word === "number" || typeof word === "bigint" ? word : region.base + place(region, word);
    // Behind place(), which may have moved the memory.
    region.view.setBigUint64(here, BigInt.asUintN(64, BigInt(value)), true);
  });
  return at;
}

const holdsCells = ({ words }: Words): boolean =>
  words.some((w) => typeof w === "object" && ("cell" in w || ("words" in w && holdsCells(w))));

/** Words with cells in them come first: the cells of all other calls are then placed around them. */
function placeWords(region: Region, lists: readonly Node[][]): void {
  for (const nodes of lists)
    for (const { call } of nodes)
      for (const arg of call.args)
        if (typeof arg === "object" && "words" in arg && !region.shared.has(arg) && holdsCells(arg))
          region.shared.set(arg, putWords(region, arg));
}

/** Where an argument that isn't an integer lies; for a cell, the cell. */
function place(region: Region, arg: Exclude<Arg, number | bigint>): number {
  if (typeof arg === "string") return putString(region, arg);
  if ("cell" in arg) {
    const at = region.cells.get(arg.cell);
    if (at === undefined) throw new RangeError(`no step saves "${arg.cell}"`);
    return at;
  }
  if ("struct" in arg) {
    const bytes = encodeStruct(arg.struct, arg.value as never);
    const at = allocate(region, bytes.length);
    region.bytes.set(bytes, at);
    return at;
  }
  if ("strings" in arg) return putStrings(region, arg.strings);
  if ("words" in arg) return region.shared.get(arg) ?? putWords(region, arg);
  if ("bytes" in arg) {
    const at = allocate(region, arg.bytes.length);
    region.bytes.set(arg.bytes, at);
    return at;
  }
  let at = region.buffers.get(arg.buffer);
  if (at === undefined) {
    at = allocate(region, arg.size);
    region.buffers.set(arg.buffer, at);
    if (arg.text !== undefined) putText(region.bytes, at, arg.text, arg.size);
  }
  return at;
}

function placeCells(region: Region, lists: readonly Node[][], given: Record<string, number | bigint>): void {
  const put = (name: string, value: bigint) => {
    const at = region.cells.get(name) ?? allocate(region, 8);
    region.cells.set(name, at);
    region.view.setBigInt64(at, value, true);
  };
  for (const name in given) put(name, BigInt(given[name] as number | bigint));
  for (const nodes of lists)
    for (const { call } of nodes)
      if (call.save !== undefined && !region.cells.has(call.save)) put(call.save, UNSET);
}

function placeNodes(region: Region, nodes: readonly Node[]): void {
  let at = region.base + allocate(region, nodes.length * OP_SIZE, OP_SIZE);
  for (const node of nodes) {
    node.address = at;
    at += OP_SIZE;
  }
}

function writeNodes(region: Region, nodes: readonly Node[], arch: Arch): void {
  const { base } = region;
  // One object for all ops: a fresh one each would be most of the work.
  const args: (number | bigint)[] = [];
  const op = { ...OP_NONE, nr: 0, args };
  for (const node of nodes) {
    const { call } = node;
    args.length = 0;
    op.cells = 0;
    for (const arg of call.args) {
      if (typeof arg === "number" || typeof arg === "bigint") args.push(arg);
      else {
        if (typeof arg === "object" && "cell" in arg) op.cells |= 1 << args.length;
        args.push(base + place(region, arg));
      }
    }
    op.nr = syscallNumber(call.call, arch);
    op.result = call.save === undefined ? 0 : base + (region.cells.get(call.save) as number);
    op.errno1 = node.errno1;
    op.errno2 = node.errno2;
    op.next = node.next === undefined ? 0 : node.next.address;
    op.onErrno1 = node.on1 === undefined ? 0 : node.on1.address;
    op.onErrno2 = node.on2 === undefined ? 0 : node.on2.address;
    op.onZero = node.zero === undefined ? 0 : node.zero.address;
    op.onFail = node.fail === undefined ? 0 : node.fail.address;
    op.record = node.recorded ? base + RECORD : 0;
    putOp(region.words, (node.address - base) >> 2, op);
  }
}

/**
 * Encodes both sections of a plan. `given` are the values of the cells that no step saves.
 * @throws RangeError for a step that can't be encoded: a fault of the planner, not of the config.
 */
export function encodePlan(
  sections: Sections,
  given: Record<string, number | bigint>,
  options: EncodeOptions = {},
): EncodedPlan {
  const { arch = ARCH, base = PLAN_BASE, end = "exit" } = options;
  const linker: Linker = { exit: newNode(EXIT, undefined), logs: new Map(), restarts: [], inBlock: false };
  const last = end === "exit" ? linker.exit : undefined;
  const start = link(linker, sections.start, last, last);
  const create = link(linker, sections.create, start, start);
  if (create === undefined) throw new RangeError("a plan without steps");
  const startNodes = order(start);
  const createNodes = order(create);

  const region = newRegion(base);
  region.view.setBigInt64(LAST, UNSET, true);
  placeWords(region, [startNodes, createNodes]);
  placeCells(region, [startNodes, createNodes], { [PARK_ADDRESS]: 0, [PARK_LENGTH]: 0, ...given });
  placeNodes(region, startNodes);
  // Start's ops name no op of create's, which is unmapped by then; create's end names start's first.
  writeNodes(region, startNodes, arch);
  // What returns is never unmapped, and needs no border.
  const parkedSize = allocate(region, 0, end === "return" ? OP_SIZE : pageSize());
  region.strings = new Map();
  placeNodes(region, createNodes);
  writeNodes(region, createNodes, arch);
  const size = allocate(region, 0, PAGE);

  const { cells, buffers } = region;
  region.view.setBigInt64(cells.get(PARK_ADDRESS) as number, BigInt(base + parkedSize), true);
  region.view.setBigInt64(cells.get(PARK_LENGTH) as number, BigInt(size - parkedSize), true);
  return {
    bytes: region.bytes.subarray(0, size),
    parkedSize,
    firstOp: create.address,
    cells,
    buffers,
    ops: [...startNodes, ...createNodes],
  };
}
