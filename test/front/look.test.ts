/** The look at the machine that the executable begins with. */
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addFront } from "../../scripts/front/elf.ts";
import { findOption, look } from "../../scripts/front/look.ts";
import { assemble } from "../../src/init/machine/assemble.ts";
import { jumpTo, moveNumber } from "../../src/init/machine/x64.ts";
import { assembleWith, disassemble, inDirectory, missingFor } from "../init/helpers/tools.ts";

const ALWAYS = -(2 ** 31);
const NEVER = 2 ** 31 - 1;
const x64 = test.skipIf(process.arch !== "x64");

const withLook = (executable: Uint8Array, dear?: number): Uint8Array =>
  addFront(executable, (entry) =>
    assemble([...look(findOption(executable), dear), moveNumber("rax", entry), jumpTo("rax")]),
  );

const LISTING = `
.intel_syntax noprefix
        push rdx
        mov edi, 0
        mov esi, 8192
        mov edx, 3
        mov r10d, 0x22
        movabs r8, 0xffffffffffffffff
        mov r9d, 0
        mov eax, 9
        syscall
        cmp_rax -4095
        jae.d32 leave
        mov rbx, rax
        mov r9, rax
        mov ecx, 4096
        add r9, rcx
        mov [rbx], rax
        mov r8d, 3
round:  mov edi, 1
        mov rsi, rbx
        mov eax, 228
        syscall
        mov edi, 1
        mov rsi, rbx
        mov ecx, 16
        add rsi, rcx
        mov eax, 228
        syscall
        mov [r9], rax
        mov edi, 1
        mov rsi, rbx
        mov ecx, 32
        add rsi, rcx
        mov eax, 228
        syscall
        mov rax, [rbx+40]
        mov rcx, [rbx+24]
        sub rax, rcx
        sub rax, rcx
        mov rcx, [rbx+8]
        add rax, rcx
        cmp_rax 4000
        jl cheap
        mov rdi, r9
        mov esi, 4096
        mov edx, 4
        mov eax, 28
        syscall
        mov ecx, 1
        sub r8, rcx
        jnz round
        movabs rcx, 0x1122334455667788
        mov qword ptr [rcx], 1
cheap:  mov rdi, rbx
        mov esi, 8192
        mov eax, 11
        syscall
leave:  pop rdx
`;

const binutils = missingFor("x64");
test.skipIf(binutils !== "")(`is the listing that the GNU assembler is given${binutils}`, () => {
  // The assembler has a shorter form for rax, and for a jump that is near enough.
  const source = LISTING.replace(/cmp_rax (-?\d+)/g, ".byte 0x48, 0x81, 0xf8\n.long $1").replace(
    "jae.d32",
    "{disp32} jae",
  );
  const code = assemble(look(0x1122334455667788n));
  expect(disassemble("x64", code)).toEqual(disassemble("x64", assembleWith("x64", source)));
  expect(code).toEqual(assembleWith("x64", source));
});

const ADDRESS = 0x40_0000;
const OPTION_AT = 0x200;
const NAME_AT = 0x300;
const CODE_AT = 0x400;

/** A static program with an option as mimalloc's, whose exit status is the option's value, two for each argument, and four times rdx. */
function program({ name = "allow_thp", value = 0, machine = 62, notes = true } = {}): Uint8Array {
  const file = new Uint8Array(0x440);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(ADDRESS + CODE_AT), true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, notes ? 2 : 1, true);
  const segment = (index: number, type: number, flags: number, address: bigint, size: bigint) => {
    view.setUint32(64 + index * 56, type, true);
    view.setUint32(64 + index * 56 + 4, flags, true);
    for (const [at, number] of [
      [16, address],
      [24, address],
      [32, size],
      [40, size],
      [48, 4096n],
    ] as const)
      view.setBigUint64(64 + index * 56 + at, number, true);
  };
  segment(0, 1, 7, BigInt(ADDRESS), BigInt(file.length));
  if (notes) segment(1, 4, 4, BigInt(ADDRESS), 0n);
  view.setBigUint64(OPTION_AT, BigInt(value), true);
  view.setUint32(OPTION_AT + 12, 43, true);
  view.setBigUint64(OPTION_AT + 16, BigInt(ADDRESS + NAME_AT), true);
  file.set(new TextEncoder().encode(name), NAME_AT);
  // mov rdi, [rsp]; shl rdi; shl rdx, 2; add rdi, rdx; add rdi, [ADDRESS + OPTION_AT]; mov eax, 231 (exit_group); syscall
  file.set(Uint8Array.fromHex("488b3c2448d1e748c1e2024801d748033c2500024000b8e70000000f05"), CODE_AT);
  return file;
}

function statusOf(file: Uint8Array, ...args: string[]): number | null {
  return inDirectory((directory) => {
    const path = join(directory, "program");
    writeFileSync(path, file, { mode: 0o755 });
    return Bun.spawnSync([path, ...args]).exitCode;
  });
}

describe("a program with it", () => {
  x64("has the option where a page is dear, and goes on as if nothing had been", () => {
    expect(statusOf(withLook(program(), ALWAYS))).toBe(2 + 1);
    expect(statusOf(withLook(program(), ALWAYS), "one", "two")).toBe(6 + 1);
  });

  x64("hasn't where none is", () => {
    expect(statusOf(program())).toBe(2);
    expect(statusOf(withLook(program(), NEVER))).toBe(2);
    expect(statusOf(withLook(program(), NEVER), "one", "two")).toBe(6);
  });
});

test("an executable that isn't the Bun that is known is refused", () => {
  expect(() => withLook(program({ machine: 183 }))).toThrow("not for x86-64");
  expect(() => withLook(program({ name: "allow_chp" }))).toThrow(
    "option allow_thp is not in this executable",
  );
  expect(() => withLook(program({ value: 1 }))).toThrow("on already");
  expect(() => withLook(program({ notes: false }))).toThrow("no program header of notes");
  expect(() => withLook(withLook(program()))).toThrow("no program header of notes");
});

/** How many mappings of a Bun with the look were asked to be of huge pages (the flag hg, proc_pid_smaps(5)). */
const COUNT = `const { readFileSync } = require("fs");
console.log(readFileSync("/proc/self/smaps", "utf8").split("\\n").filter((line) => /^VmFlags:.* hg\\b/.test(line)).length)`;

/** Bun's allocator looks there too. */
const MODE = "/sys/kernel/mm/transparent_hugepage/enabled";
const mode = existsSync(MODE) ? readFileSync(MODE, "utf8") : "";
const noAdvice = mode.includes("[madvise]") ? "" : " (skipped: huge pages aren't by advice here)";

test.skipIf(process.arch !== "x64" || noAdvice !== "")(
  `Bun's memory is asked for in huge pages then, unless the environment says otherwise${noAdvice}`,
  () => {
    inDirectory((directory) => {
      const bun = new Uint8Array(readFileSync(process.execPath));
      const count = (dear: number, env: Record<string, string>) => {
        const path = join(directory, "bun");
        writeFileSync(path, withLook(bun, dear));
        chmodSync(path, 0o755);
        const { stdout, stderr } = Bun.spawnSync([path, "-e", COUNT], { env });
        expect(stderr.toString()).toBe("");
        return Number(stdout.toString());
      };
      expect(count(NEVER, {})).toBe(0);
      const asked = count(NEVER, { MIMALLOC_ALLOW_THP: "1" });
      expect(asked).toBeGreaterThan(0);
      expect(count(ALWAYS, {})).toBe(asked);
      expect(count(ALWAYS, { MIMALLOC_ALLOW_THP: "0" })).toBe(0);
    });
  },
);
