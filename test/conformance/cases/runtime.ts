/** runtime.md: state, lifecycle, the operations state, create and start. */

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, type Section, section } from "../case.ts";
import { done, processFile } from "../lab.ts";
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

export const noId = (command: string): Section => ({
  name: `${command} without an id is an error`,
  says: `${command} is an error when the container's id isn't given`,
  check: async (lab) => holds((await lab.command([command])).status !== 0, `${command} succeeded`),
});

export const emptyId = (command: string): Section => ({
  name: `${command} with an empty id is an error`,
  check: async (lab) => holds((await lab.command([command, ""])).status !== 0, `${command} succeeded`),
});

export const unknownId = (command: string, ...more: string[]): Section => ({
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

export const RUNTIME_CASES: Case[] = [...STATE, ...LIFECYCLE, ...OPERATIONS];
