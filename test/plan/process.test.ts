import { describe, expect, test } from "bun:test";
import type { Process } from "../../spec/process.ts";
import type { Step } from "../../src/init/step.ts";
import { CLOSE_RANGE, RESOLVE } from "../../src/kernel/consts/fcntl.ts";
import { CWD_BUFFER, EXEC_PATH } from "../../src/plan/names.ts";
import {
  candidates,
  closeDescriptors,
  execute,
  lookUpProgram,
  noNewPrivileges,
  workingDirectory,
} from "../../src/plan/process.ts";
import { callsIn, inputOf, short, structAt } from "./helpers.ts";

const inputFor = (process: Partial<Process>, change = {}) =>
  inputOf({ process: { cwd: "/", args: ["sh"], ...process } as Process }, change);

describe("the program's candidates:", () => {
  const find = (name: string, ...env: string[]) => candidates(inputFor({ args: [name], env }));

  test("a name with a slash is itself", () => {
    for (const name of ["/bin/sh", "./sh", "bin/sh", "../sh", "/"])
      expect(find(name, "PATH=/a:/b")).toEqual([name]);
  });

  test("any other name is looked for in each element of PATH, in order", () => {
    expect(find("sh", "PATH=/usr/bin:/bin")).toEqual(["/usr/bin/sh", "/bin/sh"]);
  });

  test("an empty element is the working directory", () => {
    expect(find("sh", "PATH=:/bin")).toEqual(["sh", "/bin/sh"]);
    expect(find("sh", "PATH=/bin:")).toEqual(["/bin/sh", "sh"]);
    expect(find("sh", "PATH=")).toEqual(["sh"]);
  });

  test("without PATH the search is that of execvp(3)", () => {
    expect(find("sh")).toEqual(["/bin/sh", "/usr/bin/sh"]);
    expect(find("sh", "XPATH=/x", "path=/x")).toEqual(["/bin/sh", "/usr/bin/sh"]);
  });

  test("of two PATHs the last one counts", () => {
    expect(find("sh", "PATH=/a", "PATH=/b")).toEqual(["/b/sh"]);
  });

  test("a PATH with an equals sign is taken whole", () => {
    expect(find("sh", "PATH=/a=b:/c")).toEqual(["/a=b/sh", "/c/sh"]);
  });
});

describe("looking for the program", () => {
  test("takes the rights of its user, group first, and gives them back in the other order", () => {
    const list = callsIn(lookUpProgram(inputFor({ user: { uid: 1000, gid: 100 } })));
    const ids = list.filter((c) => c.call.startsWith("setfs")).map(short);
    expect(ids).toEqual(["setfsgid(100)", "setfsuid(1000)", "setfsuid(0)", "setfsgid(0)"]);
    expect(list[0]?.call).toBe("setgroups");
    expect(list[1]?.call).toBe("setfsgid");
    expect(list.at(-1)?.call).toBe("setfsgid");
  });

  test("has the user's groups, and root's rights where the user keeps CAP_DAC_OVERRIDE", () => {
    const user = { uid: 1000, gid: 100, additionalGids: [7, 8] };
    const [groups] = callsIn(lookUpProgram(inputFor({ user })));
    expect(groups && short(groups)).toBe("setgroups(2, gid_list)");
    const capabilities = { effective: ["CAP_DAC_OVERRIDE"] };
    const calls = callsIn(lookUpProgram(inputFor({ user, capabilities }))).map((c) => c.call);
    expect(new Set(calls)).toEqual(new Set(["statx", "faccessat2"]));
  });

  test("needs no change of rights for root, but for a group of its own", () => {
    const ids = (uid: number, gid: number) =>
      callsIn(lookUpProgram(inputFor({ user: { uid, gid } }))).filter((c) => c.call.startsWith("setfs"))
        .length;
    expect([ids(0, 0), ids(0, 5), ids(5, 0)]).toEqual([0, 4, 4]);
  });

  test("never ends init, whatever it finds, and saves what it found", () => {
    const list = callsIn(lookUpProgram(inputFor({ env: ["PATH=/a:/b"] })));
    expect(list.map((c) => c.save)).toEqual([
      "statx result 0",
      "faccessat2 result 0",
      "statx result 1",
      "faccessat2 result 1",
    ]);
    for (const call of list) expect(call.otherwise).toBe("next");
  });
});

describe("the working directory", () => {
  const of = (cwd: string) => callsIn(workingDirectory(inputFor({ cwd })));

  test("is opened without magic links, entered, and asked for where it is", () => {
    const list = of("/srv").filter((c) => !c.why.includes("missing"));
    expect(list.map((c) => c.call)).toEqual(["openat2", "openat2", "fchdir", "getcwd"]);
    expect(structAt(list[0], 2, "open_how").resolve).toBe(RESOLVE.RESOLVE_NO_MAGICLINKS);
    expect(list.at(-1)?.args[0]).toEqual({ buffer: CWD_BUFFER, size: 4096 });
  });

  test("is made when it is missing, with those above it", () => {
    expect(
      of("/srv//app/./x/")
        .filter((c) => c.call === "mkdirat")
        .map((c) => c.args[1]),
    ).toEqual(["/srv", "/srv/app", "/srv/app/x"]);
  });

  test("is tried again after the making just once, so a directory that comes and goes can't hold init", () => {
    const [open] = of("/srv");
    const made = callsIn(open?.on?.ENOENT as Step[]);
    expect(made.at(-1)?.call).toBe("openat2");
    expect(made.at(-1)?.on).toBeUndefined();
  });

  test("that can't be entered names the property, and says what a magic link is", () => {
    for (const call of of("/proc/self/fd/7")) {
      expect(call.at).toBe("process.cwd");
      expect(call.fail).toMatchObject({ code: "PROCESS_FAILED", path: "/proc/self/fd/7" });
      expect(call.fail?.hints?.ELOOP).toContain("magic link");
    }
  });
});

test("no_new_privs is set only when asked for", () => {
  expect(callsIn(noNewPrivileges(inputFor({ noNewPrivileges: true }))).map(short)).toEqual([
    "prctl(38, 1, 0, 0, 0)",
  ]);
  expect(noNewPrivileges(inputFor({ noNewPrivileges: false }))).toEqual([]);
  expect(noNewPrivileges(inputFor({}))).toEqual([]);
});

test("descriptors close from the first one on that isn't preserved", () => {
  const args = (preserveFds: number) => callsIn(closeDescriptors(inputFor({}, { preserveFds })))[0]?.args;
  expect(args(0)).toEqual([3, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC]);
  expect(args(5)).toEqual([8, 0xffffffff, CLOSE_RANGE.CLOSE_RANGE_CLOEXEC]);
});

describe("execve", () => {
  test("gets the path that was chosen, the arguments as they are and exactly the config's environment", () => {
    const [call] = callsIn(execute(inputFor({ args: ["sh", "-c", ""], env: ["A=1", "A=2", "B="] })));
    expect(call?.args.slice(1)).toEqual([{ strings: ["sh", "-c", ""] }, { strings: ["A=1", "A=2", "B="] }]);
    expect(callsIn(execute(inputFor({})))[0]?.args[2]).toEqual({ strings: [] });
  });

  test("has room for the longest candidate in bytes, with its NUL", () => {
    const room = (name: string, path: string) => {
      const [call] = callsIn(execute(inputFor({ args: [name], env: [`PATH=${path}`] })));
      return (call?.args[0] as { size: number } | undefined)?.size;
    };
    expect(room("sh", "/bin:/usr/bin:/x")).toBe("/usr/bin/sh".length + 1);
    expect(room("ü", "/ü")).toBe(7);
    expect(callsIn(execute(inputFor({})))[0]?.args[0]).toMatchObject({ buffer: EXEC_PATH });
  });

  test("tells a program that isn't there from one that can't be executed", () => {
    const [call] = callsIn(execute(inputFor({ args: ["/app"] })));
    expect(call).toMatchObject({
      at: "process.args",
      fail: {
        code: "EXEC_FAILED",
        message: "exec /app",
        codes: {
          ENOENT: "EXEC_NOT_FOUND",
          ENOTDIR: "EXEC_NOT_FOUND",
          EACCES: "EXEC_NOT_EXECUTABLE",
          ENOEXEC: "EXEC_NOT_EXECUTABLE",
        },
      },
    });
  });
});
