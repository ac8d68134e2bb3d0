/** User namespaces that root makes: what mappings they may have, and when init can be looked into. */
import { describe, expect } from "bun:test";
import { chownSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { IdMapping } from "../../spec/common.ts";
import { type BundleOptions, openBox, testNeeding } from "./helpers.ts";
import { writable } from "./rootfs-helpers.ts";

const box = openBox("userns");
const test = testNeeding("root", "busybox", "user namespaces");
const traced = testNeeding("root", "busybox", "user namespaces", "strace");

const FIRST = 100000;

function bundleOf(mappings: IdMapping[], { patch, ...options }: BundleOptions = {}) {
  const b = box.bundle({
    ...options,
    patch: (config, directory) => {
      config.linux.namespaces?.push({ type: "user" });
      Object.assign(config.linux, { uidMappings: mappings, gidMappings: mappings });
      writable(config);
      for (const mount of config.mounts)
        if (mount.options) mount.options = mount.options.filter((option) => !option.startsWith("gid="));
      patch?.(config, directory);
    },
  });
  chownSync(b.rootfs, FIRST, FIRST);
  return b;
}

function refusedWith(mappings: IdMapping[]): string {
  const { status, stderr } = box.run(bundleOf(mappings));
  expect(status).toBe(1);
  return stderr;
}

/** `count` ranges of one id each, the shortest lines that there are. */
const single = (count: number): IdMapping[] =>
  Array.from({ length: count }, (_, i) => ({ containerID: i, hostID: FIRST + i, size: 1 }));

describe("mappings", () => {
  test("of many ranges are all there", () => {
    const b = bundleOf(single(250), { args: ["wc", "-l", "/proc/self/uid_map", "/proc/self/gid_map"] });
    const { stdout, stderr } = box.run(b);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/250 \/proc\/self\/uid_map\n +250 \/proc\/self\/gid_map/);
  });

  test("that the kernel wouldn't take are refused at their places, before anything is made", () => {
    expect(refusedWith(single(341))).toContain(
      "linux.uidMappings: expected at most 340 ranges, received 341",
    );
    expect(refusedWith([{ containerID: 0, hostID: FIRST, size: 0 }])).toContain(
      "linux.gidMappings[0].size: expected at least 1",
    );
    const twice = [...single(2), { containerID: 5, hostID: FIRST + 1, size: 3 }];
    expect(refusedWith(twice)).toContain(
      "linux.uidMappings[2].hostID: overlaps with the range of linux.uidMappings[1]",
    );
    expect(refusedWith([{ containerID: 0, hostID: 2, size: 4294967294 }])).toContain(
      "go beyond the last one, 4294967294",
    );
  });

  test("of more text than a page are refused with the reason", () => {
    const { status, stderr } = box.run(bundleOf(single(340)));
    // arm64 may have pages that hold it.
    if (status !== 0)
      expect(stderr).toContain(
        "linux.uidMappings: cannot write uid_map: invalid argument (the kernel takes less than a page",
      );
  });
});

describe("mappings beside the path of a user namespace", () => {
  const ranges = [
    { containerID: 1, hostID: FIRST + 500, size: 10 },
    { containerID: 0, hostID: FIRST, size: 1 },
  ];
  function joining(mappings: IdMapping[]) {
    const first = bundleOf(ranges, { args: ["sleep", "1000"] });
    expect(box.run(first, "--detach")).toMatchObject({ status: 0, stderr: "" });
    const path = `/proc/${box.state(first.id).pid}/ns/user`;
    return box.run(
      bundleOf(mappings, {
        args: ["cat", "/proc/self/uid_map"],
        patch: (config) => {
          for (const namespace of config.linux.namespaces ?? [])
            if (namespace.type === "user") namespace.path = path;
        },
      }),
    );
  }

  test("may be the same, in any order", () => {
    const { status, stderr } = joining(ranges.toReversed());
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  test("are an error when they are others, since those of the namespace count", () => {
    const { status, stderr } = joining([{ containerID: 0, hostID: FIRST, size: 2 }]);
    expect(status).toBe(1);
    expect(stderr).toContain(
      `linux.uidMappings: the user namespace that is joined has other mappings (it maps 0 ${FIRST} 1, 1 ${FIRST + 500} 10`,
    );
  });
});

describe("without root among the ids", () => {
  const mappings = [{ containerID: 1000, hostID: FIRST, size: 10 }];
  const asUser = (uid: number, options: BundleOptions) =>
    bundleOf(mappings, {
      ...options,
      patch: (config, directory) => {
        config.process.user = { uid, gid: uid };
        options.patch?.(config, directory);
      },
    });

  test("a container is set up as the program's user, and exec enters it", () => {
    const b = asUser(1003, {
      args: "id; touch /open/file; exec sleep 1000",
      fill: (rootfs) => mkdirSync(join(rootfs, "open")),
    });
    chownSync(join(b.rootfs, "open"), FIRST + 3, FIRST + 3);
    const started = box.run(b, "--detach");
    expect(started).toMatchObject({ status: 0, stderr: "" });
    const exec = box.kontena(["exec", "--user", "1001:1002", b.id, "id"]);
    expect(exec).toMatchObject({ status: 0, stdout: "uid=1001 gid=1002\n", stderr: "" });
    expect(started.output()).toBe("uid=1003 gid=1003\n");
    const { uid, gid } = statSync(join(b.rootfs, "open/file"));
    expect({ uid, gid }).toEqual({ uid: FIRST + 3, gid: FIRST + 3 });
  });

  test("a hook inside is the program's user", () => {
    const b = asUser(1004, {
      args: ["cat", "/open/who"],
      fill: (rootfs) => mkdirSync(join(rootfs, "open")),
      patch: (config) => {
        const args = ["sh", "-c", "id -u >/open/who"];
        config.hooks = { startContainer: [{ path: "/bin/sh", args }] };
      },
    });
    chownSync(join(b.rootfs, "open"), FIRST + 4, FIRST + 4);
    expect(box.run(b)).toMatchObject({ status: 0, stdout: "1004\n", stderr: "" });
  });

  test("a namespace that is joined may be such a one", () => {
    const first = asUser(1003, { args: ["sleep", "1000"] });
    expect(box.run(first, "--detach")).toMatchObject({ status: 0, stderr: "" });
    const path = `/proc/${box.state(first.id).pid}/ns/user`;
    const second = asUser(1005, {
      args: ["sleep", "1000"],
      patch: (config) => {
        for (const namespace of config.linux.namespaces ?? [])
          if (namespace.type === "user") namespace.path = path;
        delete config.linux.uidMappings;
        delete config.linux.gidMappings;
      },
    });
    expect(box.run(second, "--detach")).toMatchObject({ status: 0, stderr: "" });
    const exec = box.kontena(["exec", "--user", "1001:1002", second.id, "id"]);
    expect(exec).toMatchObject({ status: 0, stdout: "uid=1001 gid=1002\n", stderr: "" });
  });

  test("a program of root is refused", () => {
    const { status, stderr } = box.run(asUser(0, {}));
    expect(status).toBe(1);
    expect(stderr).toContain("process.user.uid: 0 isn't mapped by linux.uidMappings");
  });

  test("nobody looks into an init that waits, and its files tell: they are the host's root's until the program runs", () => {
    const b = asUser(1000, { args: ["sleep", "1000"] });
    expect(box.create(b)).toMatchObject({ status: 0, stderr: "" });
    const { pid } = box.state(b.id);
    // proc(5): those of a process that isn't dumpable belong to root of its namespace, or of the host if that has none.
    const owner = () => statSync(`/proc/${pid}/environ`).uid;
    expect(owner()).toBe(0);
    expect(box.kontena(["start", b.id])).toMatchObject({ status: 0, stderr: "" });
    expect(owner()).toBe(FIRST);
  });
});

traced(
  "init is non-dumpable as soon as it is root of its namespace, after the maps were written and before all else",
  () => {
    const b = bundleOf([{ containerID: 0, hostID: FIRST, size: 1000 }]);
    const trace = join(b.directory, "trace");
    const before = ["strace", "-f", "-qq", "-o", trace];
    const made = box.kontena(["run", "--bundle", b.directory, b.id], { before });
    expect(made).toMatchObject({ status: 0, stderr: "" });
    const lines = readFileSync(trace, "utf8").split("\n");
    const hidden = lines.findIndex((line) => line.includes("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE"));
    const written = lines.findLastIndex((line) => /openat\(.*\/proc\/\d+\/gid_map"/.test(line));
    expect(written).toBeGreaterThan(0);
    expect(hidden).toBeGreaterThan(written);
    const [init] = (lines[hidden] ?? "").split(" ");
    const calls = lines
      .slice(written, hidden)
      .filter((line) => line.split(" ")[0] === init && /^\d+ +\w+\(/.test(line));
    expect(calls.map((line) => /^\d+ +(\w+)/.exec(line)?.[1]).filter((call) => call !== "read")).toEqual([
      "setresgid",
      "setresuid",
      "prctl",
    ]);
  },
);
