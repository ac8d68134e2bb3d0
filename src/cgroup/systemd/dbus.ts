/**
 * A client of D-Bus for a few calls, one after the other: over systemd's own socket, where systemd answers itself, or over
 * a bus. It blocks; `create` and `delete` have nothing else to do meanwhile, and know no event loop.
 */

import { KontenaError } from "../../error.ts";
import { ERRNO, errnoName, errnoText } from "../../kernel/errno.ts";
import { closeSync } from "../../kernel/fs.ts";
import { connectUnix, receive, sendAll } from "../../kernel/unix.ts";
import { decodeMessage, encodeMessage, MESSAGE, type Message, type Value } from "./marshal.ts";

export interface Connection {
  fd: number;
  path: string;
  /** Whether systemd itself is at the other end, not a bus. */
  direct: boolean;
  serial: number;
  /** Received, and not a whole message yet. */
  rest: Uint8Array;
  /** Signals that nobody has asked for yet. */
  signals: Message[];
}

export interface Call {
  destination: string;
  path: string;
  interface: string;
  member: string;
  signature?: string;
  body?: readonly Value[];
}

/** An error that the other side answered, by its name. */
export class DBusError extends Error {
  override readonly name = "DBusError";
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** How long an answer may take, in milliseconds; systemd's own clients wait for 25 s. */
const PATIENCE = 30_000;

/**
 * EXTERNAL: the kernel tells the other side who is calling. Without a name in the command, so that it holds in a user
 * namespace, where this process doesn't know its own user id as others see it. All in one go, as nothing depends on an answer.
 */
const HELLO = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

/** A connection to the socket, or what stands against it. */
export function connect(path: string, direct: boolean): Connection | string {
  const fd = connectUnix(path);
  const told = path.replace("\0", "@");
  if (fd < 0) return `${told}: ${errnoText(errnoName(-fd))}`;
  const connection: Connection = { fd, path, direct, serial: 0, rest: new Uint8Array(0), signals: [] };
  const refused = authenticate(connection);
  if (refused === undefined) return connection;
  closeSync(fd);
  return `${told}: ${refused}`;
}

function authenticate(connection: Connection): string | undefined {
  const sent = sendAll(connection.fd, new TextEncoder().encode(HELLO));
  if (sent < 0) return errnoText(errnoName(-sent));
  for (let lines = ""; ; ) {
    const got = readMore(connection);
    if (got <= 0) return got === 0 ? "it hung up" : errnoText(errnoName(-got));
    lines = new TextDecoder("latin1").decode(connection.rest);
    const [, refused] = /^(REJECTED|ERROR)/m.exec(lines) ?? [];
    if (refused !== undefined) return "it doesn't accept this user";
    const accepted = /^OK [^\r\n]*\r\n/m.exec(lines);
    if (accepted === null) continue;
    connection.rest = connection.rest.slice(accepted.index + accepted[0].length);
    return undefined;
  }
}

const CHUNK = 16 * 1024;

/** Receives what there is; bytes, 0 at the end, or −errno. */
function readMore(connection: Connection, deadline = Date.now() + PATIENCE): number {
  const buffer = new Uint8Array(CHUNK);
  const got = receive(connection.fd, buffer, deadline);
  if (got <= 0) return got;
  const grown = new Uint8Array(connection.rest.length + got);
  grown.set(connection.rest);
  grown.set(buffer.subarray(0, got), connection.rest.length);
  connection.rest = grown;
  return got;
}

function nextMessage(connection: Connection, waitsFor: string, deadline: number): Message {
  for (;;) {
    const decoded = decodeMessage(connection.rest);
    if (decoded !== undefined) {
      connection.rest = connection.rest.slice(decoded.length);
      return decoded.message;
    }
    const got = readMore(connection, deadline);
    if (got > 0) continue;
    const reason = got === -ERRNO.ETIMEDOUT ? "no answer" : got === 0 ? "it hung up" : errnoName(-got);
    throw new KontenaError("CGROUP_FAILED", `systemd: ${waitsFor}: ${reason}`, { path: connection.path });
  }
}

/** Calls a method and gives its answer's values. @throws DBusError, KontenaError CGROUP_FAILED */
export function call(connection: Connection, { body = [], signature, ...names }: Call): readonly Value[] {
  const { destination, ...direct } = names;
  connection.serial++;
  const message: Message = {
    type: MESSAGE.METHOD_CALL,
    serial: connection.serial,
    ...direct,
    ...(connection.direct ? {} : { destination }),
    ...(signature === undefined ? {} : { signature }),
    body,
  };
  const sent = sendAll(connection.fd, encodeMessage(message));
  if (sent < 0)
    throw new KontenaError("CGROUP_FAILED", `systemd: ${names.member}: ${errnoName(-sent)}`, {
      path: connection.path,
    });
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const answer = nextMessage(connection, names.member, deadline);
    if (answer.type === MESSAGE.SIGNAL) connection.signals.push(answer);
    if (answer.replySerial !== connection.serial) continue;
    if (answer.type === MESSAGE.ERROR)
      throw new DBusError(answer.errorName ?? "", String(answer.body[0] ?? answer.errorName));
    return answer.body;
  }
}

/** Waits for a signal that came since the connection was made, or comes. */
export function awaitSignal(
  connection: Connection,
  member: string,
  fits: (body: readonly Value[]) => boolean,
): readonly Value[] {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const signals = connection.signals.splice(0);
    const found = signals.find((signal) => signal.member === member && fits(signal.body));
    if (found !== undefined) return found.body;
    const message = nextMessage(connection, member, deadline);
    if (message.type === MESSAGE.SIGNAL) connection.signals.push(message);
  }
}

/** Forgets the signals that came meanwhile; false when the other side has hung up, as systemd does when it executes itself. */
export function isUsable(connection: Connection): boolean {
  for (;;) {
    const got = readMore(connection, 0);
    if (got <= 0) return got === -ERRNO.ETIMEDOUT;
    for (let next = decodeMessage(connection.rest); next !== undefined; next = decodeMessage(connection.rest))
      connection.rest = connection.rest.slice(next.length);
  }
}

export function disconnect(connection: Connection): void {
  closeSync(connection.fd);
}

/** The sockets of an address such as `unix:path=/run/user/1000/bus;unix:abstract=…` (D-Bus Specification, "Server Addresses"). */
export function socketsOf(address: string): string[] {
  return address.split(";").flatMap((entry) => {
    const [, kind, value = ""] = /^unix:(?:.*,)?(path|abstract)=([^,]*)/.exec(entry) ?? [];
    if (kind === undefined) return [];
    const plain = value.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    return [kind === "path" ? plain : `\0${plain}`];
  });
}
