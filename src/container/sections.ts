/** A file of several parts: one after the other, then the size of each, in decimal. */

const SIZE_DIGITS = 12;

export function joinSections(sections: readonly Uint8Array[]): Uint8Array {
  let total = sections.length * SIZE_DIGITS;
  let sizes = "";
  for (const { length } of sections) {
    total += length;
    sizes += String(length).padStart(SIZE_DIGITS);
  }
  const file = new Uint8Array(total);
  let at = 0;
  for (const section of sections) {
    file.set(section, at);
    at += section.length;
  }
  new TextEncoder().encodeInto(sizes, file.subarray(at));
  return file;
}

/** Undefined when the sizes don't add up: the file is cut off. */
export function splitSections(file: Uint8Array, count: number): Uint8Array[] | undefined {
  const end = file.length - count * SIZE_DIGITS;
  if (end < 0) return undefined;
  const sizes = new TextDecoder().decode(file.subarray(end));
  const sections: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const size = Number(sizes.slice(i * SIZE_DIGITS, (i + 1) * SIZE_DIGITS));
    if (!(size >= 0)) return undefined;
    sections.push(file.subarray(at, at + size));
    at += size;
  }
  return at === end ? sections : undefined;
}
