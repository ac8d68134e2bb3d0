/** Values and messages of D-Bus as bytes (D-Bus Specification 0.43, "Marshaling" and "Message Protocol"), little-endian. */

/** What a type holds: `b` a boolean, `x` and `t` a bigint, other numbers a number, arrays and structs a list. */
export type Value = boolean | number | bigint | string | Variant | readonly Value[];

/** A value with its type, which is that of one complete value. */
export interface Variant {
  signature: string;
  value: Value;
}

export const variant = (signature: string, value: Value): Variant => ({ signature, value });

/** Bytes to which values of a basic type are aligned; for numbers it is their size too. */
const ALIGNMENT: Record<string, number> = {
  ...{ y: 1, g: 1, v: 1, n: 2, q: 2, b: 4, i: 4, u: 4, h: 4, s: 4, o: 4, a: 4, x: 8, t: 8, d: 8 },
  "(": 8,
  "{": 8,
};

const NUMBERS: Record<string, readonly [get: NumberGetter, set: NumberSetter]> = {
  y: ["getUint8", "setUint8"],
  n: ["getInt16", "setInt16"],
  q: ["getUint16", "setUint16"],
  i: ["getInt32", "setInt32"],
  u: ["getUint32", "setUint32"],
  h: ["getUint32", "setUint32"],
  b: ["getUint32", "setUint32"],
  d: ["getFloat64", "setFloat64"],
};
type NumberGetter = "getUint8" | "getInt16" | "getUint16" | "getInt32" | "getUint32" | "getFloat64";
type NumberSetter = "setUint8" | "setInt16" | "setUint16" | "setInt32" | "setUint32" | "setFloat64";

/** The end of the complete type that begins at `at`. */
function endOfType(signature: string, at: number): number {
  const first = signature[at] ?? "";
  if (first === "a") return endOfType(signature, at + 1);
  if (first !== "(" && first !== "{") {
    if (ALIGNMENT[first] === undefined) throw new RangeError(`no type of D-Bus: "${signature}"`);
    return at + 1;
  }
  const close = first === "(" ? ")" : "}";
  let end = at + 1;
  while (signature[end] !== close) end = endOfType(signature, end);
  return end + 1;
}

/** The complete types that a signature is made of. */
export function typesOf(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length; ) {
    const end = endOfType(signature, at);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

const inner = (type: string) => typesOf(type.slice(1, -1));
const alignmentOf = (type: string) => ALIGNMENT[type[0] ?? ""] ?? 1;

interface Sink {
  bytes: number[];
}

function pad(sink: Sink, alignment: number): void {
  while (sink.bytes.length % alignment !== 0) sink.bytes.push(0);
}

function putNumber(sink: Sink, type: string, value: number | bigint): void {
  const size = alignmentOf(type);
  pad(sink, size);
  const view = new DataView(new ArrayBuffer(8));
  if (type === "x" || type === "t") view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  else view[(NUMBERS[type] as (typeof NUMBERS)[string])[1]](0, Number(value), true);
  for (let i = 0; i < size; i++) sink.bytes.push(view.getUint8(i));
}

function putText(sink: Sink, type: string, text: string): void {
  const bytes = new TextEncoder().encode(text);
  putNumber(sink, type === "g" ? "y" : "u", bytes.length);
  sink.bytes.push(...bytes, 0);
}

function putArray(sink: Sink, type: string, list: readonly Value[]): void {
  putNumber(sink, "u", 0);
  const at = sink.bytes.length - 4;
  // The padding of the first element counts not.
  pad(sink, alignmentOf(type));
  const start = sink.bytes.length;
  for (const value of list) put(sink, type, value);
  const length = sink.bytes.length - start;
  for (let i = 0; i < 4; i++) sink.bytes[at + i] = (length >>> (8 * i)) & 0xff;
}

function put(sink: Sink, type: string, value: Value): void {
  const kind = type[0] as string;
  if ("sog".includes(kind)) putText(sink, type, value as string);
  else if (kind === "a") putArray(sink, type.slice(1), value as readonly Value[]);
  else if (kind === "v") {
    const { signature, value: content } = value as Variant;
    putText(sink, "g", signature);
    put(sink, signature, content);
  } else if (kind === "(" || kind === "{") {
    pad(sink, 8);
    inner(type).forEach((field, i) => {
      put(sink, field, (value as readonly Value[])[i] as Value);
    });
  } else putNumber(sink, type, typeof value === "boolean" ? Number(value) : (value as number | bigint));
}

/** The values of a signature as bytes that begin at a border of 8. */
export function marshal(signature: string, values: readonly Value[]): Uint8Array {
  const sink: Sink = { bytes: [] };
  typesOf(signature).forEach((type, i) => {
    put(sink, type, values[i] as Value);
  });
  return new Uint8Array(sink.bytes);
}

interface Source {
  view: DataView;
  bytes: Uint8Array;
  at: number;
}

function take(source: Source, type: string): Value {
  const alignment = alignmentOf(type);
  source.at = Math.ceil(source.at / alignment) * alignment;
  switch (type[0]) {
    case "s":
    case "o":
    case "g": {
      const length = takeNumber(source, type === "g" ? "y" : "u") as number;
      const text = new TextDecoder().decode(source.bytes.subarray(source.at, source.at + length));
      source.at += length + 1;
      return text;
    }
    case "v": {
      const signature = take(source, "g") as string;
      return { signature, value: take(source, signature) };
    }
    case "a": {
      const length = takeNumber(source, "u") as number;
      const element = type.slice(1);
      source.at = Math.ceil(source.at / alignmentOf(element)) * alignmentOf(element);
      const end = source.at + length;
      const list: Value[] = [];
      while (source.at < end) list.push(take(source, element));
      return list;
    }
    case "(":
    case "{":
      return inner(type).map((field) => take(source, field));
    case "b":
      return takeNumber(source, type) === 1;
    default:
      return takeNumber(source, type);
  }
}

function takeNumber(source: Source, type: string): number | bigint {
  const { view, at } = source;
  source.at += alignmentOf(type);
  if (type === "x") return view.getBigInt64(at, true);
  if (type === "t") return view.getBigUint64(at, true);
  return view[(NUMBERS[type] as (typeof NUMBERS)[string])[0]](at, true);
}

/** The values of a signature out of bytes that begin at a border of 8. @throws RangeError when they are too few */
export function unmarshal(signature: string, bytes: Uint8Array): Value[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const source = { view, bytes, at: 0 };
  return typesOf(signature).map((type) => take(source, type));
}

/** Kinds of messages. */
export const MESSAGE = { METHOD_CALL: 1, METHOD_RETURN: 2, ERROR: 3, SIGNAL: 4 } as const;

/** Header fields by their codes; UNIX_FDS (9) isn't used. */
const FIELDS = {
  path: [1, "o"],
  interface: [2, "s"],
  member: [3, "s"],
  errorName: [4, "s"],
  replySerial: [5, "u"],
  destination: [6, "s"],
  sender: [7, "s"],
  signature: [8, "g"],
} as const;
type FieldName = keyof typeof FIELDS;

export interface Message extends Partial<Record<Exclude<FieldName, "replySerial">, string>> {
  type: number;
  serial: number;
  replySerial?: number;
  body: readonly Value[];
}

/** Type, flags, version 1, length of the body, serial, header fields. */
const HEADER = "yyyyuua(yv)";
type HeaderValues = [number, number, number, number, number, number, [number, Variant][]];
const LITTLE_ENDIAN = "l".charCodeAt(0);

export function encodeMessage(message: Message): Uint8Array {
  const body = marshal(message.signature ?? "", message.body);
  const fields = (Object.keys(FIELDS) as FieldName[]).flatMap((name) => {
    const value = message[name];
    const [code, type] = FIELDS[name];
    return value === undefined ? [] : [[code, variant(type, value)]];
  });
  const head = marshal(HEADER, [LITTLE_ENDIAN, message.type, 0, 1, body.length, message.serial, fields]);
  const start = Math.ceil(head.length / 8) * 8;
  const bytes = new Uint8Array(start + body.length);
  bytes.set(head);
  bytes.set(body, start);
  return bytes;
}

/** The first message of these bytes and its length; undefined while it isn't there as a whole. */
export function decodeMessage(bytes: Uint8Array): { message: Message; length: number } | undefined {
  if (bytes.length < 16) return undefined;
  if (bytes[0] !== LITTLE_ENDIAN) throw new RangeError("a message of D-Bus in another byte order");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = Math.ceil((16 + view.getUint32(12, true)) / 8) * 8;
  const length = start + view.getUint32(4, true);
  if (bytes.length < length) return undefined;
  const [, type, , , , serial, fields] = unmarshal(HEADER, bytes.subarray(0, start)) as HeaderValues;
  const names = Object.keys(FIELDS) as FieldName[];
  const known = fields.flatMap(([code, { value }]) => {
    const name = names.find((n) => FIELDS[n][0] === code);
    return name === undefined ? [] : [[name, value]];
  });
  const header = Object.fromEntries(known) as Partial<Message>;
  // A copy, since the alignment counts from the body's own beginning and it has to outlive the buffer.
  const body = unmarshal(header.signature ?? "", bytes.slice(start, length));
  return { message: { type, serial, ...header, body }, length };
}
