/** Mounts as the config asks for them, in the container and nowhere else. */
import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { openBox, type TestConfig, test } from "./helpers.ts";
import { type MountLine, parseMounts, rootfsTools, writable } from "./rootfs-helpers.ts";

const box = openBox("mounts");
const { mountsWith, outsideDirectory, expectRefused } = rootfsTools(box);

test("the mount table of the container is what the config asks for, and no more", () => {
  const points = Object.keys(mountsWith()).filter((p) => !p.startsWith("/sys/fs/cgroup/"));
  const fromMasks = /^\/(proc|sys)\/./;
  expect(points.filter((p) => !fromMasks.test(p) || p === "/sys/fs/cgroup").sort()).toEqual(
    ["/", "/dev", "/dev/mqueue", "/dev/pts", "/dev/shm", "/proc", "/sys", "/sys/fs/cgroup"].sort(),
  );
});

test("the default mounts have the types and options of the config", () => {
  const mounts = mountsWith();
  const { proc, dev, pts, shm, mqueue, sys } = {
    proc: mounts["/proc"],
    dev: mounts["/dev"],
    pts: mounts["/dev/pts"],
    shm: mounts["/dev/shm"],
    mqueue: mounts["/dev/mqueue"],
    sys: mounts["/sys"],
  };
  expect(proc).toMatchObject({ type: "proc", options: ["rw", "relatime"] });
  // strictatime is the absence of the other two.
  expect(dev).toMatchObject({ type: "tmpfs", options: ["rw", "nosuid"] });
  expect(dev?.superOptions).toContain("size=65536k");
  expect(dev?.superOptions).toContain("mode=755");
  expect(pts).toMatchObject({ type: "devpts", options: ["rw", "nosuid", "noexec", "relatime"] });
  expect(pts?.superOptions).toEqual(expect.arrayContaining(["gid=5", "mode=620", "ptmxmode=666"]));
  expect(shm).toMatchObject({ type: "tmpfs", options: ["rw", "nosuid", "nodev", "noexec", "relatime"] });
  expect(shm?.superOptions).toContain("size=65536k");
  expect(mqueue).toMatchObject({ type: "mqueue", options: ["rw", "nosuid", "nodev", "noexec", "relatime"] });
  expect(sys).toMatchObject({ type: "sysfs", options: ["ro", "nosuid", "nodev", "noexec", "relatime"] });
});

test("a read-only sysfs in the container leaves the host's writable", () => {
  const before = parseMounts(readFileSync("/proc/self/mountinfo", "utf8"))["/sys"];
  box.outputOf({});
  expect(parseMounts(readFileSync("/proc/self/mountinfo", "utf8"))["/sys"]).toEqual(before as MountLine);
});

test("no mount of the container propagates to the host or comes from it", () => {
  const mounts = mountsWith();
  for (const [point, { optional }] of Object.entries(mounts)) expect([point, ...optional]).toEqual([point]);
});

test("a directory is bound, and its destination made", () => {
  const source = outsideDirectory();
  const b = box.bundle({
    args: "cat /new/place/file; echo back >/new/place/answer",
    patch: (config) => {
      config.mounts.push({ destination: "/new/place", type: "bind", source, options: ["bind"] });
      writable(config);
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "from the host\n", stderr: "" });
  expect(readFileSync(join(source, "answer"), "utf8")).toBe("back\n");
});

test("a file is bound, and its destination made", () => {
  const source = join(outsideDirectory(), "file");
  const b = box.bundle({
    args: ["cat", "/etc/new/file"],
    patch: (config) => {
      config.mounts.push({ destination: "/etc/new/file", type: "bind", source, options: ["bind"] });
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "from the host\n", stderr: "" });
  expect(statSync(join(b.rootfs, "etc/new/file")).isFile()).toBe(true);
});

test("FIFOs, sockets and devices are bound like files, their destinations made as empty ones", () => {
  const outside = outsideDirectory();
  Bun.spawnSync(["mkfifo", join(outside, "fifo")]);
  const server = createServer().listen(join(outside, "socket"));
  const sources = { fifo: join(outside, "fifo"), socket: join(outside, "socket"), device: "/dev/null" };
  const output = box.outputOf({
    args: "stat -c '%n %F' /in/fifo /in/socket /in/device",
    patch: (config) => {
      for (const [name, source] of Object.entries(sources))
        config.mounts.push({ destination: `/in/${name}`, source, options: ["bind"] });
    },
  });
  server.close();
  expect(output).toBe("/in/fifo fifo\n/in/socket socket\n/in/device character special file\n");
});

test("mount points are made in what was mounted before", () => {
  const source = outsideDirectory();
  const b = box.bundle({
    args: ["cat", "/a/b/c/file"],
    patch: (config) => {
      config.mounts.push(
        { destination: "/a", type: "tmpfs", source: "tmpfs" },
        { destination: "/a/b/c", source, options: ["bind"] },
      );
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "from the host\n", stderr: "" });
  expect(existsSync(join(b.rootfs, "a/b")), "not in the image").toBe(false);
});

test("a bind mount may be given by its option alone", () => {
  const source = outsideDirectory();
  const output = box.outputOf({
    args: ["cat", "/place/file"],
    patch: (config) => {
      config.mounts.push({ destination: "/place", source, options: ["rbind"] });
    },
  });
  expect(output).toBe("from the host\n");
});

test("the source of a bind mount is relative to the bundle, not to the caller's directory", () => {
  const b = box.bundle({
    args: ["cat", "/place/file"],
    patch: (config, directory) => {
      mkdirSync(join(directory, "data"));
      writeFileSync(join(directory, "data/file"), "from the bundle\n");
      config.mounts.push({ destination: "/place", type: "bind", source: "data", options: ["bind"] });
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "from the bundle\n", stderr: "" });
});

test("a read-only bind mount can't be written to, and its source can", () => {
  const source = outsideDirectory();
  const patch = (config: TestConfig) => {
    config.mounts.push({
      destination: "/place",
      type: "bind",
      source,
      options: ["bind", "ro", "nosuid", "nodev", "noexec"],
    });
  };
  const { stderr } = box.run(box.bundle({ args: "echo x >/place/file", patch }));
  expect(stderr).toContain("Read-only file system");
  expect(mountsWith({ patch })["/place"]?.options).toEqual(
    expect.arrayContaining(["ro", "nosuid", "nodev", "noexec"]),
  );
  writeFileSync(join(source, "file"), "still writable");
});

test("a bind source that isn't there is an error that names source and place", () => {
  const b = box.bundle({
    patch: (config) => {
      config.mounts.push({
        destination: "/place",
        type: "bind",
        source: "/no/such/source",
        options: ["bind"],
      });
    },
  });
  expectRefused(b, "mounts[7].source", "/no/such/source", "no such file or directory");
});

test("mounts are made in the order of the config", () => {
  const first = outsideDirectory();
  const second = outsideDirectory();
  writeFileSync(join(second, "file"), "second\n");
  const output = box.outputOf({
    args: ["cat", "/place/file"],
    patch: (config) => {
      for (const source of [first, second])
        config.mounts.push({ destination: "/place", type: "bind", source, options: ["bind"] });
    },
  });
  expect(output).toBe("second\n");
});

test("options for a file system reach it", () => {
  const mount = {
    destination: "/data",
    type: "tmpfs",
    source: "name",
    options: ["size=128k", "mode=700", "noatime", "ro"],
  };
  const data = mountsWith({
    patch: (config) => {
      config.mounts.push(mount);
    },
  })["/data"];
  expect(data).toMatchObject({ type: "tmpfs" });
  expect(data?.options).toEqual(expect.arrayContaining(["ro", "noatime"]));
  expect(data?.superOptions).toEqual(expect.arrayContaining(["size=128k", "mode=700"]));
});

test("a later option wins over an earlier one", () => {
  const data = mountsWith({
    patch: (config) => {
      const options = ["ro", "nosuid", "noexec", "rw", "suid", "noatime", "relatime"];
      config.mounts.push({ destination: "/data", type: "tmpfs", source: "tmpfs", options });
    },
  })["/data"];
  expect(data?.options).toEqual(["rw", "noexec", "relatime"]);
});

test("the propagation that a mount asks for is what it gets", () => {
  const mounts = mountsWith({
    patch: (config) => {
      config.mounts.push(
        { destination: "/shared", type: "tmpfs", source: "tmpfs", options: ["shared"] },
        { destination: "/unbindable", type: "tmpfs", source: "tmpfs", options: ["unbindable"] },
      );
    },
  });
  expect(mounts["/shared"]?.optional.join()).toMatch(/^shared:\d+$/);
  expect(mounts["/unbindable"]?.optional).toEqual(["unbindable"]);
});

test("an option that the file system doesn't know is an error in the kernel's own words", () => {
  const b = box.bundle({
    patch: (config) => {
      config.mounts.push({
        destination: "/data",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "sizee=64m"],
      });
    },
  });
  expectRefused(b, 'mounts[7].options[1]: cannot mount "tmpfs" on /data', "Unknown parameter 'sizee'");
});

test("a value that the file system doesn't take is an error that names the option", () => {
  const b = box.bundle({
    patch: (config) => {
      config.mounts.push({ destination: "/data", type: "tmpfs", source: "tmpfs", options: ["size=much"] });
    },
  });
  expectRefused(b, "mounts[7].options[0]", "size");
});

test("a file system type that the kernel doesn't have is an error that names it", () => {
  const b = box.bundle({
    patch: (config) => {
      config.mounts.push({ destination: "/data", type: "nosuchfs", source: "none" });
    },
  });
  expectRefused(b, "mounts[7].type", "nosuchfs");
});
