/** What must hold for every plan: the order of the phases, and the relations that the container's safety rests on. */

import { describe, expect, test } from "bun:test";
import { LAST_CALL } from "../../src/init/memory.ts";
import { ROOM } from "../../src/init/spawn.ts";
import { type Call, calls, type Step, stepsOf } from "../../src/init/step.ts";
import { AT_FDCWD, CLOSE_RANGE, RESOLVE } from "../../src/kernel/consts/fcntl.ts";
import { PR } from "../../src/kernel/consts/prctl.ts";
import { CLONE } from "../../src/kernel/consts/sched.ts";
import { CALLERS_UMASK } from "../../src/plan/inherited.ts";
import { hasNamespace, type PlanInput } from "../../src/plan/input.ts";
import {
  ABOVE,
  ABOVE_SLOTS,
  BELOW,
  LISTENER,
  LOWEST,
  ROOT,
  SLOTS,
  STATE_DIRECTORY,
} from "../../src/plan/names.ts";
import { planContainer } from "../../src/plan/order.ts";

import { callsIn, phaseNames, phaseOf, short, structAt } from "./helpers.ts";
import { SAMPLE_NAMES, sample } from "./samples.ts";

const OPENING = new Set(
  "openat openat2 open_tree fsopen fsmount fspick socket pidfd_open memfd_create".split(" "),
);
const planOf = (name: string) => planContainer(sample(name));
const allCalls = (name: string) => {
  const { create, start } = planOf(name);
  return callsIn(stepsOf([...create, ...start]));
};
/** Index of the only, or the first, call of which this is true. */
const indexOf = (list: readonly Call[], is: (call: Call) => boolean) => list.findIndex(is);
const prctl = (option: number) => (call: Call) => call.call === "prctl" && call.args[0] === option;

test("the phases are these, in this order, whatever the config says", () => {
  for (const name of SAMPLE_NAMES) {
    const { create, start } = planOf(name);
    expect(phaseNames(create)).toEqual([
      "birth",
      "user",
      "inherited",
      "network",
      "time",
      "root",
      "mounts",
      "cgroup",
      "cgroup mounts",
      "devices",
      "hooks",
      "terminal",
      "procfs",
      "keyring",
      "paths",
      "pivot",
      "uts",
      "process",
      "created",
    ]);
    expect(phaseNames(start)).toEqual([
      "bounding set",
      "park",
      "signals",
      "limits",
      "attributes",
      "umask",
      "identity",
      "privileges",
      "execute",
    ]);
  }
});

describe.each(SAMPLE_NAMES)("%s:", (name) => {
  test("init does nothing but its network namespace before the runtime says go, and not a word is expected of it then", () => {
    const [birth] = planOf(name).create;
    expect(birth?.phase).toBe("birth");
    if (planOf(name).handles.length === 0) {
      expect(birth?.steps.at(-1)).toEqual({ pause: "born", why: expect.any(String), silent: true });
      const before = callsIn(birth?.steps ?? []).map(short);
      expect([[], [`unshare(${CLONE.CLONE_NEWNET})`]]).toContainEqual(before);
    } else {
      // The second stage says that it is there, and the first one has nothing behind its end.
      expect(birth?.steps.at(-1)).toEqual({ pause: "joined", why: expect.any(String) });
      expect(callsIn(birth?.steps ?? []).at(-1)?.call).toBe("exit_group");
    }
    expect(phaseOf(planOf(name), "created")).toEqual([{ pause: "created", why: expect.any(String) }]);
  });

  test("init waits for its cgroup before it enters or shows it, and before it leaves the host behind", () => {
    const { create } = planOf(name);
    expect(phaseOf(planOf(name), "cgroup")[0]).toEqual({
      pause: "cgroup",
      why: expect.any(String),
      silent: true,
    });
    const before = create.slice(
      0,
      create.findIndex(({ phase }) => phase === "cgroup"),
    );
    const made = callsIn(stepsOf(before));
    const isCgroup = (text: unknown) => text === "cgroup" || text === "cgroup2";
    expect(made.filter(({ call, args }) => call === "fsopen" && isCgroup(args[0]))).toEqual([]);
    const early = ["write", "pivot_root", "chroot", "sethostname"];
    expect(
      made.filter(({ call, at }) => early.includes(call) && at !== "linux.timeOffsets").map(short),
    ).toEqual([]);
  });

  test("until the slots are taken, fewer descriptors are open than there are numbers below them", () => {
    const all = callsIn(stepsOf(planOf(name).create));
    const isKept = ({ call, args }: Call) =>
      call === "dup3" && SLOTS.some((slot) => (args[1] as { cell?: string }).cell === slot);
    const last = all.findLastIndex(isKept);
    let open = 0;
    let most = 0;
    for (const { call, save } of all.slice(0, last + 1)) {
      if (call === "close_range") open = 0;
      else if (save !== undefined && OPENING.has(call)) most = Math.max(most, ++open);
    }
    expect(most).toBeLessThan(ROOM);
  });

  test("init becomes non-dumpable once: right after the maps, and with them after it is root", () => {
    // The network namespace, made while nobody has said go yet, has no part in it.
    const isBirth = planOf(name).create[0]?.steps ?? [];
    const list = allCalls(name).slice(callsIn(isBirth).length);
    const at = list.flatMap((call, i) => (prctl(PR.PR_SET_DUMPABLE)(call) ? [i] : []));
    const becomesRoot = ["setresgid(0, 0, 0)", "setresuid(0, 0, 0)", "prctl(47, 4, 0, 0, 0)"];
    const before = hasNamespace(sample(name).config, "user") ? becomesRoot : [];
    expect(at).toEqual([before.length]);
    expect(list.slice(0, before.length).map(short)).toEqual(before);
    expect(list[before.length]?.args).toEqual([PR.PR_SET_DUMPABLE, 0, 0, 0, 0]);
  });

  test("every call says why, and what happens when it fails", () => {
    for (const call of allCalls(name)) {
      expect(call.why, call.call).not.toBe("");
      expect(call.fail !== undefined || call.otherwise !== undefined, short(call)).toBe(true);
      if (call.fail !== undefined) expect(call.fail.message).toMatch(/^\S.*\S$/);
    }
  });

  test("an error is expected where it has a meaning, never where it would hide a failure", () => {
    const expected: Record<string, string[]> = {
      openat2: ["ENOENT", "ENOTDIR", "EAGAIN"],
      // The host may lack a device that would be bound: what is there instead is judged later.
      open_tree: ["ENOENT"],
      // The mask for directories is used already: paths.ts.
      close: ["EBADF"],
      // No mount begins here: propagation.ts goes up.
      mount_setattr: ["EINVAL"],
      // In a user namespace the host's own takes the place of some file systems: filesystem.ts, procfs.ts.
      fsopen: ["EPERM"],
      fsconfig: ["EPERM"],
      fsmount: ["EPERM"],
      openat: ["ENOTDIR"],
      socket: ["EAFNOSUPPORT"],
      mkdirat: ["EEXIST"],
      mknodat: ["EEXIST", "EPERM"],
      symlinkat: ["EEXIST"],
      write: ["EPIPE"],
      // Joined with other rights later; joined already.
      setns: ["EPERM", "EBADF"],
      // A joined user namespace may forbid it, and the groups are gone by then.
      setgroups: ["EPERM"],
      // A kernel without keyrings, or a filter around kontena that knows none.
      keyctl: ["ENOSYS", "EPERM"],
    };
    const careless = new Set(["statx", "faccessat2", "setfsuid", "setfsgid"]);
    for (const call of allCalls(name)) {
      const errnos = Object.keys(call.on ?? {});
      expect(errnos.length).toBeLessThanOrEqual(2);
      for (const errno of errnos) expect(expected[call.call] ?? [], short(call)).toContain(errno);
      if (call.otherwise === undefined) continue;
      // Behind the filter, which may deny these two: plan/seccomp.ts and plan/capabilities.ts say why that is no harm.
      if (call.save === LAST_CALL || short(call) === `close(<${LISTENER}>)`) continue;
      // Going on whatever happens is for looking only; others may be tried a second time, which then has to do.
      if (typeof call.otherwise === "string") expect([...careless], short(call)).toContain(call.call);
      else {
        const again = callsIn(call.otherwise);
        expect(again.map(short)).toEqual([short(call)]);
        expect(again[0]?.otherwise).toBeUndefined();
      }
    }
  });

  test("every openat2 that a rename can disturb asks again", () => {
    for (const call of allCalls(name))
      if (call.call === "openat2" && (structAt(call, 2, "open_how").resolve & RESOLVE.RESOLVE_IN_ROOT) !== 0)
        expect(call.on?.EAGAIN, short(call)).toBe("again");
  });

  test("the order of rights: bounding set, groups, gid, uid, capabilities, no_new_privs", () => {
    const list = callsIn(stepsOf(planOf(name).start));
    const order = [
      list.findLastIndex(prctl(PR.PR_CAPBSET_DROP)),
      indexOf(list, prctl(PR.PR_SET_KEEPCAPS)),
      indexOf(list, (c) => c.call === "setgroups"),
      indexOf(list, (c) => c.call === "setresgid"),
      indexOf(list, (c) => c.call === "setresuid"),
      indexOf(list, (c) => c.call === "capset"),
      indexOf(list, prctl(PR.PR_CAP_AMBIENT)),
      indexOf(list, prctl(PR.PR_SET_NO_NEW_PRIVS)),
      indexOf(list, (c) => c.call === "execve"),
    ].filter((i) => i >= 0);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order.at(-1)).toBe(list.length - 1);
  });

  test("the last thing before execve and its filter is the close_range of everything that isn't preserved", () => {
    const list = callsIn(stepsOf(planOf(name).start));
    const first = 3 + sample(name).preserveFds;
    const at = list.findIndex(({ call }) => call === "close_range");
    expect(list[at]?.args).toEqual([first, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC]);
    const behind: string[] = list.slice(at + 1).map(({ call }) => call);
    const filter = sample(name).seccomp === undefined ? [] : ["seccomp", "read", "read", "close", "capset"];
    expect(behind).toEqual([...filter, "execve"]);
    expect(list.filter((c) => c.call === "execve")).toHaveLength(1);
  });

  test("before the working directory is followed, and after it, nothing that leads to the host is open", () => {
    const steps = phaseOf(planOf(name), "process").filter((s): s is Call => "call" in s);
    const sweeps = [
      `close_range(<${LOWEST}>, <${BELOW}>, 0)`,
      `close_range(<${ABOVE_SLOTS}>, 4294967295, 0)`,
    ];
    expect(steps.slice(0, 2).map(short)).toEqual(sweeps);
    expect(steps[2]?.call).toBe("openat2");
    expect(steps.slice(3, 5).map((c) => c.call)).toEqual(["fchdir", "getcwd"]);
    expect(steps.slice(5, 7).map(short)).toEqual(sweeps);
    expect(structAt(steps[2], 2, "open_how").resolve).toBe(RESOLVE.RESOLVE_NO_MAGICLINKS);
  });

  test("start says that it goes on before it changes anything of the process", () => {
    const list: string[] = callsIn(phaseOf(planOf(name), "park")).map((c) => c.call);
    const agent = sample(name).seccomp?.listener ? ["openat"] : [];
    expect(list).toEqual(["munmap", "close", "openat", ...agent, "write", "close"]);
  });
});

/** What the descriptors that calls use are, at which argument; and which arguments are paths. */
const PATHS: Partial<Record<Call["call"], readonly [directory: number | undefined, path: number][]>> = {
  openat: [[0, 1]],
  openat2: [[0, 1]],
  mkdirat: [[0, 1]],
  mknodat: [[0, 1]],
  symlinkat: [[1, 2]],
  fchownat: [[0, 1]],
  statx: [[0, 1]],
  open_tree: [[0, 1]],
  mount_setattr: [[0, 1]],
  move_mount: [
    [0, 1],
    [2, 3],
  ],
  mount: [[undefined, 1]],
  umount2: [[undefined, 0]],
};

/** Places of the host that may be named by path while the root isn't entered yet: what is put into the container. */
function hostSources({ config, host, cgroupPath }: PlanInput): string[] {
  return [
    ...["/sys", "/dev/mqueue"],
    ...["null", "zero", "full", "random", "urandom", "tty"].map((device) => `/dev/${device}`),
    ...(config.mounts ?? []).map((m) => m.source ?? ""),
    ...(config.linux?.devices ?? []).map((d) => d.path),
    ...host.hierarchies.map((h) => `${h.mountpoint}${cgroupPath ?? ""}`),
  ];
}

function checkPath(call: Call, directory: number | undefined, path: number, input: PlanInput): void {
  const given = call.args[path];
  const name = typeof given === "object" && "buffer" in given ? given.text : given;
  const from = directory === undefined ? AT_FDCWD : call.args[directory];
  const text = short(call);
  if (typeof name !== "string") throw new Error(`${text}: no path`);
  if (name === "") {
    expect(typeof from, text).toBe("object");
    return;
  }
  if (call.call === "open_tree" && from === AT_FDCWD) {
    expect(hostSources(input), text).toContain(name);
    return;
  }
  // The old root, right before another one is entered.
  if (call.call === "openat" && name === "/" && call.save === "old root") return;
  expect(name.startsWith("/"), text).toBe(false);
  expect(name.split("/"), text).not.toContain("..");
  // One component, of a directory that was opened safely, may be named by itself. More than one is for openat2 alone.
  if (call.call !== "openat2") expect(name, text).not.toContain("/");
  else {
    const { resolve } = structAt(call, 2, "open_how");
    const inRoot = RESOLVE.RESOLVE_IN_ROOT | RESOLVE.RESOLVE_NO_MAGICLINKS;
    if (typeof from === "object" && "cell" in from && from.cell === ROOT)
      expect(resolve & inRoot, text).toBe(inRoot);
    else expect([resolve, name.includes("/")], text).toEqual([RESOLVE.RESOLVE_NO_SYMLINKS, false]);
  }
}

test.each(SAMPLE_NAMES)(
  "%s: from the mounts to the read-only paths nothing in the container is named by path",
  (name) => {
    const input = sample(name);
    const plan = planContainer(input);
    for (const phase of ["mounts", "devices", "pivot", "paths"])
      for (const call of callsIn(phaseOf(plan, phase)))
        for (const [directory, path] of PATHS[call.call] ?? []) checkPath(call, directory, path, input);
  },
);

/** Cells that the runtime fills, and those that init's conversation has. */
const GIVEN = new Set<string>([
  ...[LOWEST, BELOW, ABOVE, ABOVE_SLOTS, STATE_DIRECTORY],
  ...["init socket", "create section", "create section's length"],
]);

/** Cells that hold another number than a descriptor's. */
const NUMBERS = new Set<string>([CALLERS_UMASK]);

/** Follows the descriptors of a plan in the order of the text. */
function checkDescriptors(steps: readonly Step[], handles: readonly string[]): void {
  const open = new Set<string>([...GIVEN, ...handles]);
  for (const call of calls(steps)) {
    const text = short(call);
    if (call.call === "close_range" && call.args[2] === 0) {
      const [from] = call.args;
      const all = typeof from === "object" && "cell" in from && from.cell === ABOVE_SLOTS;
      for (const one of open) {
        const isSlot = (SLOTS as readonly string[]).includes(one);
        if (!GIVEN.has(one) && !NUMBERS.has(one) && (all || !isSlot)) open.delete(one);
      }
    } else if (call.call === "dup3") {
      expect(short(call), "dup3 of what is open").toMatch(/^dup3\(<[^>]+>, <[^>]+>, 524288\)$/);
      const [from, to] = call.args as { cell: string }[];
      expect(open.has(from?.cell ?? ""), text).toBe(true);
      open.add(to?.cell ?? "");
    } else
      for (const arg of call.args)
        if (typeof arg === "object" && "cell" in arg) expect(open.has(arg.cell), text).toBe(true);
    if (call.save !== undefined) open.add(call.save);
  }
}

test.each(SAMPLE_NAMES)("%s: no call uses a descriptor that isn't open yet, or was swept away", (name) => {
  const { create, start, handles } = planOf(name);
  checkDescriptors(
    stepsOf([...create, ...start]),
    handles.map(({ cell }) => cell),
  );
});

test.each(SAMPLE_NAMES)("%s: what is opened closes at execve", (name) => {
  const CLOEXEC = 0o2000000;
  for (const call of allCalls(name)) {
    const { args } = call;
    const text = short(call);
    switch (call.call) {
      case "openat":
      case "open_tree":
        expect((args[2] as number) & CLOEXEC, text).toBe(CLOEXEC);
        break;
      case "openat2":
        expect(structAt(call, 2, "open_how").flags & CLOEXEC, text).toBe(CLOEXEC);
        break;
      case "fsopen":
      case "fsmount":
        expect((args[1] as number) & 1, text).toBe(1);
    }
  }
});

test("the masks are taken from the host and laid on before the root is entered, after mounts and devices", () => {
  const plan = planOf("default");
  expect(callsIn(phaseOf(plan, "paths")).some((c) => c.args.includes("/dev/null"))).toBe(true);
  const names = phaseNames(plan.create);
  for (const before of ["root", "mounts", "devices"])
    expect(names.indexOf(before)).toBeLessThan(names.indexOf("paths"));
  expect(names.indexOf("paths")).toBeLessThan(names.indexOf("pivot"));
});

test("the root becomes read-only after all mounts, devices, masks and read-only paths", () => {
  const paths = phaseOf(planOf("default"), "paths").filter((s): s is Call => "call" in s);
  expect(paths.at(-1)?.at).toBe("root.readonly");
  expect(paths.at(-1)?.args.slice(0, 2)).toEqual([{ cell: ROOT }, ""]);
});

/** `mounts[3].options[0]`, `linux.sysctl["net.a"]` → its value in the config. */
function valueAt(config: unknown, at: string): unknown {
  const keys = [...at.matchAll(/"([^"]+)"|[^.[\]"]+/g)].map(([key, quoted]) => quoted ?? key);
  let value = config;
  for (const key of keys) value = (value as Record<string, unknown> | undefined)?.[key];
  return value;
}

/** Properties whose absence has a meaning that takes a call. */
const IMPLIED =
  /^(root\.path|linux\.cgroupsPath|process\.(cwd|args|user\.(uid|gid|additionalGids)|capabilities\.bounding)|mounts\[\d+\]\.(source|options|type))$/;

test.each(SAMPLE_NAMES)("%s: each step's place is one in config.json", (name) => {
  const { config } = sample(name);
  for (const call of allCalls(name)) {
    if (call.at === undefined || IMPLIED.test(call.at)) continue;
    expect(valueAt(config, call.at), `${call.at}: ${short(call)}`).toBeDefined();
  }
});

test.each(SAMPLE_NAMES)("%s: the place of a file system's option is that option", (name) => {
  const { config } = sample(name);
  for (const call of allCalls(name)) {
    if (call.call !== "fsconfig" || !/options\[\d+\]$/.test(call.at ?? "")) continue;
    const [, , key, value] = call.args;
    const option = typeof value === "string" ? `${key}=${value}` : key;
    expect(valueAt(config, call.at as string), short(call)).toBe(option);
  }
});
