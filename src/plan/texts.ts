/**
 * The arguments of init's calls that differ between containers of one plan: filled in for each, when everything else is
 * encoded, and maybe kept.
 */
import { type Buffer, buffer } from "../init/step.ts";
import { type Hierarchy, hasNamespace, type PlanInput } from "./input.ts";

/** Whether init has the rights to do it: as root of the first user namespace. Otherwise the runtime does. */
export function joinsByItself({ config }: PlanInput): boolean {
  return !hasNamespace(config, "user");
}

/** Bytes for a path of a cgroup, in steps, so that the plans of containers with different ids are equal to the byte. */
export function cgroupRoom(path: string): number {
  const STEP = 512;
  return Math.ceil((path.length * 3 + 1) / STEP) * STEP;
}

/** The path below a hierarchy's mount point as an argument that is filled in for each container. */
export function cgroupFile(input: PlanInput, h: Hierarchy, file: string): Buffer {
  const text = `${h.mountpoint}${input.cgroupPath ?? ""}${file}`;
  return buffer(`${h.mountpoint} … ${file || "directory"}`, cgroupRoom(text), text);
}

/** The texts of all such arguments, for a plan that was made for another container. */
export function cgroupTexts(input: PlanInput): Buffer[] {
  const texts: Buffer[] = [];
  for (const h of input.host.hierarchies)
    texts.push(cgroupFile(input, h, "/tasks"), cgroupFile(input, h, ""));
  return texts;
}

const PREFIX = "_ses.";
/** Room for the longest id, so that plans of containers with different ids are equal to the byte. */
const ROOM = 256;

/** The keyring's name as an argument that is filled in for each container. */
export function keyringTexts({ id, noNewKeyring }: Pick<PlanInput, "id" | "noNewKeyring">): Buffer[] {
  return noNewKeyring ? [] : [buffer("name of the session keyring", ROOM, `${PREFIX}${id}`)];
}
