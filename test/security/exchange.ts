/**
 * A racing process: `bun exchange.ts A B` gives two names each other's file (renameat2(2), RENAME_EXCHANGE), over and over,
 * until it is killed. Its first line on standard output says that it has begun.
 */
import { dlopen } from "bun:ffi";
import { writeSync } from "node:fs";

const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;

const library = dlopen("libc.so.6", {
  renameat2: { args: ["i32", "cstring", "i32", "cstring", "u32"], returns: "i32" },
});
const [one, other] = process.argv.slice(2).map((path) => Buffer.from(`${path}\0`));
if (one === undefined || other === undefined) throw new Error("two paths are needed");
for (let i = 0; ; i++) {
  if (library.symbols.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) !== 0)
    throw new Error("it failed");
  // Renames stop all lookups of the machine: others want to get on, too.
  if (i % 16 === 0) Bun.sleepSync(0.1);
  if (i === 0) writeSync(1, "exchanging\n");
}
