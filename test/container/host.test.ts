import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gatherHost, signalsOf, sourceKinds } from "../../src/container/host.ts";
import { lookupsOf } from "../../src/plan/lookups.ts";
import { inputOf } from "../plan/helpers.ts";

test.each([
  ["0000000000000000", []],
  ["0000000001001000", [13, 25]],
  ["8000000000000000", [64]],
  ["0000000000000001", [1]],
  ["", []],
])("the mask %p is the signals %p", (mask, signals) => {
  expect(signalsOf(mask)).toEqual(signals);
});

describe("this machine", () => {
  const facts = gatherHost();
  const status = readFileSync("/proc/self/status", "utf8");
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";

  test("is told as it is", () => {
    expect(facts.uid).toBe(process.geteuid?.() as number);
    expect(facts.gid).toBe(process.getegid?.() as number);
    expect(facts.permitted).toBe(BigInt(`0x${field("CapPrm")}`));
    expect(facts.bounding).toBe(BigInt(`0x${field("CapBnd")}`));
    expect(facts.lastCap).toBeGreaterThanOrEqual(37);
    expect(facts.ignoredSignals).toEqual(signalsOf(field("SigIgn")));
  });

  test("knows that Bun ignores SIGPIPE, which the program must not", () => {
    expect(facts.ignoredSignals).toContain(13);
  });

  test("has a limit on open files that this process could have been given", () => {
    expect(facts.nofile?.soft).toBeLessThanOrEqual(facts.nofile?.hard as bigint);
  });
});

describe("the sources of bind mounts", () => {
  const place = mkdtempSync(join(tmpdir(), "kontena-host-"));
  afterAll(() => rmSync(place, { recursive: true }));
  writeFileSync(join(place, "file"), "");
  symlinkSync(place, join(place, "link"));
  const kinds = (source: string, options = ["rbind"]) =>
    sourceKinds(lookupsOf(inputOf({ mounts: [{ destination: "/d", source, options }] }).config), "/")[source];

  test("are files or directories, also behind a link and also devices", () => {
    expect(kinds(place)).toBe("directory");
    expect(kinds(join(place, "file"))).toBe("file");
    expect(kinds(join(place, "link"))).toBe("directory");
    expect(kinds("/dev/null")).toBe("file");
  });

  test("are left out when they can't be seen, and for other mounts", () => {
    expect(kinds(join(place, "nothing"))).toBeUndefined();
    expect(kinds(place, [])).toBeUndefined();
  });
});
