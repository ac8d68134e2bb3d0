/** Kept kits: the next command of a build finds by its shape what would be assembled anew. */
import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
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
import { openRuntime } from "../../src/container/runtime.ts";
import { makeKit } from "../../src/init/kit.ts";
import type { Kit, Shape } from "../../src/init/loader.ts";
import { CLONE } from "../../src/kernel/consts/sched.ts";

type Module = typeof import("../../src/container/kit-store.ts");

const place = mkdtempSync(join(tmpdir(), "kontena-kits-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));
const root = join(place, "state");
const store = join(root, "@plans");
const debugged: string[] = [];
const runtime = openRuntime({ root, warn: () => {}, debug: (message) => debugged.push(String(message)) });

const global = globalThis as { KONTENA_BUILD?: string };
beforeEach(() => {
  global.KONTENA_BUILD = "a test";
  mkdirSync(root, { mode: 0o700 });
  debugged.length = 0;
});
afterEach(() => {
  delete global.KONTENA_BUILD;
  rmSync(root, { recursive: true, force: true });
});

let count = 0;
/** The module as another process would have it, with nothing in its memory. */
const another = (): Promise<Module> => import(`../../src/container/kit-store.ts?${++count}`);

const SHAPE: Shape = { namespaces: CLONE.CLONE_NEWUTS, lastCap: 40, preserved: 0, handed: 3 };
const text = ({ code, loader, init, toldAt }: Kit) =>
  JSON.stringify([[...code], [...loader.bytes], loader.firstOp, loader.cells, [...init], toldAt]);

/** Makes and keeps a kit; the file that it is in. */
async function kept(shape: Shape = SHAPE): Promise<string> {
  const { kitOf, keepKits } = await another();
  kitOf(runtime, shape);
  keepKits(runtime);
  const [name] = readdirSync(store).filter((file) => file.startsWith("kit-a test-"));
  return join(store, name ?? "none");
}

/** Whether a kit comes from the disk: a byte of its file that says nothing is another one. */
async function isTaken(file: string): Promise<boolean> {
  const bytes = readFileSync(file);
  const whole = Buffer.from(bytes);
  bytes[0] = (bytes[0] ?? 0) ^ 0xff;
  writeFileSync(file, bytes);
  const { kitOf } = await another();
  const { code } = kitOf(runtime, SHAPE);
  writeFileSync(file, whole);
  return code[0] === bytes[0];
}

test("a kit is read back as it was made, and kept in files that are the user's alone", async () => {
  const file = await kept();
  expect(text((await another()).kitOf(runtime, SHAPE))).toBe(text(makeKit(SHAPE)));
  expect(await isTaken(file)).toBe(true);
  expect(statSync(store).mode & 0o777).toBe(0o700);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("every shape has its own", async () => {
  const { kitOf, keepKits } = await another();
  const shapes: Shape[] = [
    SHAPE,
    { ...SHAPE, namespaces: CLONE.CLONE_NEWUSER },
    { ...SHAPE, lastCap: 41 },
    { ...SHAPE, preserved: 1 },
    { ...SHAPE, handed: 4 },
  ];
  const made = shapes.map((shape) => text(kitOf(runtime, shape)));
  keepKits(runtime);
  expect(readdirSync(store)).toHaveLength(shapes.length);
  const again = await another();
  expect(shapes.map((shape) => text(again.kitOf(runtime, shape)))).toEqual(made);
});

test("a kit that is broken is made anew, and said to be so", async () => {
  const file = await kept();
  const whole = readFileSync(file);
  for (const broken of [Buffer.alloc(0), whole.subarray(0, whole.length / 2), whole.subarray(7)]) {
    writeFileSync(file, broken);
    expect(text((await another()).kitOf(runtime, SHAPE))).toBe(text(makeKit(SHAPE)));
  }
  const end = whole.lastIndexOf("}");
  whole[end] = 0;
  writeFileSync(file, whole);
  expect(text((await another()).kitOf(runtime, SHAPE))).toBe(text(makeKit(SHAPE)));
  expect(debugged.at(-1)).toStartWith("a kept kit can't be used: ");
});

test("what others could have written isn't taken: it is code", async () => {
  const file = await kept();
  for (const directory of [root, store])
    for (const mode of [0o777, 0o770]) {
      chmodSync(directory, mode);
      expect(await isTaken(file)).toBe(false);
      chmodSync(directory, 0o700);
    }
  expect(await isTaken(file)).toBe(true);
});

test("without a state root nothing is made, and a program that isn't a build keeps none", async () => {
  rmSync(root, { recursive: true });
  (await another()).kitOf(runtime, SHAPE);
  expect(existsSync(root)).toBe(false);
  mkdirSync(root, { mode: 0o700 });
  delete global.KONTENA_BUILD;
  const { kitOf, keepKits } = await another();
  kitOf(runtime, SHAPE);
  keepKits(runtime);
  expect(existsSync(store)).toBe(false);
});
