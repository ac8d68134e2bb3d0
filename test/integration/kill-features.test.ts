/** SIGKILL at the steps of commands that do more: joins, hooks, a terminal, a filter, copies; exec; start with hooks. */
import { afterAll, expect } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, readOr, type TestBundle, type TestConfig, until } from "./helpers.ts";
import {
  command,
  createCommand,
  expectRemovable,
  filesOf,
  killEverywhere,
  mustSucceed,
  test,
} from "./kill-helpers.ts";

const box = openBox("killmore");
const LONG_MS = 120_000;

/** A process whose namespaces are joined: a pid namespace takes a birth in two stages. */
const holder = Bun.spawn(["unshare", "--pid", "--ipc", "--fork", "--kill-child", "sleep", "100000"], {
  stdio: ["ignore", "ignore", "ignore"],
});
const socket = join(box.directory, "console");
/** Nobody takes the connections: what comes through them stays in their queues, and terminals have somebody who holds them. */
const LISTENER =
  "import socket, sys, time; s = socket.socket(1); s.bind(sys.argv[1]); s.listen(1000); time.sleep(1e6)";
const hasPython = Bun.which("python3") !== null;
const consoles = hasPython ? Bun.spawn(["python3", "-c", LISTENER, socket]) : undefined;
afterAll(() => {
  holder.kill("SIGKILL");
  consoles?.kill("SIGKILL");
});

async function joinedPid(): Promise<string> {
  const children = () => readOr(`/proc/${holder.pid}/task/${holder.pid}/children`, "").trim();
  await until("the namespaces are there", () => children() !== "");
  return children();
}

/** Programs of the host or of the container, which are there in both. */
const hook = (...args: string[]) => ({ path: "/bin/busybox", args: ["busybox", ...args] });

function withMuch(config: TestConfig, joined: string): void {
  const others = (config.linux.namespaces ?? []).filter(({ type }) => type !== "pid" && type !== "ipc");
  config.linux.namespaces = [
    ...others,
    { type: "pid", path: `/proc/${joined}/ns/pid` },
    { type: "ipc", path: `/proc/${holder.pid}/ns/ipc` },
  ];
  Object.assign(config, {
    hooks: {
      createRuntime: [hook("true")],
      createContainer: [hook("true")],
      startContainer: [hook("true")],
      poststart: [hook("true")],
      poststop: [hook("true")],
    },
  });
  config.process.terminal = consoles !== undefined;
  config.mounts.push({ destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] });
  config.linux.seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["swapon"], action: "SCMP_ACT_ERRNO" }],
  };
}

let made: Promise<TestBundle> | undefined;
function muchBundle(): Promise<TestBundle> {
  made ??= joinedPid().then(async (joined) => {
    if (consoles !== undefined) await until("somebody listens", () => existsSync(socket));
    return box.bundle({
      args: ["sleep", "1000"],
      fill: (rootfs) => {
        mkdirSync(join(rootfs, "etc/more"), { recursive: true });
        writeFileSync(join(rootfs, "etc/more/file"), "text");
      },
      patch: (config) => withMuch(config, joined),
    });
  });
  return made;
}

const withConsole = (words: string[]) =>
  consoles === undefined ? words : [...words.slice(0, -1), "--console-socket", socket, words.at(-1) ?? ""];

test(
  "create with joins, hooks, a terminal, a filter and a copied tmpfs, killed at its steps, leaves what delete --force removes",
  async () => {
    const bundle = await muchBundle();
    const taken = await killEverywhere(box, {
      before: async () => {},
      words: (id) => withConsole(createCommand(box, bundle, id)),
      after: (id) => expectRemovable(box, id),
      oneOf: 4,
    });
    expect(taken).toBeGreaterThan(30);
  },
  LONG_MS,
);

const netTest = Bun.which("ip") === null ? test.skip : test;

netTest(
  "create with a network device, killed at its steps, leaves the device at home, or gone with the container's namespace",
  async () => {
    const host = Bun.spawn(["unshare", "--net", "sleep", "100000"], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    const net = `/proc/${host.pid}/ns/net`;
    const inHost = ["nsenter", `--net=${net}`];
    const ip = (...words: string[]) => Bun.spawnSync([...inHost, "ip", ...words]);
    const bundle = box.bundle({ args: ["sleep", "1000"] });
    const nameOf = (id: string) => `v${id.split("-").at(-1)}`;
    try {
      await until("the namespace is there", () => readlinkSync(net) !== readlinkSync("/proc/self/ns/net"));
      const taken = await killEverywhere(box, {
        before: async (id) => {
          expect(
            ip("link", "add", nameOf(id), "type", "veth", "peer", "name", `w${nameOf(id)}`).exitCode,
          ).toBe(0);
        },
        words: (id) => {
          const linux = { ...bundle.config.linux, netDevices: { [nameOf(id)]: {} } };
          return [...inHost, ...createCommand(box, { ...bundle, config: { ...bundle.config, linux } }, id)];
        },
        after: async (id) => {
          await expectRemovable(box, id);
          // Both of a pair go when one does.
          await until("both are there or none", () => {
            const [one, other] = [ip("link", "show", nameOf(id)), ip("link", "show", `w${nameOf(id)}`)];
            return one.exitCode === other.exitCode;
          });
        },
        oneOf: 8,
      });
      expect(taken).toBeGreaterThan(15);
    } finally {
      host.kill("SIGKILL");
    }
  },
  LONG_MS,
);

test(
  "start with hooks before and after the program, killed at its steps, leaves what delete --force removes",
  async () => {
    const bundle = await muchBundle();
    const taken = await killEverywhere(box, {
      before: (id) => mustSucceed(box, withConsole(createCommand(box, bundle, id)), id),
      // The front finds no shortcut: an option that it doesn't know keeps it from looking.
      words: (id) => command(box, "--log-level", "warning", "start", id),
      after: (id) => expectRemovable(box, id),
      oneOf: 3,
    });
    expect(taken).toBeGreaterThan(15);
  },
  LONG_MS,
);

interface Seen {
  pid: number;
  /** It runs what it was made for. */
  program: boolean;
}

/** What an exec has left: processes that write their errors where it did. */
function left(errors: string): Seen[] {
  const link = (path: string) => {
    try {
      return readlinkSync(path);
    } catch {
      return "";
    }
  };
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && link(`/proc/${name}/fd/2`) === errors)
    .map((name) => ({
      pid: Number(name),
      program: /4444\0$/.test(readOr(`/proc/${name}/cmdline`, "")),
    }));
}

for (const mode of ["foreground", "--detach"])
  test(
    `exec (${mode}) killed at its steps: the process runs its program, or is gone`,
    async () => {
      const b = box.bundle({ args: ["sleep", "1000"] });
      expect(box.run(b, "--detach")).toMatchObject({ status: 0, stderr: "" });
      const options = mode === "foreground" ? [] : [mode];
      // In the foreground a program that ends: who watches waits for it.
      const program = ["sleep", mode === "foreground" ? "0.4444" : "4444"];
      const endPrograms = async (id: string) => {
        const { errors } = filesOf(box, id);
        await until("nobody is half-way", () => left(errors).every((process) => process.program));
        for (const { pid } of left(errors)) process.kill(pid, "SIGKILL");
      };
      const taken = await killEverywhere(box, {
        before: async () => {},
        words: (id) => [
          ...command(box, "exec", "--pid-file", join(box.directory, `${id}.pid`), ...options, b.id),
          ...program,
        ],
        after: endPrograms,
        touches: `${b.id}/state.json`,
        oneOf: 2,
      });
      expect(taken).toBeGreaterThan(15);
      for (const name of readdirSync(box.directory).filter((n) => n.endsWith(".err")))
        await endPrograms(name.slice(0, -4));
      expect(box.state(b.id).status).toBe("running");
      expect(box.kontena(["delete", "--force", b.id])).toMatchObject({ status: 0, stderr: "" });
      expect(existsSync(join(box.root, b.id))).toBe(false);
      expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(b.rootfs);
    },
    LONG_MS,
  );
