/** The other side for tests of the client: answers by the member's name, and says `ready` when it listens at the path it was given. */
import { writeSync } from "node:fs";
import { decodeMessage, encodeMessage, MESSAGE, type Message } from "../../../src/cgroup/systemd/marshal.ts";

const [, , path = ""] = process.argv;
let serial = 0;

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
