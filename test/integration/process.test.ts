/** The program's process: which file it is, where it starts, with what arguments and environment. */
import { expect } from "bun:test";
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BundleOptions, openBox, test } from "./helpers.ts";

const box = openBox("process");

/** A script in the root file system that says where it is. */
function putScript(rootfs: string, path: string, mode = 0o755): void {
  mkdirSync(join(rootfs, path, ".."), { recursive: true });
  writeFileSync(join(rootfs, path), `#!/bin/sh\necho ${path}\n`);
  chmodSync(join(rootfs, path), mode);
}

test("the program is the first one in the container's PATH", () => {
  const output = box.outputOf({
    args: ["prog"],
    fill: (rootfs) => {
      putScript(rootfs, "/second/prog");
      putScript(rootfs, "/third/prog");
    },
    patch: (config) => {
      config.process.env = ["PATH=/first:/second:/third"];
    },
  });
  expect(output).toBe("/second/prog\n");
});

test("a file that can't be executed is passed over in PATH", () => {
  const output = box.outputOf({
    args: ["prog"],
    fill: (rootfs) => {
      putScript(rootfs, "/first/prog", 0o644);
      putScript(rootfs, "/second/prog");
    },
    patch: (config) => {
      config.process.env = ["PATH=/first:/second"];
    },
  });
  expect(output).toBe("/second/prog\n");
});

test("kontena's own PATH doesn't matter", () => {
  const b = box.bundle({ args: ["echo", "found"] });
  const { status, stdout } = box.kontena(["run", "--bundle", b.directory, b.id], {
    env: { PATH: "/nowhere" },
  });
  expect({ status, stdout }).toEqual({ status: 0, stdout: "found\n" });
});

test("without a PATH in the environment, /bin is searched", () => {
  const output = box.outputOf({
    args: ["echo", "found"],
    patch: (config) => {
      config.process.env = [];
    },
  });
  expect(output).toBe("found\n");
});

test("a path with a slash is relative to the working directory", () => {
  const output = box.outputOf({
    args: ["sub/prog"],
    fill: (rootfs) => putScript(rootfs, "/app/sub/prog"),
    patch: (config) => {
      config.process.cwd = "/app";
    },
  });
  expect(output).toBe("/app/sub/prog\n");
});

test("an empty element of PATH is the working directory", () => {
  const output = box.outputOf({
    args: ["prog"],
    fill: (rootfs) => putScript(rootfs, "/app/prog"),
    patch: (config) => {
      config.process.cwd = "/app";
      config.process.env = ["PATH=/first::/bin"];
    },
  });
  expect(output).toBe("/app/prog\n");
});

test("arguments arrive byte by byte", () => {
  const odd = ["", "two words", "$HOME", "new\nline", "ü€😀", "'\"\\", "--help"];
  const script = 'for a; do echo "[$a]"; done';
  const output = box.outputOf({ args: ["sh", "-c", script, "sh", ...odd] });
  expect(output).toBe(odd.map((a) => `[${a}]\n`).join(""));
});

test("args[0] is what the program is called by", () => {
  expect(box.outputOf({ args: ["cat", "/proc/self/cmdline"] })).toBe("cat\0/proc/self/cmdline\0");
});

test("the environment is exactly the config's, in its order", () => {
  const env = ["Z=last letter first", "PATH=/bin", "EMPTY=", "HOME=/x", "A=1=2", "UTF8=ü😀"];
  const output = box.outputOf({
    args: ["cat", "/proc/self/environ"],
    patch: (config) => {
      config.process.env = env;
    },
  });
  expect(output).toBe(env.map((e) => `${e}\0`).join(""));
});

test("an environment that isn't there is HOME alone", () => {
  const output = box.outputOf({
    args: ["/bin/cat", "/proc/self/environ"],
    patch: (config) => {
      delete config.process.env;
    },
  });
  expect(output).toBe("HOME=/\0");
});

const PASSWD =
  "root:x:0:0:root:/root:/bin/sh\nshort:x:7\njoe:x:1000:1000::/home/joe:/bin/sh\nnone:x:1001:1::\n";

/** HOME of a user in a container with such an /etc/passwd, and of `exec` there. */
function homes(uid: number, fill: (etc: string) => void, patch: BundleOptions["patch"] = () => {}): string[] {
  const b = box.bundle({
    args: ["sh", "-c", "echo $HOME; exec sleep 1000"],
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "etc"));
      fill(join(rootfs, "etc"));
    },
    patch: (config, directory) => {
      config.process.user = { uid, gid: 0 };
      patch(config, directory);
    },
  });
  const created = box.create(b);
  expect(box.kontena(["start", b.id]).status).toBe(0);
  const { stdout } = box.kontena(["exec", b.id, "sh", "-c", "echo $HOME"]);
  expect(box.kontena(["delete", "--force", b.id]).status).toBe(0);
  return [created.output().trim(), stdout.trim()];
}
const twice = (home: string) => [home, home];
const write = (etc: string) => writeFileSync(join(etc, "passwd"), PASSWD);

test("HOME is that of the user in the container's passwd file, or / where there is none", () => {
  expect(homes(0, write)).toEqual(twice("/root"));
  expect(homes(1000, write)).toEqual(twice("/home/joe"));
  for (const uid of [7, 1001, 1002]) expect(homes(uid, write)).toEqual(twice("/"));
  expect(homes(1000, () => {})).toEqual(twice("/"));
});

test("an empty HOME is none, and another one stays", () => {
  const env =
    (entry: string): BundleOptions["patch"] =>
    (config) =>
      config.process.env?.push(entry);
  expect(homes(1000, write, env("HOME="))).toEqual(twice("/home/joe"));
  expect(homes(1000, write, env("HOME=/elsewhere"))).toEqual(twice("/elsewhere"));
});

test("a passwd file that is mounted over the image's counts", () => {
  const mount =
    (destination: string, name: string): BundleOptions["patch"] =>
    (config, directory) => {
      const source = join(directory, "etc");
      mkdirSync(source);
      writeFileSync(join(source, "passwd"), "joe:x:1000:1000::/mounted:/bin/sh\n");
      config.mounts.push({ destination, type: "bind", source: join(source, name), options: ["rbind", "ro"] });
    };
  expect(homes(1000, write, mount("/etc/passwd", "passwd"))).toEqual(twice("/mounted"));
  expect(homes(1000, write, mount("/etc/", ""))).toEqual(twice("/mounted"));
  const tmpfs: BundleOptions["patch"] = ({ mounts }) =>
    mounts.push({ destination: "/etc", type: "tmpfs", source: "tmpfs" });
  expect(homes(1000, write, tmpfs)).toEqual(twice("/"));
});

test("a passwd file that is none is passed over, and no symlink leads out of the image", () => {
  const outside = join(box.directory, "outside");
  writeFileSync(outside, "joe:x:1000:1000::/outside:/bin/sh\n");
  expect(homes(1000, (etc) => symlinkSync(outside, join(etc, "passwd")))).toEqual(twice("/"));
  expect(homes(1000, (etc) => symlinkSync(`../../../..${outside}`, join(etc, "passwd")))).toEqual(twice("/"));
  expect(homes(1000, (etc) => mkdirSync(join(etc, "passwd")))).toEqual(twice("/"));
  // Nobody writes to it.
  expect(homes(1000, (etc) => Bun.spawnSync(["mkfifo", join(etc, "passwd")]))).toEqual(twice("/"));
  expect(
    homes(1000, (etc) => writeFileSync(join(etc, "passwd"), "joe:x:1000:1000::/h\0me:/bin/sh\n")),
  ).toEqual(twice("/"));
  expect(
    homes(1000, (etc) =>
      writeFileSync(join(etc, "passwd"), Buffer.from("joe:x:1000:1000::/h\xff:/bin/sh\n", "latin1")),
    ),
  ).toEqual(twice("/"));
});

test("a plan that is kept has the HOME of now", () => {
  const b = box.bundle({
    args: ["sh", "-c", "echo $HOME"],
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "etc"));
      write(join(rootfs, "etc"));
    },
  });
  for (let i = 0; i < 3; i++) expect(box.run(b).stdout).toBe("/root\n");
  writeFileSync(join(b.rootfs, "etc/passwd"), "root:x:0:0::/other:/bin/sh\n");
  for (let i = 0; i < 3; i++) expect(box.run(b).stdout).toBe("/other\n");
});

test("the program starts in the working directory", () => {
  const output = box.outputOf({
    args: ["pwd"],
    fill: (rootfs) => mkdirSync(join(rootfs, "a/b"), { recursive: true }),
    patch: (config) => {
      config.process.cwd = "/a/b";
    },
  });
  expect(output).toBe("/a/b\n");
});

test("a missing working directory is made", () => {
  const b = box.bundle({
    args: ["pwd"],
    patch: (config) => {
      config.process.cwd = "/new/deep/place";
      config.root.readonly = false;
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "/new/deep/place\n", stderr: "" });
  expect(statSync(join(b.rootfs, "new/deep/place")).mode & 0o777).toBe(0o755);
});

test("a missing working directory in a read-only root is an error that names it", () => {
  const b = box.bundle({
    patch: (config) => {
      config.process.cwd = "/new";
    },
  });
  const { status, stderr } = box.run(b);
  expect(status).toBe(1);
  expect(stderr).toContain("process.cwd");
});

test("a working directory through a symlink stays inside of the root", () => {
  const b = box.bundle({
    args: ["pwd", "-P"],
    fill: (rootfs) => {
      symlinkSync(box.directory, join(rootfs, "link"));
    },
    patch: (config) => {
      config.process.cwd = "/link";
      config.root.readonly = false;
    },
  });
  const { status, stdout } = box.run(b);
  // What the link names isn't there in the container: an error, or made there; never the host's.
  if (status === 0) expect(existsSync(join(b.rootfs, stdout.trim()))).toBe(true);
});

test("a working directory in /proc/self/fd is refused", () => {
  for (const fd of ["3", "7", "8", "9"]) {
    const b = box.bundle({
      args: ["ls", "../../.."],
      patch: (config) => {
        config.process.cwd = `/proc/self/fd/${fd}`;
      },
    });
    const { status, stdout } = box.run(b);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  }
});

test("hostname and domainname are the config's", () => {
  const output = box.outputOf({
    args: "hostname; cat /proc/sys/kernel/domainname",
    patch: (config) => {
      config.hostname = "a-name.example";
      config.domainname = "domain.example";
    },
  });
  expect(output).toBe("a-name.example\ndomain.example\n");
});

test("the program leads a session of its own", () => {
  // proc(5), stat: pid, then after the name state, ppid, pgrp, session.
  const [pid, , , , group, session] = box.outputOf({ args: ["cat", "/proc/self/stat"] }).split(" ");
  expect([pid, group, session]).toEqual(["1", "1", "1"]);
});

test("the program is dumpable again, unlike init", () => {
  const owner = box.outputOf({
    args: ["stat", "-c", "%u", "/proc/self/environ"],
    patch: (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
    },
  });
  expect(owner).toBe("1000\n");
});
