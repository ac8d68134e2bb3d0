/** kernel/fs.ts against node:fs: the same answers and the same errors. */
import { afterAll, describe, expect, test } from "bun:test";
import * as node from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ours from "../../src/kernel/fs.ts";

const place = node.mkdtempSync(join(tmpdir(), "kontena-fs-"));
afterAll(() => node.rmSync(place, { recursive: true }));
const at = (name: string) => join(place, name);
node.mkdirSync(at("directory"));
node.writeFileSync(at("directory/file"), "in it");
node.writeFileSync(at("file"), "text é\n", { mode: 0o640 });
node.symlinkSync("file", at("link"));
node.symlinkSync("nothing", at("dangling"));

interface Told {
  code?: string;
  errno?: number;
}

/** What a call gives or throws, as data. The two don't make the same calls, so `syscall` differs now and then. */
function outcome(action: () => unknown): unknown {
  try {
    return { gives: action() };
  } catch (error) {
    const { code, errno } = error as Told;
    return { code, errno };
  }
}

/** Both do the same; `given` makes a comparable value of what they give. */
function same<T>(
  action: (fs: typeof ours & typeof node) => T,
  given: (value: T) => unknown = (v) => v,
): void {
  const [one, other] = [ours, node].map((fs) => outcome(() => given(action(fs as never))));
  expect(one).toEqual(other as never);
}

const NAMES = ["file", "directory", "link", "dangling", "nothing", "file/below", "directory/file"];

describe("as node:fs has it:", () => {
  test.each(NAMES)("what %s is", (name) => {
    const facts = (s: node.Stats | ours.Stats) => ({
      ...{ mode: s.mode, uid: s.uid, gid: s.gid, size: s.size, ino: s.ino },
      mtime: Math.floor(s.mtimeMs),
      is: [s.isFile(), s.isDirectory(), s.isSymbolicLink(), s.isBlockDevice(), s.isCharacterDevice()],
    });
    same((fs) => fs.statSync(at(name)), facts);
    same(
      (fs) => fs.lstatSync(at(name)),
      (s) => facts(s),
    );
    same((fs) => fs.statSync(at(name), { throwIfNoEntry: false }) === undefined);
    same((fs) => fs.existsSync(at(name)));
    same((fs) => fs.realpathSync(at(name)));
    same((fs) => fs.readlinkSync(at(name)));
  });

  test("devices, by their numbers", () => {
    for (const path of ["/dev/null", "/dev/tty", "/dev/urandom"])
      same((fs) => fs.statSync(path).rdev, Number);
    const fd = node.openSync(at("file"), "r");
    same((fs) => fs.fstatSync(fd).size);
    node.closeSync(fd);
    same(
      (fs) => fs.fstatSync(fd),
      () => 0,
    );
  });

  test.each([...NAMES, "../", ""])("the content of %p", (name) => {
    same((fs) => fs.readFileSync(at(name), "utf8"));
    same(
      (fs) => fs.readFileSync(at(name)),
      (bytes) => [...bytes],
    );
    same(
      (fs) => fs.readdirSync(at(name)),
      (list) => list.toSorted(),
    );
    same(
      (fs) => fs.readdirSync(at(name), { withFileTypes: true }),
      (list) => list.map((e) => [e.name, e.isDirectory()]).sort(),
    );
  });

  test("files of /proc, which say that they are empty, and long ones", () => {
    same((fs) => fs.readFileSync("/proc/version", "utf8"));
    same(
      (fs) => fs.readFileSync("/proc/version"),
      (bytes) => [...bytes],
    );
    const long = "é".repeat(300_000);
    ours.writeFileSync(at("long"), long);
    expect(node.readFileSync(at("long"), "utf8")).toBe(long);
    same((fs) => fs.readFileSync(at("long"), "utf8"));
    same(
      (fs) => fs.readFileSync(at("long")),
      (bytes) => bytes.length,
    );
  });

  test("a byte order mark is part of a text", () => {
    node.writeFileSync(at("mark"), "\ufefftext");
    same((fs) => fs.readFileSync(at("mark"), "utf8"));
    node.unlinkSync(at("mark"));
  });

  test("what is written, where it is and how it is refused", () => {
    for (const [name, options] of [
      ["new", {}],
      ["new", { mode: 0o600 }],
      ["private", { mode: 0o600 }],
      ["private", { flag: "wx" }],
      ["nothing/below", {}],
      ["directory", {}],
    ] as const) {
      const write = (fs: typeof ours & typeof node, where: string) => {
        fs.writeFileSync(join(where, name), "content", options);
        return [node.readFileSync(join(where, name), "utf8"), node.statSync(join(where, name)).mode];
      };
      for (const fs of ["ours", "theirs"]) node.mkdirSync(at(`${fs}/directory`), { recursive: true });
      const [one, other] = [ours, node].map((fs, i) =>
        outcome(() => write(fs as never, at(i === 0 ? "ours" : "theirs"))),
      );
      expect(one).toEqual(other as never);
    }
  });

  test("pieces, from where the descriptor stands or from a place", () => {
    for (const fs of [ours, node as unknown as typeof ours]) {
      const fd = fs.openSync(
        at("pieces"),
        node.constants.O_RDWR | node.constants.O_CREAT | node.constants.O_TRUNC,
      );
      expect(fs.writeSync(fd, "0123456789")).toBe(10);
      expect(fs.writeSync(fd, new TextEncoder().encode("abcdef"), 2, 3)).toBe(3);
      expect(fs.writeSync(fd, new TextEncoder().encode("XY"), 0, 2, 4)).toBe(2);
      const bytes = new Uint8Array(6);
      expect(fs.readSync(fd, bytes, 1, 4, 3)).toBe(4);
      expect(new TextDecoder().decode(bytes)).toBe("\x003XY6\0");
      fs.closeSync(fd);
      expect(node.readFileSync(at("pieces"), "utf8")).toBe("0123XY6789cde");
    }
  });

  test("directories and names, made, moved and removed", () => {
    const steps: ((fs: typeof ours & typeof node, where: string) => unknown)[] = [
      (fs, where) => fs.mkdirSync(join(where, "a")),
      (fs, where) => fs.mkdirSync(join(where, "a")),
      (fs, where) => void fs.mkdirSync(join(where, "a/b/c"), { recursive: true, mode: 0o700 }),
      (fs, where) => void fs.mkdirSync(join(where, "a/b/c"), { recursive: true }),
      (fs, where) => fs.mkdirSync(join(where, "x/y")),
      (fs, where) => fs.writeFileSync(join(where, "a/f"), ""),
      (fs, where) => void fs.mkdirSync(join(where, "a/f"), { recursive: true }),
      (fs, where) => void fs.mkdirSync(join(where, "a/f/g"), { recursive: true }),
      (fs, where) => fs.rmdirSync(join(where, "a")),
      (fs, where) => fs.unlinkSync(join(where, "a/b/c/d")),
      (fs, where) => fs.renameSync(join(where, "a/f"), join(where, "a/h")),
      (fs, where) => fs.renameSync(join(where, "a/f"), join(where, "a/h")),
      (fs, where) => fs.chmodSync(join(where, "a/h"), 0o444),
      (_, where) => node.statSync(join(where, "a/h")).mode,
      (fs, where) => fs.accessSync(join(where, "a/none"), node.constants.R_OK),
      (_, where) => node.symlinkSync("/usr", join(where, "a/usr")),
      (fs, where) => fs.rmSync(join(where, "a/usr")),
      (fs, where) => fs.rmSync(join(where, "a/usr"), { force: true }),
      (fs, where) => fs.rmSync(join(where, "a/usr")),
      (_, where) => node.readdirSync(join(where, "a")).sort(),
    ];
    for (const name of ["one", "two"]) node.mkdirSync(at(name));
    for (const [i, step] of steps.entries()) {
      const [one, other] = [ours, node].map((fs, k) =>
        outcome(() => step(fs as never, at(k === 0 ? "one" : "two"))),
      );
      expect({ i, ...(one as object) }).toEqual({ i, ...(other as object) });
    }
    expect(node.existsSync("/usr/bin")).toBe(true);
  });

  test("a message says what was done to what", () => {
    const told = (fs: typeof ours) => {
      try {
        fs.openSync("/nowhere/at/all", "r");
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    };
    expect(told(ours)).toBe(told(node as unknown as typeof ours));
  });
});

test("an errno that node has no name for keeps its own", () => {
  expect(new ours.FileError(-524, "write", "/f")).toMatchObject({ code: "ENOTSUPP", errno: -524 });
});

test("a NUL doesn't cut a path short", () => {
  for (const action of [
    () => ours.statSync("/etc\0x"),
    () => ours.openSync("/etc/hostname\0x"),
    () => ours.readlinkSync("/proc/self/exe\0"),
    () => ours.readFileSync("/etc/passwd\0", "utf8"),
  ])
    expect(action).toThrow("EINVAL");
  expect(() => ours.mkdirSync(`${place}/n\0`)).toThrow("EINVAL");
  expect(ours.existsSync("/etc\0")).toBe(false);
});

test("descriptors close at execve, and none is left open by an error", () => {
  const open = () => node.readdirSync("/proc/self/fd").length;
  const before = open();
  const fd = ours.openSync(at("file"));
  expect(node.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")).toMatch(/flags:\s+0?2\d{6}/);
  ours.closeSync(fd);
  for (const path of ["/", "/nowhere", at("directory")]) {
    expect(() => ours.readFileSync(path, "utf8")).toThrow();
    expect(() => ours.readFileSync(path)).toThrow();
  }
  expect(open()).toBe(before);
});
