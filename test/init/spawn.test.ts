/** The birth of init in reality: root, this machine's kernel, plans of a few steps. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, openSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KontenaError } from "../../src/error.ts";
import { EXIT_FAILED, PLAN_BASE, UNSET } from "../../src/init/memory.ts";
import { chooseNumbers, ROOM } from "../../src/init/spawn.ts";
import { cell } from "../../src/init/step.ts";
import { CLONE } from "../../src/kernel/consts/sched.ts";
import { rawSyscall } from "../../src/kernel/libc.ts";
import { becomeRoot, notDumpable } from "../../src/plan/user.ts";
import { inputOf, withNamespaces } from "../plan/helpers.ts";
import {
  BORN,
  call,
  children,
  descriptors,
  endAll,
  exit,
  LAST_CAP,
  openPipe,
  type Parked,
  type ParkOptions,
  park,
} from "./helpers/park.ts";

const noRoot = process.geteuid?.() === 0 ? "" : " (skipped: not root)";
const asRoot = test.skipIf(noRoot !== "");
const PR_GET_DUMPABLE = 3;
const ALL = ((1n << BigInt(LAST_CAP + 1)) - 1n).toString(16).padStart(16, "0");

afterEach(endAll);

/** What a descriptor of this process refers to. */
function linkOf(fd: number | string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

/** An init that has said that it waits: spawnInit returns a moment earlier, while the kernel still executes it. */
function parkedInit(options: ParkOptions = {}): Parked {
  const init = park([{ pause: "there", why: "wait" }, call("getpid")], options);
  expect(init.done()).toBe(true);
  return init;
}

describe("the numbers of init's descriptors", () => {
  test("are side by side above all that the runtime means by the preserved ones", () => {
    expect(chooseNumbers(0, 7, [5, 22], 3)).toEqual({
      plan: { ours: 7, inInit: 23 },
      kept: [
        { ours: 5, inInit: 24 },
        { ours: 22, inInit: 25 },
      ],
      handles: [],
      lowest: 3,
      above: 29,
    });
  });

  test("of handles are behind the slots", () => {
    const { kept, handles, above } = chooseNumbers(0, 7, [5], 3, [20, 9]);
    expect(kept).toEqual([{ ours: 5, inInit: 22 }]);
    expect(handles).toEqual([
      { ours: 20, inInit: 26 },
      { ours: 9, inInit: 27 },
    ]);
    expect(above).toBe(28);
  });

  test("are above the preserved ones, however many those are", () => {
    const { plan, lowest, above } = chooseNumbers(100, 104, [125], 0);
    expect([plan.inInit, lowest, above]).toEqual([126, 103, 128]);
  });

  test("leave room for what init opens below them", () => {
    expect(chooseNumbers(0, 4, [5], 2).plan.inInit).toBe(3 + ROOM);
    expect(chooseNumbers(10, 3, [4], 0).plan.inInit).toBe(13 + ROOM);
  });
});

asRoot(`a plan runs to its end, and not before the runtime says so${noRoot}`, () => {
  const pipe = openPipe();
  const init = park([BORN, call("write", [cell("pipe"), "hello", 5]), exit(7)], { keep: { pipe: pipe.to } });
  Bun.sleepSync(5);
  expect(pipe.text()).toBe("");
  expect(init.go()).toBe(true);
  expect(init.end()).toBe(7);
  expect(pipe.text()).toBe("hello");
  expect(init.record()).toBeUndefined();
  pipe.close();
});

asRoot(`init ends when the runtime is gone, and runs nothing of what follows${noRoot}`, () => {
  const pipe = openPipe();
  const init = park([BORN, call("write", [cell("pipe"), "no", 2]), exit(0)], { keep: { pipe: pipe.to } });
  init.hangUp();
  expect(init.end()).toBe(EXIT_FAILED);
  expect(pipe.text()).toBe("");
  pipe.close();
});

asRoot(`several batches take turns${noRoot}`, () => {
  const init = park([BORN, { pause: "one", why: "1" }, { pause: "two", why: "2" }, exit(0)]);
  for (let i = 0; i < 2; i++) {
    expect(init.go()).toBe(true);
    expect(init.done()).toBe(true);
  }
  expect(init.go()).toBe(true);
  expect(init.done()).toBe(false);
  expect(init.end()).toBe(0);
  expect(init.go()).toBe(false);
});

asRoot(`a failing step ends init, and plan memory tells which one and why${noRoot}`, () => {
  const init = park([
    BORN,
    call("getpid", [], { save: "pid" }),
    call("openat", [-100, "/nowhere/at/all", 0], { save: "fd", why: "open it" }),
    call("getuid", [], { save: "later" }),
  ]);
  init.go();
  expect(init.done()).toBe(false);
  expect(init.end()).toBe(EXIT_FAILED);
  const record = init.record();
  expect(record?.errno).toBe(2);
  expect(init.plan.ops.find((op) => op.address === record?.op)?.call.why).toBe("open it");
  expect(init.cell("fd")).toBe(-2n);
  expect(init.cell("pid")).toBeGreaterThan(0n);
  expect(init.cell("later")).toBe(UNSET);
});

asRoot(`a step that is tried again goes on when its time has come${noRoot}`, () => {
  const directory = mkdtempSync(join(tmpdir(), "kontena-again-"));
  const path = join(directory, "file");
  const init = park([
    BORN,
    call("openat", [-100, path, 0], { save: "fd", on: { ENOENT: "again" } }),
    exit(3),
  ]);
  init.go();
  Bun.sleepSync(5);
  writeFileSync(path, "");
  expect(init.end()).toBe(3);
  expect(init.cell("fd")).toBeGreaterThan(2n);
  rmSync(directory, { recursive: true });
});

asRoot(`two inits that wait at once are started in reverse order, each with its own plan${noRoot}`, () => {
  const pipe = openPipe();
  const say = (text: string) =>
    park([BORN, call("write", [cell("pipe"), text, text.length]), exit(0)], { keep: { pipe: pipe.to } });
  const first = say("first ");
  const second = say("second ");
  second.go();
  expect(second.end()).toBe(0);
  first.go();
  expect(first.end()).toBe(0);
  expect(pipe.text()).toBe("second first ");
  pipe.close();
});

asRoot(`the start section runs when create's is unmapped${noRoot}`, () => {
  const init = park([BORN, call("getpid")], {
    start: [
      call("munmap", [cell("create section"), cell("create section's length")]),
      call("getuid", [], { save: "uid" }),
      exit(9),
    ],
  });
  init.go();
  expect(init.end()).toBe(9);
  expect(init.cell("uid")).toBe(0n);
});

describe("a parked init", () => {
  asRoot(`is small: one thread, 64 kB of memory at most${noRoot}`, () => {
    const init = parkedInit();
    expect(init.status("Threads")).toBe("1");
    expect(Number.parseInt(init.status("VmRSS"), 10)).toBeLessThanOrEqual(64);
    expect(/^Rss:\s+(\d+) kB/m.exec(init.proc("smaps_rollup"))?.[1]).toSatisfy((rss) => Number(rss) <= 64);
  });

  asRoot(`is nothing of Bun: its program is a sealed memfd, its environment is empty${noRoot}`, () => {
    const init = parkedInit();
    expect(init.link("exe")).toStartWith("/memfd:kontena-init");
    expect(init.proc("environ")).toBe("");
    expect(init.proc("cmdline")).toBe("kontena-init\0");
    const mapped = init
      .proc("maps")
      .trim()
      .split("\n")
      .map((line) => line.split(/\s+/)[5] ?? "");
    for (const name of mapped)
      expect(name).toMatch(/^(\/memfd:(kontena-init|plan)|\[(stack|vdso|vvar\w*|vsyscall)\]|)$/);
    expect(init.proc("maps")).toContain(`${PLAN_BASE.toString(16)}-`);
    expect(() => openSync(`/proc/${init.pid}/exe`, "r+")).toThrow(/ETXTBSY|EPERM/);
  });

  asRoot(`holds the conversation and the caller's standard descriptors, and no other${noRoot}`, () => {
    const stray = openSync("/etc/passwd", "r");
    rawSyscall("fcntl", stray, 2, 0);
    const init = parkedInit();
    const socket = Number(init.cell("init socket"));
    const open = [...new Bun.Glob("*").scanSync({ cwd: `/proc/${init.pid}/fd`, onlyFiles: false })];
    expect(open.map(Number).sort((a, b) => a - b)).toEqual([0, 1, 2, socket]);
    rawSyscall("close", stray);
  });

  asRoot(`has no signal handler of Bun's, and none pending${noRoot}`, () => {
    const init = parkedInit();
    expect(init.status("SigCgt")).toBe("0000000000000000");
    expect(init.status("SigPnd")).toBe("0000000000000000");
  });

  asRoot(`keeps the preserved descriptors at their numbers${noRoot}`, () => {
    // The numbers from 3 on are this process's own; only as many as are open can be preserved.
    const open = new Set(descriptors());
    const closed = [3, 4].findIndex((fd) => !open.has(String(fd)));
    const preserveFds = closed < 0 ? 2 : closed;
    const init = parkedInit({ preserveFds });
    for (let fd = 3; fd < 3 + preserveFds; fd++) expect(init.link(`fd/${fd}`)).toBe(linkOf(fd));
  });
});

describe("in a user namespace of its own", () => {
  asRoot(`init has every capability before its ids are mapped${noRoot}`, () => {
    const init = parkedInit({ namespaces: CLONE.CLONE_NEWUSER });
    expect(init.status("CapEff")).toBe(ALL);
    expect(init.status("CapPrm")).toBe(ALL);
    expect(init.link("ns/user")).not.toBe(readlinkSync("/proc/self/ns/user"));
  });

  asRoot(
    `init becomes root with full rights and no ambient capabilities when they are mapped${noRoot}`,
    () => {
      const input = inputOf({ linux: withNamespaces("user") });
      const init = park(
        [
          BORN,
          ...becomeRoot(input),
          ...notDumpable(),
          call("getuid", [], { save: "uid" }),
          { pause: "x", why: "x" },
        ],
        {
          namespaces: CLONE.CLONE_NEWUSER | CLONE.CLONE_NEWUTS,
        },
      );
      writeFileSync(`/proc/${init.pid}/uid_map`, "0 100000 10");
      writeFileSync(`/proc/${init.pid}/gid_map`, "0 100000 10");
      init.go();
      expect(init.done()).toBe(true);
      expect(init.cell("uid")).toBe(0n);
      expect(init.status("Uid")).toBe("100000\t100000\t100000\t100000");
      expect(init.status("CapEff")).toBe(ALL);
      expect(init.status("CapAmb")).toBe("0000000000000000");
    },
  );
});

test.skipIf(noRoot !== "").each([0, CLONE.CLONE_NEWUSER])(
  `init is dumpable until the maps are there, and not any more right after (clone flags %d)${noRoot}`,
  (namespaces) => {
    const dumpable = (save: string) => call("prctl", [PR_GET_DUMPABLE, 0, 0, 0, 0], { save });
    const input = inputOf({ linux: withNamespaces(...(namespaces === 0 ? [] : ["user"])) });
    const init = park(
      [
        BORN,
        dumpable("before"),
        ...becomeRoot(input),
        ...notDumpable(),
        dumpable("after"),
        { pause: "x", why: "x" },
      ],
      { namespaces },
    );
    if (namespaces !== 0)
      for (const file of ["uid_map", "gid_map"]) writeFileSync(`/proc/${init.pid}/${file}`, "0 0 1");
    init.go();
    expect(init.done()).toBe(true);
    expect([init.cell("before"), init.cell("after")]).toEqual([1n, 0n]);
  },
);

describe("this process", () => {
  const mask = () => /^SigBlk:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];

  asRoot(`stays dumpable, with its signal mask and its ids, whatever it has cloned${noRoot}`, () => {
    const before = mask();
    for (const namespaces of [
      0,
      CLONE.CLONE_NEWUSER | CLONE.CLONE_NEWPID,
      CLONE.CLONE_NEWNS | CLONE.CLONE_NEWUTS,
    ]) {
      park([BORN], { namespaces });
      expect(rawSyscall("prctl", PR_GET_DUMPABLE, 0, 0, 0, 0)).toBe(1);
      expect(mask()).toBe(before);
      expect(process.geteuid?.()).toBe(0);
    }
  });

  asRoot(`keeps no descriptor of a spawn${noRoot}`, () => {
    endAll();
    const before = descriptors();
    for (let i = 0; i < 5; i++) park([BORN, exit(0)], { namespaces: CLONE.CLONE_NEWUTS });
    endAll();
    expect(descriptors()).toEqual(before);
  });

  asRoot(`can be collected and go on spawning${noRoot}`, () => {
    for (let i = 0; i < 5; i++) {
      const init = park([BORN, exit(i)]);
      Bun.gc(true);
      init.go();
      expect(init.end()).toBe(i);
    }
  });
});

describe("when a spawn fails", () => {
  const failing = (make: () => unknown): KontenaError => {
    const childrenBefore = children();
    const open = descriptors();
    let error: unknown;
    try {
      make();
    } catch (thrown) {
      error = thrown;
    }
    expect(children()).toEqual(childrenBefore);
    expect(descriptors()).toEqual(open);
    if (!(error instanceof KontenaError)) throw new Error(`no KontenaError: ${error}`);
    return error;
  };

  asRoot(`in clone3, there is no child, and the error says so${noRoot}`, () => {
    const error = failing(() => park([BORN], { cgroupFd: 9999 }));
    expect(error.code).toMatch(/^(NAMESPACE|CGROUP)_FAILED$/);
    expect(error.details).toMatchObject({ syscall: "clone3", errno: "EBADF" });
  });

  asRoot(`in the child, before it is init, the child is gone${noRoot}`, () => {
    const error = failing(() => park([BORN], { keep: { nothing: 999 } }));
    expect(error).toMatchObject({ code: "INTERNAL", details: { syscall: "dup3", errno: "EBADF" } });
    expect(error.message).toContain("hand a descriptor to init");
  });

  asRoot(`the next one works${noRoot}`, () => {
    failing(() => park([BORN], { keep: { nothing: 999 } }));
    const init = park([BORN, exit(4)]);
    init.go();
    expect(init.end()).toBe(4);
  });
});
