import { expect, test } from "bun:test";
import { sessionKeyring } from "../../src/plan/keyring.ts";
import { keyringTexts } from "../../src/plan/texts.ts";
import { callsIn, inputOf, short, withNamespaces } from "./helpers.ts";

const callsFor = (...types: string[]) =>
  callsIn(sessionKeyring(inputOf({ linux: withNamespaces(...types) })));

test("a keyring with the container's name, in which its owner may search", () => {
  const list = callsFor("mount");
  expect(list.map(short)).toEqual([
    'keyctl(1, "_ses.c1") = session keyring',
    `keyctl(5, <session keyring>, ${0x3f1b0000})`,
  ]);
});

test("in a user namespace the others may search, since the ids are others", () => {
  expect(callsFor("user")[1]?.args[2]).toBe(0x3f130008);
});

test("where the kernel has none, or a filter forbids it, the container goes without", () => {
  const [join, permit] = callsFor();
  expect(join?.on).toEqual({ ENOSYS: "leave", EPERM: "leave" });
  expect(permit?.on).toBeUndefined();
});

test("--no-new-keyring leaves the caller's", () => {
  const input = inputOf({}, { noNewKeyring: true });
  expect(sessionKeyring(input)).toEqual([]);
  expect(keyringTexts(input)).toEqual([]);
});

test("names of all lengths have the same room", () => {
  const sizes = ["a", "a".repeat(250)].map((id) => keyringTexts({ id, noNewKeyring: false })[0]?.size);
  expect(sizes).toEqual([256, 256]);
});
