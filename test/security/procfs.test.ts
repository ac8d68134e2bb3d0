/** /proc of an image that isn't what it says: for what is mounted there, and for what is written there. */
import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KONTENA, openBox, type TestConfig, testNeeding } from "../integration/helpers.ts";
import { type Weakening, weakenedIn } from "./weakened.ts";

const box = openBox("fakeproc");
const weakened = weakenedIn(box);
const test = testNeeding("root", "busybox");

const BUILT = [KONTENA];
const SOMAXCONN = "/proc/sys/net/core/somaxconn";

/** Runs the bundle with the build and with a weakened one. */
function both(program: readonly string[], options: Parameters<typeof box.bundle>[0]) {
  const attack = (by: readonly string[]) => {
    const b = box.bundle(options);
    const { status, stdout, stderr } = box.kontena(["run", "--bundle", b.directory, b.id], { program: by });
    return { status, stdout, stderr, rootfs: b.rootfs };
  };
  return [attack(BUILT), attack(program)] as const;
}

/** No mount is kept from procfs, and anything may be /proc. */
const UNGUARDED: Weakening[] = [
  {
    file: "src/plan/proc-guard.ts",
    from: '  const path = relative(mount.destination);\n  if (mount.options?.includes("remount") || MAY_COVER.has(path)) return "none";',
    to: '  const path = relative(mount.destination);\n  if (path !== "") return "none";',
  },
  {
    file: "src/plan/proc-guard.ts",
    from: "export function procProblems({ mounts = [] }: Config): Problem[] {",
    to: "export function procProblems({ mounts = [] }: Config): Problem[] {\n  if (mounts.length > 0) return [];",
  },
];

/** What is written to procfs goes to the container's, by name. */
const CONTAINERS_PROC: Weakening[] = [
  {
    file: "src/plan/procfs.ts",
    from: "    block: [\n",
    to: `    block: [
      { call: "openat2", args: [cell("root"), "proc", struct("open_how", { flags: O.O_PATH | O.O_CLOEXEC, resolve: RESOLVE.RESOLVE_IN_ROOT }), 24], why: "", save: PROCFS, after: "leave", fail },
`,
  },
  {
    file: "src/plan/procfs.ts",
    from: "RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_XDEV | RESOLVE.RESOLVE_NO_MAGICLINKS",
    to: "0",
  },
];

/** A tree that looks like a part of procfs, where a parameter is a link to another file. */
function fakeProc(directory: string, target: string): void {
  mkdirSync(join(directory, "sys/net/core"), { recursive: true });
  for (const process of ["self", "thread-self"]) {
    mkdirSync(join(directory, process, "attr/apparmor"), { recursive: true });
    symlinkSync(target, join(directory, process, "attr/apparmor/exec"));
  }
  symlinkSync(target, join(directory, "sys/net/core/somaxconn"));
}

function outside(): string {
  const path = join(box.directory, box.next());
  mkdirSync(path);
  writeFileSync(join(path, "canary"), "untouched");
  return path;
}

const setting = (config: TestConfig) => {
  config.linux.sysctl = { "net.core.somaxconn": "1234" };
  config.linux.maskedPaths = [];
  config.linux.readonlyPaths = [];
};

test("CVE-2019-16884: a volume can't take the place of /proc, or of a part of it", () => {
  const fake = outside();
  fakeProc(fake, "/canary");
  const places = [
    { destination: "/proc", source: fake, options: ["rbind"] },
    { destination: "/proc", type: "tmpfs", source: "tmpfs" },
    { destination: "/proc/self/attr", source: fake, options: ["bind"] },
    { destination: "/volume", source: fake, options: ["bind"] },
  ];
  for (const mount of places) {
    const [strong, weak] = both(weakened(...UNGUARDED), {
      args: ["echo", "runs"],
      fill: (rootfs) => symlinkSync("/proc/self/attr", join(rootfs, "volume")),
      patch: (config) => {
        config.linux.maskedPaths = [];
        config.linux.readonlyPaths = [];
        config.mounts.splice(1, 0, mount);
      },
    });
    expect(strong).toMatchObject({ status: 1, stdout: "" });
    expect(strong.stderr).toContain("mounts[1]");
    expect({ mount, ...weak }).toMatchObject({ status: 0, stdout: "runs\n" });
  }
});

for (const [cve, link, target] of [
  ["CVE-2019-19921", "a directory that another container writes to", "volume"],
  ["CVE-2023-27561", "a directory of the image", "../tmp/proc"],
  ["CVE-2023-28642", "itself by way of another name", "/elsewhere/../tmp/proc"],
] as const)
  test(`${cve}: a /proc that is a symlink to ${link} is refused`, () => {
    const [strong, weak] = both(
      weakened({
        file: "src/plan/mounts.ts",
        from: "...(NO_SYMLINKS.has(type) ? { noSymlinks: true } : {}),",
        to: "",
      }),
      {
        args: ["ls", "/proc"],
        fill(rootfs) {
          for (const name of ["volume", "tmp/proc", "elsewhere"])
            mkdirSync(join(rootfs, name), { recursive: true });
          symlinkSync(target, join(rootfs, "proc"));
        },
      },
    );
    expect(strong).toMatchObject({ status: 1, stdout: "" });
    expect(strong.stderr).toContain('mounts[0].destination: cannot mount "proc" on /proc');
    // The procfs is where the link says, and the link can be made to say something else.
    expect(weak.status).toBe(0);
  });

/** What a racing process could do to /proc between its mount and the writes: here a hook does it in time. */
const replacedLater = (fake: string) => (config: TestConfig) => {
  setting(config);
  const script = `mount -o bind ${fake} "$PWD/proc" && echo done >${fake}/hooked`;
  config.hooks = {
    createContainer: [
      { path: "/bin/busybox", args: ["sh", "-c", script], env: ["PATH=/bin:/usr/bin:/sbin"] },
    ],
  };
};

test("CVE-2025-52881: a parameter is written to the kernel, though /proc was replaced in between", () => {
  for (const program of [BUILT, weakened(...CONTAINERS_PROC)]) {
    const fake = outside();
    fakeProc(fake, join(fake, "canary"));
    const b = box.bundle({ patch: replacedLater(fake) });
    const { status, stderr } = box.kontena(["create", "--bundle", b.directory, b.id], { program });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(existsSync(join(fake, "hooked"))).toBe(true);
    const { pid = 0 } = box.state(b.id);
    const value = readInNamespace(pid);
    const canary = readFileSync(join(fake, "canary"), "utf8");
    if (program === BUILT) expect({ value, canary }).toEqual({ value: "1234", canary: "untouched" });
    else {
      // The parameter isn't set, and a file of the host that the attacker chose is written to.
      expect(value).not.toBe("1234");
      expect(canary).toStartWith("1234");
    }
  }
});

/** The parameter of the container's network namespace. */
function readInNamespace(pid: number): string {
  const { stdout } = Bun.spawnSync(["nsenter", `--net=/proc/${pid}/ns/net`, "cat", SOMAXCONN]);
  return stdout.toString().trim();
}

test("CVE-2025-52881: a label isn't written to a file that an image chooses, and its lack isn't passed over", () => {
  const canary = join(outside(), "canary");
  const attack = (program: readonly string[]) => {
    const b = box.bundle({
      fill: (rootfs) => fakeProc(join(rootfs, "proc"), canary),
      patch: (config) => {
        config.mounts = config.mounts.filter(({ destination }) => destination !== "/proc");
        config.linux.maskedPaths = [];
        config.linux.readonlyPaths = [];
        config.process.apparmorProfile = "no-such-profile";
      },
    });
    const { status, stderr } = box.kontena(["run", "--bundle", b.directory, b.id], { program });
    return { status, stderr, written: readFileSync(canary, "utf8") };
  };
  const { stderr, ...strong } = attack(BUILT);
  // No kernel has that profile, and many have no AppArmor at all.
  expect(strong).toEqual({ status: 1, written: "untouched" });
  expect(stderr).toContain("process.apparmorProfile");
  // The program runs without a label, and nobody is told.
  const weak = attack(weakened(...CONTAINERS_PROC));
  expect(weak).toMatchObject({ status: 0, written: expect.stringContaining("exec no-such") });
});
