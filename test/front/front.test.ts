import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readSegments } from "../../scripts/front/elf.ts";
import { front } from "../../scripts/front/front.ts";

test.skipIf(process.arch !== "x64")("the built executable begins with the front", () => {
  const file = readFileSync(join(import.meta.dir, "../../dist/kontena"));
  const entry = Number(file.readBigUInt64LE(24));
  const own = readSegments(file).loaded.find(({ address }) => address === entry);
  const code = Buffer.from(front({ entry: 0n, option: 0n }));
  expect(own).toMatchObject({ fileSize: code.length, memorySize: code.length });
  const { offset = 0 } = own ?? {};
  // What is in front of the numbers that differ.
  const same = code.indexOf(Buffer.from([0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0]));
  expect(same).toBeGreaterThan(1000);
  expect(file.subarray(offset, offset + same)).toEqual(code.subarray(0, same));
});
