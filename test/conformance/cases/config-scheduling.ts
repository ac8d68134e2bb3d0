/** config.md, process: oomScoreAdj, scheduler, ioPriority, execCPUAffinity, labels. */
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { done, field, processFile } from "../lab.ts";
import * as needs from "../needs.ts";
import { LIMITS } from "./config-limits.ts";

const OOM: Case[] = section(
  "config.md#linux-process",
  "MUST",
  "oomScoreAdj is set when it is given, and left alone when not",
  [
    ...[100, 1000].map(
      (value): Section => ({
        name: `oomScoreAdj ${value} is set`,
        async check(lab) {
          equal(
            await lab.inside(["cat", "/proc/self/oom_score_adj"], { "process.oomScoreAdj": value }),
            `${value}\n`,
            "oom_score_adj",
          );
        },
      }),
    ),
    {
      name: "oomScoreAdj 0 is set where the runtime has another",
      needs: [needs.program("choom"), needs.capability("CAP_SYS_RESOURCE", 24)],
      async check(lab) {
        const b = lab.bundle(["cat", "/proc/self/oom_score_adj"], { changes: { "process.oomScoreAdj": 0 } });
        equal(
          done(await lab.run(b, [], { before: ["choom", "-n", "57", "--"] }), "run").stdout,
          "0\n",
          "oom_score_adj",
        );
      },
    },
    {
      name: "a negative oomScoreAdj is set",
      needs: [needs.capability("CAP_SYS_RESOURCE", 24)],
      async check(lab) {
        equal(
          await lab.inside(["cat", "/proc/self/oom_score_adj"], { "process.oomScoreAdj": -17 }),
          "-17\n",
          "oom_score_adj",
        );
      },
    },
    {
      name: "without oomScoreAdj the runtime's own stays",
      needs: [needs.program("choom")],
      async check(lab) {
        const b = lab.bundle(["cat", "/proc/self/oom_score_adj"]);
        equal(
          done(await lab.run(b, [], { before: ["choom", "-n", "57", "--"] }), "run").stdout,
          "57\n",
          "oom_score_adj",
        );
      },
    },
    {
      name: "an oomScoreAdj out of range is an error",
      at: "config.md#valid-values",
      check: (lab) => lab.refused({ "process.oomScoreAdj": 1001 }, { by: "start" }),
    },
  ],
);

/** Fields of /proc/PID/stat, counted as in proc(5). */
function statFields(pid: number): string[] {
  const text = processFile(pid, "stat");
  return [
    "",
    ...text.slice(0, text.indexOf(" ")).split(" "),
    "comm",
    ...text.slice(text.lastIndexOf(")") + 2).split(" "),
  ];
}

const OLD = { runc: "1.1 is older than this property (runtime-spec 1.1)" };

const scheduled = (
  name: string,
  scheduler: Record<string, unknown>,
  expected: { policy: string; nice?: string; priority?: string },
  more: Partial<Section> = {},
): Section => ({
  name,
  differs: { ...OLD, crun: "1.8 is older than this property (runtime-spec 1.1)" },
  ...more,
  async check(lab) {
    const b = await lab.started(["sleep", "60"], { changes: { "process.scheduler": scheduler } });
    const fields = statFields(b.pid);
    equal(fields[41], expected.policy, "policy");
    if (expected.nice) equal(fields[19], expected.nice, "nice");
    if (expected.priority) equal(fields[40], expected.priority, "real-time priority");
  },
});

const SCHEDULER: Case[] = section(
  "config.md#linux-process",
  "MUST",
  "scheduler: policy, nice value and priority of the process",
  [
    scheduled(
      "SCHED_OTHER with a nice value",
      { policy: "SCHED_OTHER", nice: 5 },
      { policy: "0", nice: "5" },
    ),
    scheduled("SCHED_BATCH", { policy: "SCHED_BATCH", nice: 3 }, { policy: "3", nice: "3" }),
    scheduled("SCHED_IDLE", { policy: "SCHED_IDLE" }, { policy: "5" }),
    scheduled("a nice value that isn't set is 0", { policy: "SCHED_BATCH" }, { policy: "3", nice: "0" }),
    {
      name: "an unknown policy is an error",
      at: "config.md#valid-values",
      differs: { ...OLD, crun: "1.8 is older than this property (runtime-spec 1.1)" },
      check: (lab) => lab.refused({ "process.scheduler": { policy: "SCHED_SOMETHING" } }, { by: "start" }),
    },
  ],
);

const IO: Case[] = section(
  "config.md#linux-process",
  "MUST",
  "ioPriority: I/O class and priority of the container's processes",
  [
    ...(
      [
        ["IOPRIO_CLASS_BE", 5, "best-effort: prio 5\n"],
        ["IOPRIO_CLASS_IDLE", 0, "idle\n"],
      ] as const
    ).map(
      ([name, priority, expected]): Section => ({
        name: `${name} with priority ${priority}`,
        differs: { ...OLD, crun: "1.8 is older than this property (runtime-spec 1.1)" },
        async check(lab) {
          const seen = await lab.inside(["ionice"], { "process.ioPriority": { class: name, priority } });
          equal(seen.replace(/^idle: prio \d\n$/, "idle\n"), expected, "ionice");
        },
      }),
    ),
    {
      name: "an unknown class is an error",
      at: "config.md#valid-values",
      differs: { ...OLD, crun: "1.8 is older than this property (runtime-spec 1.1)" },
      check: (lab) =>
        lab.refused({ "process.ioPriority": { class: "IOPRIO_CLASS_X", priority: 1 } }, { by: "start" }),
    },
  ],
);

const AFFINITY: Case[] = section(
  "config.md#linux-process",
  "MUST",
  "execCPUAffinity isn't applied to the container's init process",
  [
    {
      name: "execCPUAffinity leaves the program's CPUs alone",
      async check(lab) {
        const own = field(processFile(process.pid, "status"), "Cpus_allowed_list");
        const seen = await lab.inside(["cat", "/proc/self/status"], {
          "process.execCPUAffinity": { initial: "0", final: "0" },
        });
        equal(field(seen, "Cpus_allowed_list"), own, "CPUs");
      },
    },
  ],
);

const LABELS: Case[] = section(
  "runtime.md#create",
  "MUST",
  "a property that can't be applied as configured is an error",
  [
    {
      name: "apparmorProfile where the kernel has no AppArmor",
      needs: [needs.lacks(needs.apparmor)],
      check: (lab) => lab.refused({ "process.apparmorProfile": "some-profile" }, { by: "start" }),
    },
    {
      name: "an AppArmor profile that isn't loaded",
      needs: [needs.apparmor],
      check: (lab) => lab.refused({ "process.apparmorProfile": "no-such-profile" }, { by: "start" }),
    },
    {
      name: "selinuxLabel where the kernel has no SELinux",
      needs: [needs.lacks(needs.selinux)],
      check: (lab) => lab.refused({ "process.selinuxLabel": "system_u:system_r:some_t:s0" }, { by: "start" }),
    },
  ],
);

holds(Object.keys(LIMITS).length === 16, "a limit is missing");

export const SCHEDULING_CASES: Case[] = [...OOM, ...SCHEDULER, ...IO, ...AFFINITY, ...LABELS];
