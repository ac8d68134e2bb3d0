import { describe, expect, test } from "bun:test";
import { callError, type KnownCall, recordedError } from "../../src/container/failure.ts";
import { exitStatus, formatError } from "../../src/error.ts";
import { HEAD_SIZE } from "../../src/init/memory.ts";
import { stepsOf } from "../../src/init/step.ts";
import { planContainer } from "../../src/plan/order.ts";
import { callsIn } from "../plan/helpers.ts";
import { SAMPLE_NAMES, sample } from "../plan/samples.ts";

const MOUNT: KnownCall = {
  call: "fsconfig",
  at: "mounts[3].options[1]",
  fail: {
    code: "MOUNT_FAILED",
    message: 'cannot mount "tmpfs" on /data',
    path: "/data",
    hints: { EINVAL: "a wrong option" },
    codes: { EPERM: "PERMISSION" },
  },
};

describe("a failed call's error", () => {
  test("has the place, the call, the errno, the path and the text of them", () => {
    const error = callError(MOUNT, "ENOMEM");
    expect(error).toMatchObject({
      code: "MOUNT_FAILED",
      message: 'cannot mount "tmpfs" on /data: cannot allocate memory',
      details: { at: "mounts[3].options[1]", syscall: "fsconfig", errno: "ENOMEM", path: "/data" },
    });
    expect(error.details.hint).toBeUndefined();
    expect(formatError(error)).toBe(
      'mounts[3].options[1]: cannot mount "tmpfs" on /data: cannot allocate memory',
    );
  });

  test("has the hint of its errno, and what the kernel said", () => {
    expect(callError(MOUNT, "EINVAL", "tmpfs: Unknown parameter 'sizee'").details.hint).toBe(
      "a wrong option; the kernel said: tmpfs: Unknown parameter 'sizee'",
    );
    expect(callError(MOUNT, "EIO", "x").details.hint).toBe("the kernel said: x");
  });

  test("has another code for some errnos", () => {
    expect(callError(MOUNT, "EPERM").code).toBe("PERMISSION");
  });

  test("of a call that says nothing is a fault of kontena itself", () => {
    expect(callError({ call: "getpid" }, "EIO")).toMatchObject({
      code: "INTERNAL",
      details: { syscall: "getpid" },
    });
  });
});

describe("the record in plan memory", () => {
  const head = (errno: number, op: number | bigint, log = "") => {
    const bytes = new Uint8Array(HEAD_SIZE);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(errno), true);
    view.setBigUint64(8, BigInt(op), true);
    bytes.set(new TextEncoder().encode(log), 32);
    return bytes;
  };
  const known = (address: string) => (address === "268439552" ? MOUNT : undefined);

  test("that is empty is no error", () => {
    expect(recordedError(head(0, 0), known)).toBeUndefined();
  });

  test("names the step that failed", () => {
    expect(recordedError(head(22, 0x10001000, "e bad"), known)).toMatchObject({
      code: "MOUNT_FAILED",
      details: { errno: "EINVAL", hint: "a wrong option; the kernel said: bad" },
    });
  });

  test("of a container that made one up is told as that", () => {
    for (const [errno, op] of [
      [1, 0],
      [1, 0xffff_ffff_ffff_ffffn],
      [99999, 5],
    ] as const) {
      const error = recordedError(head(errno, op), (address) => ({ "0": undefined })[address]);
      expect(error?.code).toBe("INIT_DIED");
    }
  });

  test("can't name a property that every object has", () => {
    const calls = JSON.parse("{}") as Record<string, KnownCall>;
    expect(recordedError(head(1, 7), (address) => calls[address])?.code).toBe("INIT_DIED");
  });
});

test.each(SAMPLE_NAMES)(
  "every step of %s fails with one line that says what and where, and a shell's status",
  (name) => {
    const { create, start } = planContainer(sample(name));
    for (const call of callsIn(stepsOf([...create, ...start]))) {
      if (call.fail === undefined) continue;
      for (const errno of ["EPERM", "ENOENT", "EINVAL", "EACCES", "ENOEXEC"]) {
        const error = callError(call, errno, "");
        const text = formatError(error);
        expect(text).not.toMatch(/undefined|\n|\[object/);
        if (call.at !== undefined) expect(text).toStartWith(`${call.at}: `);
        const status = call.call === "execve" ? (errno === "ENOENT" ? 127 : 126) : 1;
        expect(exitStatus(error), text).toBe(status);
      }
    }
  },
);
