/** tmpcopyup: a tmpfs that begins with what the image has at its place, from an image that may be hostile. */
import { expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { openBox, type TestConfig, test, testNeeding } from "./helpers.ts";
import { rootfsTools, writable } from "./rootfs-helpers.ts";

const box = openBox("copyup");
const { outsideDirectory, expectRefused, mountsWith } = rootfsTools(box);
const userTest = testNeeding("root", "busybox", "user namespaces");

const copyUp = (destination: string, ...options: string[]) => ({
  destination,
  type: "tmpfs",
  source: "tmpfs",
  options: ["nosuid", "tmpcopyup", ...options],
});

interface Case {
  args: string | string[];
  fill?: (directory: string, rootfs: string) => void;
  mount?: TestConfig["mounts"][number];
  patch?: (config: TestConfig) => void;
}

/** A bundle with a directory /data that is copied into a tmpfs there. */
function bundleOf({ args, fill, mount = copyUp("/data"), patch }: Case) {
  return box.bundle({
    args,
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "data"));
      fill?.(join(rootfs, "data"), rootfs);
    },
    patch: (config) => {
      config.mounts.push(mount);
      patch?.(config);
    },
  });
}

const outputOf = (c: Case) => {
  const finished = box.run(bundleOf(c));
  expect(finished).toMatchObject({ status: 0, stderr: "" });
  return finished.stdout;
};

test("files, directories and symlinks are there, with owners, modes and times", () => {
  const output = outputOf({
    args: "cd /data; stat -c '%n %F %a %u:%g %Y' a a/b a/b/run link fifo; cat a/b/run; readlink link",
    fill: (data) => {
      mkdirSync(join(data, "a/b"), { recursive: true });
      writeFileSync(join(data, "a/b/run"), "content\n");
      chmodSync(join(data, "a/b/run"), 0o4755);
      chownSync(join(data, "a/b/run"), 7, 8);
      chmodSync(join(data, "a/b/run"), 0o4755);
      chmodSync(join(data, "a/b"), 0o1777);
      chownSync(join(data, "a"), 5, 6);
      symlinkSync("a/b/run", join(data, "link"));
      lchownSync(join(data, "link"), 9, 10);
      Bun.spawnSync(["mkfifo", "-m", "640", join(data, "fifo")]);
      for (const name of ["a/b/run", "a/b", "a", "fifo"]) utimesSync(join(data, name), 1000, 2000);
    },
  }).split("\n");
  expect(output.slice(0, 3)).toEqual([
    "a directory 755 5:6 2000",
    "a/b directory 1777 0:0 2000",
    "a/b/run regular file 4755 7:8 2000",
  ]);
  expect(output[3]).toStartWith("link symbolic link 777 9:10 ");
  expect(output.slice(4)).toEqual(["fifo fifo 640 0:0 2000", "content", "a/b/run", ""]);
});

test("what is written there doesn't reach the image", () => {
  const b = bundleOf({
    args: "echo changed >/data/file; rm /data/other; cat /data/file; grep ' /data ' /proc/self/mountinfo | cut -d' ' -f9",
    fill: (data) => {
      for (const name of ["file", "other"]) writeFileSync(join(data, name), "as it was\n");
    },
  });
  const applets = "ln -s busybox /bin/rm; ln -s busybox /bin/grep; ln -s busybox /bin/cut";
  writable(b.config);
  b.config.process.args = ["sh", "-c", `${applets}; ${String(b.config.process.args?.[2])}`];
  writeFileSync(join(b.directory, "config.json"), JSON.stringify(b.config));
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "changed\ntmpfs\n", stderr: "" });
  expect(Bun.file(join(b.rootfs, "data/file")).size).toBe("as it was\n".length);
});

test("big files are copied whole, and names needn't be text", () => {
  const output = outputOf({
    args: "cd /data; stat -c %s big; ls | wc -l; cat *odd",
    fill: (data) => {
      writeFileSync(join(data, "big"), Buffer.alloc(3_000_001, "x"));
      writeFileSync(
        Buffer.concat([Buffer.from(`${data}/`), Buffer.from([0xff, 0xfe]), Buffer.from("odd")]),
        "odd\n",
      );
    },
  });
  expect(output).toBe("3000001\n2\nodd\n");
});

test("a symlink in the image is copied as one, wherever it leads: nothing of the host is read", () => {
  const outside = outsideDirectory();
  const output = outputOf({
    args: "cd /data; readlink up; readlink root; cat up/file root/etc/passwd 2>/dev/null || echo nothing",
    fill: (data) => {
      symlinkSync(outside, join(data, "up"));
      symlinkSync("../../../../../../../..", join(data, "root"));
    },
  });
  expect(output).toBe(`${outside}\n../../../../../../../..\nnothing\n`);
});

test("a destination that is a symlink is looked up in the root, and what is there is copied", () => {
  const outside = outsideDirectory();
  const case_ = (fill: (inside: string) => void) => ({
    args: ["ls", "/link/"],
    mount: copyUp("/link"),
    patch: writable,
    fill: (_: string, rootfs: string) => {
      symlinkSync(outside, join(rootfs, "link"));
      fill(join(rootfs, outside));
    },
  });
  expect(outputOf(case_(() => undefined))).toBe("");
  const filled = case_((inside) => {
    mkdirSync(inside, { recursive: true });
    writeFileSync(join(inside, "of-the-image"), "");
  });
  expect(outputOf(filled)).toBe("of-the-image\n");
});

test("a missing destination is an ordinary empty tmpfs, which everybody may write to", () => {
  const output = outputOf({ args: "ls /new; stat -c %a /new", mount: copyUp("/new"), patch: writable });
  expect(output).toBe("1777\n");
});

test("the tmpfs has the mode and the owner of the directory, unless its options say else", () => {
  const fill = (data: string) => {
    chownSync(data, 3, 4);
    chmodSync(data, 0o2750);
  };
  expect(outputOf({ args: "stat -c '%a %u:%g' /data", fill })).toBe("2750 3:4\n");
  const mount = copyUp("/data", "mode=711,uid=5");
  expect(outputOf({ args: "stat -c '%a %u:%g' /data", fill, mount })).toBe("711 5:0\n");
});

test("a tmpfs without a mode has that of the directory that it covers, copied up or not", () => {
  const fill = (data: string) => chmodSync(data, 0o700);
  const mount = { destination: "/data", type: "tmpfs", options: ["nodev"] };
  expect(outputOf({ args: "stat -c %a /data", fill, mount })).toBe("700\n");
  const superOptions = mountsWith({
    fill: (rootfs) => mkdirSync(join(rootfs, "data"), { mode: 0o755 }),
    patch: (config) => {
      config.mounts.push(mount);
    },
  })["/data"]?.superOptions;
  expect(superOptions).toContain("mode=755");
});

test("a tmpfs that is too small is an error that names the file and what helps", () => {
  const b = bundleOf({
    args: "true",
    mount: copyUp("/data", "size=64k"),
    fill: (data) => {
      mkdirSync(join(data, "deep"));
      writeFileSync(join(data, "deep/big"), Buffer.alloc(1_000_000));
    },
  });
  expectRefused(b, "mounts[7]: cannot copy /data/deep/big into the tmpfs: no space left on device", "size=");
});

test("a sparse giant in the image ends as an error, not as a full machine", () => {
  const b = bundleOf({
    args: "true",
    mount: copyUp("/data", "size=1m"),
    fill: (data) => {
      writeFileSync(join(data, "giant"), "");
      truncateSync(join(data, "giant"), 2 ** 40);
    },
  });
  expectRefused(b, "cannot copy /data/giant");
});

test("tmpcopyup of anything but a tmpfs is refused", () => {
  const b = bundleOf({ args: "true", mount: { ...copyUp("/data"), type: "proc" } });
  expectRefused(b, "mounts[7].options[1]: is an option of a tmpfs");
});

/** A container with a user namespace, whose root has the ids from 100000 on. */
const inUser = (config: TestConfig) => {
  config.linux.namespaces?.push({ type: "user" });
  const mappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
  Object.assign(config.linux, { uidMappings: mappings, gidMappings: mappings });
  writable(config);
};

userTest("in a user namespace the copies belong to the container's ids", () => {
  const output = outputOf({
    args: "cd /data; stat -c '%n %a %u:%g' own other theirs dir dir/link; cat own theirs; touch new",
    patch: inUser,
    fill: (data, rootfs) => {
      writeFileSync(join(data, "own"), "own\n", { mode: 0o600 });
      chownSync(join(data, "own"), 100000, 100000);
      writeFileSync(join(data, "other"), "", { mode: 0o640 });
      chownSync(join(data, "other"), 100033, 100044);
      // Of the host's root, which the container doesn't have, and for everybody to read.
      writeFileSync(join(data, "theirs"), "theirs\n", { mode: 0o644 });
      mkdirSync(join(data, "dir"), { mode: 0o750 });
      symlinkSync("x", join(data, "dir/link"));
      for (const name of [".", "dir"]) chownSync(join(data, name), 100000, 100000);
      lchownSync(join(data, "dir/link"), 100001, 100001);
      chownSync(rootfs, 100000, 100000);
    },
  });
  expect(output.split("\n")).toEqual([
    "own 600 0:0",
    "other 640 33:44",
    "theirs 644 0:0",
    "dir 750 0:0",
    "dir/link 777 1:1",
    "own",
    "theirs",
    "",
  ]);
});

userTest("a file of the host's root that the container couldn't read isn't given away by the copy", () => {
  const b = bundleOf({
    args: "cat /data/secret",
    patch: inUser,
    fill: (data, rootfs) => {
      writeFileSync(join(data, "secret"), "secret\n", { mode: 0o600 });
      chownSync(data, 100000, 100000);
      chownSync(rootfs, 100000, 100000);
    },
  });
  expectRefused(b, "cannot copy /data/secret into the tmpfs: permission denied");
});
