/**
 * HOME, where the config has none: that of the program's user in the container's /etc/passwd (passwd(5)), or else `/`. The spec
 * says nothing of it; runc and crun do so, and Docker and containerd leave it to them.
 */
import type { Config } from "../../spec/config.ts";
import type { Process } from "../../spec/process.ts";
import { hasAny } from "../lists.ts";
import { normalize } from "../path.ts";
import type { Host } from "./input.ts";
import { isBind } from "./source.ts";

const VARIABLE = "HOME=";
/** Its name among the host's facts: no path is like it. */
export const HOME = "home of the program's user";
const ROOT_HOME = "/";
const ETC = "/etc";
const PASSWD = "/etc/passwd";
const placeOf = (destination: string) => normalize(destination).replace(/\/$/, "");

export const lacksHome = ({ env = [] }: Pick<Process, "env">): boolean =>
  !hasAny(env, (entry) => entry.startsWith(VARIABLE) && entry !== VARIABLE);

export interface HomeLookup {
  of: "home";
  name: string;
  /** Below the root file system, or below `top`, a directory of the host. */
  path: string;
  top?: string;
  uid: number;
}

/** Where to look; a bind mount may cover the image's file. */
export function homeLookup(config: Config): HomeLookup[] {
  if (config.process === undefined || !lacksHome(config.process)) return [];
  const lookup = { of: "home", name: HOME, uid: config.process.user?.uid ?? 0 } as const;
  const covers = (config.mounts ?? []).findLast(({ destination }) =>
    [ETC, PASSWD].includes(placeOf(destination)),
  );
  if (covers === undefined) return [{ ...lookup, path: PASSWD.slice(1) }];
  const { source = "", destination } = covers;
  if (!isBind(covers)) return [{ ...lookup, path: "" }];
  if (placeOf(destination) === ETC) return [{ ...lookup, top: source, path: "passwd" }];
  const slash = source.lastIndexOf("/");
  return [{ ...lookup, top: source.slice(0, slash) || "/", path: source.slice(slash + 1) }];
}

/** The fields of a user's line in the text of a passwd file (passwd(5)). */
export function entryOf(text: string, uid: number): string[] | undefined {
  for (const line of text.split("\n")) {
    const fields = line.split(":");
    if (fields[2] === String(uid)) return fields;
  }
  return undefined;
}

/** The home of a user in the text of a passwd file. */
export function homeIn(text: string, uid: number): string {
  const [, , , , , home = ""] = entryOf(text, uid) ?? [];
  return home === "" ? ROOT_HOME : home;
}

/** The environment with HOME, in the place of an empty one. */
export function withHome(env: readonly string[], home: string): string[] {
  return [...env.filter((entry) => entry !== VARIABLE), VARIABLE + home];
}

/** The program's environment. */
export function environmentOf(config: Config, { sources }: Pick<Host, "sources">): readonly string[] {
  const { env = [] } = config.process ?? {};
  const home = sources[HOME];
  return home === undefined ? env : withHome(env, home.slice("home ".length));
}
