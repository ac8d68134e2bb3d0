/**
 * What the kernel's security modules are told of the program: AppArmor's profile and SELinux's label (config.md, "Linux
 * Process"; apparmor.d(5), selinux(8)). Both wait for the next execve, which is the program's.
 */
import { cell, type Failure, type Step } from "../init/step.ts";
import { ACCESS, AT_FDCWD } from "../kernel/consts/fcntl.ts";
import { SHARED_INSTANCE } from "./filesystem.ts";
import type { PlanInput, ProcessInput } from "./input.ts";
import { openForWriting } from "./procfs.ts";

const PROFILE = "apparmor attribute";

/** Engines write an empty string where they mean none. */
export function hasLabels({ config }: ProcessInput): boolean {
  return Boolean(config.process?.apparmorProfile || config.process?.selinuxLabel);
}

/** Before no_new_privs is set and before the root is entered. A process may only write its own. */
export function labels(input: ProcessInput): Step[] {
  const { apparmorProfile, selinuxLabel } = input.config.process ?? {};
  return [
    ...(apparmorProfile ? [{ block: profile(apparmorProfile) }] : []),
    ...(selinuxLabel ? label(selinuxLabel) : []),
  ];
}

/** The directory attr/apparmor is there when AppArmor is built in; writes are refused when it isn't switched on. */
function profile(name: string): Step[] {
  const at = "process.apparmorProfile";
  const text = `exec ${name}`;
  const fail: Failure = {
    code: "LABEL_FAILED",
    message: `cannot use the AppArmor profile "${name}"`,
    hints: {
      ENOENT: "no profile of this name is loaded, see /sys/kernel/security/apparmor/profiles",
      EINVAL: "AppArmor isn't switched on in this kernel",
      EACCES: "the caller's own profile doesn't allow it",
      EPERM: "the caller's own profile doesn't allow it",
    },
    codes: { EINVAL: "HOST_UNSUPPORTED" },
  };
  // Without AppArmor everything is unconfined.
  const unconfined = name === "unconfined";
  return [
    openForWriting("thread-self/attr/apparmor/exec", {
      why: "what AppArmor does at the next execve",
      at,
      save: PROFILE,
      ...(unconfined ? { on: { ENOENT: "leave" } } : {}),
      fail: {
        ...fail,
        hints: { ENOENT: "this kernel has no AppArmor" },
        codes: { ENOENT: "HOST_UNSUPPORTED" },
      },
    }),
    {
      call: "write",
      args: [cell(PROFILE), text, Buffer.byteLength(text)],
      why: `the program runs under ${name}`,
      at,
      ...(unconfined ? { on: { EINVAL: "next" } } : {}),
      fail,
    },
  ];
}

const SELINUX = "/sys/fs/selinux/enforce";

/** A step that fails where SELinux isn't: its file system is there exactly when it is switched on. */
export function selinuxIsThere(at: string): Step {
  return {
    call: "faccessat2",
    args: [AT_FDCWD, SELINUX, ACCESS.F_OK, 0],
    why: "is SELinux switched on?",
    at,
    fail: {
      code: "HOST_UNSUPPORTED",
      message: "SELinux isn't switched on here",
      path: SELINUX,
      hints: {
        ENOENT: "a label needs a kernel that runs with SELinux, and its file system in /sys/fs/selinux",
      },
    },
  };
}

type ConfigInput = Pick<PlanInput, "config">;

/** config-linux.md, "Mount Label": where SELinux isn't, it can't be done. */
export function mountLabelCheck({ config }: ConfigInput): Step[] {
  return config.linux?.mountLabel ? [selinuxIsThere("linux.mountLabel")] : [];
}

/**
 * The option that labels all files of a new file system. Not of one that the kernel has once for all mounts: what is labelled
 * by the policy already takes no other label. `quoted` is for mount(2), whose options commas part, as they do categories.
 */
export function mountContext(
  { config }: ConfigInput,
  type: string,
  quoted = false,
): { key: string; value: string }[] {
  const context = config.linux?.mountLabel;
  if (!context || SHARED_INSTANCE.has(type)) return [];
  return [{ key: "context", value: quoted ? `"${context}"` : context }];
}

function label(context: string): Step[] {
  const at = "process.selinuxLabel";
  const fail: Failure = {
    code: "LABEL_FAILED",
    message: `cannot use the SELinux label "${context}"`,
    hints: {
      EINVAL: "the loaded policy has no such context",
      EACCES: "the policy doesn't allow the caller to",
    },
  };
  const write = (attribute: string, why: string): Step[] => [
    openForWriting(`thread-self/attr/${attribute}`, {
      why: `what SELinux does at the next ${attribute === "exec" ? "execve" : "key"}`,
      at,
      save: `selinux ${attribute}`,
      // Keys have no labels everywhere.
      ...(attribute === "exec" ? {} : { on: { ENOENT: "leave" } }),
      fail,
    }),
    {
      call: "write",
      args: [cell(`selinux ${attribute}`), context, Buffer.byteLength(context)],
      why,
      at,
      fail,
    },
  ];
  return [
    selinuxIsThere(at),
    ...write("exec", `the program runs as ${context}`),
    { block: write("keycreate", "its session keyring has that label too; execve ends it") },
  ];
}
