import { describe, expect, test } from "bun:test";
import { checkResults, chooseProgram } from "../../src/container/results.ts";
import { KontenaError } from "../../src/error.ts";
import { encodePlan } from "../../src/init/encode.ts";
import { bufferOffset, cellOffset, SOCKET } from "../../src/init/memory.ts";
import type { ErrnoName } from "../../src/kernel/errno.ts";
import { ERRNOS } from "../../src/kernel/errno-table.ts";
import { devices } from "../../src/plan/devices.ts";
import { CWD_BUFFER, lookupCells } from "../../src/plan/names.ts";
import { outsideOf, programCheck } from "../../src/plan/outside.ts";
import { candidates, lookUpProgram, workingDirectory } from "../../src/plan/process.ts";
import { inputOf, withNamespaces } from "../plan/helpers.ts";

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;

interface Found {
  stat?: ErrnoName;
  access?: ErrnoName;
  mode?: number;
}

/** Plan memory as init would leave it: what it found for each candidate. */
function lookUp(name: string, path: string, found: Found[]): string {
  const input = inputOf({ process: { cwd: "/", args: [name], env: [`PATH=${path}`] } });
  const encoded = encodePlan({ create: lookUpProgram(input), start: [] }, { [SOCKET]: 5 });
  const memory = encoded.bytes.slice();
  const view = new DataView(memory.buffer);
  candidates(input).forEach((_, i) => {
    const names = lookupCells(i);
    const { stat, access, mode = PROGRAM } = found[i] ?? { stat: "ENOENT", access: "ENOENT" };
    view.setBigInt64(cellOffset(encoded, names.stat), BigInt(stat === undefined ? 0 : -ERRNOS[stat]), true);
    const refused = access ?? stat;
    view.setBigInt64(
      cellOffset(encoded, names.access),
      BigInt(refused === undefined ? 0 : -ERRNOS[refused]),
      true,
    );
    if (stat === undefined) view.setUint16(bufferOffset(encoded, names.buffer) + 28, mode, true);
  });
  return chooseProgram(programCheck(input), encoded, memory);
}

function refusal(...args: Parameters<typeof lookUp>): KontenaError {
  try {
    return new KontenaError("INTERNAL", `found ${lookUp(...args)}`);
  } catch (error) {
    if (error instanceof KontenaError) return error;
    throw error;
  }
}

const MISSING: Found = { stat: "ENOENT" };

describe("the program is", () => {
  test("the first candidate that its user may execute", () => {
    expect(lookUp("sh", "/a:/b:/c", [MISSING, {}, {}])).toBe("/b/sh");
    expect(lookUp("/bin/sh", "", [{}])).toBe("/bin/sh");
  });

  test("looked for beyond what isn't executable, and beyond a directory of its name, as execvp does", () => {
    expect(lookUp("sh", "/a:/b", [{ access: "EACCES" }, {}])).toBe("/b/sh");
    expect(lookUp("sh", "/a:/b", [{ mode: DIRECTORY }, {}])).toBe("/b/sh");
    expect(lookUp("sh", "/a:/b", [{ stat: "EACCES" }, {}])).toBe("/b/sh");
  });
});

describe("without one the error", () => {
  test("of a name is the words that engines look for, and the places that were looked at", () => {
    const error = refusal("app", "/a:/b", [MISSING, MISSING]);
    expect(error).toMatchObject({
      code: "EXEC_NOT_FOUND",
      message: 'exec: "app": executable file not found in $PATH',
      details: { at: "process.args[0]", hint: "looked for /a/app, /b/app" },
    });
  });

  test("of a path is the path's own", () => {
    expect(refusal("/app", "", [MISSING])).toMatchObject({
      code: "EXEC_NOT_FOUND",
      message: 'exec: "/app": no such file or directory',
    });
    expect(refusal("/f/app", "", [{ stat: "ENOTDIR" }]).code).toBe("EXEC_NOT_FOUND");
    expect(refusal("/private/app", "", [{ stat: "EACCES" }])).toMatchObject({
      code: "EXEC_NOT_EXECUTABLE",
      message: 'exec: "/private/app": permission denied',
    });
  });

  test("of a file that may not be executed is EACCES, which beats a file that is missing", () => {
    expect(refusal("app", "/a:/b", [{ access: "EACCES" }, MISSING])).toMatchObject({
      code: "EXEC_NOT_EXECUTABLE",
      message: 'exec: "/a/app": permission denied',
      details: { path: "/a/app" },
    });
    expect(refusal("/app", "", [{ access: "EACCES" }]).code).toBe("EXEC_NOT_EXECUTABLE");
  });

  test("of a directory says that it is one", () => {
    const error = refusal("/etc", "", [{ mode: DIRECTORY }]);
    expect(error.code).toBe("EXEC_NOT_EXECUTABLE");
    expect(error.details.hint).toContain("directory");
    expect(refusal("etc", "/", [{ mode: DIRECTORY }]).code).toBe("EXEC_NOT_FOUND");
  });

  test("of an empty name is that nothing was found", () => {
    expect(refusal("", "/bin", [{ mode: DIRECTORY }]).code).toBe("EXEC_NOT_FOUND");
  });
});

describe("what init found is checked:", () => {
  const input = inputOf({ process: { cwd: "/x", args: ["sh"] }, linux: withNamespaces("mount") });
  const create = [...devices(input), ...workingDirectory(input)];
  const cells = [
    "root",
    "lowest descriptor",
    "last descriptor below the kept ones",
    "first descriptor above the kept ones",
  ];
  const given = Object.fromEntries([SOCKET, ...cells].map((name) => [name, 5]));
  const encoded = encodePlan({ create, start: [] }, given);
  const memory = (cwd: string, device?: { path: string; mode: number; major: number; minor: number }) => {
    const bytes = encoded.bytes.slice();
    bytes.set(new TextEncoder().encode(cwd), bufferOffset(encoded, CWD_BUFFER));
    if (device !== undefined) {
      const view = new DataView(bytes.buffer, bufferOffset(encoded, `statx ${device.path}`));
      view.setUint16(28, device.mode, true);
      view.setUint32(128, device.major, true);
      view.setUint32(132, device.minor, true);
    }
    return bytes;
  };

  test("a working directory outside of the root is refused", () => {
    expect(() => checkResults(outsideOf(input).checks, encoded, memory("/x"))).not.toThrow();
    for (const cwd of ["(unreachable)/host", ""])
      expect(() => checkResults(outsideOf(input).checks, encoded, memory(cwd))).toThrow(
        "outside of the container's root",
      );
  });

  test("a file in a device's place must be that device", () => {
    const device = { path: "/dev/null", mode: 0o020666, major: 1, minor: 3 };
    expect(() => checkResults(outsideOf(input).checks, encoded, memory("/", device))).not.toThrow();
    for (const wrong of [
      { minor: 5 },
      { major: 8 },
      { mode: 0o100666 },
      { mode: 0o120777 },
      { mode: 0o060666 },
    ])
      expect(() =>
        checkResults(outsideOf(input).checks, encoded, memory("/", { ...device, ...wrong })),
      ).toThrow("/dev/null exists and is not character device 1:3");
  });
});
