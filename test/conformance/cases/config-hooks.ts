/** config.md, POSIX-platform hooks: their properties, order, input and namespaces. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, equal, holds, section } from "../case.ts";
import { type Bundle, done, type Lab, type State } from "../lab.ts";
import { each, hook, KINDS, type Kind, life, notes, RUNTIME } from "./hook.ts";

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

export const HOOK_CASES: Case[] = [...PROPERTIES, ...ORDER, ...STDIN, ...WHERE];
