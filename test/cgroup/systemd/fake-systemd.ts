/** The other side for tests of the client: answers by the member's name, and says `ready` when it listens at the path it was given. */
import { writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import {
  decodeMessage,
  encodeMessage,
  MESSAGE,
  type Message,
  type Value,
  type Variant,
  variant,
} from "../../../src/cgroup/systemd/marshal.ts";

const [, , path = ""] = process.argv;
let serial = 0;
/** Of the one unit that there is. Who reads `Changes` learns how often they were set. */
const properties = new Map<string, Variant>([
  ["Changes", variant("u", 0)],
  ["MemoryMax", variant("t", 64n)],
  ["TasksMax", variant("t", 9n)],
  ["CPUQuotaPerSecUSec", variant("t", 200_000n)],
  ["CPUQuotaPeriodUSec", variant("t", 100_000n)],
]);

/** As systemd does it, all or nothing. The unit's name is the directory of its control files. */
function change([unit, , list]: readonly Value[]): string | undefined {
  const given = list as unknown as [string, Variant][];
  const unknown = given.find(([name]) => !properties.has(name));
  if (unknown !== undefined) return `no property ${unknown[0]}`;
  for (const [name, value] of given) properties.set(name, value);
  properties.set("Changes", variant("u", Number(properties.get("Changes")?.value) + 1));
  unwritten = () => {
    const quota = properties.get("CPUQuotaPerSecUSec")?.value as bigint;
    writeFileSync(join(String(unit), "cpu.max"), `${quota / 10n} 100000`);
  };
  return undefined;
}

/** What is written before the next message is looked at, some time after the answer. */
let unwritten = () => {};

function answers(call: Message): Partial<Message>[] {
  const reply = { type: MESSAGE.METHOD_RETURN, replySerial: call.serial, body: [] };
  const signal = { type: MESSAGE.SIGNAL, member: "JobRemoved", signature: "uoss" };
  switch (call.member) {
    case "Echo":
      return [{ ...reply, signature: "s", body: [`${call.body[0]} ${call.destination ?? "nobody"}`] }];
    case "Fail":
      return [
        { ...reply, type: MESSAGE.ERROR, errorName: "org.example.No", signature: "s", body: ["because"] },
      ];
    // Both jobs have ended before the answer comes.
    case "Job":
      return [
        { ...signal, body: [1, "/job/1", "other.scope", "done"] },
        { ...signal, body: [2, "/job/2", "a.scope", "failed"] },
        { ...reply, signature: "o", body: ["/job/2"] },
      ];
    case "GetUnit":
      return [{ ...reply, signature: "o", body: ["/unit"] }];
    case "Get": {
      const found = properties.get(String(call.body[1]));
      const none = { type: MESSAGE.ERROR, errorName: "org.example.No", signature: "s", body: ["no such"] };
      return [{ ...reply, ...(found === undefined ? none : { signature: "v", body: [found] }) }];
    }
    case "SetUnitProperties": {
      const refused = change(call.body);
      if (refused === undefined) return [reply];
      return [
        { ...reply, type: MESSAGE.ERROR, errorName: "org.example.No", signature: "s", body: [refused] },
      ];
    }
    default:
      return [];
  }
}

Bun.listen<{ rest: Uint8Array; known: boolean }>({
  unix: path,
  socket: {
    open(socket) {
      socket.data = { rest: new Uint8Array(0), known: false };
    },
    data(socket, bytes) {
      const { data } = socket;
      data.rest = new Uint8Array([...data.rest, ...bytes]);
      if (!data.known) {
        const text = new TextDecoder("latin1").decode(data.rest);
        const end = text.indexOf("BEGIN\r\n");
        if (end < 0) return;
        if (path.endsWith("refuses")) return void socket.write("REJECTED EXTERNAL\r\n");
        data.known = true;
        data.rest = data.rest.slice(end + 7);
        socket.write("DATA\r\nOK 0123456789abcdef\r\n");
      }
      for (let next = decodeMessage(data.rest); next !== undefined; next = decodeMessage(data.rest)) {
        data.rest = data.rest.slice(next.length);
        unwritten();
        unwritten = () => {};
        if (next.message.member === "HangUp") return void socket.end();
        for (const answer of answers(next.message)) {
          serial++;
          // In two parts, as a socket may give it.
          const whole = encodeMessage({ serial, ...answer } as Message);
          socket.write(whole.subarray(0, 10));
          socket.flush();
          socket.write(whole.subarray(10));
        }
      }
    },
  },
});
writeSync(1, "ready\n");
