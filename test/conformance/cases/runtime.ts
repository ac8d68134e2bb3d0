/** runtime.md: state, lifecycle, operations, errors. */
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { type Bundle, done, type Lab, processFile } from "../lab.ts";
import { schemaProblems } from "../schema.ts";

const STATE: Case[] = section(
  "runtime.md#state",
  "MUST",
  "the state has ociVersion, id, status, pid, bundle, annotations",
  [
    ...(["created", "running", "stopped"] as const).map(
      (status): Section => ({
        name: `the state of a ${status} container keeps to the schema`,
        async check(lab) {
          const b = await lab.created(status === "running" ? ["sleep", "60"] : ["true"]);
          if (status !== "created") done(await lab.start(b), "start");
          const state = await lab.reaches(b, status);
          equal(schemaProblems("state-schema.json", state), [], "problems");
          equal(state.id, b.id, "id");
          holds(/^\d+\.\d+\.\d+/.test(state.ociVersion), `ociVersion is ${state.ociVersion}`);
        },
      }),
    ),
    {
      name: "bundle is the absolute path of the bundle, however it was named",
      async check(lab) {
        const b = lab.bundle(["sleep", "60"]);
        done(await lab.command(["create", "--bundle", b.id, b.id], { cwd: lab.directory }), "create");
        equal((await lab.state(b)).bundle, b.directory, "bundle");
      },
    },
    {
      name: "bundle without an option is the working directory",
      level: "SHOULD",
      async check(lab) {
        const b = lab.bundle(["sleep", "60"]);
        done(await lab.command(["create", b.id], { cwd: b.directory }), "create");
        equal((await lab.state(b)).bundle, b.directory, "bundle");
      },
    },
    {
      name: "pid is that of the container's process as the host sees it",
      async check(lab) {
        const b = await lab.started(["sleep", "4242"]);
        equal((await lab.state(b)).pid, b.pid, "pid after start");
        for (let i = 0; i < 100 && !processFile(b.pid, "cmdline").includes("4242"); i++) await Bun.sleep(10);
        equal(processFile(b.pid, "cmdline"), "sleep\x004242\0", "command line");
      },
    },
    {
      name: "annotations of the config are in the state, and none when there are none",
      async check(lab) {
        const b = await lab.created();
        equal(Object.keys((await lab.state(b)).annotations ?? {}), [], "annotations");
      },
    },
    {
      name: "--pid-file has the pid of the state",
      level: "SHOULD",
      says: "not the spec's, but what engines rely on",
      async check(lab) {
        const b = lab.bundle(["sleep", "60"]);
        const file = join(lab.directory, "pid");
        done(await lab.create(b, ["--pid-file", file]), "create");
        equal(await Bun.file(file).text(), `${(await lab.state(b)).pid}`, "content");
      },
    },
  ],
);

const LIFECYCLE: Case[] = section("runtime.md#lifecycle", "MUST", "create, start, stop, delete", [
  {
    name: "the program doesn't run before start",
    says: "process.args is not applied until start",
    async check(lab) {
      const b = await lab.created("touch /ran");
      await Bun.sleep(50);
      holds(!existsSync(join(b.rootfs, "ran")), "the program ran");
      equal((await lab.state(b)).status, "created", "status");
      done(await lab.start(b), "start");
      await lab.reaches(b, "stopped");
      holds(existsSync(join(b.rootfs, "ran")), "the program didn't run after start");
    },
  },
  {
    name: "a change of config.json after create doesn't affect the container",
    says: "updates to config.json after create do not affect the container",
    async check(lab) {
      const b = await lab.created(["echo", "before"]);
      const config = {
        ...b.config,
        hostname: "after",
        process: { ...(b.config["process"] as object), args: ["echo", "after"] },
      };
      writeFileSync(join(b.directory, "config.json"), JSON.stringify(config));
      done(await lab.start(b), "start");
      await lab.reaches(b, "stopped");
      equal(b.output(), "before\n", "output");
    },
  },
  {
    name: "a bundle without its config.json after create doesn't affect the container",
    async check(lab) {
      const b = await lab.created(["echo", "before"]);
      rmSync(join(b.directory, "config.json"));
      done(await lab.start(b), "start");
      await lab.reaches(b, "stopped");
      done(await lab.remove(b), "delete");
      equal(b.output(), "before\n", "output");
    },
  },
  {
    name: "a broken config.json after create doesn't affect start and delete",
    async check(lab) {
      const b = await lab.created(["true"]);
      writeFileSync(join(b.directory, "config.json"), "{");
      done(await lab.start(b), "start");
      await lab.reaches(b, "stopped");
      done(await lab.remove(b), "delete");
    },
  },
  {
    name: "all properties but process are applied by create",
    at: "runtime.md#create",
    says: "create applies all properties of config.json except process",
    async check(lab) {
      const b = await lab.created(["true"], { changes: { hostname: "applied" } });
      const seen = Bun.spawnSync(["nsenter", "-t", `${b.pid}`, "-u", "hostname"]).stdout.toString();
      equal(seen, "applied\n", "hostname in the container's UTS namespace");
      const mounts = processFile(b.pid, "mountinfo");
      holds(/ \/dev\/shm /.test(mounts), "the mounts aren't there");
    },
  },
  {
    name: "standard streams are those of create",
    level: "SHOULD",
    async check(lab) {
      const b = lab.bundle("cat; echo error >&2");
      const made = done(await lab.create(b, [], { stdin: "in\n" }), "create");
      done(await lab.start(b), "start");
      await lab.reaches(b, "stopped");
      equal(made.output(), "in\n", "standard output");
      equal(made.errors(), "error\n", "standard error");
    },
  },
]);

const noId = (command: string): Section => ({
  name: `${command} without an id is an error`,
  says: `${command} is an error when the container's id isn't given`,
  check: async (lab) => holds((await lab.command([command])).status !== 0, `${command} succeeded`),
});
const emptyId = (command: string): Section => ({
  name: `${command} with an empty id is an error`,
  check: async (lab) => holds((await lab.command([command, ""])).status !== 0, `${command} succeeded`),
});
const unknownId = (command: string, ...more: string[]): Section => ({
  name: `${command} of a container that doesn't exist is an error`,
  check: async (lab) =>
    holds(
      (await lab.command([command, `conf-nobody-${process.pid}`, ...more])).status !== 0,
      `${command} succeeded`,
    ),
});

const OPERATIONS: Case[] = [
  ...section("runtime.md#query-state", "MUST", "state returns the state of a container that exists", [
    noId("state"),
    emptyId("state"),
    unknownId("state"),
  ]),
  ...section(
    "runtime.md#create",
    "MUST",
    "create makes a new container from a bundle and an id that is unique and valid",
    [
      {
        name: "create without an id is an error",
        async check(lab) {
          const b = lab.bundle();
          holds((await lab.command(["create", "--bundle", b.directory])).status !== 0, "create succeeded");
        },
      },
      {
        name: "create with an empty id is an error",
        async check(lab) {
          const b = lab.bundle();
          holds(
            (await lab.command(["create", "--bundle", b.directory, ""])).status !== 0,
            "create succeeded",
          );
        },
      },
      {
        name: "the status after create is created",
        check: async (lab) => equal((await lab.state(await lab.created())).status, "created", "status"),
      },
      {
        name: "an id in use is an error, and its container isn't touched",
        async check(lab) {
          const b = await lab.created(["echo", "first"]);
          const before = await lab.state(b);
          const second = { ...lab.bundle(["echo", "second"]), id: b.id };
          holds((await lab.create(second)).status !== 0, "create succeeded");
          equal(await lab.state(b), before, "state");
          done(await lab.start(b), "start");
          await lab.reaches(b, "stopped");
          equal(b.output(), "first\n", "output");
        },
      },
      {
        name: "the id of a running and of a stopped container is in use",
        async check(lab) {
          const b = await lab.started(["sleep", "60"]);
          holds((await lab.create(b)).status !== 0, "create succeeded while it runs");
          done(await lab.kill(b, "KILL"), "kill");
          await lab.reaches(b, "stopped");
          holds((await lab.create(b)).status !== 0, "create succeeded when it had stopped");
        },
      },
      ...["../escape", "a/b", ".", ".."].map(
        (id): Section => ({
          name: `the id "${id}" is refused`,
          level: "SHOULD",
          async check(lab) {
            const b = { ...lab.bundle(), id };
            const made = await lab.command(["create", "--bundle", b.directory, id]);
            if (made.status === 0) await lab.command(["delete", "--force", id]);
            holds(made.status !== 0, "create succeeded");
          },
        }),
      ),
      {
        name: "ids of letters, digits, _ + - and . are valid",
        level: "SHOULD",
        async check(lab) {
          const b = lab.bundle();
          b.id = `${b.id}_A.b+c-9`;
          done(await lab.create(b), "create");
          equal((await lab.state(b)).id, b.id, "id");
          done(await lab.remove(b, ["--force"]), "delete");
        },
      },
    ],
  ),
  ...section("runtime.md#start", "MUST", "start runs the program of a created container", [
    noId("start"),
    emptyId("start"),
    unknownId("start"),
    {
      name: "the status after start is running",
      async check(lab) {
        equal((await lab.state(await lab.started())).status, "running", "status");
      },
    },
    {
      name: "start of a running container is an error and has no effect",
      async check(lab) {
        const b = await lab.started("echo once; sleep 60");
        const before = await lab.state(b);
        holds((await lab.start(b)).status !== 0, "start succeeded");
        equal(await lab.state(b), before, "state");
        equal(b.output(), "once\n", "output");
      },
    },
    {
      name: "start of a stopped container is an error and has no effect",
      async check(lab) {
        const b = await lab.lived("echo once");
        holds((await lab.start(b)).status !== 0, "start succeeded");
        equal((await lab.state(b)).status, "stopped", "status");
        equal(b.output(), "once\n", "output");
      },
    },
  ]),
];

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

export const RUNTIME_CASES: Case[] = [...STATE, ...LIFECYCLE, ...OPERATIONS, ...KILL, ...DELETE, ...ERRORS];
