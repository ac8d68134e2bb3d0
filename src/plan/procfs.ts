/**
 * A procfs of init's own, mounted nowhere: what is written there reaches the kernel. The container's /proc may be a file
 * system that looks like one, with links to elsewhere (CVE-2019-16884, CVE-2019-19921, CVE-2025-31133, CVE-2025-52881).
 */
import { type Call, cell, type Failure, type Step, struct } from "../init/step.ts";
import { AT_FDCWD, O, RESOLVE } from "../kernel/consts/fcntl.ts";
import { FSCONFIG, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC } from "../kernel/consts/mount.ts";

/** Cell of the descriptor of its top. */
const PROCFS = "procfs";
const CONTEXT = "procfs context";

/**
 * Opens it. In a user namespace the kernel gives one only to who has a pid namespace of its own and sees all of a procfs
 * already; the host's /proc does as well (`hosts`), where it can be seen: before the root is entered, and not in a mount
 * namespace that is joined, whose /proc is what somebody else has put there.
 */
export function openProcfs(at: string, fail: Failure, hosts: boolean): Step {
  const instead: Step[] = [
    {
      call: "openat",
      args: [AT_FDCWD, "/proc", O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC],
      why: "the kernel gives no new one here: the host's",
      at,
      save: PROCFS,
      after: "leave",
      fail,
    },
  ];
  const refused: Pick<Call, "on"> = hosts ? { on: { EPERM: instead } } : {};
  return {
    block: [
      {
        call: "fsopen",
        args: ["proc", FSOPEN_CLOEXEC],
        why: "a procfs that is the kernel's for sure",
        at,
        save: CONTEXT,
        ...refused,
        fail,
      },
      {
        call: "fsconfig",
        args: [cell(CONTEXT), FSCONFIG.FSCONFIG_CMD_CREATE, 0, 0, 0],
        why: "create it",
        at,
        ...refused,
        fail,
      },
      {
        call: "fsmount",
        args: [cell(CONTEXT), FSMOUNT_CLOEXEC, 0],
        why: "a mount of it, attached nowhere",
        at,
        save: PROCFS,
        ...refused,
        fail,
      },
    ],
  };
}

/** Opens a file of it for writing: no link out of it, nothing that is mounted over it. */
export function openForWriting(path: string, call: Pick<Call, "why" | "at" | "save" | "on" | "fail">): Call {
  const resolve = RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_XDEV | RESOLVE.RESOLVE_NO_MAGICLINKS;
  const how = struct("open_how", { flags: O.O_WRONLY | O.O_CLOEXEC, resolve });
  return { call: "openat2", args: [cell(PROCFS), path, how, 24], ...call };
}
