/** The device filter in the kernel: root, a v2 hierarchy (also beside those of v1). */
import { afterEach, describe, expect, test } from "bun:test";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { DeviceRule } from "../../../spec/resources.ts";
import { filterDevices } from "../../../src/cgroup/devices/filter.ts";
import { deviceRules } from "../../../src/cgroup/devices/rules.ts";
import { readHierarchies } from "../../../src/cgroup/hierarchies.ts";
import { loadDeviceFilter, queryDeviceFilters } from "../../../src/kernel/bpf.ts";

const unified = readHierarchies().find(({ version }) => version === 2)?.mountpoint;
const missing =
  process.geteuid?.() !== 0
    ? " (skipped: not root)"
    : unified === undefined
      ? " (skipped: no cgroup v2)"
      : loadDeviceFilter(
            new Uint8Array([0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]),
            "kontena_probe",
            new Uint8Array(0),
          ) < 0
        ? " (skipped: no right to load eBPF programs, or no CONFIG_CGROUP_BPF)"
        : "";
const real = test.skipIf(missing !== "");

const made: string[] = [];
let count = 0;
afterEach(() => {
  for (const directory of made.splice(0)) rmdirSync(directory);
});

function make(): string {
  const directory = join(unified ?? "", `kontena-filter-${process.pid}-${++count}`);
  mkdirSync(directory);
  made.push(directory);
  return directory;
}

/** Runs a shell command in the cgroup. */
function inside(directory: string, command: string): { ok: boolean; text: string } {
  const script = `echo 0 > ${directory}/cgroup.procs && ${command}`;
  const { exitCode, stdout, stderr } = Bun.spawnSync(["/bin/sh", "-c", script]);
  return { ok: exitCode === 0, text: stdout.toString() + stderr.toString() };
}

const rules = (...list: DeviceRule[]) => deviceRules(list);

function attached(directory: string): number[] | number {
  const fd = openSync(directory, "r");
  try {
    return queryDeviceFilters(fd);
  } finally {
    closeSync(fd);
  }
}

describe("the kernel", () => {
  real(`allows what the rules allow, and forbids the rest${missing}`, () => {
    const directory = make();
    expect(inside(directory, ": < /dev/kmsg").ok).toBe(true);
    expect(filterDevices(directory, rules())).toBeUndefined();
    expect(inside(directory, "head -c 4 /dev/urandom > /dev/null").ok).toBe(true);
    expect(inside(directory, ": < /dev/kmsg")).toEqual({
      ok: false,
      text: expect.stringMatching(/not permitted/i),
    });
    // kmsg is 1:11.
    expect(
      filterDevices(directory, rules({ allow: true, type: "c", major: 1, minor: 11, access: "r" })),
    ).toBeUndefined();
    expect(inside(directory, ": < /dev/kmsg").ok).toBe(true);
    expect(inside(directory, "exec 3> /dev/kmsg").ok).toBe(false);
  });

  real(`puts new rules in the place of the old ones, whole at any time${missing}`, async () => {
    const directory = make();
    filterDevices(directory, rules());
    const [first] = attached(directory) as number[];
    // Allowed by both lists, so never forbidden while one takes the other's place. It reads until the last list is there.
    const stop = join(mkdtempSync(join(tmpdir(), "kontena-filter-")), "stop");
    const reader = Bun.spawn([
      "/bin/sh",
      "-c",
      `echo 0 > ${directory}/cgroup.procs; while ! [ -e ${stop} ]; do : < /dev/zero || exit 1; done`,
    ]);
    for (let i = 0; i < 50; i++)
      filterDevices(directory, rules({ allow: true, type: "c", major: 10, minor: i, access: "r" }));
    const ids = attached(directory) as number[];
    writeFileSync(stop, "");
    const status = await reader.exited;
    rmSync(dirname(stop), { recursive: true });
    expect(ids).toHaveLength(1);
    expect(ids[0]).not.toBe(first);
    expect(status).toBe(0);
  });

  real(`says why a program can't be attached${missing}`, () => {
    const directory = make();
    const file = join(directory, "cgroup.procs");
    expect(filterDevices(file, rules())).toMatchObject({
      syscall: "bpf",
      message: expect.stringContaining("attach"),
    });
  });

  real(`takes a list of hundreds of rules${missing}`, () => {
    const many = Array.from(
      { length: 500 },
      (_, minor): DeviceRule => ({ allow: true, type: "c", major: 10, minor }),
    );
    expect(filterDevices(make(), rules(...many))).toBeUndefined();
  });
});
