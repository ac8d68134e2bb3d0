/** A kept plan is executed with the caller's rights: one that another user can have written is none. */
import { expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  lchownSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { openBox, type TestBundle, test } from "../integration/helpers.ts";

const box = openBox("plans");
const NOBODY = 65534;

const said = (b: TestBundle) => box.run(b).stdout.trim();

/** A bundle whose plan is kept, and says something else than its config does. */
function planted(): { b: TestBundle; plan: string } {
  const b = box.bundle({ args: ["echo", "AAAAAAAA"] });
  for (let i = 0; i < 3; i++) expect(said(b)).toBe("AAAAAAAA");
  const store = join(box.root, "@plans");
  const names = readdirSync(store).filter((name) => /^[0-9a-f]{16}$/.test(name));
  const isOurs = (name: string) => readFileSync(join(store, name)).includes(b.directory);
  const plan = join(store, names.find(isOurs) as string);
  const bytes = readFileSync(plan);
  // The first is in the plan's bytes; the text that it is the plan of comes behind, and stays.
  bytes.write("EVILEVIL", bytes.indexOf("AAAAAAAA"));
  writeFileSync(plan, bytes);
  return { b, plan };
}

test("a plan is taken from root's own file, and not from one that others own or may write to", () => {
  const { b, plan } = planted();
  // So that the test is one: what is in the file is what is executed.
  expect(said(b)).toBe("EVILEVIL");
  chownSync(plan, NOBODY, 0);
  expect(said(b)).toBe("AAAAAAAA");
});

test("nor through a symlink, from a file of mode 0620, or from a FIFO, which would not end", () => {
  for (const change of [
    (plan: string) => chmodSync(plan, 0o620),
    (plan: string) => {
      const bytes = readFileSync(plan);
      writeFileSync(`${plan}-elsewhere`, bytes, { mode: 0o600 });
      rmSync(plan);
      symlinkSync(`${plan}-elsewhere`, plan);
      lchownSync(plan, NOBODY, 0);
    },
    (plan: string) => {
      rmSync(plan);
      Bun.spawnSync(["mkfifo", plan]);
    },
  ]) {
    const { b, plan } = planted();
    change(plan);
    expect(said(b)).toBe("AAAAAAAA");
    rmSync(plan, { force: true });
  }
});
