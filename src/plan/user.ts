/** Ids: root of a new user namespace first, the program's own at the end (config.md, "User"; user_namespaces(7)). */
import type { Config } from "../../spec/config.ts";
import type { User } from "../../spec/process.ts";
import type { Problem } from "../error.ts";
import { type Call, cell, type Step, struct } from "../init/step.ts";
import { PR, PR_CAP_AMBIENT } from "../kernel/consts/prctl.ts";
import { CALLERS_UMASK } from "./inherited.ts";
import { hasNamespace, isNew, namespaceAt, type PlanInput } from "./input.ts";
import { groupsDenied, hostIdOf, type MappingsName } from "./mappings.ts";

type Ids = Pick<User, "uid" | "gid">;

/**
 * One id of init's own while it sets the container up: root's, or the program's where root isn't mapped. What init may do
 * comes from the capabilities of its birth; an id it needs to make files at all, which have no owner otherwise.
 */
function ownId(config: Config, name: MappingsName, user: Ids | undefined): Step[] {
  const isUid = name === "uidMappings";
  const mappings = config.linux?.[name] ?? [];
  const own = user?.[isUid ? "uid" : "gid"] ?? 0;
  const set = (id: number, on?: Call["on"]): Call => ({
    call: isUid ? "setresuid" : "setresgid",
    args: [id, id, id],
    why:
      id === 0
        ? `root${isUid ? "" : "'s group"} in the user namespace`
        : `the program's ${isUid ? "user" : "group"}, as root's isn't mapped`,
    at: isNew(config, "user") ? `linux.${name}` : `${namespaceAt(config, "user")}.path`,
    ...(on === undefined ? {} : { on }),
    fail: {
      code: "ID_MAPPING_FAILED",
      message: "cannot become root of the user namespace",
      hints: { EINVAL: "neither root's id nor the program's is mapped there" },
    },
  });
  if (own === 0 || hostIdOf(mappings, 0) !== undefined) return [set(0)];
  // Which ids a namespace that is joined maps isn't known before.
  return isNew(config, "user") ? [set(own)] : [set(0, { EINVAL: [set(own)] })];
}

/**
 * Init becomes root of its user namespace: of a new one when the parent has written the maps.
 * @param user of the container's own program, who takes root's place where that isn't mapped
 */
export function becomeRoot(
  { config }: Pick<PlanInput, "config">,
  user: Ids | undefined = config.process?.user,
): Step[] {
  if (!hasNamespace(config, "user")) return [];
  return [
    ...ownId(config, "gidMappings", user),
    ...ownId(config, "uidMappings", user),
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

const NO_SETGROUPS = "a user namespace that maps only its maker's own group forbids setgroups(2)";

/** Groups before gid before uid: each needs a right that the next one gives away. */
export function setIds(input: PlanInput): Step[] {
  const { config } = input;
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
  const isDenied = groups.length === 0 && groupsDenied(input);
  // One that is joined may forbid it too; nothing is lost then, see join.ts.
  const maybeDenied = hasNamespace(config, "user") && !isNew(config, "user") && groups.length === 0;
  return [
    ...(isDenied
      ? []
      : [
          {
            call: "setgroups",
            args: [groups.length, groups.length === 0 ? 0 : struct("gid_list", groups)],
            why: "exactly these additional groups",
            at: "process.user.additionalGids",
            ...(maybeDenied ? { on: { EPERM: "next" } } : {}),
            fail: {
              ...failure(groups.length === 0 ? "an empty list of groups" : `the groups ${groups.join(", ")}`),
              hints: hasNamespace(config, "user") ? { ...hints, EPERM: NO_SETGROUPS } : hints,
            },
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

/** What keeps the program from being who the config says, as far as the mappings of a new user namespace tell. */
export function userProblems(input: PlanInput): Problem[] {
  const { config } = input;
  if (!isNew(config, "user")) return [];
  const { uid, gid, additionalGids = [] } = config.process?.user ?? {};
  const denied: Problem[] =
    additionalGids.length > 0 && groupsDenied(input)
      ? [
          {
            at: "process.user.additionalGids",
            message: "can't be set: who maps only its own group has to give up setgroups(2)",
            hint: "map a range of groups, which root has given to the caller in /etc/subgid",
          },
        ]
      : [];
  const ids: [string, MappingsName, number | undefined][] = [
    ["uid", "uidMappings", uid],
    ["gid", "gidMappings", gid],
    ...additionalGids.map((id, i): [string, MappingsName, number] => [
      `additionalGids[${i}]`,
      "gidMappings",
      id,
    ]),
  ];
  const unmapped = ids.flatMap(([name, mappings, id = 0]): Problem[] =>
    hostIdOf(config.linux?.[mappings] ?? [], id) === undefined
      ? [{ at: `process.user.${name}`, message: `${id} isn't mapped by linux.${mappings}` }]
      : [],
  );
  return [...denied, ...unmapped];
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
