/** Mounts whose ids are mapped, and bind mounts that only the runtime can open. */
import { expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { openBox, type TestBundle, type TestConfig, test, testNeeding, testWhen } from "./helpers.ts";
import { rootfsTools, writable } from "./rootfs-helpers.ts";

const box = openBox("idmap");
const { outsideDirectory, expectRefused } = rootfsTools(box);
const userTest = testNeeding("root", "busybox", "user namespaces");

const TMPFS_MAGIC = 0x01021994;
/** tmpfs maps ids since Linux 6.3. */
const tmpfsMaps = Bun.semver.satisfies(release().replace(/-.*/, ""), ">=6.3");
const mapTest = testWhen(tmpfsMaps || statfsSync(box.directory).type !== TMPFS_MAGIC);
const tmpfsTest = testWhen(tmpfsMaps);

const range = (containerID: number, hostID: number, size = 1000) => [{ containerID, hostID, size }];
const OWN = { uidMappings: range(0, 100000), gidMappings: range(0, 200000) };

type Mounts = TestConfig["mounts"];
const withMounts = (...list: Mounts) => ({
  patch: (config: TestConfig) => {
    config.mounts.push(...list);
    writable(config);
  },
});

/** A container with a user namespace; its root file system is its root's. */
function inUser(args: string, ...list: Mounts): TestBundle {
  const b = box.bundle({
    args,
    patch: (config) => {
      config.mounts.push(...list);
      config.linux.namespaces?.push({ type: "user" });
      Object.assign(config.linux, OWN);
      writable(config);
    },
  });
  chownSync(b.rootfs, 100000, 200000);
  return b;
}

/** A directory with a file of user 3 and group 4. */
function source(): string {
  const directory = outsideDirectory();
  chownSync(join(directory, "file"), 3, 4);
  return directory;
}

mapTest("a bind mount with mappings of its own shows other owners, and the host's stay", () => {
  const directory = source();
  const mapped = { uidMappings: range(0, 5000), gidMappings: range(0, 6000) };
  const mount = { destination: "/place", source: directory, options: ["bind", "idmap"], ...mapped };
  expect(box.outputOf({ args: "stat -c '%u %g' /place/file", ...withMounts(mount) })).toBe("5003 6004\n");
  expect(statSync(join(directory, "file"))).toMatchObject({ uid: 3, gid: 4 });
});

mapTest("mappings without the option idmap are applied as well", () => {
  const mapped = { uidMappings: range(3, 1), gidMappings: range(4, 2) };
  const mount = { destination: "/place", source: source(), options: ["bind"], ...mapped };
  expect(box.outputOf({ args: "stat -c '%u %g' /place/file", ...withMounts(mount) })).toBe("1 2\n");
});

mapTest("crun's grammar for mappings is understood", () => {
  const options = ["bind", "idmap=uids=3-70-1;gids=4-80-1"];
  const mount = { destination: "/place", source: source(), options };
  expect(box.outputOf({ args: "stat -c '%u %g' /place/file", ...withMounts(mount) })).toBe("70 80\n");
});

mapTest("idmap alone means the container's own mappings: files of the host look as on the host", () => {
  const directory = source();
  const mount = { destination: "/place", source: directory, options: ["bind", "idmap"] };
  const b = inUser("stat -c '%u %g' /place/file; touch /place/new; stat -c '%u %g' /place/new", mount);
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "3 4\n0 0\n", stderr: "" });
  expect(statSync(join(directory, "new"))).toMatchObject({ uid: 0, gid: 0 });
});

userTest("without idmap the same files are nobody's", () => {
  const b = inUser("stat -c '%u %g' /place/file", {
    destination: "/place",
    source: source(),
    options: ["bind"],
  });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "65534 65534\n", stderr: "" });
});

tmpfsTest("ridmap maps what is mounted below too, idmap doesn't", () => {
  const seen = (option: string) => {
    const directory = source();
    mkdirSync(join(directory, "below"));
    const mapped = { uidMappings: range(0, 5000), gidMappings: range(0, 6000) };
    const mount = { destination: "/place", source: directory, options: ["rbind", option], ...mapped };
    const b = box.bundle({ args: "stat -c '%u %g' /place /place/below", ...withMounts(mount) });
    const script = `mount -t tmpfs below ${directory}/below && exec "$@"`;
    return box.kontena(["run", "--bundle", b.directory, b.id], {
      before: ["unshare", "--mount", "sh", "-c", script, "sh"],
    }).stdout;
  };
  expect(seen("ridmap")).toBe("5000 6000\n5000 6000\n");
  expect(seen("idmap")).toBe("5000 6000\n0 0\n");
});

tmpfsTest("a tmpfs may have mapped ids", () => {
  const mapped = { uidMappings: range(0, 5000), gidMappings: range(0, 6000) };
  const mount = { destination: "/data", type: "tmpfs", options: ["idmap"], ...mapped };
  expect(box.outputOf({ args: "stat -c '%u %g' /data", ...withMounts(mount) })).toBe("5000 6000\n");
});

test("idmap without mappings and without a user namespace is an error", () => {
  const mount = { destination: "/place", source: source(), options: ["bind", "idmap"] };
  expectRefused(box.bundle(withMounts(mount)), "mounts[7].options[1]", "needs uidMappings and gidMappings");
});

test("a file system that can't map ids is an error that says so", () => {
  const mapped = { uidMappings: range(0, 5000), gidMappings: range(0, 6000) };
  const mount = { destination: "/place", source: "/sys/kernel", options: ["bind", "idmap"], ...mapped };
  expectRefused(box.bundle(withMounts(mount)), "mounts[7]: cannot bind /sys/kernel", "can't map ids");
});

test("mappings that the kernel doesn't take are an error that names the mount", () => {
  const overlapping = [...range(0, 5000), ...range(10, 7000)];
  const mount = {
    ...{ destination: "/place", source: source(), options: ["bind", "idmap"] },
    ...{ uidMappings: overlapping, gidMappings: range(0, 6000) },
  };
  expectRefused(
    box.bundle(withMounts(mount)),
    "mounts[7].uidMappings[1].containerID: overlaps with the range of mounts[7].uidMappings[0]",
  );
  // In an option's own words, it is the kernel that says so.
  const text = {
    ...{ destination: "/place", source: source() },
    options: ["bind", "idmap=uids=0-5000-100#10-7000-100;gids=0-6000-100"],
  };
  expectRefused(box.bundle(withMounts(text)), "mounts[7]", "uid_map", "may not overlap");
});

userTest("a source in a directory that the container's root may not search is bound all the same", () => {
  const closed = mkdtempSync(join(box.directory, "closed-"));
  writeFileSync(join(closed, "file"), "from behind\n");
  chmodSync(closed, 0o700);
  const options = ["bind", "ro"];
  const b = inUser("cat /place", { destination: "/place", source: join(closed, "file"), options });
  expect(box.run(b)).toMatchObject({ status: 0, stdout: "from behind\n", stderr: "" });
  rmSync(closed, { recursive: true });
});

userTest("a source that isn't there is told in the same words with a user namespace", () => {
  const b = inUser("true", { destination: "/place", source: "/no/such", options: ["bind"] });
  expectRefused(b, "mounts[7].source: cannot bind /no/such to /place: no such file or directory");
});

userTest("what is mounted below a bound tree in the container doesn't appear on the host", () => {
  const directory = source();
  const b = inUser(
    "true",
    { destination: "/place", source: directory, options: ["rbind"] },
    { destination: "/place/below", type: "tmpfs" },
  );
  const script = `mount -t tmpfs t ${directory} && mkdir -m 777 ${directory}/below && mount --make-shared ${directory} && "$@" && grep -c ${directory} /proc/self/mountinfo`;
  const { stdout, stderr } = box.kontena(["run", "--bundle", b.directory, b.id], {
    before: ["unshare", "--mount", "sh", "-c", script, "sh"],
  });
  expect({ stdout, stderr }).toEqual({ stdout: "1\n", stderr: "" });
});
