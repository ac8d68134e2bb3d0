/** rtnetlink(7), as much of it as moving a network device takes: messages as bytes, and a request over a socket. */

import {
  AF_NETLINK,
  NETLINK_EXT_ACK,
  NETLINK_ROUTE,
  NLM_F,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG,
  NLMSGERR_ATTR_MSG,
  SOCK_RAW,
  SOL_NETLINK,
} from "./consts/netlink.ts";
import { SOCK } from "./consts/socket.ts";
import { errnoName, errnoText } from "./errno.ts";
import { closeSync } from "./fs.ts";
import { rawSyscall, syscall } from "./libc.ts";

/** linux/rtnetlink.h, `struct ifinfomsg`, with the attributes behind it. */
export interface LinkMessage {
  /** 0: the device is found by its name, in the attributes. */
  index?: number;
  /** IFF_*; `change` has the bits that are meant. */
  flags?: number;
  change?: number;
  attributes?: readonly Attribute[];
}

/** linux/if_addr.h, `struct ifaddrmsg`, with the attributes behind it. */
export interface AddressMessage {
  family: number;
  prefixLength: number;
  flags: number;
  scope: number;
  index: number;
  attributes: readonly Attribute[];
}

/** linux/rtnetlink.h, `struct rtattr`: a value of some bytes, an integer of 32 bits or a string with its NUL. */
export interface Attribute {
  type: number;
  value: Uint8Array | number | string;
}

/** linux/netlink.h, `struct nlmsghdr`, and what is behind it. */
export interface Message {
  type: number;
  flags: number;
  sequence: number;
  payload: Uint8Array;
}

const HEADER = 16;
const align = (length: number) => (length + 3) & ~3;
const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function bytesOf(value: Attribute["value"]): Uint8Array {
  if (typeof value === "number") return new Uint8Array(new Uint32Array([value]).buffer);
  return typeof value === "string" ? new TextEncoder().encode(`${value}\0`) : value;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + align(part.length), 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += align(part.length);
  }
  return whole;
}

function encodeAttribute({ type, value }: Attribute): Uint8Array {
  const bytes = bytesOf(value);
  const whole = new Uint8Array(4 + bytes.length);
  viewOf(whole).setUint16(0, whole.length, true);
  viewOf(whole).setUint16(2, type, true);
  whole.set(bytes, 4);
  return whole;
}

export function encodeLink({ index = 0, flags = 0, change = 0, attributes = [] }: LinkMessage): Uint8Array {
  const head = new Uint8Array(16);
  viewOf(head).setInt32(4, index, true);
  viewOf(head).setUint32(8, flags, true);
  viewOf(head).setUint32(12, change, true);
  return joined([head, ...attributes.map(encodeAttribute)]);
}

export function encodeAddress(message: AddressMessage): Uint8Array {
  const { family, prefixLength, flags, scope, index, attributes } = message;
  const head = new Uint8Array([family, prefixLength, flags & 0xff, scope, 0, 0, 0, 0]);
  viewOf(head).setUint32(4, index, true);
  return joined([head, ...attributes.map(encodeAttribute)]);
}

export function encodeMessage({ type, flags, sequence, payload }: Message): Uint8Array {
  const whole = new Uint8Array(HEADER + payload.length);
  const view = viewOf(whole);
  view.setUint32(0, whole.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  whole.set(payload, HEADER);
  return whole;
}

/** The messages of one datagram. */
export function decodeMessages(bytes: Uint8Array): Message[] {
  const view = viewOf(bytes);
  const messages: Message[] = [];
  for (let at = 0; at + HEADER <= bytes.length; ) {
    const length = view.getUint32(at, true);
    if (length < HEADER || at + length > bytes.length) break;
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      payload: bytes.slice(at + HEADER, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** Attributes by their type; of several of one type, the last. */
export function decodeAttributes(bytes: Uint8Array): Map<number, Uint8Array> {
  const NESTED_AND_ORDER = 0xc000;
  const view = viewOf(bytes);
  const attributes = new Map<number, Uint8Array>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > bytes.length) break;
    attributes.set(view.getUint16(at + 2, true) & ~NESTED_AND_ORDER, bytes.slice(at + 4, at + length));
    at += align(length);
  }
  return attributes;
}

export function decodeLink(payload: Uint8Array): Required<Omit<LinkMessage, "attributes" | "change">> & {
  attributes: Map<number, Uint8Array>;
} {
  const view = viewOf(payload);
  return {
    index: view.getInt32(4, true),
    flags: view.getUint32(8, true),
    attributes: decodeAttributes(payload.subarray(16)),
  };
}

export function decodeAddress(payload: Uint8Array): Omit<AddressMessage, "attributes"> & {
  attributes: Map<number, Uint8Array>;
} {
  const [family = 0, prefixLength = 0, flags = 0, scope = 0] = payload;
  const index = viewOf(payload).getUint32(4, true);
  return { family, prefixLength, flags, scope, index, attributes: decodeAttributes(payload.subarray(8)) };
}

/** A string of an attribute, without its NUL. */
export function attributeText(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes).replace(/\0.*$/s, "");
}

/** What the kernel refused, with its own words where it has some. */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  readonly errno: string;
  constructor(
    number: number,
    /** "Extended ACK", `""` for none. */
    readonly said: string,
  ) {
    super(errnoText(errnoName(number)));
    this.errno = errnoName(number);
  }
}

/** The outcome in an NLMSG_ERROR message: 0, or a positive error number. */
export function decodeOutcome({ payload, flags }: Message): { errno: number; said: string } {
  const view = viewOf(payload);
  const errno = 0 - view.getInt32(0, true);
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno, said: "" };
  // The request is repeated in front of the attributes: its header alone, or all of it after an error.
  const repeated = (flags & NLM_F_CAPPED) !== 0 || errno === 0 ? HEADER : view.getUint32(4, true);
  const attributes = decodeAttributes(payload.subarray(4 + align(repeated)));
  return { errno, said: attributeText(attributes.get(NLMSGERR_ATTR_MSG)) };
}

/** A socket to the network devices of the namespace that this thread is in. */
export function openRoute(): number {
  const fd = syscall("socket", AF_NETLINK, SOCK_RAW | SOCK.SOCK_CLOEXEC, NETLINK_ROUTE);
  // The kernel's words are a help only: without them (before Linux 4.12) the error number tells.
  rawSyscall("setsockopt", fd, SOL_NETLINK, NETLINK_EXT_ACK, new Uint8Array(new Uint32Array([1]).buffer), 4);
  return fd;
}

let sequence = 0;
const LARGEST_DATAGRAM = 64 * 1024;

/** Sends one request and gives its answers, those of a dump too. @throws NetlinkError SyscallError */
export function request(fd: number, type: number, flags: number, payload: Uint8Array): Message[] {
  const own = ++sequence;
  const asked = flags | NLM_F.NLM_F_REQUEST | NLM_F.NLM_F_ACK;
  const message = encodeMessage({ type, flags: asked, sequence: own, payload });
  syscall("write", fd, message, message.length);
  const answers: Message[] = [];
  const buffer = new Uint8Array(LARGEST_DATAGRAM);
  for (;;) {
    const length = syscall("read", fd, buffer, buffer.length);
    for (const answer of decodeMessages(buffer.subarray(0, length))) {
      if (answer.sequence !== own) continue;
      if (answer.type === NLMSG.NLMSG_DONE) return answers;
      if (answer.type !== NLMSG.NLMSG_ERROR) answers.push(answer);
      else {
        const { errno, said } = decodeOutcome(answer);
        if (errno !== 0) throw new NetlinkError(errno, said);
        return answers;
      }
    }
  }
}

/** Does something as if in another network namespace; this thread alone is there, and only for that time. */
export function inNetwork<T>(namespaceFd: number, ownFd: number, action: () => T): T {
  const CLONE_NEWNET = 0x40000000;
  syscall("setns", namespaceFd, CLONE_NEWNET);
  try {
    return action();
  } finally {
    syscall("setns", ownFd, CLONE_NEWNET);
  }
}

/** A socket to the devices of the namespace `namespaceFd`. */
export function openRouteIn(namespaceFd: number, ownFd: number): number {
  let fd: number | undefined;
  try {
    return inNetwork(namespaceFd, ownFd, () => {
      fd = openRoute();
      return fd;
    });
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw error;
  }
}
