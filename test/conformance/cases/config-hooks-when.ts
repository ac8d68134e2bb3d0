/** config.md, POSIX-platform hooks: when they run; runtime.md, lifecycle: what follows a hook's failure. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, includes, section } from "../case.ts";
import { done } from "../lab.ts";
import { each, hook, life, notes } from "./hook.ts";

const WHEN: Case[] = [
  ...section(
    "config.md#createruntime-hooks",
    "MUST",
    "called during create, when mounts are done, before pivot_root",
    [
      ...each(["prestart", "createRuntime", "createContainer"], (kind) => ({
        name: `${kind} hooks run before the program and within create`,
        async check(lab) {
          const n = notes(lab);
          const b = lab.bundle("echo program >> /notes/order", {
            changes: {
              hooks: { [kind]: [hook(kind, `sleep 0.2; echo hook >> ${n.directory}/order`)] },
              "mounts.+": n.entry,
            },
          });
          done(await lab.create(b), "create");
          equal(n.read("order"), "hook\n", "after create");
        },
      })),
      {
        name: "a createRuntime hook finds the container's mounts made",
        async check(lab) {
          const n = notes(lab);
          const script = `pid=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/' | head -n 1); cat /proc/$pid/mountinfo > ${n.directory}/mounts`;
          const { read } = await life(lab, { createRuntime: [hook("createRuntime", script)] });
          includes(read("mounts"), "/rootfs/dev/shm ", "mounts");
        },
      },
      {
        name: "a createRuntime hook can enter the container's network namespace",
        async check(lab) {
          const n = notes(lab);
          const script = `pid=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/' | head -n 1); readlink /proc/$pid/ns/net > ${n.directory}/net`;
          const { read } = await life(
            lab,
            { createRuntime: [hook("createRuntime", script)] },
            "readlink /proc/self/ns/net > /notes/program",
          );
          equal(read("net"), read("program"), "network namespace");
        },
      },
      {
        name: "a createContainer hook sees the mounts, and the host's root still",
        at: "config.md#createcontainer-hooks",
        async check(lab) {
          const n = notes(lab);
          const { read, bundle } = await life(lab, {
            createContainer: [hook("createContainer", `cat /proc/self/mountinfo > ${n.directory}/mounts`)],
          });
          includes(read("mounts"), ` ${bundle.rootfs}/dev/shm `, "mounts");
        },
      },
      {
        name: "what a createContainer hook mounts is in the container",
        at: "config.md#createcontainer-hooks",
        async check(lab) {
          const n = notes(lab);
          const b = lab.bundle("ls /added", {
            changes: { "mounts.+": n.entry },
            fill({ rootfs, config }) {
              Bun.spawnSync(["mkdir", join(rootfs, "added")]);
              const script = `mount -t tmpfs tmpfs ${rootfs}/added && echo > ${rootfs}/added/by-hook`;
              config["hooks"] = { createContainer: [hook("createContainer", script)] };
            },
          });
          equal(done(await lab.run(b), "run").stdout, "by-hook\n", "content of the new mount");
        },
      },
    ],
  ),
  ...section(
    "config.md#startcontainer-hooks",
    "MUST",
    "called as part of start, before the program is executed",
    [
      {
        name: "startContainer hooks run in start, not in create, and before the program",
        async check(lab) {
          const n = notes(lab);
          const b = lab.bundle("echo program >> /notes/order; sleep 60", {
            changes: {
              hooks: { startContainer: [hook("startContainer", "sleep 0.2; echo hook >> /notes/order")] },
              "mounts.+": n.entry,
            },
          });
          done(await lab.create(b), "create");
          equal(n.read("order"), "", "after create");
          done(await lab.start(b), "start");
          for (let i = 0; !n.read("order").includes("program") && i < 100; i++) await Bun.sleep(20);
          equal(n.read("order"), "hook\nprogram\n", "after start");
        },
      },
    ],
  ),
  ...section("config.md#poststart", "MUST", "called after the program is executed, before start returns", [
    {
      name: "poststart hooks end before start returns",
      async check(lab) {
        const n = notes(lab);
        const b = lab.bundle(["sleep", "60"], {
          changes: {
            hooks: { poststart: [hook("poststart", `sleep 0.3; echo hook >> ${n.directory}/order`)] },
            "mounts.+": n.entry,
          },
        });
        done(await lab.create(b), "create");
        equal(n.read("order"), "", "after create");
        done(await lab.start(b), "start");
        equal(n.read("order"), "hook\n", "after start");
      },
    },
  ]),
  ...section("config.md#poststop", "MUST", "called after the container is deleted, before delete returns", [
    {
      name: "poststop hooks end before delete returns, and find the container gone",
      async check(lab) {
        const n = notes(lab);
        const b = lab.bundle(["true"]);
        const look = `${lab.runtime.path} --root ${lab.root} state ${b.id} > /dev/null 2>&1 && echo there || echo gone`;
        const config = {
          ...b.config,
          hooks: { poststop: [hook("poststop", `sleep 0.2; { ${look}; } >> ${n.directory}/order`)] },
        };
        writeFileSync(join(b.directory, "config.json"), JSON.stringify(config));
        done(await lab.create(b), "create");
        done(await lab.start(b), "start");
        await lab.reaches(b, "stopped");
        equal(n.read("order"), "", "before delete");
        done(await lab.remove(b), "delete");
        equal(n.read("order"), "gone\n", "after delete");
      },
      differs: { crun: "1.8 runs them while the state is still there" },
    },
    {
      name: "poststop hooks run in a forced delete too",
      async check(lab) {
        const n = notes(lab);
        const b = await lab.started(["sleep", "60"], {
          changes: { hooks: { poststop: [hook("poststop", `echo hook >> ${n.directory}/order`)] } },
        });
        done(await lab.remove(b, ["--force"]), "delete --force");
        equal(n.read("order"), "hook\n", "after delete");
      },
    },
  ]),
];

const FAILURE: Case[] = [
  ...section(
    "runtime.md#lifecycle",
    "MUST",
    "if such a hook fails: an error, the container is stopped and destroyed, poststop hooks run",
    [
      ...each(["prestart", "createRuntime", "createContainer"], (kind) => ({
        name: `a ${kind} hook that fails makes create fail, and nothing is left`,
        async check(lab) {
          const n = notes(lab);
          const hooks = {
            [kind]: [hook(kind, "exit 3"), hook(kind, `echo second >> ${n.directory}/order`)],
            poststop: [hook("poststop", `echo poststop >> ${n.directory}/order`)],
          };
          const b = lab.bundle("touch /ran", { changes: { hooks } });
          const made = await lab.create(b);
          holds(made.status !== 0, "create succeeded");
          holds(!(await lab.isThere(b)), "the container is there");
          holds(!existsSync(join(b.rootfs, "ran")), "the program ran");
          holds(!n.read("order").includes("second"), "the hook after the one that failed ran");
        },
      })),
      {
        name: "poststop hooks run after a createRuntime hook has failed",
        says: "the lifecycle continues at step 12: destroy, then the poststop hooks",
        differs: { crun: "1.8 doesn't run them" },
        async check(lab) {
          const n = notes(lab);
          const hooks = {
            createRuntime: [hook("createRuntime", "exit 3")],
            poststop: [hook("poststop", `echo poststop >> ${n.directory}/order`)],
          };
          const { stderr } = await lab.refused({ hooks });
          equal(n.read("order"), "poststop\n", `hooks, after ${stderr}`);
        },
      },
      {
        name: "a startContainer hook that fails makes start fail, and the program doesn't run",
        async check(lab) {
          const hooks = { startContainer: [hook("startContainer", "exit 3")] };
          const b = lab.bundle("touch /ran", { changes: { hooks } });
          done(await lab.create(b), "create");
          holds((await lab.start(b)).status !== 0, "start succeeded");
          holds(!existsSync(join(b.rootfs, "ran")), "the program ran");
          if (await lab.isThere(b)) await lab.reaches(b, "stopped");
        },
      },
      {
        name: "a poststart hook that fails makes start fail, and the container is stopped",
        says: "if any poststart hook fails: an error, the container is stopped (since 1.3)",
        differs: { runc: "1.1 stops the container, but the spec of its time wanted a warning" },
        async check(lab) {
          const hooks = { poststart: [hook("poststart", "exit 3")] };
          const b = await lab.created(["sleep", "60"], { changes: { hooks } });
          holds((await lab.start(b)).status !== 0, "start succeeded");
          for (let i = 0; existsSync(`/proc/${b.pid}/root`) && i < 100; i++) await Bun.sleep(20);
          if (await lab.isThere(b)) await lab.reaches(b, "stopped");
        },
      },
    ],
  ),
  ...section("runtime.md#lifecycle", "MUST", "if any poststop hook fails: a warning, and the rest goes on", [
    {
      name: "a poststop hook that fails doesn't keep delete from succeeding, and the next one runs",
      async check(lab) {
        const n = notes(lab);
        const hooks = {
          poststop: [hook("poststop", "exit 3"), hook("poststop", `echo second >> ${n.directory}/order`)],
        };
        const b = await lab.started(["true"], { changes: { hooks } });
        await lab.reaches(b, "stopped");
        done(await lab.remove(b), "delete");
        equal(n.read("order"), "second\n", "hooks");
        holds(!(await lab.isThere(b)), "the container is there");
      },
    },
    {
      name: "a poststop hook that fails is told as a warning",
      at: "runtime.md#warnings",
      async check(lab) {
        const log = join(lab.directory, "log");
        const hooks = { poststop: [hook("poststop", "echo no such luck >&2; exit 3")] };
        const b = await lab.started(["true"], { changes: { hooks } });
        await lab.reaches(b, "stopped");
        const removed = await lab.command(["delete", b.id], { globals: ["--log", log] });
        const told = removed.stderr + (existsSync(log) ? readFileSync(log, "utf8") : "");
        holds(/hook/i.test(told), `no warning in "${told}"`);
      },
    },
  ]),
];

export const HOOK_TIME_CASES: Case[] = [...WHEN, ...FAILURE];
