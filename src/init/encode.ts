/**
 * Steps → plan memory: ops, strings, structs and cells at fixed addresses.
 *
 *   0     failure record: errno, address of the failing op
 *   16    the byte of the conversation
 *   24    message log of a file system context
 *   …     cells, then the ops and data of `start`
 *   ── page border: parked, init unmaps what lies behind it ──
 *   …     the ops, data and buffers of `create`
 *
 * Results live in cells and never in ops, so one result can feed any number of later calls.
 */
import { ERRNO, type ErrnoName } from "../kernel/errno.ts";
import { cString } from "../kernel/libc.ts";
import { encodeStruct } from "../kernel/structs.ts";
import { ARCH, type Arch, syscallNumber } from "../kernel/syscalls.ts";
import { OP_SIZE, writeOp } from "./op.ts";
import { type Arg, type Buffer, type Call, cell, type Outcome, type Step } from "./step.ts";

/** Where plan memory is mapped in every init. */
export const PLAN_BASE = 0x1000_0000n;

const PAGE = 4096;
/** The largest page of the two architectures: munmap(2) of the second section needs its border on one. */
const PAGE_MAX = process.arch === "arm64" ? 65536 : 4096;

const RECORD = 0;
const BYTE = 16;
const LOG = 24;
const LOG_SIZE = 488;
const CELLS = LOG + LOG_SIZE;

/** Exit status of an init that stopped at a failed step; the record says which. */
export const EXIT_FAILED = 1;

/** Cells that the loader fills before init's first op. */
export const SOCKET = "init socket";
export const PARK_ADDRESS = "create section";
export const PARK_LENGTH = "create section's length";

/** One op before it has an address. */
interface Node {
  call: Call;
  next: Node | undefined;
  on: [errno: number, to: Node | undefined][];
  zero: Node | undefined;
  fail: Node | undefined;
  /** A failure here is written to the record. */
  recorded: boolean;
  address: bigint;
}

export interface Sections {
  create: readonly Step[];
  start: readonly Step[];
}

export interface EncodedPlan {
  readonly bytes: Uint8Array;
  /** Bytes of the section that stays mapped while init is parked. */
  readonly parkedSize: number;
  readonly firstOp: bigint;
  /** Offset of the named cell in plan memory. */
  cellOffset(name: string): number;
  /** Offset of the named buffer in plan memory. */
  bufferOffset(name: string): number;
  /** Ops in order; their addresses tell a failure's call. */
  readonly ops: readonly { address: bigint; call: Call }[];
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

/** Turns steps into linked ops, from the last to the first, so that every successor exists when it is named. */
class Linker {
  readonly exit: Node = this.#node(EXIT, undefined);
  readonly #logs = new Map<string, Node>();
  /** Branches already linked: the retries of a call share those of the first try. */
  readonly #branches = new Map<readonly Step[], { next: Node | undefined; leave: Node | undefined; entry: Node | undefined }>();

  #node(call: Call, next: Node | undefined): Node {
    return { call, next, on: [], zero: undefined, fail: undefined, recorded: false, address: 0n };
  }

  link(steps: readonly Step[], after: Node | undefined, leave: Node | undefined): Node | undefined {
    let next = after;
    for (let i = steps.length - 1; i >= 0; i--) {
      const step = steps[i] as Step;
      if ("block" in step) next = this.link(step.block, next, next);
      else if ("pause" in step) {
        next = this.#call(listen(step.pause), next, leave);
        if (!step.silent) next = this.#call(say(step.pause, step.why), next, leave);
      } else next = this.#call(step, next, leave);
    }
    return next;
  }

  #call(call: Call, next: Node | undefined, leave: Node | undefined): Node {
    const node = this.#node(call, next);
    const to = (outcome: Outcome): Node | undefined => {
      if (outcome === "next") return next;
      if (outcome === "leave") return leave;
      if (outcome === "exit") return this.exit;
      return this.#branch(outcome, next, leave);
    };
    for (const [name, outcome] of Object.entries(call.on ?? {}))
      node.on.push([ERRNO[name as ErrnoName], to(outcome)]);
    if (node.on.length > 2) throw new RangeError(`${call.call}: an op has room for two expected errors`);
    if (call.zero !== undefined) node.zero = to(call.zero);
    node.recorded = call.otherwise === undefined && call !== EXIT;
    if (call.otherwise !== undefined) node.fail = to(call.otherwise);
    else if (call !== EXIT) node.fail = call.log === undefined ? this.exit : this.#readLog(call.log);
    return node;
  }

  #branch(steps: readonly Step[], next: Node | undefined, leave: Node | undefined): Node | undefined {
    const known = this.#branches.get(steps);
    if (known !== undefined && known.next === next && known.leave === leave) return known.entry;
    const entry = this.link(steps, next, leave);
    this.#branches.set(steps, { next, leave, entry });
    return entry;
  }

  /** The kernel's own words on a failed mount are read from the context's descriptor, one message per read. */
  #readLog(context: string): Node {
    let node = this.#logs.get(context);
    if (node === undefined) {
      const args = [cell(context), LOG_BUFFER, LOG_SIZE - 1];
      node = this.#node({ call: "read", args, why: "read the kernel's message" }, this.exit);
      node.fail = this.exit;
      this.#logs.set(context, node);
    }
    return node;
  }
}

/** Nodes in the order in which they run when nothing goes wrong, branches behind. */
function order(entry: Node | undefined, known: Set<Node>): Node[] {
  const nodes: Node[] = [];
  const branches = [entry];
  while (branches.length > 0) {
    let node = branches.pop();
    while (node !== undefined && !known.has(node)) {
      known.add(node);
      nodes.push(node);
      branches.push(node.fail, node.zero, ...node.on.map(([, to]) => to));
      node = node.next;
    }
  }
  return nodes;
}

/** Bytes that grow, with a place for every string and struct. */
class Region {
  bytes = new Uint8Array(64 * 1024);
  view = new DataView(this.bytes.buffer);
  top = CELLS;
  readonly cells = new Map<string, number>();
  readonly buffers = new Map([
    [CONVERSATION.buffer, BYTE],
    [LOG_BUFFER.buffer, LOG],
  ]);
  constructor(readonly base: bigint) {}
  #strings = new Map<string, number>();

  allocate(size: number, align = 8): number {
    const at = Math.ceil(this.top / align) * align;
    this.top = at + size;
    if (this.top > this.bytes.length) {
      const grown = new Uint8Array(2 ** Math.ceil(Math.log2(this.top)));
      grown.set(this.bytes);
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    return at;
  }

  /** Strings of one section are not shared with the other, which may be gone from memory. */
  newSection(): void {
    this.#strings = new Map();
  }

  put(bytes: Uint8Array): number {
    const at = this.allocate(bytes.length);
    this.bytes.set(bytes, at);
    return at;
  }

  string(text: string): number {
    let at = this.#strings.get(text);
    if (at === undefined) {
      at = this.put(cString(text));
      this.#strings.set(text, at);
    }
    return at;
  }

  strings(texts: readonly string[]): number {
    const pointers = texts.map((text) => this.string(text));
    const at = this.allocate(8 * (texts.length + 1));
    pointers.forEach((p, i) => {
      this.view.setBigUint64(at + 8 * i, this.base + BigInt(p), true);
    });
    return at;
  }

  cell(name: string): number {
    const at = this.cells.get(name);
    if (at === undefined) throw new RangeError(`no step saves "${name}"`);
    return at;
  }

  /** The argument's value; for a cell, the cell's address. */
  value(arg: Arg): bigint {
    if (typeof arg === "bigint") return arg;
    if (typeof arg === "number") return BigInt(arg);
    return this.base + BigInt(this.#place(arg));
  }

  #place(arg: Exclude<Arg, number | bigint>): number {
    if (typeof arg === "string") return this.string(arg);
    if ("cell" in arg) return this.cell(arg.cell);
    if ("strings" in arg) return this.strings(arg.strings);
    if ("struct" in arg) return this.put(encodeStruct(arg.struct, arg.value as never));
    let at = this.buffers.get(arg.buffer);
    if (at === undefined) {
      at = this.allocate(arg.size);
      this.buffers.set(arg.buffer, at);
    }
    return at;
  }
}

function isCell(arg: Arg): boolean {
  return typeof arg === "object" && "cell" in arg;
}

/** A cell's value before any call has saved one: no result of a call looks like it. */
export const UNSET = -0x7fff_ffff_ffff_ffffn;

function placeCells(region: Region, nodes: readonly Node[], given: Record<string, number | bigint>): void {
  const names = new Set(Object.keys(given));
  for (const node of nodes) if (node.call.save !== undefined) names.add(node.call.save);
  for (const name of names) {
    const at = region.allocate(8);
    region.cells.set(name, at);
    region.view.setBigInt64(at, BigInt(given[name] ?? UNSET), true);
  }
}

function writeNodes(region: Region, nodes: readonly Node[], arch: Arch): void {
  const address = (node: Node | undefined) => node?.address ?? 0n;
  const memory = (offset: number) => region.base + BigInt(offset);
  for (const node of nodes) {
    const { call } = node;
    const args = call.args.map((arg) => region.value(arg));
    let cells = 0;
    call.args.forEach((arg, i) => {
      if (isCell(arg)) cells |= 1 << i;
    });
    const [first, second] = node.on;
    writeOp(region.view, Number(node.address - region.base), {
      nr: syscallNumber(call.call, arch),
      args,
      cells,
      result: call.save === undefined ? 0n : memory(region.cell(call.save)),
      errno1: first?.[0] ?? 0,
      errno2: second?.[0] ?? 0,
      next: address(node.next),
      onErrno1: address(first?.[1]),
      onErrno2: address(second?.[1]),
      onZero: address(node.zero),
      onFail: address(node.fail),
      record: node.recorded ? memory(RECORD) : 0n,
    });
  }
}

export interface EncodeOptions {
  arch?: Arch;
  /** Address of the first byte in the process that runs it. */
  base?: bigint;
  /** What follows the last step: init exits, the loader's list returns to its caller. */
  end?: "exit" | "return";
}

/**
 * Encodes both sections of a plan for `arch`. `given` are the values of the cells that no step saves.
 * @throws RangeError for a step that can't be encoded: a fault of the planner, not of the config.
 */
export function encodePlan(
  sections: Sections,
  given: Record<string, number | bigint>,
  options: EncodeOptions = {},
): EncodedPlan {
  const { arch = ARCH, base = PLAN_BASE, end = "exit" } = options;
  const linker = new Linker();
  const last = end === "exit" ? linker.exit : undefined;
  const start = linker.link(sections.start, last, last);
  const create = linker.link(sections.create, start, start);
  if (create === undefined) throw new RangeError("a plan without steps");
  const known = new Set<Node>();
  const startNodes = order(start, known);
  const createNodes = order(create, known);

  const region = new Region(base);
  placeCells(region, [...startNodes, ...createNodes], { [PARK_ADDRESS]: 0, [PARK_LENGTH]: 0, ...given });
  const place = (nodes: readonly Node[]) => {
    const at = region.allocate(nodes.length * OP_SIZE, OP_SIZE);
    nodes.forEach((node, i) => {
      node.address = base + BigInt(at + i * OP_SIZE);
    });
  };
  place(startNodes);
  // Start's ops name no op of create's, which is unmapped by then; create's end names start's first.
  writeNodes(region, startNodes, arch);
  const parkedSize = region.allocate(0, PAGE_MAX);
  region.newSection();
  place(createNodes);
  writeNodes(region, createNodes, arch);
  const size = region.allocate(0, PAGE);

  region.view.setBigInt64(region.cell(PARK_ADDRESS), base + BigInt(parkedSize), true);
  region.view.setBigInt64(region.cell(PARK_LENGTH), BigInt(size - parkedSize), true);
  return {
    bytes: region.bytes.subarray(0, size),
    parkedSize,
    firstOp: create.address,
    cellOffset: (name) => region.cell(name),
    bufferOffset: (name) => {
      const at = region.buffers.get(name);
      if (at === undefined) throw new RangeError(`no step fills "${name}"`);
      return at;
    },
    ops: [...startNodes, ...createNodes].map(({ address, call }) => ({ address, call })),
  };
}

/** What init wrote on a failure: null when no step has failed. */
export interface FailureRecord {
  errno: number;
  op: bigint;
  /** The kernel's own words (fsopen(2), "message retrieval"), `""` when there are none. */
  log: string;
}

/** Reads the failure record from the first bytes of plan memory. */
export function readRecord(bytes: Uint8Array): FailureRecord | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const errno = Number(view.getBigUint64(RECORD, true));
  if (errno === 0) return undefined;
  const log = bytes.subarray(LOG, LOG + LOG_SIZE);
  const end = log.indexOf(0);
  return {
    errno,
    op: view.getBigUint64(RECORD + 8, true),
    // A message begins with its level and a space: "e tmpfs: Bad value for 'size'".
    log: new TextDecoder()
      .decode(log.subarray(0, end < 0 ? LOG_SIZE : end))
      .replace(/^[ewi] /, "")
      .trim(),
  };
}

/** Bytes at the head of plan memory that hold the record and the log. */
export const HEAD_SIZE = CELLS;
