/**
 * `remount`: other flags for what is mounted at the destination already. Only what the options name changes, as mount(8)
 * has it; mount(2) would take away all other flags. With `bind`, the mount alone changes; without, data and flags of the
 * file system (`sync`, `lazytime` …) change that. `ro` and `rw` change the file system only when an earlier mount of this
 * config has made it: one of the host's stays as it is for the host.
 */
import type { Mount } from "../../spec/mounts.ts";
import { type Call, cell, type Failure, type Step } from "../init/step.ts";
import { FSCONFIG, FSPICK } from "../kernel/consts/mount.ts";
import { setAllAttributes, setPropagation } from "./attach.ts";
import { openInRoot, relative } from "./destination.ts";
import { SHARED_INSTANCE } from "./filesystem.ts";
import type { ParsedOptions } from "./options.ts";
import { isBind } from "./source.ts";

/** Whether the last mount at this place, of those before, brought a file system of its own. */
function isOwn(earlier: readonly Mount[], destination: string): boolean {
  const path = relative(destination);
  const last = earlier.findLast((m) => relative(m.destination) === path && !m.options?.includes("remount"));
  return last !== undefined && !isBind(last) && !SHARED_INSTANCE.has(last.type ?? "");
}

export function remount(earlier: readonly Mount[], mount: Mount, options: ParsedOptions, at: string): Step[] {
  const path = mount.destination;
  const place = `${at} destination`;
  const fail: Failure = {
    code: "MOUNT_FAILED",
    message: `cannot remount ${path}`,
    path,
    hints: { EINVAL: "nothing is mounted there, or an option is wrong" },
  };
  const changesFile = !isBind(mount);
  const keep = isOwn(earlier, path) ? () => true : (f: string) => f !== "ro" && f !== "rw";
  const flags = changesFile ? options.flags.filter(keep) : [];
  const data = changesFile ? options.data : [];
  return [
    openInRoot({
      path,
      kind: "any",
      save: place,
      at: `${at}.destination`,
      why: "what is mounted there",
      fail,
    }),
    ...(flags.length + data.length === 0 ? [] : reconfigure(place, flags, data, at, fail)),
    ...setAllAttributes(place, options, at, fail).map((call) => ({
      ...call,
      fail: { ...fail, hints: { ...call.fail?.hints, ...fail.hints } },
    })),
    ...setPropagation(place, options, at, fail),
  ];
}

/** fspick(2) and fsconfig(2): the file system with other options, all or none of them. */
function reconfigure(
  place: string,
  flags: readonly string[],
  data: ParsedOptions["data"],
  at: string,
  fail: Failure,
): Call[] {
  const context = `${at} context`;
  const config = (
    command: number,
    key: string | number,
    value: string | number,
    why: string,
    where: string,
  ): Call => ({
    call: "fsconfig",
    args: [cell(context), command, key, value, 0],
    why,
    at: where,
    fail,
    log: context,
  });
  return [
    {
      call: "fspick",
      args: [cell(place), "", FSPICK.FSPICK_CLOEXEC | FSPICK.FSPICK_EMPTY_PATH],
      why: "its file system, to be changed",
      at,
      save: context,
      fail,
    },
    ...flags.map((f) => config(FSCONFIG.FSCONFIG_SET_FLAG, f, 0, `option ${f}`, `${at}.options`)),
    ...data.map(({ key, value, index }) =>
      value === undefined
        ? config(FSCONFIG.FSCONFIG_SET_FLAG, key, 0, `option ${key}`, `${at}.options[${index}]`)
        : config(
            FSCONFIG.FSCONFIG_SET_STRING,
            key,
            value,
            `option ${key}=${value}`,
            `${at}.options[${index}]`,
          ),
    ),
    config(FSCONFIG.FSCONFIG_CMD_RECONFIGURE, 0, 0, "change it", at),
  ];
}
