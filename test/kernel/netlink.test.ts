import { expect, test } from "bun:test";
import { IFLA, NLM_F_ACK_TLVS, NLM_F_CAPPED, RTM } from "../../src/kernel/consts/netlink.ts";
import {
  attributeText,
  decodeAddress,
  decodeAttributes,
  decodeLink,
  decodeMessages,
  decodeOutcome,
  encodeAddress,
  encodeLink,
  encodeMessage,
  openRoute,
  request,
} from "../../src/kernel/netlink.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string) => new Uint8Array(Buffer.from(text.replace(/\s/g, ""), "hex"));

test("a link message: the struct, then attributes padded to four bytes, a string with its NUL", () => {
  const message = encodeLink({
    index: 7,
    flags: 1,
    change: 0x10001,
    attributes: [
      { type: 3, value: "eth0" },
      { type: 28, value: 0x01020304 },
    ],
  });
  expect(hex(message)).toBe(
    // family, type; index; flags; change
    "00000000" +
      "07000000" +
      "01000000" +
      "01000100" +
      "0900" +
      "0300" +
      "6574683000" +
      "000000" +
      "08001c0004030201",
  );
});

test("an address message has a byte for each of family, length, flags and scope", () => {
  const value = new Uint8Array([10, 0, 0, 1]);
  const message = encodeAddress({
    family: 2,
    prefixLength: 24,
    flags: 0x280,
    scope: 0,
    index: 258,
    attributes: [{ type: 2, value }],
  });
  expect(hex(message)).toBe("02188000" + "02010000" + "08000200" + "0a000001");
  const back = decodeAddress(message);
  expect(back).toMatchObject({ family: 2, prefixLength: 24, scope: 0, index: 258 });
  expect(back.attributes.get(2)).toEqual(value);
});

test("messages of one datagram are told apart by their lengths, and a cut off one is none", () => {
  const one = encodeMessage({ type: 16, flags: 5, sequence: 9, payload: new Uint8Array([1, 2, 3, 4]) });
  expect(hex(one)).toBe("14000000" + "1000" + "0500" + "09000000" + "00000000" + "01020304");
  const both = new Uint8Array([...one, ...one]);
  expect(decodeMessages(both)).toHaveLength(2);
  expect(decodeMessages(both)[1]).toMatchObject({ type: 16, flags: 5, sequence: 9 });
  expect(decodeMessages(both.subarray(0, 35))).toHaveLength(1);
  expect(decodeMessages(bytes("03000000 10000500 09000000 00000000"))).toEqual([]);
});

test("attributes that are cut off, or of no length, end the list", () => {
  expect(decodeAttributes(bytes("0500 0300 61000000 0900 0400 00")).size).toBe(1);
  expect(decodeAttributes(bytes("0000 0300")).size).toBe(0);
  // The bits for nesting and byte order aren't part of the type.
  expect([...decodeAttributes(bytes("0400 0380")).keys()]).toEqual([3]);
});

test("the kernel's outcome: an error number, and its words behind the request that it repeats", () => {
  const request = "20000000 10000500 01000000 00000000" + "00000000 00000000 00000000 00000000";
  const words = "0800 0100 6e6f2100";
  const outcome = (payload: string, flags: number) =>
    decodeOutcome({ type: 2, flags, sequence: 1, payload: bytes(payload) });
  expect(outcome(`00000000${request}`, 0)).toEqual({ errno: 0, said: "" });
  expect(outcome(`eaffffff${request}`, 0)).toEqual({ errno: 22, said: "" });
  expect(outcome(`eaffffff${request}${words}`, NLM_F_ACK_TLVS)).toEqual({ errno: 22, said: "no!" });
  const capped = `eaffffff${request.slice(0, 35)}${words}`;
  expect(outcome(capped, NLM_F_ACK_TLVS | NLM_F_CAPPED)).toEqual({ errno: 22, said: "no!" });
});

test("a request: the loopback interface is there, and one of no name isn't", () => {
  const fd = openRoute();
  const named = (value: string) => encodeLink({ attributes: [{ type: IFLA.IFLA_IFNAME, value }] });
  const [answer] = request(fd, RTM.RTM_GETLINK, 0, named("lo"));
  const link = decodeLink(answer?.payload ?? new Uint8Array());
  expect(attributeText(link.attributes.get(IFLA.IFLA_IFNAME))).toBe("lo");
  expect(() => request(fd, RTM.RTM_GETLINK, 0, named("not-there"))).toThrow("no such device");
});
