/** bpf(2): programs of a cgroup loaded, attached, found again. Each call has its own part of `union bpf_attr`. */
import { BPF, BPF_CGROUP_DEVICE, BPF_F, BPF_PROG_TYPE_CGROUP_DEVICE } from "./consts/bpf.ts";
import { addressOf, cString, rawSyscall } from "./libc.ts";

interface Attribute {
  size: number;
  bytes: Uint8Array;
  view: DataView;
  /** What the kernel is pointed to: it has to live as long as the attribute. */
  pointed: Uint8Array[];
}

/** More than any part of the union: a newer kernel stores results behind what a caller of today knows. */
const ROOM = 256;

function attribute(size: number): Attribute {
  const bytes = new Uint8Array(ROOM);
  return { size, bytes, view: new DataView(bytes.buffer), pointed: [] };
}

const bpf = (command: number, { bytes, size }: Attribute) => rawSyscall("bpf", command, bytes, size);

function setAddress({ view, pointed }: Attribute, at: number, bytes: Uint8Array): void {
  pointed.push(bytes);
  view.setBigUint64(at, BigInt(addressOf(bytes)), true);
}

/** BPF_OBJ_NAME_LEN, the NUL included. */
const NAME_LENGTH = 16;

/**
 * Loads a device filter; the name is what `bpftool prog` shows.
 * @param log gets the verifier's words when it isn't empty
 * @returns its descriptor, or −errno
 */
export function loadDeviceFilter(instructions: Uint8Array, name: string, log: Uint8Array): number {
  const attr = attribute(72);
  attr.view.setUint32(0, BPF_PROG_TYPE_CGROUP_DEVICE, true);
  attr.view.setUint32(4, instructions.length / 8, true);
  setAddress(attr, 8, instructions);
  setAddress(attr, 16, cString("Apache-2.0"));
  if (log.length > 0) {
    attr.view.setUint32(24, 1, true);
    attr.view.setUint32(28, log.length, true);
    setAddress(attr, 32, log);
  }
  attr.bytes.set(cString(name).subarray(0, NAME_LENGTH - 1), 48);
  attr.view.setUint32(68, BPF_CGROUP_DEVICE, true);
  return bpf(BPF.BPF_PROG_LOAD, attr);
}

/** Attaches a filter to a cgroup beside others, or in the place of one. @returns 0 or −errno */
export function attachDeviceFilter(cgroup: number, program: number, replaced?: number): number {
  const attr = attribute(20);
  attr.view.setUint32(0, cgroup, true);
  attr.view.setUint32(4, program, true);
  attr.view.setUint32(8, BPF_CGROUP_DEVICE, true);
  attr.view.setUint32(12, BPF_F.BPF_F_ALLOW_MULTI | (replaced === undefined ? 0 : BPF_F.BPF_F_REPLACE), true);
  attr.view.setUint32(16, replaced ?? 0, true);
  return bpf(BPF.BPF_PROG_ATTACH, attr);
}

/** @returns 0 or −errno */
export function detachDeviceFilter(cgroup: number, program: number): number {
  const attr = attribute(16);
  attr.view.setUint32(0, cgroup, true);
  attr.view.setUint32(4, program, true);
  attr.view.setUint32(8, BPF_CGROUP_DEVICE, true);
  return bpf(BPF.BPF_PROG_DETACH, attr);
}

const MOST = 64;

/** The ids of the filters that are attached to the cgroup itself; or −errno. */
export function queryDeviceFilters(cgroup: number): number[] | number {
  const attr = attribute(32);
  const ids = new Uint32Array(MOST);
  attr.view.setUint32(0, cgroup, true);
  attr.view.setUint32(4, BPF_CGROUP_DEVICE, true);
  setAddress(attr, 16, new Uint8Array(ids.buffer));
  attr.view.setUint32(24, MOST, true);
  const result = bpf(BPF.BPF_PROG_QUERY, attr);
  return result < 0 ? result : [...ids.subarray(0, attr.view.getUint32(24, true))];
}

/** @returns a descriptor, or −errno */
export function openProgram(id: number): number {
  const attr = attribute(12);
  attr.view.setUint32(0, id, true);
  return bpf(BPF.BPF_PROG_GET_FD_BY_ID, attr);
}

/** The name that a program was loaded with. */
export function programName(program: number): string {
  const attr = attribute(16);
  const info = new Uint8Array(128);
  attr.view.setUint32(0, program, true);
  attr.view.setUint32(4, info.length, true);
  setAddress(attr, 8, info);
  if (bpf(BPF.BPF_OBJ_GET_INFO_BY_FD, attr) < 0) return "";
  const name = info.subarray(64, 64 + NAME_LENGTH);
  return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
}
