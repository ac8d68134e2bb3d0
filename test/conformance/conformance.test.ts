/** The suite against the built executable: a test for each case. And the suite's own parts. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KONTENA } from "../integration/helpers.ts";
import { CASES } from "./cases/index.ts";
import { schemaProblems, unknownNames } from "./schema.ts";
import type { Result } from "./suite.ts";

const directory = mkdtempSync(join(tmpdir(), "kontena-conformance-test-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const able = process.geteuid?.() === 0 && existsSync("/bin/busybox") && Bun.which("unshare") !== null;

function results(): Result[] {
  if (!able) return [];
  const json = join(directory, "results.json");
  const command = [join(import.meta.dir, "run"), "--runtime", KONTENA, "--quiet", "--json", json];
  const { stderr } = Bun.spawnSync(command, { stdio: ["ignore", "ignore", "pipe"] });
  if (!existsSync(json)) throw new Error(`the suite ended without results: ${stderr}`);
  return (JSON.parse(readFileSync(json, "utf8")) as { results: Result[] }).results;
}

describe("runtime-spec:", () => {
  for (const { at, name, outcome, reason, differs } of results()) {
    const title = `${at}: ${name}`;
    const known = differs?.["kontena"];
    if (outcome === "skip") test.skip(`${title} (${reason})`, () => {});
    else if (known) test(`${title}: known to differ`, () => expect(outcome).toBe("fail"));
    else test(title, () => expect(reason).toBeUndefined());
  }
  test.skipIf(!able)("every case has been run", () => expect(CASES.length).toBeGreaterThan(600));
});

test("a case's name and place are its own", () => {
  const names = CASES.map((one) => `${one.at}: ${one.name}`);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

describe("the schema check", () => {
  const state = { ociVersion: "1.0.2", id: "x", status: "running", pid: 1, bundle: "/b" };

  test("passes what keeps to the schema", () => {
    expect(schemaProblems("state-schema.json", state)).toEqual([]);
    expect(
      schemaProblems("features-schema.json", { ociVersionMin: "1.0.0", ociVersionMax: "1.3.0" }),
    ).toEqual([]);
  });

  test.each([
    [{ ...state, status: "asleep" }, ".status: asleep isn't one of creating,created,running,stopped"],
    [{ ...state, pid: "1" }, ".pid: string instead of integer"],
    [{ ...state, pid: -1 }, ".pid: -1 is below 0"],
    [{ ...state, bundle: undefined }, ".bundle: undefined instead of string"],
    [{ ...state, annotations: { a: 1 } }, ".annotations.a: number instead of string"],
  ])("tells %j", (value, problem) => {
    expect(
      schemaProblems("state-schema.json", value).join().replace("integer instead", "number instead"),
    ).toBe(problem);
  });

  test("tells names that the schema doesn't have", () => {
    expect(unknownNames("features-schema.json", { linux: { cgroup: { v3: true } }, more: 1 })).toEqual([
      ".linux.cgroup.v3",
      ".more",
    ]);
  });
});
