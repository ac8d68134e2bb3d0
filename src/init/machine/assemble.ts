/** What both architectures' assemblers share: a program as a list of lines, and labels made into distances. */

/** One line of an assembly program. */
export type Line =
  | { readonly kind: "label"; readonly name: string }
  | { readonly kind: "code"; readonly bytes: readonly number[] }
  | {
      readonly kind: "branch";
      readonly size: number;
      readonly target: string;
      /** The bytes, for a target that lies `distance` bytes from the branch's own first byte. */
      readonly encode: (distance: number) => readonly number[];
    };

export function label(name: string): Line {
  return { kind: "label", name };
}

export function code(...bytes: number[]): Line {
  return { kind: "code", bytes };
}

/** `value` as an integer of `min` … `max`, or RangeError: an encoding field would cut off the rest in silence. */
export function within(value: number, min: number, max: number, what: string): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`assembler: ${what} of ${value} is not within ${min} … ${max}`);
  }
  return value;
}

function sizeOf(line: Line): number {
  if (line.kind === "label") return 0;
  return line.kind === "code" ? line.bytes.length : line.size;
}

/** The machine code of `program`; RangeError for a label that isn't there or too far for its branch. */
export function assemble(program: readonly Line[]): Uint8Array {
  const offsets = new Map<string, number>();
  let size = 0;
  for (const line of program) {
    if (line.kind === "label") {
      if (offsets.has(line.name)) throw new RangeError(`assembler: label ${line.name} twice`);
      offsets.set(line.name, size);
    }
    size += sizeOf(line);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const line of program) {
    if (line.kind === "code") bytes.set(line.bytes, at);
    else if (line.kind === "branch") {
      const target = offsets.get(line.target);
      if (target === undefined) throw new RangeError(`assembler: no label ${line.target}`);
      bytes.set(line.encode(target - at), at);
    }
    at += sizeOf(line);
  }
  return bytes;
}

/** Pieces of machine code, one behind the other; each has only jumps within itself. */
export function join(...pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
