import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import {
  awaitSignal,
  type Connection,
  call,
  connect,
  DBusError,
  disconnect,
  isUsable,
  socketsOf,
} from "../../../src/cgroup/systemd/dbus.ts";

const directory = mkdtempSync(join(tmpdir(), "kontena-dbus-"));
const path = join(directory, "private");
const servers: Subprocess[] = [];

async function serve(at: string): Promise<void> {
  const script = join(import.meta.dir, "fake-systemd.ts");
  const server = Bun.spawn([process.execPath, script, at], { stdio: ["ignore", "pipe", "inherit"] });
  servers.push(server);
  await server.stdout.getReader().read();
}

beforeAll(async () => {
  await serve(path);
  await serve(join(directory, "refuses"));
});
afterAll(() => {
  for (const server of servers) server.kill();
  rmSync(directory, { recursive: true });
});

function withConnection<T>(direct: boolean, use: (connection: Connection) => T): T {
  const connection = connect(path, direct);
  if (typeof connection === "string") throw new Error(connection);
  try {
    return use(connection);
  } finally {
    disconnect(connection);
  }
}

const method = (member: string) => ({
  destination: "org.example",
  path: "/",
  interface: "org.example",
  member,
});
const echo = (text: string) => ({ ...method("Echo"), signature: "s", body: [text] });

describe("a connection", () => {
  test("gives the answers of calls, one after the other", () => {
    withConnection(true, (connection) => {
      expect(call(connection, echo("one"))).toEqual(["one nobody"]);
      expect(call(connection, echo("two"))).toEqual(["two nobody"]);
    });
  });

  test("to a bus tells whom the call is for", () => {
    withConnection(false, (connection) => {
      expect(call(connection, echo("one"))).toEqual(["one org.example"]);
    });
  });

  test("throws an error that was answered, by its name", () => {
    withConnection(true, (connection) => {
      expect(() => call(connection, method("Fail"))).toThrow(new DBusError("org.example.No", "because"));
      expect(call(connection, echo("on"))).toEqual(["on nobody"]);
    });
  });

  test("keeps signals that come before the answer which tells what they mean", () => {
    withConnection(true, (connection) => {
      const [job] = call(connection, method("Job"));
      expect(awaitSignal(connection, "JobRemoved", (body) => body[1] === job)).toEqual([
        2,
        "/job/2",
        "a.scope",
        "failed",
      ]);
    });
  });

  test("that the other side ends is an error, and isn't usable", () => {
    withConnection(true, (connection) => {
      expect(isUsable(connection)).toBe(true);
      expect(() => call(connection, method("HangUp"))).toThrow(
        expect.objectContaining({ code: "CGROUP_FAILED" }),
      );
      expect(isUsable(connection)).toBe(false);
    });
  });

  test("that isn't there, or isn't for this user, is told with its path", () => {
    expect(connect(join(directory, "none"), true)).toBe(`${directory}/none: no such file or directory`);
    expect(connect(join(directory, "refuses"), true)).toBe(
      `${directory}/refuses: it doesn't accept this user`,
    );
    expect(connect(`/${"x".repeat(200)}`, true)).toEndWith(": file name too long");
  });
});

test("an address may name several sockets, in the file system or abstract ones, with escapes", () => {
  expect(socketsOf("unix:path=/run/user/1000/bus")).toEqual(["/run/user/1000/bus"]);
  expect(socketsOf("unix:guid=1,abstract=/tmp/x;tcp:host=a;unix:path=/a%20b,guid=2")).toEqual([
    "\0/tmp/x",
    "/a b",
  ]);
});
