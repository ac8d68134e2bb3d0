/** Kept plans: a second container of a bundle gets the very plan that it would have got anew. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, compileVariant, storePlan } from "../../src/container/compile.ts";
import { planPath } from "../../src/container/plan-store.ts";
import { openRuntime } from "../../src/container/runtime.ts";
import { defaultConfig } from "../../src/container/spec.ts";
import { KontenaError } from "../../src/error.ts";

type Module = typeof import("../../src/container/compile.ts");

const place = mkdtempSync(join(tmpdir(), "kontena-compile-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));

let count = 0;
let warnings: string[] = [];
beforeEach(() => {
  warnings = [];
});

function bundle(change: (config: ReturnType<typeof defaultConfig>) => void = () => {}): string {
  const directory = join(place, `bundle-${++count}`);
  mkdirSync(join(directory, "rootfs"), { recursive: true });
  const config = structuredClone(defaultConfig({ rootless: false }));
  change(config);
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  return directory;
}

const runtime = (change = {}) =>
  openRuntime({
    root: join(place, "state"),
    warn: (message) => warnings.push(message),
    debug: () => {},
    ...change,
  });
/** The module as another process would have it, with nothing in its memory. */
const another = (): Promise<Module> => import(`../../src/container/compile.ts?${++count}`);

describe("a second container of a bundle", () => {
  test("has the same plan, kept, and its own cgroup", () => {
    const directory = bundle();
    const first = compile(runtime(), { id: "a", bundle: directory });
    const second = compile(runtime(), { id: "b", bundle: directory });
    expect(second.key).toBe(first.key as string);
    expect(second.encoded).toBe(first.encoded);
    expect([first.input.cgroupPath, second.input.cgroupPath]).toEqual(["/kontena-a", "/kontena-b"]);
  });

  test("hears the same warnings", () => {
    const directory = bundle((config) => {
      config.process?.capabilities?.permitted?.push("CAP_UNHEARD_OF");
    });
    compile(runtime(), { id: "a", bundle: directory });
    const heard = warnings.splice(0);
    expect(heard.length).toBeGreaterThan(0);
    compile(runtime(), { id: "b", bundle: directory });
    expect(warnings).toEqual(heard);
  });
});

describe("a plan that takes the place of another one", () => {
  const without = (module: Pick<Module, "compile" | "compileVariant">, directory: string) => {
    const first = module.compile(runtime(), { id: "a", bundle: directory });
    const input = { ...first.input, cgroupPath: undefined };
    return { first, input, variant: module.compileVariant(runtime(), first, "no cgroup", input) };
  };

  test("is another one, and remembered beside it", () => {
    const directory = bundle();
    const { first, input, variant } = without({ compile, compileVariant }, directory);
    expect(Buffer.from(variant.encoded.bytes).equals(Buffer.from(first.encoded.bytes))).toBe(false);
    expect(variant.key).not.toBe(first.key as string);
    expect(compileVariant(runtime(), first, "no cgroup", input).encoded).toBe(variant.encoded);
    expect(compile(runtime(), { id: "b", bundle: directory }).encoded).toBe(first.encoded);
  });

  test("is made anew when the paths of the config are other files", () => {
    const { first, input, variant } = without({ compile, compileVariant }, bundle());
    const changed = { ...input, host: { ...input.host, sources: { "/x": "file" as const } } };
    expect(compileVariant(runtime(), first, "no cgroup", changed).encoded).not.toBe(variant.encoded);
  });
});

describe("another plan comes from", () => {
  const keyOf = (directory: string, options = {}, change = {}) =>
    compile(runtime(change), { id: "a", bundle: directory, ...options }).key;
  const same = bundle();

  test("another option", () => {
    const keys = [
      keyOf(same),
      keyOf(same, { noPivot: true }),
      keyOf(same, {}, { cgroupManager: "disabled" }),
      keyOf(same, {}, { rootless: "true" }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  test("another config, however little it differs", () => {
    const path = join(same, "config.json");
    const before = keyOf(same);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, `${text} `);
    expect(keyOf(same)).not.toBe(before as string);
    writeFileSync(path, text);
    expect(keyOf(same)).toBe(before as string);
  });

  test("another bundle of the same config", () => {
    expect(keyOf(bundle())).not.toBe(keyOf(bundle()) as string);
  });

  test("a bind mount's source that has become a file", () => {
    const source = join(place, "source");
    mkdirSync(source);
    const directory = bundle((config) => {
      config.mounts?.push({ destination: "/x", source, options: ["bind"] });
    });
    const first = compile(runtime(), { id: "a", bundle: directory });
    rmSync(source, { recursive: true });
    writeFileSync(source, "");
    const second = compile(runtime(), { id: "a", bundle: directory });
    expect(second.encoded).not.toBe(first.encoded);
    expect(second.input.host.sources).toMatchObject({ [source]: "file" });
  });
});

test("a kept plan doesn't hide what has gone wrong since", () => {
  const directory = bundle();
  compile(runtime(), { id: "a", bundle: directory });
  rmSync(join(directory, "rootfs"), { recursive: true });
  expect(() => compile(runtime(), { id: "b", bundle: directory })).toThrow(KontenaError);
  expect(() => compile(runtime(), { id: "a/b", bundle: directory })).toThrow("invalid container id");
});

describe("on disk", () => {
  const global = globalThis as { KONTENA_BUILD?: string };
  beforeEach(() => {
    global.KONTENA_BUILD = "a test";
  });
  afterEach(() => {
    delete global.KONTENA_BUILD;
    rmSync(join(place, "state"), { recursive: true, force: true });
  });
  const store = () => join(place, "state/@plans");

  function stored(directory: string) {
    const compiled = compile(runtime(), { id: "a", bundle: directory });
    for (let i = 0; i < 2; i++) storePlan(runtime(), compiled);
    return { compiled, path: planPath(runtime(), compiled.key as string) };
  }

  test("a plan is read back as it was, to the byte, with the calls that errors need", async () => {
    const directory = bundle();
    const { compiled, path } = stored(directory);
    expect(existsSync(path)).toBe(true);
    const again = (await another()).compile(runtime(), { id: "b", bundle: directory });
    expect(again.encoded.ops).toEqual([]);
    expect(Buffer.from(again.encoded.bytes).equals(Buffer.from(compiled.encoded.bytes))).toBe(true);
    expect([...again.encoded.cells]).toEqual([...compiled.encoded.cells]);
    expect([...again.encoded.buffers]).toEqual([...compiled.encoded.buffers]);
    expect(Buffer.from(again.startCalls()).toString()).toBe(Buffer.from(compiled.startCalls()).toString());
    expect(JSON.stringify(again.outside)).toBe(JSON.stringify(compiled.outside));
    for (const part of ["code", "init"] as const)
      expect(Buffer.from(again.kit[part]).equals(Buffer.from(compiled.kit[part]))).toBe(true);
    expect(Buffer.from(again.kit.loader.bytes).equals(Buffer.from(compiled.kit.loader.bytes))).toBe(true);
    expect(again.namespaces).toBe(compiled.namespaces);
    for (const { address, call } of compiled.encoded.ops) {
      const { call: name, fail, at } = again.known(String(address)) ?? {};
      expect({ name, fail, at }).toEqual({ name: call.call, fail: call.fail, at: call.at });
    }
  });

  test("a plan is kept when it is made for the second time, and of the first one only its name is", () => {
    const directory = bundle();
    const compiled = compile(runtime(), { id: "a", bundle: directory });
    storePlan(runtime(), compiled);
    expect(readdirSync(store())).toEqual(["seen"]);
    storePlan(runtime(), compiled);
    expect(readdirSync(store()).length).toBe(3);
    const lines = () => readFileSync(join(store(), "seen"), "utf8").split("\n").length;
    for (let i = 0; i < 70; i++)
      storePlan(
        runtime(),
        compile(runtime(), { id: "a".repeat(2 + i * 3), bundle: directory, preserveFds: 0 }),
      );
    expect(lines()).toBeLessThanOrEqual(64);
  });

  test("a plan that took the place of another one is kept with that", async () => {
    const directory = bundle();
    const first = compile(runtime(), { id: "a", bundle: directory });
    const input = { ...first.input, cgroupPath: undefined };
    const variant = compileVariant(runtime(), first, "no cgroup", input);
    for (let i = 0; i < 2; i++) storePlan(runtime(), variant);
    const module = await another();
    const again = module.compile(runtime(), { id: "b", bundle: directory });
    expect(again.encoded.ops).toEqual([]);
    const other = module.compileVariant(runtime(), again, "no cgroup", {
      ...again.input,
      cgroupPath: undefined,
    });
    expect(other.encoded.ops).toEqual([]);
    expect(Buffer.from(other.encoded.bytes).equals(Buffer.from(variant.encoded.bytes))).toBe(true);
  });

  test("a plan of another text that has the same name isn't taken", async () => {
    const directory = bundle();
    const { compiled, path } = stored(directory);
    const bytes = readFileSync(path);
    // One byte of the text, behind the plan: the hash of the new text no longer leads here, but somebody may have found one.
    const at = compiled.encoded.bytes.length;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const again = (await another()).compile(runtime(), { id: "b", bundle: directory });
    expect(again.encoded.ops.length).toBeGreaterThan(0);
  });

  test("nobody else may read or write the plans", () => {
    const { path } = stored(bundle());
    const modeOf = (name: string) => statSync(name).mode & 0o777;
    expect(modeOf(store())).toBe(0o700);
    expect(modeOf(path)).toBe(0o600);
  });

  test("a program that isn't a build keeps none", () => {
    delete global.KONTENA_BUILD;
    stored(bundle());
    expect(existsSync(store())).toBe(false);
  });

  test("a plan that is broken is made anew", async () => {
    const directory = bundle();
    const { compiled, path } = stored(directory);
    const whole = readFileSync(path);
    for (const broken of ["", "garbage", whole.subarray(0, whole.length / 2), whole.subarray(100)]) {
      writeFileSync(path, broken);
      const again = (await another()).compile(runtime(), { id: "a", bundle: directory });
      expect(Buffer.from(again.encoded.bytes).equals(Buffer.from(compiled.encoded.bytes))).toBe(true);
    }
  });

  test("a plan without its calls still fails with an error, not with the lack of a file", async () => {
    const directory = bundle();
    const { compiled, path } = stored(directory);
    rmSync(`${path}.calls`);
    const again = (await another()).compile(runtime(), { id: "b", bundle: directory });
    expect(() => again.known(String(compiled.encoded.ops[0]?.address))).not.toThrow();
  });

  test("old plans make room, and those that stay are whole", () => {
    for (let i = 0; i < 20; i++) stored(bundle());
    writeFileSync(join(store(), "left.over.new"), "");
    for (let i = 0; i < 3; i++) stored(bundle());
    const names = readdirSync(store());
    expect(names.length).toBeLessThanOrEqual(34);
    const plans = names.filter((name) => /^[0-9a-f]{16}$/.test(name));
    expect(plans.length).toBeGreaterThan(10);
    for (const name of plans) expect(names, name).toContain(`${name}.calls`);
  });

  test("a store that can't be written is no reason to fail", () => {
    mkdirSync(join(place, "state"), { recursive: true });
    writeFileSync(store(), "a file");
    expect(() => stored(bundle())).not.toThrow();
  });
});
