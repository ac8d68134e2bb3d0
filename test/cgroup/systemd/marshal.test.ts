import { expect, test } from "bun:test";
import {
  decodeMessage,
  encodeMessage,
  MESSAGE,
  marshal,
  typesOf,
  unmarshal,
  type Value,
  variant,
} from "../../../src/cgroup/systemd/marshal.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test("a signature falls into its complete types", () => {
  expect(typesOf("ssa(sv)a(sa(sv))a{sv}t")).toEqual(["s", "s", "a(sv)", "a(sa(sv))", "a{sv}", "t"]);
  expect(typesOf("")).toEqual([]);
});

test.each(["s?", "(s", "a"])("%p is no signature", (signature) => {
  expect(() => typesOf(signature)).toThrow(RangeError);
});

test("values are aligned to their size, text has its length and a NUL", () => {
  expect(hex(marshal("yu", [1, 2]))).toBe("0100000002000000");
  expect(hex(marshal("yt", [1, 2n]))).toBe("01000000000000000200000000000000");
  expect(hex(marshal("s", ["ab"]))).toBe("02000000616200");
  expect(hex(marshal("g", ["as"]))).toBe("02617300");
});

test("the length of an array doesn't count the space before its first element", () => {
  expect(hex(marshal("at", [[1n]]))).toBe("08000000000000000100000000000000");
  expect(hex(marshal("at", [[]]))).toBe("0000000000000000");
});

test("what is written is read again", () => {
  const values: Value[] = [
    "scope",
    [
      ["PIDs", variant("au", [1, 2])],
      ["MemoryMax", variant("t", 0xffff_ffff_ffff_ffffn)],
      ["Delegate", variant("b", true)],
      ["Nested", variant("v", variant("(id)", [-1, 1.5]))],
    ],
    -5n,
    [],
  ];
  const signature = "sa(sv)xa(sa(sv))";
  expect(unmarshal(signature, marshal(signature, values))).toEqual(values);
});

const CALL = {
  type: MESSAGE.METHOD_CALL,
  serial: 7,
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
  member: "StopUnit",
  signature: "ss",
  body: ["a.scope", "replace"],
};

test("a message is read as it was written", () => {
  const bytes = encodeMessage(CALL);
  expect(decodeMessage(bytes)).toEqual({ message: CALL, length: bytes.length });
});

test("a part of a message is none yet, and what follows one isn't touched", () => {
  const bytes = encodeMessage(CALL);
  for (let length = 0; length < bytes.length; length++)
    expect(decodeMessage(bytes.subarray(0, length))).toBeUndefined();
  const two = new Uint8Array([...bytes, ...bytes]);
  expect(decodeMessage(two)).toEqual({ message: CALL, length: bytes.length });
});
