/** The time namespace and its offsets. */
import { expect } from "bun:test";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { asNobody, openBox, rootless, type TestConfig, test, testNeeding } from "./helpers.ts";

const box = openBox("time");
const YEAR = 365 * 24 * 3600;

const withOffsets =
  (timeOffsets?: NonNullable<TestConfig["linux"]["timeOffsets"]>) => (config: TestConfig) => {
    config.linux.namespaces?.push({ type: "time" });
    if (timeOffsets !== undefined) config.linux.timeOffsets = timeOffsets;
  };
const uptime = (text: string) => Number(text.split(" ")[0]);
const hostUptime = () => uptime(readFileSync("/proc/uptime", "utf8"));

test("the boot time is ahead by its offset, and another process of the container sees the same", () => {
  const before = hostUptime();
  const output = box.outputOf({
    args: "cat /proc/uptime; (cat /proc/uptime)",
    patch: withOffsets({ boottime: { secs: YEAR, nanosecs: 5 }, monotonic: { secs: 7 } }),
  });
  const [first, second] = output.trim().split("\n").map(uptime);
  expect(first).toBeGreaterThanOrEqual(before + YEAR);
  expect(first).toBeLessThanOrEqual(hostUptime() + YEAR + 1);
  expect(second).toBeGreaterThanOrEqual(first ?? 0);
});

test("the offsets are those of the config, for the program as for its children", () => {
  const output = box.outputOf({
    args: "cat /proc/self/timens_offsets; readlink /proc/self/ns/time; readlink /proc/self/ns/time_for_children",
    patch: withOffsets({ monotonic: { secs: -1, nanosecs: 999999999 }, boottime: { secs: YEAR } }),
  });
  const [monotonic, boottime, own, children] = output.trim().split("\n");
  expect(monotonic?.split(/\s+/)).toEqual(["monotonic", "-1", "999999999"]);
  expect(boottime?.split(/\s+/)).toEqual(["boottime", String(YEAR), "0"]);
  expect(children).toBe(own);
  expect(own).not.toBe(readlinkSync("/proc/self/ns/time"));
});

test("without offsets there is a namespace, and its clocks are the host's", () => {
  const output = box.outputOf({
    args: "readlink /proc/self/ns/time; cat /proc/uptime",
    patch: withOffsets(),
  });
  const [own, text] = output.trim().split("\n");
  expect(own).toMatch(/^time:\[\d+\]$/);
  expect(own).not.toBe(readlinkSync("/proc/self/ns/time"));
  expect(Math.abs(uptime(text ?? "") - hostUptime())).toBeLessThan(60);
});

test("`kontena ns` shows it as the container's own", () => {
  const b = box.bundle({ args: ["sleep", "1000"], patch: withOffsets() });
  expect(box.create(b).status).toBe(0);
  const rows = JSON.parse(box.kontena(["ns", "--format", "json", b.id]).stdout) as {
    type: string;
    own: boolean;
  }[];
  expect(rows.find((row) => row.type === "time")?.own).toBe(true);
});

test("an offset that no clock can have is an error with its place", () => {
  const b = box.bundle({ patch: withOffsets({ monotonic: { secs: -10 * YEAR * 10 } }) });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain("linux.timeOffsets: cannot set the clocks' offsets");
  expect(stderr).toContain("before its beginning");
  expect(box.ids()).toEqual([]);
});

testNeeding(
  "root",
  "busybox",
  "user namespaces",
)("in a user namespace it works too", () => {
  const output = box.outputOf({
    args: "cat /proc/self/timens_offsets",
    patch: (config) => {
      withOffsets({ boottime: { secs: 60 } })(config);
      config.linux.namespaces?.push({ type: "user" });
      const mappings = [{ containerID: 0, hostID: 0, size: 65536 }];
      config.linux.uidMappings = mappings;
      config.linux.gidMappings = mappings;
    },
  });
  expect(output).toMatch(/boottime\s+60\s+0/);
  expect(existsSync(box.root)).toBe(true);
});

testNeeding(
  "root",
  "busybox",
  "setpriv",
  "user namespaces",
)("a caller without rights has it too", () => {
  const b = box.bundle({
    args: "cat /proc/self/timens_offsets",
    patch: (config) => {
      rootless(config);
      withOffsets({ boottime: { secs: 60 } })(config);
    },
  });
  const { status, stdout, stderr } = box.kontena(["run", "--bundle", b.directory, b.id], asNobody(box, b));
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/boottime\s+60\s+0/);
});
