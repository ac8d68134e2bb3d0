/** A shortcut is run with the caller's rights: one that another user can have written is none (scripts/front/shortcut.ts, `owned`). */
import { expect } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeShortcut, OWN, STATES } from "../../src/init/shortcut.ts";
import { cell } from "../../src/init/step.ts";
import { O } from "../../src/kernel/consts/fcntl.ts";
import { openBox, testWhen } from "../integration/helpers.ts";

const test = testWhen(process.arch === "x64");
const box = openBox("ops");
const NOBODY = 65534;

interface Planted {
  root: string;
  directory: string;
  file: string;
}

/** A root with a container that is none but for its shortcut, which leaves a mark. */
function plant(): Planted {
  const root = join(box.directory, box.next());
  const directory = join(root, "planted");
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  chmodSync(root, 0o700);
  const file = join(directory, "delete.ops");
  const make = (name: string, at: typeof OWN | typeof STATES) =>
    ({
      call: "openat",
      args: [cell(at), name, O.O_WRONLY | O.O_CREAT, 0o600],
      why: "a mark",
      otherwise: "next",
    }) as const;
  writeFileSync(
    file,
    encodeShortcut("planted", [
      make("mark", OWN),
      make("mark", STATES),
      { call: "exit_group", args: [42], why: "a status" },
    ]),
    { mode: 0o600 },
  );
  return { root, directory, file };
}

/** Whether it was run. */
function isRun({ root, directory }: Planted): boolean {
  const { status } = box.kontena(["delete", "planted"], { globals: ["--root", root] });
  const marks = [join(root, "mark"), join(directory, "mark")].map((path) => existsSync(path));
  expect(marks).toEqual([status === 42, status === 42]);
  return status === 42;
}

test("one that is root's is run, in directories that are root's", () => {
  // So that the others are tests.
  expect(isRun(plant())).toBe(true);
});

test.each([
  ["is another user's", ({ file }: Planted) => chownSync(file, NOBODY, 0)],
  ["its group may write to", ({ file }: Planted) => chmodSync(file, 0o620)],
  ["anybody may write to", ({ file }: Planted) => chmodSync(file, 0o602)],
  ["is in another user's directory", ({ directory }: Planted) => chownSync(directory, NOBODY, 0)],
  ["is in a directory that others may write to", ({ directory }: Planted) => chmodSync(directory, 0o733)],
  ["is below another user's root", ({ root }: Planted) => chownSync(root, NOBODY, 0)],
  ["is below a root that others may write to", ({ root }: Planted) => chmodSync(root, 0o1777)],
  [
    "is a link",
    ({ file }: Planted) => {
      renameSync(file, `${file}.elsewhere`);
      symlinkSync(`${file}.elsewhere`, file);
    },
  ],
  [
    "is a FIFO",
    ({ file }: Planted) => {
      renameSync(file, `${file}.elsewhere`);
      Bun.spawnSync(["mkfifo", "-m", "600", file]);
    },
  ],
  [
    "is a directory",
    ({ file }: Planted) => {
      renameSync(file, `${file}.elsewhere`);
      mkdirSync(file, { mode: 0o700 });
    },
  ],
] as const)("one that %s is not", (_, change) => {
  const planted = plant();
  change(planted);
  expect(isRun(planted)).toBe(false);
});

test("another user's caller runs neither root's plans as root, nor those of third parties", () => {
  const planted = plant();
  chmodSync(planted.root, 0o755);
  const as = (uid: number) =>
    box.kontena(["delete", "planted"], {
      globals: ["--root", planted.root],
      before: ["setpriv", "--reuid", String(uid), "--regid", String(uid), "--clear-groups", "--"],
    }).status;
  chownSync(planted.file, NOBODY, NOBODY);
  expect(as(NOBODY - 1)).toBe(1);
});
