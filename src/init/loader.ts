/** The loader's memory in this process, and what it runs: a list that is encoded for one place, with cells to be filled in. */

/** Layout: code, then ops and cells, then the child's stack. */
export const CODE_SIZE = 65536;
export const OPS_SIZE = 65536;
export const STACK_SIZE = 16384;
/** In the memory behind the code. */
export const CHILD_STACK = { offset: OPS_SIZE, size: STACK_SIZE } as const;
/** Where clone3 stores the pidfd: the last bytes of the ops' area. */
export const PIDFD_AT = OPS_SIZE - 8;

/** Where the ops lie, unless something else does: behind Bun's own image, below whatever the kernel chooses. */
export const LOADER_BASE = 0x1801_0000;

/** Cells of the loader's list. */
export const CHILD = "pid";
export const INIT = "init's file";
export const CGROUP = "cgroup";
export const CLONE_FLAGS = "flags of clone3";
/** A descriptor that is handed to init: its number here, and there. */
export const handedCell = (index: number) => `descriptor ${index}`;
export const numberCell = (index: number) => `number ${index}`;

/** What a kit depends on. */
export interface Shape {
  /** CLONE_NEW* of the birth. */
  namespaces: number;
  /** Highest capability that the kernel knows. */
  lastCap: number;
  /** How many descriptors from 3 on the program inherits. */
  preserved: number;
  /** How many are handed to init: streams, plan memory, those that it keeps, handles. */
  handed: number;
}

/** What init's file has to be told: the number of plan memory's descriptor in init, its size, and the address of the first op. */
export interface Told {
  planFd: number;
  planSize: number;
  firstOp: number;
}

export interface Kit {
  /** The interpreter, as a function of this process. */
  code: Uint8Array;
  /** The loader's list, for {@link LOADER_BASE}. */
  loader: { bytes: Uint8Array; firstOp: number; cells: Readonly<Record<string, number>> };
  /** init's ELF file, and where it is told what. */
  init: Uint8Array;
  toldAt: Readonly<Record<keyof Told, readonly number[]>>;
}
