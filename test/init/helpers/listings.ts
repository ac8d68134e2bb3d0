/** The interpreter written by hand for the GNU assembler: what the machine code must be, byte for byte. */
import type { Arch } from "../../../src/kernel/syscalls.ts";

const LOOP: Record<Arch, string> = {
  x64: `
op:     mov rdi, [rbx+8]
        mov rsi, [rbx+16]
        mov rdx, [rbx+24]
        mov r10, [rbx+32]
        mov r8, [rbx+40]
        mov r9, [rbx+48]
        mov ecx, [rbx+4]
        shr ecx
        jnc 1f
        mov rdi, [rdi]
1:      shr ecx
        jnc 1f
        mov rsi, [rsi]
1:      shr ecx
        jnc 1f
        mov rdx, [rdx]
1:      shr ecx
        jnc 1f
        mov r10, [r10]
1:      shr ecx
        jnc 1f
        mov r8, [r8]
1:      shr ecx
        jnc 1f
        mov r9, [r9]
1:      mov eax, [rbx]
        syscall
        mov rcx, [rbx+56]
        test rcx, rcx
        jz 1f
        mov [rcx], rax
1:      cmp rax, -4095
        jae error
        test rax, rax
        jnz next
        mov rcx, [rbx+104]
        test rcx, rcx
        jz next
        mov rbx, rcx
        jmp then
next:   mov rbx, [rbx+80]
        jmp then
error:  neg rax
        cmp rax, [rbx+64]
        je errno1
        cmp rax, [rbx+72]
        je errno2
        mov rcx, [rbx+120]
        test rcx, rcx
        jz 1f
        mov [rcx], rax
        mov [rcx+8], rbx
1:      mov rbx, [rbx+112]
        jmp then
errno1: mov rbx, [rbx+88]
        jmp then
errno2: mov rbx, [rbx+96]
then:   test rbx, rbx
        jnz op
`,
  arm64: `
op:     ldp x0, x1, [x19, #8]
        ldp x2, x3, [x19, #24]
        ldp x4, x5, [x19, #40]
        ldr w9, [x19, #4]
        tbz w9, #0, 1f
        ldr x0, [x0]
1:      tbz w9, #1, 1f
        ldr x1, [x1]
1:      tbz w9, #2, 1f
        ldr x2, [x2]
1:      tbz w9, #3, 1f
        ldr x3, [x3]
1:      tbz w9, #4, 1f
        ldr x4, [x4]
1:      tbz w9, #5, 1f
        ldr x5, [x5]
1:      ldr w8, [x19]
        svc #0
        ldr x9, [x19, #56]
        cbz x9, 1f
        str x0, [x9]
1:      cmn x0, #4095
        b.hs error
        cbnz x0, next
        ldr x9, [x19, #104]
        cbz x9, next
        mov x19, x9
        b then
next:   ldr x19, [x19, #80]
        b then
error:  neg x0, x0
        ldr x9, [x19, #64]
        cmp x0, x9
        b.eq errno1
        ldr x9, [x19, #72]
        cmp x0, x9
        b.eq errno2
        ldr x9, [x19, #120]
        cbz x9, 1f
        stp x0, x19, [x9]
1:      ldr x19, [x19, #112]
        b then
errno1: ldr x19, [x19, #88]
        b then
errno2: ldr x19, [x19, #96]
then:   cbnz x19, op
`,
};

/** The function: what C's calling convention asks for, around the loop. */
export const INTERPRETER: Record<Arch, string> = {
  x64: `.intel_syntax noprefix\npush rbx\nmov rbx, rdi\n${LOOP.x64}\npop rbx\nret\n`,
  arm64: `str x19, [sp, #-16]!\nmov x19, x0\n${LOOP.arm64}\nldr x19, [sp], #16\nret\n`,
};

/** The program's start at the op that lies at 0x123456789abc. */
export const ENTRY_OP = 0x1234_5678_9abcn;
export const ENTRY: Record<Arch, string> = {
  x64: `.intel_syntax noprefix\nmovabs rbx, 0x123456789abc\n${LOOP.x64}\nud2\n`,
  arm64: `movz x19, #0x9abc\nmovk x19, #0x5678, lsl 16\nmovk x19, #0x1234, lsl 32\nmovk x19, #0, lsl 48\n${LOOP.arm64}\nbrk #0\n`,
};
