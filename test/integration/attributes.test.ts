/** What the kernel does with the program's process: scheduling, I/O, memory nodes, personality, the OOM killer's score. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import type { Process } from "../../spec/process.ts";
import { hasCapability, openBox, readOr, type TestConfig, test, testWhen } from "./helpers.ts";

const box = openBox("attributes");

const CAP_SYS_NICE = 23;
const CAP_SYS_RESOURCE = 24;

function runWith(script: string, patch: (config: TestConfig) => void) {
  const { status, stdout, stderr } = box.run(box.bundle({ args: script, patch }));
  return { status, stdout, stderr };
}

/** Nice value, real-time priority and policy: fields 19, 40 and 41 of proc_pid_stat(5). */
function schedulingOf(scheduler: NonNullable<Process["scheduler"]>): string {
  const { status, stdout, stderr } = runWith("cat /proc/$$/stat", (config) => {
    config.process.scheduler = scheduler;
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  // The second field, a name in parentheses, may hold spaces.
  const fields = stdout.slice(stdout.lastIndexOf(")") + 2).split(" ");
  return [19, 40, 41].map((number) => fields[number - 3]).join(" ");
}

testWhen(hasCapability(CAP_SYS_NICE))(
  "the scheduling policy is the config's, with nice value and priority",
  () => {
    expect(schedulingOf({ policy: "SCHED_OTHER", nice: -5 })).toBe("-5 0 0");
    expect(schedulingOf({ policy: "SCHED_BATCH", nice: 7 })).toBe("7 0 3");
    expect(schedulingOf({ policy: "SCHED_IDLE" })).toBe("0 0 5");
  },
);

test("a policy that can't be had fails start by its place", () => {
  const finished = runWith("true", (config) => {
    config.process.scheduler = { policy: "SCHED_ISO" };
  });
  expect(finished).toMatchObject({ status: 1, stdout: "" });
  expect(finished.stderr).toContain("process.scheduler: cannot set the scheduling policy SCHED_ISO");
});

test("the I/O priority is the config's", () => {
  const priorityOf = (ioPriority: NonNullable<Process["ioPriority"]>) =>
    runWith("busybox ionice -p $$", (config) => {
      config.process.ioPriority = ioPriority;
    });
  expect(priorityOf({ class: "IOPRIO_CLASS_BE", priority: 3 })).toMatchObject({
    stdout: "best-effort: prio 3\n",
  });
  expect(priorityOf({ class: "IOPRIO_CLASS_IDLE", priority: 0 })).toMatchObject({ stdout: "idle\n" });
});

test("LINUX32 makes uname tell of a 32-bit machine, LINUX doesn't", () => {
  const machineOf = (domain: "LINUX" | "LINUX32") =>
    runWith("busybox uname -m; cat /proc/$$/personality", (config) => {
      config.linux.personality = { domain };
    }).stdout;
  const own = Bun.spawnSync(["uname", "-m"]).stdout.toString().trim();
  const expected: Record<string, string> = { x86_64: "i686", aarch64: "armv8l" };
  expect(machineOf("LINUX32")).toBe(`${expected[own]}\n00000008\n`);
  expect(machineOf("LINUX")).toBe(`${own}\n00000000\n`);
});

testWhen(readOr("/proc/self/numa_maps", "") !== "")("memory lies where the memory policy says", () => {
  const policyOf = (memoryPolicy: NonNullable<TestConfig["linux"]["memoryPolicy"]>) =>
    runWith(
      "while read -r at policy rest; do echo $policy; done </proc/$$/numa_maps | busybox sort -u",
      (config) => {
        config.linux.memoryPolicy = memoryPolicy;
      },
    );
  expect(policyOf({ mode: "MPOL_BIND", nodes: "0" })).toMatchObject({ status: 0, stdout: "bind:0\n" });
  expect(policyOf({ mode: "MPOL_INTERLEAVE", nodes: "0", flags: ["MPOL_F_STATIC_NODES"] })).toMatchObject({
    stdout: "interleave=static:0\n",
  });
  expect(policyOf({ mode: "MPOL_LOCAL" })).toMatchObject({ stdout: "local\n" });
  const refused = policyOf({ mode: "MPOL_BIND", nodes: "1023" });
  expect(refused).toMatchObject({ status: 1, stdout: "" });
  expect(refused.stderr).toContain(
    "linux.memoryPolicy: cannot set the memory policy MPOL_BIND on nodes 1023",
  );
});

const scoreWith = (oomScoreAdj: number | undefined, before: string[] = []) => {
  const b = box.bundle({
    args: "cat /proc/self/oom_score_adj",
    patch: (config) => {
      if (oomScoreAdj !== undefined) config.process.oomScoreAdj = oomScoreAdj;
    },
  });
  return box.kontena(["run", "--bundle", b.directory, b.id], { before });
};

test("the OOM killer's score is the config's, 0 included, and the caller's without one", () => {
  const own = Number(readFileSync("/proc/self/oom_score_adj", "utf8"));
  const raised = ["sh", "-c", `echo ${own + 10} >/proc/self/oom_score_adj; exec "$0" "$@"`];
  expect(scoreWith(own + 500)).toMatchObject({ status: 0, stdout: `${own + 500}\n` });
  expect(scoreWith(undefined, raised)).toMatchObject({ status: 0, stdout: `${own + 10}\n` });
  expect(scoreWith(own, raised).stdout).toBe(`${own}\n`);
});

testWhen(!hasCapability(CAP_SYS_RESOURCE))(
  "a score below the caller's least needs CAP_SYS_RESOURCE: create fails, and says so",
  () => {
    const finished = scoreWith(-1000);
    expect(finished).toMatchObject({ status: 1, stdout: "" });
    expect(finished.stderr).toContain(
      "process.oomScoreAdj: cannot set oom_score_adj to -1000: permission denied (below the caller's own it needs CAP_SYS_RESOURCE)",
    );
  },
);

test("execCPUAffinity is not applicable to the container's init: it is taken and changes nothing", () => {
  const cpusWith = (execCPUAffinity: Process["execCPUAffinity"]) =>
    runWith(
      "grep Cpus_allowed: /proc/self/status || busybox grep Cpus_allowed: /proc/self/status",
      (config) => {
        if (execCPUAffinity !== undefined) config.process.execCPUAffinity = execCPUAffinity;
      },
    );
  expect(cpusWith({ initial: "0", final: "0" }).stdout).toBe(cpusWith(undefined).stdout);
});

test("consoleSize without a terminal is ignored, as the spec says", () => {
  const finished = runWith("echo it ran", (config) => {
    config.process.terminal = false;
    config.process.consoleSize = { height: 10, width: 20 };
  });
  expect(finished).toEqual({ status: 0, stdout: "it ran\n", stderr: "" });
});
