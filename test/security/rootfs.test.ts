/** Hostile root file systems: links wherever the runtime goes, and names that change while it goes there. */
import { expect } from "bun:test";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { openBox, type TestBundle, type TestConfig, testNeeding } from "../integration/helpers.ts";
import { exchanging, expectClear, outsideIn } from "./hostile.ts";

const box = openBox("hostileroot");
const test = testNeeding("root", "busybox");

/** A config that goes to many places of the image, none of them on a mount of its own. */
function busy(config: TestConfig): void {
  config.root.readonly = false;
  config.process.cwd = "/work/inner";
  config.mounts = [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
    { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance"] },
    { destination: "/dev/shm", type: "tmpfs", source: "shm" },
    { destination: "/etc/hosts", type: "bind", source: "/etc/hostname", options: ["bind", "ro"] },
    { destination: "/run/secrets", type: "bind", source: "/etc", options: ["rbind", "ro"] },
    { destination: "/volume/a/b", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] },
  ];
  config.linux.devices = [{ path: "/devices/null", type: "c", major: 1, minor: 3 }];
  config.linux.maskedPaths = ["/masked", "/etc/shadow"];
  config.linux.readonlyPaths = ["/kept", "/etc"];
}

/** Places that the runtime goes to with this config; each becomes a link in turn. */
const PLACES = (
  "proc sys dev dev/pts dev/shm dev/null dev/ptmx dev/fd dev/console etc etc/hosts etc/shadow run run/secrets " +
  "volume volume/a volume/a/b devices devices/null masked kept work work/inner bin/true"
).split(" ");

/** What they may say. */
const TARGETS: Readonly<Record<string, (outside: string) => string>> = {
  "an absolute path": (outside) => outside,
  "a path to what isn't there": (outside) => `${outside}/made`,
  "many ..": (outside) => `../../../../../../../../../../../..${outside}`,
  "/proc/self/root": (outside) => `/proc/self/root${outside}`,
  "/proc/1/root": (outside) => `/proc/1/root${outside}`,
  "a magic link": () => "/proc/self/cwd",
  itself: () => "loop",
  "the root": () => "/",
};

/** All that could have changed in a directory. */
const snapshot = (directory: string) =>
  (readdirSync(directory, { recursive: true }) as string[])
    .sort()
    .map((name) => `${name}: ${readFileSync(join(directory, name), "utf8")}`);

for (const [number, [how, target]] of Object.entries(TARGETS).entries())
  test(`links to ${how}, at places that the runtime goes to, change nothing outside`, () => {
    const statuses = new Set<number>();
    // The first at every place; of the others a third, in turns.
    for (const place of PLACES.filter((_, i) => number === 0 || i % 3 === number % 3)) {
      const outside = outsideIn(box);
      for (const name of ["null", "ptmx", "hosts", "shadow", "true"])
        writeFileSync(join(outside, name), name);
      const before = snapshot(outside);
      const b = box.bundle({
        args: ["true"],
        patch: busy,
        fill(rootfs) {
          const path = join(rootfs, place);
          mkdirSync(dirname(path), { recursive: true });
          rmSync(path, { recursive: true, force: true });
          const said = target(outside);
          symlinkSync(said === "loop" ? join("/", place) : said, path);
        },
      });
      const finished = box.run(b);
      expectClear(box, b, finished);
      statuses.add(finished.status);
      expect({ place, outside: snapshot(outside) }).toEqual({ place, outside: before });
      rmSync(b.directory, { recursive: true });
    }
    // It isn't that all is refused.
    expect(statuses).toContain(0);
  });

/** Containers one after the other while two names are exchanged. */
async function rounds(
  count: number,
  b: TestBundle,
  one: string,
  other: string,
  look: (stdout: string, status: number) => void,
) {
  await exchanging(one, other, () => {
    for (let i = 0; i < count; i++) {
      const round = { ...b, id: box.next() };
      const finished = box.run(round);
      expectClear(box, round, finished);
      look(finished.stdout, finished.status);
    }
  });
}

test("a root file system that is exchanged for another all the time is one of the two, as a whole", async () => {
  const b = box.bundle({ args: "cat /name; cat /proc/1/root/name; cat /etc/name" });
  const other = box.bundle();
  for (const [name, rootfs] of [
    ["one", b.rootfs],
    ["two", other.rootfs],
  ] as const) {
    mkdirSync(join(rootfs, "etc"));
    for (const file of ["name", "etc/name"]) writeFileSync(join(rootfs, file), `${name}\n`);
  }
  const seen = new Set<string>();
  await rounds(15, b, b.rootfs, other.rootfs, (stdout) => seen.add(stdout));
  for (const text of seen) expect(["one\n".repeat(3), "two\n".repeat(3)]).toContain(text);
  expect(seen.size).toBeGreaterThan(0);
});

for (const place of ["proc", "dev", "volume", "etc"])
  test(`/${place} that turns into a link to the host and back, while the container is made, changes nothing outside`, async () => {
    const outside = outsideIn(box);
    const before = snapshot(outside);
    const b = box.bundle({
      args: ["true"],
      patch: busy,
      fill(rootfs) {
        for (const name of ["proc", "dev", "volume", "etc"]) mkdirSync(join(rootfs, name));
        symlinkSync(outside, join(rootfs, "link"));
      },
    });
    await rounds(10, b, join(b.rootfs, place), join(b.rootfs, "link"), () => {});
    expect(snapshot(outside)).toEqual(before);
  });

test("a bundle whose directory is renamed by another while it is used is an error or a container", async () => {
  const b = box.bundle({ args: ["true"] });
  const other = box.bundle();
  await rounds(10, b, b.directory, other.directory, () => {});
  renameSync(other.directory, `${other.directory}-away`);
});
