/** Mount options beyond the everyday ones, as the kernel shows them in the container. */
import { expect } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, type TestConfig, test } from "./helpers.ts";
import { parseMounts, rootfsTools, writable } from "./rootfs-helpers.ts";

const box = openBox("options");
const { mountsWith, outsideDirectory, expectRefused } = rootfsTools(box);

type Mounts = TestConfig["mounts"];
const withMounts = (...list: Mounts) => ({
  patch: (config: TestConfig) => {
    config.mounts.push(...list);
    writable(config);
  },
});

/** A directory of the host with a tmpfs below it, in a mount namespace that only this command has. */
function runWithTree(tree: string, options: string[], args: string | string[]) {
  const b = box.bundle({ args, ...withMounts({ destination: "/tree", source: tree, options }) });
  const script = `mount -t tmpfs -o nodev below ${tree}/below && touch ${tree}/below/file && exec "$@"`;
  return box.kontena(["run", "--bundle", b.directory, b.id], {
    before: ["unshare", "--mount", "sh", "-c", script, "sh"],
  });
}

function treeOf(options: string[]) {
  const tree = outsideDirectory();
  mkdirSync(join(tree, "below"));
  const { status, stdout, stderr } = runWithTree(tree, options, ["cat", "/proc/self/mountinfo"]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const mounts = parseMounts(stdout);
  return { top: mounts["/tree"]?.options ?? [], below: mounts["/tree/below"]?.options };
}

test("plain attributes of an rbind are those of its top alone", () => {
  const { top, below } = treeOf(["rbind", "ro", "nosuid", "noatime"]);
  expect(top).toEqual(["ro", "nosuid", "noatime"]);
  expect(below).toEqual(["rw", "nodev", "relatime"]);
});

test("recursive attributes are those of the whole tree", () => {
  const { top, below } = treeOf([
    "rbind",
    "rro",
    "rnosuid",
    "rnoexec",
    "rnoatime",
    "rnodiratime",
    "rnosymfollow",
  ]);
  const all = ["ro", "nosuid", "noexec", "noatime", "nodiratime", "nosymfollow"];
  expect(top.sort()).toEqual([...all].sort());
  expect(below?.sort()).toEqual([...all, "nodev"].sort());
});

test("recursive attributes can take away what is set, and win over the top's own", () => {
  const { top, below } = treeOf(["rbind", "ro", "noexec", "rrw", "rdev", "rstrictatime"]);
  expect(top).toEqual(["rw", "noexec"]);
  expect(below).toEqual(["rw"]);
});

test("bind leaves out what is mounted below, rbind takes it along", () => {
  expect(treeOf(["bind"]).below).toBeUndefined();
  expect(treeOf(["rbind"]).below).toBeDefined();
});

test("recursive attributes of a file system are its mount's", () => {
  const { options } = mountsWith(
    withMounts({ destination: "/data", type: "tmpfs", options: ["rro", "rnosuid", "noexec", "rexec"] }),
  )["/data"] ?? { options: [] };
  expect(options).toEqual(["ro", "nosuid", "relatime"]);
});

test("flags of a file system reach it", () => {
  const options = ["sync", "dirsync", "lazytime", "mand", "nosymfollow", "size=64k"];
  const data = mountsWith(withMounts({ destination: "/data", type: "tmpfs", options }))["/data"];
  expect(data?.superOptions).toEqual(expect.arrayContaining(["sync", "dirsync", "lazytime", "size=64k"]));
  expect(data?.options).toContain("nosymfollow");
});

test("iversion, noiversion, silent and loud are taken, together with everything else", () => {
  for (const option of ["iversion", "noiversion", "silent", "loud"]) {
    const options = [
      option,
      "ro",
      "nosuid",
      "nodev",
      "noatime",
      "sync",
      "size=64k",
      "mode=711",
      "unbindable",
    ];
    const data = mountsWith(withMounts({ destination: "/data", type: "tmpfs", source: "name", options }))[
      "/data"
    ];
    expect(data?.options, option).toEqual(["ro", "nosuid", "nodev", "noatime"]);
    expect(data?.superOptions, option).toEqual(
      expect.arrayContaining(["ro", "sync", "size=64k", "mode=711"]),
    );
    expect(data?.optional, option).toEqual(["unbindable"]);
  }
});

test("a read-only mqueue with iversion leaves the other mounts of that file system writable", () => {
  const mqueue = (destination: string, ...options: string[]) => ({
    destination,
    type: "mqueue",
    source: "q",
    options,
  });
  const mounts = mountsWith(withMounts(mqueue("/q1", "iversion", "ro"), mqueue("/q2")));
  expect(mounts["/q1"]).toMatchObject({ options: ["ro", "relatime"], superOptions: ["rw"] });
  expect(mounts["/q2"]).toMatchObject({ options: ["rw", "relatime"] });
});

test("an overlay of many layers is mounted, though its options are longer than fsconfig(2) takes", () => {
  const base = outsideDirectory();
  const layers = Array.from({ length: 12 }, (_, i) => join(base, `a-layer-with-a-long-name-${i}`));
  for (const [i, layer] of layers.entries()) {
    mkdirSync(layer);
    writeFileSync(join(layer, `file${i}`), "");
  }
  mkdirSync(join(base, "upper"));
  mkdirSync(join(base, "work"));
  const options = [`lowerdir=${layers.join(":")}`, `upperdir=${base}/upper`, `workdir=${base}/work`];
  const output = box.outputOf({
    args: "ls /merged | wc -l; echo new >/merged/new",
    ...withMounts({ destination: "/merged", type: "overlay", source: "overlay", options }),
  });
  expect(output.trim()).toBe("12");
  expect(readFileSync(join(base, "upper/new"), "utf8")).toBe("new\n");
});

test("several data options in one string are parted at the commas, as other runtimes do", () => {
  const data = mountsWith(
    withMounts({ destination: "/data", type: "tmpfs", options: ["size=64k,mode=700"] }),
  );
  expect(data["/data"]?.superOptions).toEqual(expect.arrayContaining(["size=64k", "mode=700"]));
});

test("an empty source is as good as none", () => {
  expect(mountsWith(withMounts({ destination: "/data", type: "tmpfs", source: "" }))["/data"]?.type).toBe(
    "tmpfs",
  );
});

test("a wrong value is an error also where the kernel has no words for it", () => {
  const b = box.bundle(
    withMounts({ destination: "/data", type: "tmpfs", options: ["iversion", "size=much"] }),
  );
  expectRefused(b, 'mounts[7]: cannot mount "tmpfs" on /data', "invalid argument");
});

test("an option of a file system on a bind mount has no effect, and a warning says so", () => {
  const source = outsideDirectory();
  const b = box.bundle(withMounts({ destination: "/place", source, options: ["bind", "sync"] }));
  const { status, stderr } = box.run(b);
  expect(status).toBe(0);
  expect(stderr).toContain("mounts[7].options[1]: sync is an option of a file system");
});

test("remount changes what its options name, and leaves the rest", () => {
  const mounts = mountsWith(
    withMounts(
      { destination: "/data", type: "tmpfs", options: ["nosuid", "size=64k", "ro"] },
      { destination: "/data", options: ["remount", "rw", "noexec", "size=128k"] },
      { destination: "/dev/shm", type: "none", options: ["remount", "ro"] },
    ),
  );
  expect(mounts["/data"]?.options).toEqual(["rw", "nosuid", "noexec", "relatime"]);
  expect(mounts["/data"]?.superOptions).toEqual(expect.arrayContaining(["rw", "size=128k"]));
  expect(mounts["/dev/shm"]?.options).toEqual(["ro", "nosuid", "nodev", "noexec", "relatime"]);
});

test("remount of a bind mount changes the mount, and the host's file system not at all", () => {
  const source = outsideDirectory();
  const b = box.bundle({
    args: "echo x >/place/file",
    ...withMounts(
      { destination: "/place", source, options: ["bind"] },
      { destination: "/place", options: ["remount", "ro"] },
    ),
  });
  expect(box.run(b).stderr).toContain("Read-only file system");
  writeFileSync(join(source, "file"), "still writable");
});

test("remount of /, read-only, is the container's own", () => {
  const { stderr } = box.run(
    box.bundle({ args: "touch /x", ...withMounts({ destination: "/", options: ["remount", "bind", "ro"] }) }),
  );
  expect(stderr).toContain("Read-only file system");
});

test("remount of a place where nothing is mounted is an error", () => {
  const b = box.bundle({
    fill: (rootfs) => mkdirSync(join(rootfs, "plain")),
    ...withMounts({ destination: "/plain", options: ["remount", "ro"] }),
  });
  expectRefused(b, "cannot remount /plain", "nothing is mounted there");
});

test("remount with an option that the file system doesn't know is an error in the kernel's words", () => {
  const b = box.bundle(withMounts({ destination: "/dev/shm", options: ["remount", "sizee=1"] }));
  expectRefused(b, "mounts[7].options[1]: cannot remount /dev/shm", "Unknown parameter 'sizee'");
});

test("src-nofollow binds the symlink itself, dest-nofollow covers a symlink of the image", () => {
  const outside = outsideDirectory();
  symlinkSync("somewhere", join(outside, "link"));
  for (const [options, expected] of [
    [["bind", "src-nofollow", "dest-nofollow"], "somewhere"],
    [["bind", "src-nofollow"], "somewhere"],
  ] as const) {
    const b = box.bundle({
      args: "readlink /place",
      fill: (rootfs) => options.length === 3 && symlinkSync("nowhere", join(rootfs, "place")),
      ...withMounts({ destination: "/place", source: join(outside, "link"), options: [...options] }),
    });
    expect(box.run(b)).toMatchObject({ status: 0, stdout: `${expected}\n`, stderr: "" });
  }
});

test("dest-nofollow puts a file over a symlink, whatever that says", () => {
  const outside = outsideDirectory();
  const b = box.bundle({
    args: ["cat", "/place"],
    fill: (rootfs) => symlinkSync("/etc/passwd", join(rootfs, "place")),
    ...withMounts({
      destination: "/place",
      source: join(outside, "file"),
      options: ["bind", "dest-nofollow"],
    }),
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "from the host\n", stderr: "" });
});

test("copy-symlink makes the same symlink in the container", () => {
  const outside = outsideDirectory();
  symlinkSync("../usr/share/zoneinfo/UTC", join(outside, "link"));
  const mount = {
    destination: "/etc/localtime",
    source: join(outside, "link"),
    options: ["bind", "copy-symlink"],
  };
  const made = box.bundle({ args: ["readlink", "/etc/localtime"], ...withMounts(mount) });
  expect(box.run(made)).toMatchObject({ status: 0, stdout: "../usr/share/zoneinfo/UTC\n", stderr: "" });
  const other = (target: string) =>
    box.bundle({
      fill: (rootfs) => {
        mkdirSync(join(rootfs, "etc"));
        symlinkSync(target, join(rootfs, "etc/localtime"));
      },
      ...withMounts(mount),
    });
  expect(box.run(other("../usr/share/zoneinfo/UTC")).status).toBe(0);
  expectRefused(other("/etc/other"), "mounts[7].destination", 'is a symlink to "/etc/other"');
});

test("copy-symlink of what is no symlink is an ordinary bind mount", () => {
  const source = join(outsideDirectory(), "file");
  const mount = { destination: "/place", source, options: ["bind", "copy-symlink"] };
  expect(box.outputOf({ args: ["cat", "/place"], ...withMounts(mount) })).toBe("from the host\n");
});
