import { expect, test } from "bun:test";
import type { IdMapping } from "../../spec/common.ts";
import { groupsDenied, hostIdOf, takesHelper } from "../../src/plan/mappings.ts";
import { inputOf, USER_HOST, withNamespaces } from "./helpers.ts";

const CAP_SETGID = 1n << 6n;
const CAP_SETUID = 1n << 7n;
const own: IdMapping[] = [{ containerID: 0, hostID: 1000, size: 1 }];
const range: IdMapping[] = [{ containerID: 0, hostID: 100000, size: 65536 }];

const inputFor = (mappings: IdMapping[], permitted = 0n, more: object = {}) =>
  inputOf(
    { linux: { ...withNamespaces("user"), uidMappings: mappings, gidMappings: mappings } },
    { host: { ...USER_HOST, permitted, ...more } },
  );

test("the kernel takes one's own id from anybody, and everything else from who has the capability or from a helper", () => {
  const helped = (...args: Parameters<typeof inputFor>) =>
    (["uidMappings", "gidMappings"] as const).filter((name) => takesHelper(inputFor(...args), name));
  expect(helped(own)).toEqual([]);
  // Any one id inside may stand for it.
  expect(helped([{ containerID: 77, hostID: 1000, size: 1 }])).toEqual([]);
  expect(helped([{ containerID: 0, hostID: 1000, size: 2 }])).toEqual(["uidMappings", "gidMappings"]);
  expect(helped([{ containerID: 0, hostID: 1001, size: 1 }])).toEqual(["uidMappings", "gidMappings"]);
  expect(helped([...own, ...range])).toEqual(["uidMappings", "gidMappings"]);
  expect(helped(own, 0n, { gid: 50 })).toEqual(["gidMappings"]);
  expect(helped(range, CAP_SETUID)).toEqual(["gidMappings"]);
  expect(helped(range, CAP_SETGID)).toEqual(["uidMappings"]);
  expect(helped(range, 0n, { uid: 0, gid: 0 })).toEqual([]);
});

test("setgroups is denied with a mapping of one's own gid that takes no rights, and with no other", () => {
  expect(groupsDenied(inputFor(own))).toBe(true);
  expect(groupsDenied(inputFor(own, CAP_SETGID))).toBe(false);
  expect(groupsDenied(inputFor([...own, ...range]))).toBe(false);
  expect(groupsDenied(inputOf({}, { host: USER_HOST }))).toBe(false);
  // Root of a container that may do little is a user like others.
  expect(groupsDenied(inputFor(own, 0n, { uid: 0, gid: 1000 }))).toBe(true);
});

test("an id of the container is one of the host, by the range that it is in", () => {
  const mappings = [
    { containerID: 0, hostID: 1000, size: 1 },
    { containerID: 1, hostID: 100000, size: 10 },
  ];
  expect([0, 1, 10, 11].map((id) => hostIdOf(mappings, id))).toEqual([1000, 100000, 100009, undefined]);
});
