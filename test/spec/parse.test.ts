import { expect, test } from "bun:test";
import type { Config } from "../../spec/config.ts";
import { parseConfig, parseFeatures, parseProcess, parseResources, parseState } from "../../spec/parse.ts";
import type { Problem as SourceProblem } from "../../src/error.ts";
import { configText, placesOf, problemsOf, validConfig, warningsOf } from "./documents.ts";

test("all problems come at once, each with its path", () => {
  expect(
    placesOf({
      root: {},
      mounts: [{ destination: "/a" }, { destination: 1, options: ["ro", 2] }],
      annotations: { "com.example/x": 3, plain: 4 },
      linux: { namespaces: [{ type: "uts" }, { type: "nets" }] },
    }),
  ).toEqual([
    "root.path",
    "mounts[1].destination",
    "mounts[1].options[1]",
    'annotations["com.example/x"]',
    "annotations.plain",
    "linux.namespaces[1].type",
  ]);
});

test("a wrong type says what was expected and what was found", () => {
  const found = problemsOf({ hostname: 1, root: null, process: "sh", mounts: {}, hooks: { poststop: "" } });
  expect(found).toEqual([
    { at: "root", message: "expected an object, received null" },
    { at: "mounts", message: "expected an array, received an object" },
    { at: "process", message: 'expected an object, received "sh"' },
    { at: "hostname", message: "expected a string, received 1" },
    { at: "hooks.poststop", message: 'expected an array, received ""' },
  ]);
  expect(problemsOf({ root: { path: "r", readonly: "yes" } })).toEqual([
    { at: "root.readonly", message: 'expected true or false, received "yes"' },
  ]);
});

test("names that valibot would lose are problems, where any name may stand", () => {
  const annotations = JSON.parse('{"__proto__": "a", "prototype": "b", "toString": "c"}') as object;
  const linux = { sysctl: { constructor: "1" }, netDevices: { constructor: {} } };
  expect(placesOf({ annotations, linux }).sort()).toEqual([
    "annotations.__proto__",
    "annotations.prototype",
    "linux.netDevices.constructor",
    "linux.sysctl.constructor",
  ]);
});

test("half of a surrogate pair is refused: its bytes would be those of another character", () => {
  const message = '"\\ud800" contains half of a surrogate pair, for which UTF-8 has no bytes';
  expect(problemsOf({ process: { cwd: "/", args: ["\ud800"] } })).toEqual([
    { at: "process.args[0]", message },
  ]);
});

test("a clock that has no offsets is a wrong value, not an unknown property", () => {
  const linux = { namespaces: [{ type: "time" }], timeOffsets: { realtime: { secs: 1 } } };
  expect(problemsOf({ linux })).toEqual([
    { at: "linux.timeOffsets.realtime", message: "isn't one of the names that may stand here" },
  ]);
  expect(problemsOf({ linux: { timeOffsets: [] } })).toEqual([
    { at: "linux.timeOffsets", message: "expected an object, received an array" },
  ]);
});

test("an array in an object's place is one problem, there", () => {
  expect(problemsOf({ process: [], linux: { sysctl: [] }, annotations: [] })).toEqual([
    { at: "process", message: "expected an object, received an array" },
    { at: "linux.sysctl", message: "expected an object, received an array" },
    { at: "annotations", message: "expected an object, received an array" },
  ]);
  expect(parseConfig("[]")).toMatchObject({
    problems: [{ at: "", message: "expected an object, received an array" }],
  });
});

test("a missing property is named", () => {
  expect(problemsOf({ mounts: [{}] })).toEqual([{ at: "mounts[0].destination", message: "is required" }]);
  expect(parseConfig("{}")).toMatchObject({ problems: [{ at: "ociVersion", message: "is required" }] });
});

test("an enumeration lists what is legal and the nearest of it", () => {
  expect(problemsOf({ linux: { rootfsPropagation: "privat" } })).toEqual([
    {
      at: "linux.rootfsPropagation",
      message:
        'expected one of private, shared, slave, unbindable, rprivate, rshared, rslave, runbindable; received "privat"',
      hint: "did you mean `private`?",
    },
  ]);
  expect(problemsOf({ linux: { rootfsPropagation: "other" } })[0]).not.toHaveProperty("hint");
});

test("a NUL in any string or name is a problem", () => {
  const nul = "a\0b";
  expect(
    placesOf({
      hostname: nul,
      root: { path: nul },
      process: { cwd: nul, args: [nul], env: [nul], rlimits: [{ type: nul, soft: 0, hard: 0 }] },
      annotations: { [nul]: "x", y: nul },
    }).toSorted(),
  ).toEqual(
    [
      "hostname",
      "root.path",
      "process.cwd",
      "process.args[0]",
      "process.env[0]",
      "process.rlimits[0].type",
      'annotations["a\\u0000b"]',
      "annotations.y",
    ].toSorted(),
  );
});

test("an unknown property is a warning with the nearest known name, at every depth", () => {
  const found = warningsOf({
    hostnmae: "x",
    nothingLikeIt: 1,
    mounts: [{ destination: "/a", Options: [] }],
    linux: {
      maskedpaths: ["/proc/kcore"],
      resources: { rdma: { mlx5: { hcaHandle: 1, hcaObjects: 1 } } },
      netDevices: { eth0: { "new name": "x" } },
    },
  });
  expect(found).toEqual([
    expect.objectContaining({ at: "hostnmae", hint: "did you mean `hostname`?" }),
    { at: "nothingLikeIt", message: "unknown property, which has no effect" },
    expect.objectContaining({ at: "mounts[0].Options", hint: "did you mean `options`?" }),
    expect.objectContaining({ at: "linux.maskedpaths", hint: "did you mean `maskedPaths`?" }),
    expect.objectContaining({
      at: "linux.resources.rdma.mlx5.hcaHandle",
      hint: "did you mean `hcaHandles`?",
    }),
    { at: 'linux.netDevices.eth0["new name"]', message: "unknown property, which has no effect" },
  ]);
});

test("unknown properties aren't in the config, and warnings come with problems too", () => {
  expect(validConfig({ extra: 1 })).toEqual({ ociVersion: "1.3.0" });
  expect(parseConfig(configText({ extra: 1, hostname: 2 }))).toMatchObject({
    problems: [{ at: "hostname" }],
    warnings: [{ at: "extra" }],
  });
});

test("sections for other platforms are no typos", () => {
  const sections = { windows: { layerFolders: [] }, solaris: {}, vm: {}, zos: {}, freebsd: [] };
  expect(warningsOf(sections)).toEqual([]);
  expect(validConfig(sections)).toMatchObject(sections);
});

test("names from Object.prototype are unknown as any other", () => {
  const { warnings } = parseConfig('{"ociVersion":"1.0.0","toString":1,"__proto__":{}}');
  expect(warnings.map(({ at }) => at)).toEqual(["toString", "__proto__"]);
});

test("the parsed config has the inferred type", () => {
  const config = validConfig({ linux: { namespaces: [{ type: "uts" }] }, hostname: "h" });
  config satisfies Config;
  const type: "uts" | string | undefined = config.linux?.namespaces?.[0]?.type;
  expect(type).toBe("uts");
  // @ts-expect-error A namespace type is one of a list.
  ({ type: "net" }) satisfies NonNullable<NonNullable<Config["linux"]>["namespaces"]>[number];
});

test("a problem is what src/error.ts calls one", () => {
  problemsOf({ hostname: 1 }) satisfies SourceProblem[];
  const source: SourceProblem[] = [];
  source satisfies ReturnType<typeof problemsOf>;
});

test("a process by itself is held to the process's rules", () => {
  expect(parseProcess('{"cwd":"/","args":["sh"]}')).toEqual({
    process: { cwd: "/", args: ["sh"] },
    warnings: [],
  });
  expect(parseProcess('{"cwd":"x","env":["A"]}')).toMatchObject({
    problems: [{ at: "cwd" }, { at: "env[0]" }],
  });
});

test("resources by themselves are held to the resources' rules", () => {
  expect(parseResources('{"pids":{"limit":-1}}')).toEqual({
    resources: { pids: { limit: -1 } },
    warnings: [],
  });
  expect(parseResources('{"memory":{"swappiness":101}}')).toMatchObject({
    problems: [{ at: "memory.swappiness" }],
  });
});

test("a state needs its pid only while there is a process", () => {
  const state = (status: string) =>
    parseState(JSON.stringify({ ociVersion: "1.3.0", id: "a", status, bundle: "/b" }));
  expect(state("stopped")).toHaveProperty("state");
  expect(state("running")).toMatchObject({ problems: [{ at: "pid" }] });
  expect(state("paused")).toMatchObject({ problems: [{ at: "status" }] });
});

test("features may be null, and their names are known ones", () => {
  const text = (linux: unknown) => JSON.stringify({ ociVersionMin: "1.0.0", ociVersionMax: "1.3.0", linux });
  expect(parseFeatures(text(null))).toHaveProperty("features");
  expect(parseFeatures(text({ cgroup: { v2: true, rdma: null } }))).toMatchObject({ warnings: [] });
  expect(parseFeatures(text({ namespaces: ["net"], capabilities: ["chown"] }))).toMatchObject({
    problems: [{ at: "linux.namespaces[0]" }, { at: "linux.capabilities[0]" }],
  });
});
