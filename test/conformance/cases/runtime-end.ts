/** runtime.md: the operations kill and delete; what errors leave. */

import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { type Bundle, done, type Lab, processFile } from "../lab.ts";
import { emptyId, noId, unknownId } from "./runtime.ts";

/** What a delete must have taken away. */
const cgroupsOf = (id: string): string[] => {
  const found = Bun.spawnSync(["find", "/sys/fs/cgroup", "-maxdepth", "4", "-name", `*${id}*`]);
  return found.stdout.toString().trim().split("\n").filter(Boolean);
};

const signalled = (signal: string, script: string, expected: string): Section => ({
  name: `kill sends ${signal}`,
  async check(lab) {
    const b = await lab.started(script);
    for (let i = 0; !b.output().includes("ready") && i < 400; i++) await Bun.sleep(5);
    done(await lab.kill(b, signal), "kill");
    await lab.reaches(b, "stopped");
    equal(b.output(), expected, "output");
  },
});

const trap = (name: string) => `trap 'echo ${name}; exit' ${name}; echo ready; while :; do sleep 0.02; done`;

const KILL: Case[] = section(
  "runtime.md#kill",
  "MUST",
  "kill sends the signal to the process of a created or running container",
  [
    noId("kill"),
    emptyId("kill"),
    unknownId("kill", "KILL"),
    ...["TERM", "USR1", "USR2", "HUP", "INT", "WINCH"].map((name) =>
      signalled(name, trap(name), `ready\n${name}\n`),
    ),
    signalled("SIGUSR1", trap("USR1"), "ready\nUSR1\n"),
    signalled("10", trap("USR1"), "ready\nUSR1\n"),
    signalled("KILL", "echo ready; sleep 60", "ready\n"),
    {
      name: "kill without a signal sends TERM",
      level: "SHOULD",
      async check(lab) {
        const b = await lab.started(trap("TERM"));
        for (let i = 0; !b.output().includes("ready") && i < 400; i++) await Bun.sleep(5);
        done(await lab.command(["kill", b.id]), "kill");
        await lab.reaches(b, "stopped");
        equal(b.output(), "ready\nTERM\n", "output");
      },
    },
    {
      name: "kill of a created container ends it",
      says: "kill may be called on a created container",
      async check(lab) {
        const b = await lab.created("touch /ran");
        done(await lab.kill(b, "KILL"), "kill");
        await lab.reaches(b, "stopped");
        holds(!existsSync(join(b.rootfs, "ran")), "the program ran");
        done(await lab.remove(b), "delete");
      },
    },
    {
      name: "kill of a stopped container is an error and has no effect",
      async check(lab) {
        const b = await lab.lived(["true"]);
        const before = await lab.state(b);
        holds((await lab.kill(b, "KILL")).status !== 0, "kill succeeded");
        equal(await lab.state(b), before, "state");
      },
    },
    {
      name: "kill of a container whose process was killed from outside is an error",
      async check(lab) {
        const b = await lab.started();
        process.kill(b.pid, "SIGKILL");
        await lab.reaches(b, "stopped");
        holds((await lab.kill(b, "TERM")).status !== 0, "kill succeeded");
      },
    },
    {
      name: "a signal that isn't there is an error and has no effect",
      async check(lab) {
        const b = await lab.started();
        holds((await lab.kill(b, "NOSUCH")).status !== 0, "kill succeeded");
        equal((await lab.state(b)).status, "running", "status");
      },
    },
    {
      name: "the status is stopped however the process ended",
      says: "when the process stops for any reason, the status is stopped",
      async check(lab) {
        equal((await lab.lived("exit 3")).last.status, "stopped", "status after an exit");
        const b = await lab.started();
        process.kill(b.pid, "SIGKILL");
        equal((await lab.reaches(b, "stopped")).status, "stopped", "status after a signal");
      },
    },
  ],
);

const DELETE: Case[] = section(
  "runtime.md#delete",
  "MUST",
  "delete removes a stopped container and what create has made",
  [
    noId("delete"),
    emptyId("delete"),
    unknownId("delete"),
    {
      name: "delete of a running container is an error and has no effect",
      async check(lab) {
        const b = await lab.started();
        const before = await lab.state(b);
        holds((await lab.remove(b)).status !== 0, "delete succeeded");
        equal(await lab.state(b), before, "state");
        holds(existsSync(`/proc/${b.pid}/root`), "the process is gone");
      },
    },
    {
      name: "delete of a created container is an error and has no effect",
      says: "delete of a container that is not stopped is an error",
      differs: {
        kontena:
          "deletes it, as runc and crun do: containerd and Podman clean up so after a create that they gave up",
        runc: "deletes it",
        crun: "deletes it",
      },
      async check(lab) {
        const b = await lab.created();
        holds((await lab.remove(b)).status !== 0, "delete succeeded");
        equal((await lab.state(b)).status, "created", "status");
      },
    },
    {
      name: "after delete the container doesn't exist",
      async check(lab) {
        const b = await lab.lived(["true"]);
        done(await lab.remove(b), "delete");
        holds(!(await lab.isThere(b)), "state still knows it");
        holds((await lab.remove(b)).status !== 0, "delete succeeded a second time");
        holds((await lab.start(b)).status !== 0, "start succeeded");
        holds((await lab.kill(b, "KILL")).status !== 0, "kill succeeded");
      },
    },
    {
      name: "after delete the id is free again",
      says: "once a container is deleted its id may be used again",
      async check(lab) {
        const b = await lab.lived("echo life");
        done(await lab.remove(b), "delete");
        done(await lab.create(b), "create");
        done(await lab.start(b), "start");
        await lab.reaches(b, "stopped");
        done(await lab.remove(b), "delete");
      },
    },
    {
      name: "delete removes the container's cgroups",
      says: "the resources that create has made are deleted",
      async check(lab) {
        const b = lab.bundle(["sleep", "60"]);
        (b.config["linux"] as Record<string, unknown>)["cgroupsPath"] = `/${b.id}`;
        writeFileSync(join(b.directory, "config.json"), JSON.stringify(b.config));
        done(await lab.create(b), "create");
        holds(cgroupsOf(b.id).length > 0, "create made no cgroup");
        done(await lab.start(b), "start");
        done(await lab.kill(b, "KILL"), "kill");
        await lab.reaches(b, "stopped");
        done(await lab.remove(b), "delete");
        equal(cgroupsOf(b.id), [], "cgroups");
      },
    },
    {
      name: "delete leaves no process, mount or file of the runtime",
      async check(lab) {
        const b = await lab.started("sleep 60 & sleep 60");
        done(await lab.kill(b, "KILL"), "kill");
        await lab.reaches(b, "stopped");
        done(await lab.remove(b), "delete");
        equal(processFile(process.pid, "mountinfo").includes(b.directory), false, "a mount is left");
        const left = existsSync(lab.root) ? readdirSync(lab.root, { recursive: true }).map(String) : [];
        equal(
          left.filter((name) => name.includes(b.id)),
          [],
          "files in --root",
        );
        equal(readdirSync(b.directory).sort(), ["config.json", "rootfs"], "the bundle");
      },
    },
    {
      name: "delete leaves what it hasn't made: a cgroup from outside",
      says: "resources that were not created by this container are not deleted",
      async check(lab) {
        const b = lab.bundle(["sleep", "60"]);
        const top = existsSync("/sys/fs/cgroup/pids") ? "/sys/fs/cgroup/pids" : "/sys/fs/cgroup";
        const cgroup = join(top, `${b.id}-outside`);
        mkdirSync(cgroup);
        try {
          done(await lab.create(b), "create");
          const { pid } = await lab.state(b);
          writeFileSync(join(cgroup, "cgroup.procs"), `${pid}`);
          done(await lab.start(b), "start");
          done(await lab.kill(b, "KILL"), "kill");
          await lab.reaches(b, "stopped");
          done(await lab.remove(b), "delete");
          holds(existsSync(cgroup), "the cgroup is gone");
        } finally {
          if (existsSync(cgroup)) rmdirSync(cgroup);
        }
      },
    },
    {
      name: "delete leaves the bundle and bind sources as they are",
      async check(lab) {
        const source = join(lab.directory, "volume");
        mkdirSync(source);
        writeFileSync(join(source, "file"), "kept");
        const b = await lab.lived("touch /made /data/made", {
          changes: { "mounts.+": { destination: "/data", source, options: ["bind"] } },
        });
        done(await lab.remove(b), "delete");
        for (const path of [
          join(source, "file"),
          join(source, "made"),
          join(b.rootfs, "made"),
          join(b.directory, "config.json"),
        ])
          holds(existsSync(path), `${path} is gone`);
      },
    },
    {
      name: "delete --force ends a running container and removes it",
      level: "SHOULD",
      says: "not the spec's, but what engines rely on",
      async check(lab) {
        const b = await lab.started();
        done(await lab.remove(b, ["--force"]), "delete --force");
        holds(!(await lab.isThere(b)), "state still knows it");
        for (let i = 0; existsSync(`/proc/${b.pid}/root`) && i < 50; i++) await Bun.sleep(10);
        holds(!existsSync(`/proc/${b.pid}/root`), "the process runs");
      },
    },
  ],
);

/** What a create that failed must not have left. */
async function traces(lab: Lab, b: Bundle): Promise<string[]> {
  const left = existsSync(lab.root) ? readdirSync(lab.root, { recursive: true }).map(String) : [];
  return [
    ...left.filter((name) => name.includes(b.id)),
    ...cgroupsOf(b.id),
    ...processFile(process.pid, "mountinfo")
      .split("\n")
      .filter((line) => line.includes(b.directory)),
  ];
}

const ERRORS: Case[] = section(
  "runtime.md#errors",
  "MUST",
  "an error leaves everything as if the operation had never been attempted",
  [
    ...(
      [
        ["a mount that fails", { "mounts.+": { destination: "/data", type: "nosuchfs", source: "x" } }],
        ["a namespace that isn't there", { "linux.namespaces.+": { type: "cgroup", path: "/no/such/ns" } }],
        ["a hook that fails", { hooks: { createRuntime: [{ path: "/bin/false" }] } }],
        ["a wrong value", { "process.user.uid": -5 }],
      ] as [string, Record<string, unknown>][]
    ).map(
      ([why, changes]): Section => ({
        name: `a create that failed by ${why} leaves nothing`,
        async check(lab) {
          const b = lab.bundle(["true"], { changes });
          holds((await lab.create(b)).status !== 0, "create succeeded");
          equal(await traces(lab, b), [], "traces");
        },
      }),
    ),
    {
      name: "after a create that failed the id can be used",
      async check(lab) {
        const b = lab.bundle(["true"], { changes: { "root.path": "nowhere" } });
        holds((await lab.create(b)).status !== 0, "create succeeded");
        (b.config["root"] as Record<string, unknown>)["path"] = "rootfs";
        writeFileSync(join(b.directory, "config.json"), JSON.stringify(b.config));
        done(await lab.create(b), "create");
      },
    },
  ],
);

export const END_CASES: Case[] = [...KILL, ...DELETE, ...ERRORS];
