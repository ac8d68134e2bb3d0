/** What an executable for x86-64 begins with, before Bun does. */
import { assemble } from "../../src/init/machine/assemble.ts";
import { jumpTo, moveNumber } from "../../src/init/machine/x64.ts";
import { addFront } from "./elf.ts";
import { findOption, look } from "./look.ts";
import { shortcut } from "./shortcut.ts";

export interface Front {
  /** Where it goes on. */
  entry: bigint;
  /** See {@link look}. */
  option: bigint;
  dear?: number | undefined;
}

export function front({ entry, option, dear }: Front): Uint8Array {
  return assemble([...shortcut(), ...look(option, dear), moveNumber("rax", entry), jumpTo("rax")]);
}

/** @throws Error for an executable that isn't the Bun that is known, or has a front */
export function withFront(executable: Uint8Array, dear?: number): Uint8Array {
  return addFront(executable, (entry) => front({ entry, option: findOption(executable), dear }));
}
