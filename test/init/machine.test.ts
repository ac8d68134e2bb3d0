import { describe, expect, test } from "bun:test";
import { assembleArm64Loop } from "../../src/init/machine/arm64.ts";
import { assemble, code, type Line, label, within } from "../../src/init/machine/assemble.ts";
import { machineFor } from "../../src/init/machine/index.ts";
import { LOOPS } from "../../src/init/machine/loops.ts";
import { assembleX64Loop } from "../../src/init/machine/x64.ts";
import { ENTRY, ENTRY_OP, INTERPRETER } from "./helpers/listings.ts";
import { assembleWith, disassemble, missingFor } from "./helpers/tools.ts";

test("the kept machine code is what the assembler makes of its source", () => {
  expect(LOOPS.x64).toBe(assembleX64Loop().toHex());
  expect(LOOPS.arm64).toBe(assembleArm64Loop().toHex());
});

describe.each(["x64", "arm64"] as const)("%s", (arch) => {
  const machine = machineFor(arch);
  const reason = missingFor(arch);

  test.skipIf(reason !== "")(
    `the interpreter is the listing that the GNU assembler is given${reason}`,
    () => {
      const expected = assembleWith(arch, INTERPRETER[arch]);
      // Instructions first: they show what differs.
      expect(disassemble(arch, machine.interpreter())).toEqual(disassemble(arch, expected));
      expect(machine.interpreter()).toEqual(expected);
    },
  );

  test.skipIf(reason !== "")(`the entry is the listing that the GNU assembler is given${reason}`, () => {
    const expected = assembleWith(arch, ENTRY[arch]);
    expect(disassemble(arch, machine.entry(ENTRY_OP))).toEqual(disassemble(arch, expected));
    expect(machine.entry(ENTRY_OP)).toEqual(expected);
  });

  test.skipIf(reason !== "")(
    `only one callee-saved register is changed, and restored; the stack isn't used in between${reason}`,
    () => {
      const lines = disassemble(arch, machine.interpreter()).map((line) => line.replace(/^[0-9a-f]+: /, ""));
      const stack = /\b(push|pop|call|rsp|rbp|sp|bl|x29|x30)\b/;
      const used = lines.flatMap((line, i) => (stack.test(line) ? [i] : []));
      expect(used).toEqual([0, lines.length - 2]);
      expect(lines.some((line) => /\br1[2-5]|\bx2[0-8]\b|\(bad\)|undefined/.test(line))).toBe(false);
    },
  );

  test("the entry has the same size for every address", () => {
    const size = machine.entry(0n).length;
    expect(machine.entry(0xffff_ffff_ffff_ffffn).length).toBe(size);
    expect(() => machine.entry(-1n)).toThrow(RangeError);
    expect(() => machine.entry(1n << 64n)).toThrow(RangeError);
  });
});

describe("the assembler", () => {
  const jump = (target: string): Line => ({
    kind: "branch",
    size: 2,
    target,
    encode: (distance) => [0xeb, within(distance - 2, -128, 127, "short jump") & 0xff],
  });
  const filler = (size: number) => code(...new Uint8Array(size));

  test("resolves labels before and after their use", () => {
    const program = [label("top"), jump("end"), code(0x90), jump("top"), label("end"), code(0xc3)];
    expect(assemble(program).toHex()).toBe("eb0390ebfbc3");
  });

  test("takes the farthest short jump and refuses one byte more", () => {
    expect(assemble([jump("end"), filler(127), label("end")])[1]).toBe(127);
    expect(() => assemble([jump("end"), filler(128), label("end")])).toThrow("short jump of 128");
    expect(assemble([label("top"), filler(126), jump("top")])[127]).toBe(0x80);
    expect(() => assemble([label("top"), filler(127), jump("top")])).toThrow("short jump of -129");
  });

  test("refuses a label that isn't there or there twice", () => {
    expect(() => assemble([jump("nowhere")])).toThrow("no label nowhere");
    expect(() => assemble([label("a"), label("a")])).toThrow("label a twice");
  });
});
