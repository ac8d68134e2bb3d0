/** newuidmap(1) and newgidmap(1), for a caller whose mappings the kernel doesn't take: subuid(5) says which ids they map for whom. */
import type { IdMapping } from "../../spec/common.ts";
import { KontenaError } from "../error.ts";
import { errnoText } from "../kernel/errno.ts";
import { codeOf, readText } from "../kernel/files.ts";
import type { MappingsName } from "../plan/mappings.ts";
import { userName } from "./list.ts";

const HELPERS = {
  uidMappings: { program: "newuidmap", file: "/etc/subuid", option: "--add-subuids" },
  gidMappings: { program: "newgidmap", file: "/etc/subgid", option: "--add-subgids" },
} as const;

/** Where set-user-ID programs are, for a caller without a PATH; the last one is NixOS's. */
const DIRECTORIES = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/usr/local/sbin:/run/wrappers/bin";

interface Caller {
  uid: number;
  /** Its own id, which needs no range. */
  own: number;
}

/** @throws KontenaError ID_MAPPING_FAILED */
export function writeByHelper(
  pid: number,
  name: MappingsName,
  mappings: readonly IdMapping[],
  caller: Caller,
): void {
  const { program } = HELPERS[name];
  const at = `linux.${name}`;
  // An empty part of PATH would mean the current directory.
  const path = Bun.which(program, { PATH: [process.env["PATH"], DIRECTORIES].filter(Boolean).join(":") });
  if (path === null)
    throw new KontenaError("ID_MAPPING_FAILED", `${program} isn't there to map more ids than one's own`, {
      at,
      hint: "install it: it is in the package uidmap on Debian, in shadow-utils or shadow elsewhere",
    });
  const refusal = refusalOf([path, String(pid), ...mappings.flatMap(toWords)]);
  if (refusal === undefined) return;
  throw new KontenaError("ID_MAPPING_FAILED", `${path} ${refusal}`, {
    at,
    path,
    ...hintOf(name, mappings, caller),
  });
}

const toWords = ({ containerID, hostID, size }: IdMapping) => [containerID, hostID, size].map(String);

/** Runs it; undefined when it has done its work. */
function refusalOf(command: string[]): string | undefined {
  try {
    const { exitCode, stderr } = Bun.spawnSync(command, {
      env: { LC_ALL: "C" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (exitCode === 0) return undefined;
    const words = stderr.toString().trim().split("\n")[0];
    return words ? `refused: ${words}` : `ended with status ${exitCode}`;
  } catch (error) {
    return `can't be executed: ${errnoText(codeOf(error))}`;
  }
}

function hintOf(name: MappingsName, mappings: readonly IdMapping[], caller: Caller): { hint?: string } {
  const { program, file, option } = HELPERS[name];
  // Without a name, the number: the files of ranges take it as well.
  const user = userName(caller.uid).replace("#", "");
  const given = rangesOf(readOr(file), [user, String(caller.uid)]);
  const missing = mappings.find(
    ({ hostID, size }) => !(size === 1 && hostID === caller.own) && !isWithin(given, hostID, size),
  );
  if (missing !== undefined) {
    const { hostID, size } = missing;
    const last = hostID + size - 1;
    return {
      hint: `${file} doesn't give the ids ${hostID} to ${last} to ${user}; root can add the line "${user}:${hostID}:${size}" there (usermod ${option} ${hostID}-${last} ${user})`,
    };
  }
  if (/^NoNewPrivs:\s*1/m.test(readOr("/proc/self/status")))
    return { hint: `the caller has no_new_privs set, so ${program} can't have the rights that it needs` };
  return {};
}

function readOr(path: string): string {
  try {
    return readText(path);
  } catch {
    return "";
  }
}

/** A range of ids: the first one, and the first behind it. */
type Range = readonly [number, number];

/** subuid(5): lines `OWNER:FIRST:COUNT`. */
export function rangesOf(text: string, owners: readonly string[]): Range[] {
  return text.split("\n").flatMap((line): Range[] => {
    const [owner = "", first, count] = line.split(":");
    const start = Number(first);
    const end = start + Number(count);
    return owners.includes(owner) && end > start ? [[start, end]] : [];
  });
}

/** Whether ids from `first` on are all given, be it by several ranges that touch. */
export function isWithin(ranges: readonly Range[], first: number, size: number): boolean {
  let next = first;
  for (;;) {
    const range = ranges.find(([start, end]) => start <= next && next < end);
    if (next >= first + size) return true;
    if (range === undefined) return false;
    next = range[1];
  }
}
