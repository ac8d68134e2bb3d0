import { expect, test } from "bun:test";
import { uts } from "../../src/plan/uts.ts";
import { callsIn, inputOf, short } from "./helpers.ts";

const shorts = (config: Parameters<typeof inputOf>[0]) => callsIn(uts(inputOf(config))).map(short);

test("hostname and domainname are each one call, hostname first", () => {
  expect(shorts({ domainname: "example.org", hostname: "box" })).toEqual([
    'sethostname("box", 3)',
    'setdomainname("example.org", 11)',
  ]);
});

test("the length is in bytes of UTF-8, without a NUL", () => {
  expect(shorts({ hostname: "bücherei" })).toEqual(['sethostname("bücherei", 9)']);
  expect(shorts({ hostname: "📦" })).toEqual(['sethostname("📦", 4)']);
});

test("what isn't in the config isn't set", () => {
  expect(shorts({})).toEqual([]);
  expect(shorts({ domainname: "d" })).toEqual(['setdomainname("d", 1)']);
});

test("a failure names the property and the name", () => {
  const [step] = callsIn(uts(inputOf({ hostname: "box" })));
  expect(step).toMatchObject({
    at: "hostname",
    fail: { code: "HOSTNAME_FAILED", message: 'cannot set the hostname "box"' },
  });
});
