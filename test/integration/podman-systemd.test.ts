/** Podman with the systemd manager, as root or rootless: the scope that it and kontena agree on, and what it asks of a runtime. */
import { afterAll, expect, setDefaultTimeout } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KONTENA, testNeeding } from "./helpers.ts";
import { makeImage } from "./image.ts";
import { configurePodman } from "./podman.ts";

setDefaultTimeout(300_000);
const test = testNeeding("busybox", "systemd", "cgroup v2", "podman");
const isRoot = process.geteuid?.() === 0;
const directory = mkdtempSync(join(tmpdir(), "kontena-podman-"));

const env = {
  PATH: process.env["PATH"] ?? "",
  HOME: directory,
  USER: process.env["USER"] ?? "root",
  XDG_RUNTIME_DIR: process.env["XDG_RUNTIME_DIR"] ?? "",
  DBUS_SESSION_BUS_ADDRESS: process.env["DBUS_SESSION_BUS_ADDRESS"] ?? "",
  ...configurePodman(directory, { manager: "systemd", runtime: KONTENA, driver: "overlay" }),
};

function command(words: string[]): { status: number; stdout: string; stderr: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(words, { env, stdin: "ignore" });
  return { status: exitCode, stdout: stdout.toString().trim(), stderr: stderr.toString() };
}

const podman = (...words: string[]) => command(["podman", ...words]);

let isReady = false;

/** An image of busybox alone. */
function prepare(): void {
  if (isReady) return;
  expect(podman("import", "-q", makeImage(directory), "bb:1")).toMatchObject({ status: 0 });
  isReady = true;
}

afterAll(() => {
  if (isReady) {
    podman("rm", "--all", "--force", "--time", "0");
    // Its files belong to ids of the user's own namespace, where they are mounted too; a process keeps that.
    const clear =
      'pid=$(cat "$0"/tmp/pause.pid); umount -l "$0"/graph/overlay; rm -rf "$0"/* "$0"/.local; kill "$pid"';
    if (!isRoot) podman("unshare", "sh", "-c", clear, directory);
  }
  rmSync(directory, { recursive: true, force: true });
});

const control = (path: string, file: string) =>
  readFileSync(join("/sys/fs/cgroup", path, file), "utf8").trim();
const property = (unit: string, name: string) =>
  command(["systemctl", ...(isRoot ? [] : ["--user"]), "show", "-P", name, unit]).stdout;

test("podman run gives the program's exit status and output", () => {
  prepare();
  const ran = podman("run", "--rm", "--network", "none", "bb:1", "sh", "-c", "cat /proc/self/cgroup; exit 7");
  expect(ran).toMatchObject({ status: 7, stdout: "0::/" });
});

test("a container of podman's is in a scope with its limits, which update changes, and nothing is left of it", () => {
  prepare();
  const limits = ["--pids-limit", "50", "--memory", "64m", "--cpus", "0.5"];
  expect(
    podman("run", "-d", "--name", "c1", "--network", "none", ...limits, "bb:1", "sleep", "1000"),
  ).toMatchObject({
    status: 0,
  });
  const pid = podman("inspect", "-f", "{{.State.Pid}}", "c1").stdout;
  const path = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().replace("0::", "");
  const [slice, unit = ""] = path.split("/").slice(-2);
  expect(slice).toBe(isRoot ? "machine.slice" : "user.slice");
  expect(unit).toMatch(/^libpod-[0-9a-f]{64}\.scope$/);
  expect(control(path, "memory.max")).toBe("67108864");
  expect(property(unit, "MemoryMax")).toBe("67108864");
  expect(control(path, "pids.max")).toBe("50");
  expect(control(path, "cpu.max")).toBe("50000 100000");

  expect(podman("exec", "c1", "sh", "-c", "exit 9").status).toBe(9);
  expect(podman("pause", "c1")).toMatchObject({ status: 0 });
  expect(control(path, "cgroup.freeze")).toBe("1");
  expect(podman("unpause", "c1")).toMatchObject({ status: 0 });

  expect(podman("update", "--cpus", "0.3", "c1")).toMatchObject({ status: 0 });
  expect(control(path, "cpu.max")).toBe("30000 100000");
  expect(property(unit, "CPUQuotaPerSecUSec")).toBe("300ms");

  expect(podman("stop", "-t", "0", "c1")).toMatchObject({ status: 0 });
  expect(podman("rm", "c1")).toMatchObject({ status: 0 });
  expect(existsSync(join("/sys/fs/cgroup", path))).toBe(false);
  expect(property(unit, "LoadState")).toBe("not-found");
});
