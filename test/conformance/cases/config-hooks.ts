/** config.md, POSIX-platform hooks; runtime.md, lifecycle: what follows a hook's failure. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, includes, type Section, section } from "../case.ts";
import { type Bundle, done, type Lab, type State } from "../lab.ts";

type Kind = "prestart" | "createRuntime" | "createContainer" | "startContainer" | "poststart" | "poststop";

const KINDS: readonly Kind[] = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
];
/** Hooks whose path is one of the runtime's namespace, and those executed there. */
const OUTSIDE: readonly Kind[] = KINDS.filter((kind) => kind !== "startContainer");
const RUNTIME: readonly Kind[] = OUTSIDE.filter((kind) => kind !== "createContainer");

interface Hook {
  path: string;
  args: string[];
  env?: string[];
  timeout?: number;
}

/** A hook that is a script of the host's busybox, or of the container's when it runs there. */
const hook = (kind: Kind, script: string, more: Partial<Hook> = {}): Hook => ({
  path: kind === "startContainer" ? "/bin/sh" : "/bin/busybox",
  args: ["sh", "-c", script],
  env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
  ...more,
});

/** Where hooks of the runtime's namespace and of the container's can both write: a directory bound inside. */
function notes(lab: Lab) {
  const directory = join(lab.directory, "notes");
  Bun.spawnSync(["mkdir", "-p", directory]);
  const entry = { destination: "/notes", source: directory, options: ["bind"] };
  // createContainer hooks run before pivot_root: the host's paths are still there.
  const place = (kind: Kind) => (kind === "startContainer" ? "/notes" : directory);
  const read = (name: string) => {
    const path = join(directory, name);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  return { directory, entry, place, read };
}

/** Lives a whole life with hooks; `first` is a file that the program writes. */
async function life(lab: Lab, hooks: Partial<Record<Kind, Hook[]>>, program = "true", changes = {}) {
  const n = notes(lab);
  const b = lab.bundle(program, { changes: { hooks, "mounts.+": n.entry, ...changes } });
  done(await lab.create(b), "create");
  done(await lab.start(b), "start");
  await lab.reaches(b, "stopped");
  done(await lab.remove(b), "delete");
  return { ...n, bundle: b };
}

const each = (kinds: readonly Kind[], make: (kind: Kind) => Section): Section[] => kinds.map(make);

const PROPERTIES: Case[] = section(
  "config.md#posix-platform-hooks",
  "MUST",
  "a hook's path, args, env and timeout",
  [
    ...each(KINDS, (kind) => ({
      name: `a ${kind} hook gets its args and env`,
      says: "args and env have the semantics of execv's argv and of environ",
      async check(lab) {
        const { place } = notes(lab);
        const script = `{ echo "$0|$1|$WORD"; env; } > ${place(kind)}/seen`;
        const made = hook(kind, script, { env: ["WORD=of env", "PATH=/bin:/usr/bin"] });
        made.args.push("zero", "a  b");
        const { read } = await life(lab, { [kind]: [made] });
        const [first, ...env] = read("seen").trimEnd().split("\n");
        equal(first, "zero|a  b|of env", "args and env");
        const names = env.map((line) => line.split("=")[0] as string);
        // What a shell sets for itself.
        const more = names.filter((name) => !["WORD", "PATH", "PWD", "SHLVL", "OLDPWD", "_"].includes(name));
        equal(more, [], "names beyond those of the config");
      },
    })),
    ...each(["prestart", "createRuntime"], (kind) => ({
      name: `a relative path of a ${kind} hook is an error`,
      says: "a hook's path is absolute",
      check: (lab) => lab.refused({ hooks: { [kind]: [{ path: "busybox", args: ["true"] }] } }),
    })),
    {
      name: "a hook whose program isn't there is an error",
      check: (lab) => lab.refused({ hooks: { createRuntime: [{ path: "/no/such/hook" }] } }),
    },
    {
      name: "a hook without path is an error",
      check: (lab) => lab.refused({ hooks: { createRuntime: [{ args: ["true"] }] } }),
    },
    {
      name: "a timeout of zero is an error",
      says: "if set, timeout is greater than zero",
      differs: { crun: "1.8 takes 0 for none at all" },
      check: (lab) =>
        lab.refused({ hooks: { createRuntime: [hook("createRuntime", "true", { timeout: 0 })] } }),
    },
    {
      name: "a hook that outlasts its timeout is ended, and is an error",
      says: "timeout is the number of seconds before aborting the hook",
      async check(lab) {
        const begin = Date.now();
        await lab.refused({
          hooks: { createRuntime: [hook("createRuntime", "exec sleep 7", { timeout: 1 })] },
        });
        holds(Date.now() - begin < 6_500, "create waited for the hook's end");
      },
    },
    {
      name: "an empty list of hooks is none",
      async check(lab) {
        await lab.inside(["true"], { hooks: Object.fromEntries(KINDS.map((kind) => [kind, []])) });
        await lab.inside(["true"], { hooks: {} });
      },
    },
  ],
);

const ORDER: Case[] = section(
  "config.md#posix-platform-hooks",
  "MUST",
  "hooks are called in the listed order",
  [
    ...each(KINDS, (kind) => ({
      name: `${kind} hooks run in the listed order`,
      async check(lab) {
        const { place } = notes(lab);
        const three = ["one", "two", "three"].map((word) =>
          hook(kind, `echo ${word} >> ${place(kind)}/order`),
        );
        equal((await life(lab, { [kind]: three })).read("order"), "one\ntwo\nthree\n", "order");
      },
    })),
    {
      name: "the kinds run in the order of the lifecycle, around the program",
      at: "runtime.md#lifecycle",
      says: "prestart, createRuntime, createContainer; startContainer, the program, poststart; poststop",
      async check(lab) {
        const { place, directory } = notes(lab);
        const hooks = Object.fromEntries(
          KINDS.map((kind) => [kind, [hook(kind, `echo ${kind} >> ${place(kind)}/order`)]]),
        );
        const b = lab.bundle("echo program >> /notes/order; sleep 60", {
          changes: { hooks, "mounts.+": notes(lab).entry },
        });
        const order = () =>
          (existsSync(join(directory, "order")) ? readFileSync(join(directory, "order"), "utf8") : "")
            .trim()
            .split("\n");
        done(await lab.create(b), "create");
        equal(order(), ["prestart", "createRuntime", "createContainer"], "after create");
        done(await lab.start(b), "start");
        for (let i = 0; order().length < 6 && i < 100; i++) await Bun.sleep(20);
        const after = order();
        equal(
          after.slice(0, 4),
          ["prestart", "createRuntime", "createContainer", "startContainer"],
          "after start",
        );
        equal(after.slice(4).sort(), ["poststart", "program"], "program and poststart");
        done(await lab.kill(b, "KILL"), "kill");
        await lab.reaches(b, "stopped");
        done(await lab.remove(b), "delete");
        equal(order()[6], "poststop", "after delete");
      },
    },
  ],
);

/** The state that a hook has read. */
async function stateOf(lab: Lab, kind: Kind): Promise<{ seen: State; bundle: Bundle; pid: number }> {
  const n = notes(lab);
  const annotations = { "com.example.hook": "seen" };
  const hooks = { [kind]: [hook(kind, `cat > ${n.place(kind)}/state`)] };
  const b = lab.bundle(["sleep", "60"], { changes: { hooks, annotations, "mounts.+": n.entry } });
  done(await lab.create(b), "create");
  const { pid } = await lab.state(b);
  done(await lab.start(b), "start");
  done(await lab.kill(b, "KILL"), "kill");
  await lab.reaches(b, "stopped");
  done(await lab.remove(b), "delete");
  return { seen: JSON.parse(n.read("state")) as State, bundle: b, pid: pid as number };
}

const STATUS: Record<Kind, string[]> = {
  // runtime.md has "creating" from create on until it returns; runc has always said "created" to prestart hooks.
  prestart: ["creating", "created"],
  createRuntime: ["creating", "created"],
  createContainer: ["creating", "created"],
  startContainer: ["created"],
  poststart: ["running"],
  poststop: ["stopped"],
};

const STDIN: Case[] = section(
  "config.md#posix-platform-hooks",
  "MUST",
  "the container's state is passed to hooks over stdin",
  [
    ...each(KINDS, (kind) => ({
      name: `a ${kind} hook reads the state`,
      async check(lab) {
        const { seen, bundle, pid } = await stateOf(lab, kind);
        equal(seen.id, bundle.id, "id");
        equal(seen.bundle, bundle.directory, "bundle");
        equal(seen.annotations?.["com.example.hook"], "seen", "annotation");
        holds(typeof seen.ociVersion === "string", "ociVersion is missing");
        if (kind === "startContainer" || kind === "createContainer")
          holds((seen.pid ?? 0) > 0, `pid is ${seen.pid}`);
        else if (kind !== "poststop") equal(seen.pid, pid, "pid");
        holds(
          STATUS[kind].includes(seen.status),
          `status is ${seen.status}, not ${STATUS[kind].join(" or ")}`,
        );
      },
    })),
  ],
);

const WHERE: Case[] = [
  ...section(
    "config.md#posix-platform-hooks",
    "MUST",
    "hooks of the runtime's namespace are executed there",
    [
      ...each(RUNTIME, (kind) => ({
        name: `a ${kind} hook runs in the runtime's namespaces`,
        async check(lab) {
          const n = notes(lab);
          const script = `for n in mnt net ipc uts pid; do readlink /proc/self/ns/$n; done > ${n.directory}/ns`;
          const { read } = await life(lab, { [kind]: [hook(kind, script)] });
          const own = Bun.spawnSync(["sh", "-c", script.split(" >")[0] as string]).stdout.toString();
          equal(read("ns"), own, "namespaces");
        },
      })),
    ],
  ),
  ...section(
    "config.md#posix-platform-hooks",
    "MUST",
    "hooks of the container's namespace are executed there",
    [
      ...each(["createContainer", "startContainer"], (kind) => ({
        name: `a ${kind} hook runs in the container's namespaces`,
        async check(lab) {
          const n = notes(lab);
          const names = ["mnt", "net", "ipc", "uts"];
          const script = `for n in ${names.join(" ")}; do readlink /proc/self/ns/$n; done > ${n.place(kind)}/ns`;
          const { read } = await life(
            lab,
            { [kind]: [hook(kind, script)] },
            `${script.split(" >")[0]} > /notes/program`,
          );
          equal(read("ns"), read("program"), "namespaces");
        },
      })),
      {
        name: "a startContainer hook's path is one of the container",
        says: "the path of a startContainer hook resolves in the container's namespace",
        async check(lab) {
          const n = notes(lab);
          const b = lab.bundle("true", {
            changes: { hooks: { startContainer: [{ path: "/only-inside" }] }, "mounts.+": n.entry },
            fill: ({ rootfs }) =>
              writeFileSync(join(rootfs, "only-inside"), "#!/bin/sh\necho ran > /notes/ran\n", {
                mode: 0o755,
              }),
          });
          done(await lab.create(b), "create");
          done(await lab.start(b), "start");
          equal(n.read("ran"), "ran\n", "the hook's note");
        },
      },
      {
        name: "a createContainer hook's path is one of the runtime's namespace",
        async check(lab) {
          const n = notes(lab);
          writeFileSync(join(n.directory, "hook"), `#!/bin/sh\necho ran > ${n.directory}/ran\n`, {
            mode: 0o755,
          });
          await life(lab, { createContainer: [{ path: join(n.directory, "hook"), args: ["hook"] }] });
          equal(n.read("ran"), "ran\n", "the hook's note");
        },
      },
    ],
  ),
];

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

export const HOOK_CASES: Case[] = [...PROPERTIES, ...ORDER, ...STDIN, ...WHERE, ...WHEN, ...FAILURE];
