/** The time namespace (config-linux.md, "Offset for Time Namespace"; time_namespaces(7), Linux 5.6). */
import { type Call, cell, type Failure, type Step } from "../init/step.ts";
import { AT_FDCWD, O } from "../kernel/consts/fcntl.ts";
import { CLONE } from "../kernel/consts/sched.ts";
import { isNew, namespaceAt, type PlanInput } from "./input.ts";

const OFFSETS = "time offsets";
const NEW = "new time namespace";

/**
 * A new time namespace is one for children first: its offsets may be set until somebody is in it, and then init enters. Made
 * by clone3 it would be entered, and its offsets fixed, by the execve that begins init. The host's /proc is still there.
 */
export function timeNamespace({ config }: PlanInput): Step[] {
  if (!isNew(config, "time")) return [];
  const at = namespaceAt(config, "time");
  const fail: Failure = { code: "NAMESPACE_FAILED", message: "cannot create the time namespace" };
  return [
    {
      call: "unshare",
      args: [CLONE.CLONE_NEWTIME],
      why: "a time namespace, for children so far",
      at,
      fail: { ...fail, hints: { EINVAL: "the kernel has no time namespaces (Linux 5.6, CONFIG_TIME_NS)" } },
    },
    ...setOffsets(config.linux?.timeOffsets ?? {}),
    {
      call: "openat",
      args: [AT_FDCWD, "/proc/self/ns/time_for_children", O.O_RDONLY | O.O_CLOEXEC],
      why: "that namespace",
      at,
      save: NEW,
      fail,
    },
    {
      call: "setns",
      args: [cell(NEW), CLONE.CLONE_NEWTIME],
      why: "init, and so the program, is in it",
      at,
      fail,
    },
  ];
}

type Offsets = NonNullable<NonNullable<PlanInput["config"]["linux"]>["timeOffsets"]>;

/** One write for all clocks: the kernel takes no second one at another position. */
function setOffsets(offsets: Offsets): Step[] {
  const lines = (["monotonic", "boottime"] as const).flatMap((clock) => {
    const offset = offsets[clock];
    return offset === undefined ? [] : [`${clock} ${offset.secs ?? 0} ${offset.nanosecs ?? 0}\n`];
  });
  if (lines.length === 0) return [];
  const text = lines.join("");
  const at = "linux.timeOffsets";
  const path = "/proc/self/timens_offsets";
  const fail: Failure = { code: "NAMESPACE_FAILED", message: "cannot set the clocks' offsets", path };
  const write: Call = {
    call: "write",
    args: [cell(OFFSETS), text, text.length],
    why: `the clocks of the namespace: ${lines.map((line) => line.trim()).join(", ")}`,
    at,
    fail: { ...fail, hints: { ERANGE: "a clock would be before its beginning, or beyond its end" } },
  };
  return [
    {
      call: "openat",
      args: [AT_FDCWD, path, O.O_WRONLY | O.O_CLOEXEC],
      why: "offsets of the namespace that children get",
      at,
      save: OFFSETS,
      fail,
    },
    write,
  ];
}
