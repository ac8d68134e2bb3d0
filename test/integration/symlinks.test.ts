/** Symlinks in the root file system never lead out of it, whatever they say. */
import { expect } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { openBox, test } from "./helpers.ts";
import { parseMounts, rootfsTools, writable } from "./rootfs-helpers.ts";

const box = openBox("symlinks");
const { outsideDirectory, expectRefused } = rootfsTools(box);

test("a masked path that is a symlink out of the root masks nothing of the host", () => {
  const outside = outsideDirectory();
  const b = box.bundle({
    fill: (rootfs) => symlinkSync(outside, join(rootfs, "link")),
    patch: (config) => {
      config.linux.maskedPaths = ["/link"];
    },
  });
  expect(box.run(b).status).toBe(0);
  expect(readFileSync(join(outside, "file"), "utf8")).toBe("from the host\n");
});

test("masked and read-only paths that are symlinks inside cover what these lead to", () => {
  const output = box.outputOf({
    args: "cat /secret; ls /dir; touch /kept/new 2>&1; cat /kept/file; touch /kept 2>&1; true",
    fill: (rootfs) => {
      for (const name of ["dir", "kept"]) {
        mkdirSync(join(rootfs, name));
        writeFileSync(join(rootfs, name, "file"), `in ${name}\n`);
      }
      writeFileSync(join(rootfs, "secret"), "a secret\n");
      symlinkSync("/secret", join(rootfs, "to-secret"));
      symlinkSync("../../dir", join(rootfs, "to-dir"));
      symlinkSync("kept", join(rootfs, "to-kept"));
    },
    patch: (config) => {
      writable(config);
      // What lies in a masked directory is masked with it, and isn't there any more.
      config.linux.maskedPaths = ["/to-secret", "/secret", "/to-dir", "/dir/file"];
      config.linux.readonlyPaths = ["/to-kept", "/kept"];
    },
  });
  expect(output).toBe(
    "touch: /kept/new: Read-only file system\nin kept\ntouch: /kept: Read-only file system\n",
  );
});

test("a masked path that leads in a circle is an error", () => {
  const b = box.bundle({
    fill: (rootfs) => symlinkSync("circle", join(rootfs, "circle")),
    patch: (config) => {
      config.linux.maskedPaths = ["/circle"];
    },
  });
  expectRefused(b, "linux.maskedPaths[0]", "cannot mask /circle");
});

test("a /proc that is a symlink is refused", () => {
  const outside = outsideDirectory();
  const b = box.bundle({ fill: (rootfs) => symlinkSync(outside, join(rootfs, "proc")) });
  expectRefused(b, "mounts[0].destination", "/proc");
  expect(readdirSync(outside)).toEqual(["file"]);
});

test("a /sys that is a symlink inside of the root is refused too", () => {
  const b = box.bundle({
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "elsewhere"));
      symlinkSync("elsewhere", join(rootfs, "sys"));
    },
  });
  expectRefused(b, "/sys");
});

test("a mount's destination through a symlink lies inside of the root", () => {
  const outside = outsideDirectory();
  const b = box.bundle({
    args: "echo x >/inside/data/x; ls /inside/data /link/data",
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "inside"));
      symlinkSync("/inside", join(rootfs, "link"));
    },
    patch: (config) => {
      config.mounts.push({ destination: "/link/data", type: "tmpfs", source: "tmpfs" });
    },
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "/inside/data:\nx\n\n/link/data:\nx\n", stderr: "" });
  expect(readdirSync(outside)).toEqual(["file"]);
});

for (const [how, target] of [
  ["an absolute path", (outside: string) => outside],
  ["many ..", (outside: string) => `../../../../../../../../../..${outside}`],
] as const)
  test(`a destination whose symlink leads out by ${how} never touches the host`, () => {
    const outside = outsideDirectory();
    const b = box.bundle({
      args: ["cat", "/proc/self/mountinfo"],
      fill: (rootfs) => {
        // What the link means when the root is the container's.
        mkdirSync(join(rootfs, outside), { recursive: true });
        symlinkSync(target(outside), join(rootfs, "link"));
      },
      patch: (config) => {
        config.mounts.push({ destination: "/link/made", type: "tmpfs", source: "tmpfs" });
      },
    });
    const { status, stdout } = box.run(b);
    expect(status).toBe(0);
    expect(Object.keys(parseMounts(stdout))).toContain(`${outside}/made`);
    expect(readdirSync(outside)).toEqual(["file"]);
  });

test("a symlink to nothing as destination is made inside of the root, and never touches the host", () => {
  const outside = outsideDirectory();
  rmSync(outside, { recursive: true });
  const b = box.bundle({
    args: ["cat", "/proc/self/mountinfo"],
    fill: (rootfs) => symlinkSync(outside, join(rootfs, "link")),
    patch: (config) => {
      config.mounts.push({ destination: "/link", type: "tmpfs", source: "tmpfs" });
    },
  });
  const { status, stdout } = box.run(b);
  expect(status).toBe(0);
  expect(Object.keys(parseMounts(stdout))).toContain(outside);
  expect(existsSync(outside)).toBe(false);
});

test("a file is bound to /etc/resolv.conf though that points to what isn't there, as in many images", () => {
  const b = box.bundle({
    args: ["cat", "/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"],
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "etc"));
      symlinkSync("../run/systemd/resolve/stub-resolv.conf", join(rootfs, "etc/resolv.conf"));
    },
    patch: (config) => {
      const source = join(outsideDirectory(), "file");
      config.mounts.push({ destination: "/etc/resolv.conf", type: "bind", source, options: ["rbind", "ro"] });
    },
  });
  const expected = "from the host\n".repeat(2);
  expect(box.run(b)).toMatchObject({ status: 0, stdout: expected, stderr: "" });
  // From the plan that was kept, too.
  expect(box.run({ ...b, id: box.next() })).toMatchObject({ status: 0, stdout: expected, stderr: "" });
});

test("a /dev that is a symlink gets its devices inside of the root", () => {
  const outside = outsideDirectory();
  const b = box.bundle({
    args: ["ls", "/dev/"],
    fill: (rootfs) => {
      mkdirSync(join(rootfs, outside), { recursive: true });
      symlinkSync(outside, join(rootfs, "dev"));
    },
  });
  const { status, stdout } = box.run(b);
  if (status === 0) expect(stdout.split("\n")).toContain("null");
  expect(readdirSync(outside)).toEqual(["file"]);
});

test("a device's name that is a symlink out of the root makes nothing on the host", () => {
  const outside = outsideDirectory();
  const b = box.bundle({
    fill: (rootfs) => {
      mkdirSync(join(rootfs, "dev"));
      symlinkSync(join(outside, "made"), join(rootfs, "dev/null"));
    },
    patch: (config) => {
      config.mounts = config.mounts.filter((m) => !m.destination.startsWith("/dev"));
      writable(config);
    },
  });
  expectRefused(b, "/dev/null");
  expect(readdirSync(outside)).toEqual(["file"]);
});
