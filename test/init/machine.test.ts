import { describe, expect, test } from "bun:test";
import { assembleArm64Loop } from "../../src/init/machine/arm64.ts";
import { assemble, code, type Line, label, within } from "../../src/init/machine/assemble.ts";
import { machineFor } from "../../src/init/machine/index.ts";
import { LOOPS } from "../../src/init/machine/loops.ts";
import * as x64 from "../../src/init/machine/x64.ts";
import { ENTRY, ENTRY_OP, INTERPRETER } from "./helpers/listings.ts";
import { assembleWith, disassemble, missingFor } from "./helpers/tools.ts";

test("the kept machine code is what the assembler makes of its source", () => {
  expect(LOOPS.x64).toBe(x64.assembleX64Loop().toHex());
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

/** What scripts/front/ needs besides, as objdump prints it. */
const INSTRUCTIONS: [expected: string, line: Line][] = [
  ["mov r10d,0x1000", x64.moveNumber32("r10", 0x1000)],
  ["mov eax,0xffffff9c", x64.moveNumber32("rax", -100)],
  ["movabs r8,0xffffffffffffffff", x64.moveNumber("r8", 0xffff_ffff_ffff_ffffn)],
  ["add rsi,rcx", x64.add("rsi", "rcx")],
  ["sub r8,rcx", x64.subtract("r8", "rcx")],
  ["cmp rbx,rcx", x64.compare("rbx", "rcx")],
  ["cmp r15,r8", x64.compare("r15", "r8")],
  ["cmp rax,0xfffffffffffff001", x64.compareNumber("rax", -4095)],
  ["cmp r14,0x200", x64.compareNumber("r14", 512)],
  ["add r14,0x118", x64.addNumber("r14", 280)],
  ["add rdi,0x1", x64.addNumber("rdi", 1)],
  ["test eax,0x12", x64.testBits("rax", 0o22)],
  ["test r14d,0x7000", x64.testBits("r14", 0x7000)],
  ["movzx eax,BYTE PTR [rdi]", x64.loadByte("rax", "rdi")],
  ["movzx r9d,BYTE PTR [r14]", x64.loadByte("r9", "r14")],
  ["cmp al,0x3a", x64.compareByte(0x3a)],
  ["cmp al,BYTE PTR [rcx]", x64.compareByteAt("rcx")],
  ["cmp al,BYTE PTR [r10]", x64.compareByteAt("r10")],
  ["mov QWORD PTR [rcx],0x1", x64.storeNumber("rcx", 1)],
  ["mov rsi,QWORD PTR [r14]", x64.load("rsi", "r14")],
  ["mov eax,DWORD PTR [r15+0x58]", x64.load32("rax", "r15", 0x58)],
  ["mov QWORD PTR [r15+0x20],rax", x64.store("r15", 0x20, "rax")],
  ["mov r15,rsp", x64.moveFromStack("r15")],
  ["mov rsp,r15", x64.moveToStack("r15")],
  ["add rsp,0xffffffffffffff00", x64.addToStack(-256)],
  ["jmp rax", x64.jumpTo("rax")],
  ["jmp r10", x64.jumpTo("r10")],
];
/** To a label that is 16 bytes behind the instruction. */
const BRANCHES: [expected: string, line: Line][] = [
  ["call 0x15", x64.call("target")],
  ["jmp 0x15", x64.farJump("target")],
  ["jae 0x16", x64.farJumpIf("nc", "target")],
  ["jl 0x12", x64.jumpIf("less", "target")],
  ["lea rdi,[rip+0x10] # 0x17", x64.addressOf("rdi", "target")],
  ["lea r14,[rip+0x10] # 0x17", x64.addressOf("r14", "target")],
];

const binutils = missingFor("x64");
test
  .skipIf(binutils !== "")
  .each([
    ...INSTRUCTIONS.map(([expected, line]) => [expected, [line]] as const),
    ...BRANCHES.map(
      ([expected, line]) => [expected, [line, code(...new Uint8Array(16)), label("target")]] as const,
    ),
  ])(`x64: %s${binutils}`, (expected, lines) => {
  const [first = ""] = disassemble("x64", assemble(lines));
  expect(first.replace(/^[0-9a-f]+:\s*/, "").replace(/\s+/g, " ")).toBe(expected);
});
