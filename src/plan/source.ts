/** Sources of bind mounts, and symlinks among them. Small, since a plan that is remembered needs this too. */
import type { Mount } from "../../spec/mounts.ts";
import type { PlanInput, SourceKind } from "./input.ts";

/** A bind mount is one by its type, or by an option whatever its type is (config.md, "Mounts"). */
export function isBind({ type, options }: Pick<Mount, "type" | "options">): boolean {
  return type === "bind" || (options ?? []).some((option) => option === "bind" || option === "rbind");
}

/** Whether the source's own symlink is meant, not what it leads to (crun's options). */
export function meansLink({ options = [] }: Mount): boolean {
  return options.some((option) => option === "src-nofollow" || option === "copy-symlink");
}

/** The name of a source among the host's facts: a symlink that isn't followed has another one. */
export function sourceName(mount: Mount): string {
  const source = mount.source ?? "";
  return meansLink(mount) ? `nofollow ${source}` : source;
}

export const isLink = (kind: SourceKind | undefined): kind is `link ${string}` =>
  kind?.startsWith("link ") ?? false;
/** What the symlink says. */
export const targetOf = (kind: `link ${string}`): string => kind.slice("link ".length);

/** Where init puts what a symlink says that was there before: it has to be the same (copy-symlink). */
export const linkBuffer = (at: string) => `link ${at}`;

/** The symlinks that are copied, by place: what has to be there in the end. */
export function copiedLinks({ config, host }: PlanInput) {
  return (config.mounts ?? []).flatMap((mount, i) => {
    if (!mount.options?.includes("copy-symlink")) return [];
    const kind = host.sources[sourceName(mount)];
    if (!isLink(kind)) return [];
    const at = `mounts[${i}]`;
    return [{ at, destination: mount.destination, target: targetOf(kind), buffer: linkBuffer(at) }];
  });
}
