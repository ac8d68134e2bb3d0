/** Symlinks of an image that would lead mounts, devices and masks to the host, or to what shall be hidden. */
import { expect } from "bun:test";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type BundleOptions,
  KONTENA,
  openBox,
  type TestConfig,
  testNeeding,
} from "../integration/helpers.ts";
import { parseMounts } from "../integration/rootfs-helpers.ts";
import { exchanging, outsideIn, sameIds } from "./hostile.ts";
import { WITHOUT, weakenedIn } from "./weakened.ts";

const box = openBox("destinations");
const weakened = weakenedIn(box);
const test = testNeeding("root", "busybox");

const BUILT = [KONTENA];
const outside = () => outsideIn(box);
const FOLLOWING = () => weakened(WITHOUT.resolveInRoot, WITHOUT.factsInRoot);

function run(program: readonly string[], options: BundleOptions) {
  const b = box.bundle(options);
  const { status, stdout, stderr } = box.kontena(["run", "--bundle", b.directory, b.id], { program });
  return { status, stdout, stderr };
}

/** A program of the hook's is the racing process that comes at the worst moment: all is mounted, nothing is masked. */
const hook = (script: string): NonNullable<TestConfig["hooks"]> => ({
  createContainer: [{ path: "/bin/busybox", args: ["sh", "-ec", script], env: ["PATH=/bin:/usr/bin:/sbin"] }],
});

test("CVE-2021-30465: a volume's directory that turns into a symlink and back leads no mount out of the root", async () => {
  /** Runs until something is made on the host; gives the number of rounds that it took. */
  const attack = async (program: readonly string[], rounds: number) => {
    const host = outside();
    const b = box.bundle({
      fill(rootfs) {
        mkdirSync(join(rootfs, "volume/directory"), { recursive: true });
        symlinkSync(host, join(rootfs, "volume/link"));
      },
      patch: (config) => {
        config.mounts.push({ destination: "/volume/directory/mounted", type: "tmpfs", source: "tmpfs" });
      },
    });
    const isTouched = () => readdirSync(host).join() !== "canary";
    let round = 0;
    await exchanging(join(b.rootfs, "volume/directory"), join(b.rootfs, "volume/link"), () => {
      for (; round < rounds && !isTouched(); round++) {
        const id = box.next();
        const { status, stderr } = box.kontena(["run", "--bundle", b.directory, id], { program });
        // The directory the mount is made in; the link leads to a path that the image doesn't have.
        const told = 'mounts[7].destination: cannot mount "tmpfs" on /volume/directory/mounted: no such file';
        if (program === BUILT) expect(status === 0 ? told : stderr).toContain(told);
      }
    });
    return isTouched();
  };
  expect(await attack(BUILT, 25)).toBe(false);
  expect(await attack(FOLLOWING(), 100)).toBe(true);
});

for (const [how, link] of [
  ["an absolute symlink", (path: string) => path],
  ["many ..", (path: string) => `../../../../../../../../../..${path}`],
] as const)
  test(`CVE-2026-41579: no device or link is made or removed behind a /dev that is ${how} to the host`, () => {
    const attack = (program: readonly string[]) => {
      const host = outside();
      writeFileSync(join(host, "ptmx"), "");
      const { status, stderr } = run(program, {
        fill: (rootfs) => symlinkSync(link(host), join(rootfs, "dev")),
        patch: (config) => {
          config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
        },
      });
      return { status, stderr, left: readdirSync(host).sort() };
    };
    const stderr = "kontena: cannot make /dev: no such file or directory\n";
    expect(attack(BUILT)).toEqual({ status: 1, stderr, left: ["canary", "ptmx"] });
    expect(attack(FOLLOWING()).left).toContain("null");
  });

const FROM_CONTAINER = {
  file: "src/plan/paths.ts",
  from: 'args: [AT_FDCWD, "/dev/null", ',
  to: 'args: [cell("root"), "dev/null", ',
};

test("CVE-2025-31133: a masked file is covered by the host's /dev/null, whatever the container's has become", () => {
  const masked = (script: string): BundleOptions => ({
    args: "cat /masked; stat -c %t:%T /masked",
    fill(rootfs) {
      writeFileSync(join(rootfs, "masked"), "shall be hidden\n");
      writeFileSync(join(rootfs, "chosen"), "the image's choice\n");
    },
    patch: (config) => {
      config.linux.maskedPaths = ["/masked"];
      config.hooks = hook(script);
    },
  });
  const replaced = masked("rm dev/null; ln -s ../chosen dev/null");
  const removed = masked("rm dev/null");
  for (const attack of [replaced, removed])
    expect(run(BUILT, attack)).toEqual({ status: 0, stdout: "1:3\n", stderr: "" });
  expect(run(weakened(FROM_CONTAINER), replaced).stdout).toStartWith("the image's choice\n");
});

test("CVE-2025-31133: a /dev/null of the image that isn't one is refused", () => {
  const attack: BundleOptions = {
    args: ["cat", "/dev/null"],
    fill(rootfs) {
      mkdirSync(join(rootfs, "dev"));
      writeFileSync(join(rootfs, "chosen"), "the image's choice\n");
      symlinkSync("../chosen", join(rootfs, "dev/null"));
    },
    patch: (config) => {
      config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
    },
  };
  const { status, stderr } = run(BUILT, attack);
  expect(status).toBe(1);
  expect(stderr).toContain("/dev/null exists and is not character device 1:3");
  const unchecked = weakened({
    file: "src/container/results.ts",
    from: "for (const check of checks.devices) checkDevice(check, encoded, memory);",
    to: "if (checks.devices.length < 0) for (const check of checks.devices) checkDevice(check, encoded, memory);",
  });
  expect(run(unchecked, attack)).toMatchObject({ status: 0, stdout: "the image's choice\n" });
});

test("CVE-2025-52565: /dev/console is the terminal, though the names in /dev/pts have been replaced", () => {
  const attack: BundleOptions = {
    args: "stat -c %t /dev/console",
    fill: (rootfs) => writeFileSync(join(rootfs, "chosen"), "the image's choice\n"),
    patch: (config) => {
      config.process.terminal = true;
      config.hooks = hook(
        "mkdir dev/real; mount -o move dev/pts dev/real; ln -s ../real/ptmx dev/pts/ptmx; ln -s ../../chosen dev/pts/0",
      );
    },
  };
  // 136 is the major number of pseudoterminals.
  expect(run(BUILT, attack)).toMatchObject({ status: 0, stdout: "88\r\n" });
  const byName = weakened({
    file: "src/plan/terminal.ts",
    from: 'args: [cell(TERMINAL), "", AT_EMPTY_PATH | ',
    to: 'args: [cell(ROOT), "dev/pts/0", ',
  });
  expect(run(byName, attack)).toMatchObject({ status: 0, stdout: "0\r\n" });
});

/** Root directories of the cgroup file systems that a container sees (proc(5), mountinfo). */
const rootsOfCgroups = (mountinfo: string) =>
  mountinfo
    .split("\n")
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(" ")[3]);

test("CVE-2023-25809: the cgroups that come with the host's /sys, in the place of one's own, are read-only", () => {
  const attack: BundleOptions = {
    args: ["cat", "/proc/self/mountinfo"],
    patch: (config) => {
      const left = new Set(["cgroup", "network"]);
      config.linux.namespaces = (config.linux.namespaces ?? []).filter(({ type }) => !left.has(type));
      sameIds(config);
      config.mounts = config.mounts.filter(({ type }) => type !== "cgroup");
    },
  };
  const writable = (program: readonly string[]) => {
    const mounts = parseMounts(run(program, attack).stdout);
    const below = Object.entries(mounts).filter(([point]) => point.startsWith("/sys/fs/cgroup"));
    expect(below).not.toEqual([]);
    return below.filter(([, { options }]) => !options.includes("ro")).length;
  };
  expect(writable(BUILT)).toBe(0);
  const alone = weakened({
    file: "src/plan/filesystem.ts",
    from: "setAttributes(save, { set: flags, clear: 0 }, at, fail, true);",
    to: "setAttributes(save, { set: flags, clear: 0 }, at, fail, false);",
  });
  expect(writable(alone)).toBeGreaterThan(0);
});

test("CVE-2023-25809: without a cgroup namespace a container sees its own cgroups and nothing above", () => {
  for (const user of [false, true]) {
    const attack: BundleOptions = {
      args: ["cat", "/proc/self/mountinfo"],
      patch: (config) => {
        config.linux.namespaces = (config.linux.namespaces ?? []).filter(({ type }) => type !== "cgroup");
        if (user) sameIds(config);
      },
    };
    const strong = rootsOfCgroups(run(BUILT, attack).stdout);
    expect(strong).not.toEqual([]);
    expect(strong.filter((root) => !root?.includes("destinations-"))).toEqual([]);
    const weak = weakened(
      {
        file: "src/plan/cgroup.ts",
        from: 'const source = cgroupFile(input, h, "");',
        to: "const source = h.mountpoint;",
      },
      {
        file: "src/plan/cgroup.ts",
        from: 'const own = cgroupFile(input, h, "");',
        to: "const own = h.mountpoint;",
      },
    );
    expect(rootsOfCgroups(run(weak, attack).stdout)).toContain("/");
  }
});
