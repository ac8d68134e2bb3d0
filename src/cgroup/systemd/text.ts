/**
 * Values in GVariant's text form (GLib, "GVariant Text Format"), as annotations `org.systemd.property.*` have them:
 * `true`, `5`, `uint64 5`, `1.5`, `'text'`, `['a', 'b']`, `(1, 'x')`, `<value>`, `@as []`.
 */
import { typesOf, type Value, type Variant, variant } from "./marshal.ts";

/** Words that give the type of what follows. */
const TYPES: Record<string, string> = {
  boolean: "b",
  byte: "y",
  int16: "n",
  uint16: "q",
  int32: "i",
  uint32: "u",
  handle: "h",
  int64: "x",
  uint64: "t",
  double: "d",
  string: "s",
  objectpath: "o",
  signature: "g",
};

/** Least and greatest value of the whole numbers. */
const RANGES: Record<string, readonly [bigint, bigint]> = {
  y: [0n, 0xffn],
  n: [-0x8000n, 0x7fffn],
  q: [0n, 0xffffn],
  i: [-0x8000_0000n, 0x7fff_ffffn],
  u: [0n, 0xffff_ffffn],
  h: [-0x8000_0000n, 0x7fff_ffffn],
  x: [-0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn],
  t: [0n, 0xffff_ffff_ffff_ffffn],
};

const TOKEN =
  /\s*(?:([+-]?(?:0x[0-9a-fA-F]+|\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+|\.\d+|\d+))|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(@[a-z(){}]+)|([a-z]\w*)|([[\](),<>]))/y;

type Token = { kind: "number" | "text" | "type" | "word" | "sign"; text: string };

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  for (let at = 0; text.slice(at).trim() !== ""; at = pattern.lastIndex) {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) throw new SyntaxError(`not understood from "${text.slice(at).trim()}" on`);
    const kinds = ["number", "text", "type", "word", "sign"] as const;
    const index = found.slice(1).findIndex((part) => part !== undefined);
    tokens.push({ kind: kinds[index] as Token["kind"], text: found[index + 1] as string });
  }
  return tokens;
}

const ESCAPES: Record<string, string> = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

function unquote(text: string): string {
  return text
    .slice(1, -1)
    .replace(/\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|[\s\S])/g, (_, escaped: string) =>
      /^[uU]./.test(escaped)
        ? String.fromCodePoint(Number.parseInt(escaped.slice(1), 16))
        : (ESCAPES[escaped] ?? escaped),
    );
}

/** @throws SyntaxError, RangeError that say what is wrong */
export function parseText(text: string): Variant {
  const tokens = tokensOf(text);
  const value = parse(tokens, undefined);
  if (tokens.length > 0) throw new SyntaxError(`"${tokens[0]?.text}" is one too many`);
  return value;
}

function parse(tokens: Token[], type: string | undefined): Variant {
  const token = tokens.shift();
  if (token === undefined) throw new SyntaxError("a value is missing");
  switch (token.kind) {
    case "number":
      return number(token.text, type);
    case "text":
      return typed(type ?? "s", ["s", "o", "g"], unquote(token.text), token);
    case "type":
      return parse(tokens, oneType(token.text.slice(1)));
    case "word":
      if (token.text === "true" || token.text === "false")
        return typed(type ?? "b", ["b"], token.text === "true", token);
      if (TYPES[token.text] === undefined) throw new SyntaxError(`"${token.text}" is no type`);
      return parse(tokens, TYPES[token.text]);
    default:
      return composed(token, tokens, type);
  }
}

function oneType(signature: string): string {
  const types = typesOf(signature);
  if (types.length !== 1) throw new SyntaxError(`"${signature}" isn't one type`);
  return signature;
}

function typed(type: string, possible: readonly string[], value: Value, token: Token): Variant {
  if (!possible.includes(type)) throw new SyntaxError(`${token.text} isn't of type ${type}`);
  return variant(type, value);
}

function number(text: string, type: string | undefined): Variant {
  const whole = /^[+-]?(0x[0-9a-fA-F]+|\d+)$/.test(text);
  const signature = type ?? (whole ? "i" : "d");
  if (signature === "d") return variant("d", Number(text));
  const range = RANGES[signature];
  if (range === undefined || !whole) throw new SyntaxError(`${text} isn't of type ${signature}`);
  const negative = text.startsWith("-");
  const digits = BigInt(text.replace(/^[+-]/, ""));
  const value = negative ? -digits : digits;
  if (value < range[0] || value > range[1])
    throw new RangeError(`${text} is not between ${range[0]} and ${range[1]}, as its type wants it`);
  return variant(signature, signature === "x" || signature === "t" ? value : Number(value));
}

/** Values up to the closing sign, with commas between. */
function list(tokens: Token[], close: string, typeAt: (index: number) => string | undefined): Variant[] {
  const values: Variant[] = [];
  for (;;) {
    if (tokens[0]?.text === close) {
      tokens.shift();
      return values;
    }
    values.push(parse(tokens, typeAt(values.length)));
    if (tokens[0]?.text === ",") tokens.shift();
    else if (tokens[0]?.text !== close) throw new SyntaxError(`"${close}" is missing`);
  }
}

function composed(token: Token, tokens: Token[], type: string | undefined): Variant {
  if (token.text === "<") {
    const [value, ...others] = list(tokens, ">", () => undefined);
    if (value === undefined || others.length > 0) throw new SyntaxError("<> holds one value");
    return typed(type ?? "v", ["v"], value, token);
  }
  if (token.text === "(") {
    const fields = type === undefined ? [] : type.startsWith("(") ? typesOf(type.slice(1, -1)) : [];
    const values = list(tokens, ")", (i) => fields[i]);
    const signature = `(${values.map((v) => v.signature).join("")})`;
    return typed(
      signature,
      [type ?? signature],
      values.map((v) => v.value),
      token,
    );
  }
  if (token.text !== "[") throw new SyntaxError(`"${token.text}" begins no value`);
  if (type !== undefined && !type.startsWith("a")) throw new SyntaxError(`a list isn't of type ${type}`);
  let element = type?.slice(1);
  const values = list(tokens, "]", () => element).map((value) => {
    element ??= value.signature;
    if (value.signature !== element) throw new SyntaxError("the values of a list are of one type");
    return value.value;
  });
  if (element === undefined) throw new SyntaxError("the type of an empty list is missing: @as []");
  return variant(`a${element}`, values);
}
