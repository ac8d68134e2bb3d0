/**
 * Structs as the kernel reads them: one encoder each, fields at the offsets of the header named, little-endian.
 * Plans hold them by name (`{ struct: "open_how", value }`), so that they can be printed as well as encoded.
 */
import { ERRNO } from "./errno.ts";

/** linux/openat2.h: `struct open_how`. */
export interface OpenHow {
  flags: number;
  mode?: number;
  resolve: number;
}

/** linux/mount.h: `struct mount_attr`. */
export interface MountAttr {
  attr_set?: number;
  attr_clr?: number;
  propagation?: number;
  userns_fd?: number;
}

/** sys/resource.h: `struct rlimit64`; 2^64−1 is no limit. */
export interface Rlimit64 {
  rlim_cur: bigint;
  rlim_max: bigint;
}

/** linux/capability.h: header and both data words of capset(2), version 3. */
export interface CapUserData {
  effective: bigint;
  permitted: bigint;
  inheritable: bigint;
}

/** linux/sched.h: `struct clone_args`, the fields of CLONE_ARGS_SIZE_VER2. */
export interface CloneArgs {
  flags: bigint;
  /** Address where the pidfd is stored. */
  pidfd?: bigint;
  exit_signal?: bigint;
  /** Lowest address of the child's stack. */
  stack?: bigint;
  stack_size?: bigint;
  cgroup?: bigint;
}

/** linux/capability.h: the version of the data, and whose they are (0: the caller). */
export interface CapUserHeader {
  version: number;
  pid: number;
}

/** asm/signal.h: the kernel's `struct sigaction`; all zero is SIG_DFL. */
export type Sigaction = Record<string, never>;

/** net/if.h: `struct ifreq` for SIOCSIFFLAGS; a name of at most 15 bytes. */
export interface IfreqFlags {
  name: string;
  flags: number;
}

/** linux/sched/types.h: `struct sched_attr`, 56 bytes; times in nanoseconds. */
export interface SchedAttr {
  policy: number;
  flags: number;
  nice: number;
  priority: number;
  runtime: bigint;
  deadline: bigint;
  period: bigint;
}

/** A set of signals, bit N−1 for signal N. */
export type Sigset = bigint;

export interface StructValues {
  open_how: OpenHow;
  mount_attr: MountAttr;
  rlimit64: Rlimit64;
  cap_user_header: CapUserHeader;
  cap_user_data: CapUserData;
  clone_args: CloneArgs;
  sigaction: Sigaction;
  sigset: Sigset;
  sched_attr: SchedAttr;
  ifreq_flags: IfreqFlags;
  /** A list of gid_t (32 bits each), as setgroups(2) takes it. */
  gid_list: readonly number[];
}

export type StructName = keyof StructValues;

function u64s(...values: (number | bigint)[]): Uint8Array {
  const words = new BigUint64Array(values.length);
  for (let i = 0; i < values.length; i++) words[i] = BigInt.asUintN(64, BigInt(values[i] ?? 0));
  return new Uint8Array(words.buffer);
}

function u32s(...values: number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(values).buffer);
}

const low = (set: bigint) => Number(set & 0xffffffffn);
const high = (set: bigint) => Number((set >> 32n) & 0xffffffffn);

/** With the clamps of Linux 5.3, both 0; an older kernel takes what it doesn't know when it is 0. */
const SCHED_ATTR_SIZE = 56;

const ENCODERS: { [N in StructName]: (value: StructValues[N]) => Uint8Array } = {
  open_how: (v) => u64s(v.flags, v.mode ?? 0, v.resolve),
  mount_attr: (v) => u64s(v.attr_set ?? 0, v.attr_clr ?? 0, v.propagation ?? 0, v.userns_fd ?? 0),
  rlimit64: (v) => u64s(v.rlim_cur, v.rlim_max),
  cap_user_data: (v) =>
    u32s(
      low(v.effective),
      low(v.permitted),
      low(v.inheritable),
      high(v.effective),
      high(v.permitted),
      high(v.inheritable),
    ),
  clone_args: (v) =>
    u64s(
      v.flags,
      v.pidfd ?? 0n,
      0n,
      0n,
      v.exit_signal ?? 0n,
      v.stack ?? 0n,
      v.stack_size ?? 0n,
      0n,
      0n,
      0n,
      v.cgroup ?? 0n,
    ),
  cap_user_header: (v) => u32s(v.version, v.pid),
  ifreq_flags: (v) => {
    const bytes = new Uint8Array(40);
    new TextEncoder().encodeInto(v.name, bytes.subarray(0, 15));
    new DataView(bytes.buffer).setInt16(16, v.flags, true);
    return bytes;
  },
  sched_attr: (v) => {
    const bytes = new Uint8Array(SCHED_ATTR_SIZE);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, SCHED_ATTR_SIZE, true);
    view.setUint32(4, v.policy, true);
    view.setBigUint64(8, BigInt(v.flags), true);
    view.setInt32(16, v.nice, true);
    view.setUint32(20, v.priority, true);
    view.setBigUint64(24, v.runtime, true);
    view.setBigUint64(32, v.deadline, true);
    view.setBigUint64(40, v.period, true);
    return bytes;
  },
  sigset: (v) => u64s(v),
  sigaction: () => new Uint8Array(32),
  gid_list: (v) => u32s(...v),
};

/** Bytes of the struct `name` with the fields of `value`. */
export function encodeStruct<N extends StructName>(name: N, value: StructValues[N]): Uint8Array {
  return ENCODERS[name](value);
}

/** What statx(2) tells of a file that a runtime wants to know (linux/stat.h, `struct statx`, 256 bytes). */
export interface Statx {
  mode: number;
  uid: number;
  gid: number;
  ino: bigint;
  size: bigint;
  rdevMajor: number;
  rdevMinor: number;
  devMajor: number;
  devMinor: number;
}

export const STATX_SIZE = 256;
/** statx(2): type, mode, link count, ids, times, inode, size, blocks. */
export const STATX_BASIC_STATS = 0x7ff;

export function decodeStatx(view: DataView, offset = 0): Statx {
  return {
    mode: view.getUint16(offset + 28, true),
    uid: view.getUint32(offset + 20, true),
    gid: view.getUint32(offset + 24, true),
    ino: view.getBigUint64(offset + 32, true),
    size: view.getBigUint64(offset + 40, true),
    rdevMajor: view.getUint32(offset + 128, true),
    rdevMinor: view.getUint32(offset + 132, true),
    devMajor: view.getUint32(offset + 136, true),
    devMinor: view.getUint32(offset + 140, true),
  };
}

/** −errno or a result of a system call, as it stands in a cell. */
export function isErrno(result: bigint, name: keyof typeof ERRNO): boolean {
  return result === BigInt(-ERRNO[name]);
}
