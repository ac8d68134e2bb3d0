/** Ids: root of a new user namespace first, the program's own at the end (config.md, "User"; user_namespaces(7)). */
import { cell, type Step, struct } from "../init/step.ts";
import { PR, PR_CAP_AMBIENT } from "../kernel/consts/prctl.ts";
import { CALLERS_UMASK } from "./inherited.ts";
import { hasNamespace, isNew, namespaceAt, type PlanInput } from "./input.ts";

/** Init becomes root of its user namespace: of a new one when the parent has written the maps. */
export function becomeRoot({ config }: Pick<PlanInput, "config">): Step[] {
  if (!hasNamespace(config, "user")) return [];
  const fail = { code: "ID_MAPPING_FAILED", message: "cannot become root of the user namespace" } as const;
  const hint = { EINVAL: "the mappings must map id 0 of the container" };
  const place = (mappings: string) =>
    isNew(config, "user") ? `linux.${mappings}` : `${namespaceAt(config, "user")}.path`;
  return [
    {
      call: "setresgid",
      args: [0, 0, 0],
      why: "root's group in the user namespace",
      at: place("gidMappings"),
      fail: { ...fail, hints: hint },
    },
    {
      call: "setresuid",
      args: [0, 0, 0],
      why: "root in the user namespace",
      at: place("uidMappings"),
      fail: { ...fail, hints: hint },
    },
    {
      call: "prctl",
      args: [PR.PR_CAP_AMBIENT, PR_CAP_AMBIENT.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0],
      why: "the ambient capabilities have done their work at birth",
      fail: { code: "INTERNAL", message: "cannot clear the ambient capabilities" },
    },
  ];
}

/** Not before the maps are there: the kernel lets nobody write those of a process that isn't dumpable. */
export function notDumpable(): Step[] {
  return [
    {
      call: "prctl",
      args: [PR.PR_SET_DUMPABLE, 0, 0, 0, 0],
      why: "nothing in the container can trace init or open its descriptors (CVE-2016-9962)",
      fail: { code: "INTERNAL", message: "cannot make init non-dumpable" },
    },
  ];
}

/** Groups before gid before uid: each needs a right that the next one gives away. */
export function setIds({ config, host }: PlanInput): Step[] {
  const user = config.process?.user;
  const uid = user?.uid ?? 0;
  const gid = user?.gid ?? 0;
  const groups = user?.additionalGids ?? [];
  const hints = {
    EINVAL: "the id isn't mapped in the user namespace",
    EPERM: "the caller may not become this user",
  };
  const failure = (what: string) => ({
    code: "PROCESS_FAILED" as const,
    message: `cannot set ${what}`,
    hints,
  });
  // Without CAP_SETGID in the first user namespace, a mapping of one's own gid forbids setgroups for good.
  const groupsDenied = isNew(config, "user") && host.uid !== 0 && groups.length === 0;
  // One that is joined may forbid it too; nothing is lost then, see join.ts.
  const maybeDenied = hasNamespace(config, "user") && !isNew(config, "user") && groups.length === 0;
  return [
    ...(groupsDenied
      ? []
      : [
          {
            call: "setgroups",
            args: [groups.length, groups.length === 0 ? 0 : struct("gid_list", groups)],
            why: "exactly these additional groups",
            at: "process.user.additionalGids",
            ...(maybeDenied ? { on: { EPERM: "next" } } : {}),
            fail: failure(
              groups.length === 0 ? "an empty list of groups" : `the groups ${groups.join(", ")}`,
            ),
          } satisfies Step,
        ]),
    {
      call: "setresgid",
      args: [gid, gid, gid],
      why: `group ${gid}`,
      at: "process.user.gid",
      fail: failure(`gid ${gid}`),
    },
    {
      call: "setresuid",
      args: [uid, uid, uid],
      why: `user ${uid}`,
      at: "process.user.uid",
      fail: failure(`uid ${uid}`),
    },
  ];
}

/** The umask that the program starts with: "if unspecified, the umask should not be changed from the calling process' umask". */
export function setUmask({ config }: PlanInput): Step[] {
  const umask = config.process?.user?.umask;
  return [
    {
      call: "umask",
      args: [umask ?? cell(CALLERS_UMASK)],
      why: umask === undefined ? "the caller's umask" : "the program's umask",
      ...(umask === undefined ? {} : { at: "process.user.umask" }),
      fail: { code: "PROCESS_FAILED", message: "cannot set the umask" },
    },
  ];
}
