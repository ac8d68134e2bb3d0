/**
 * What of the host a plan depends on, as questions: what sources of bind mounts are, and what the image has at destinations.
 * Pure; the answers are gathered by container/host.ts, under the names that source.ts has for them.
 */
import type { Config } from "../../spec/config.ts";
import { relative } from "./destination.ts";
import { type HomeLookup, homeLookup } from "./home.ts";
import {
  deviceName,
  isBind,
  isOnImage,
  meansLink,
  modeName,
  placeName,
  sourceName,
  takesMode,
} from "./source.ts";

export type Lookup =
  /** What a source is; the symlink itself with `link`. */
  | { of: "source"; name: string; path: string; link: boolean }
  /** Whether a source is a block device. */
  | { of: "device"; name: string; path: string }
  /** A destination in the image: where its symlinks lead, if that isn't there yet, and the mode of a directory. */
  | { of: "image"; name: string; path: string; mode?: string }
  /** HOME of the program's user, in a passwd file. */
  | HomeLookup;

/** In the order of the answers. */
export function lookupsOf(config: Config): Lookup[] {
  const { mounts = [] } = config;
  const images = mounts.flatMap((mount, i): Lookup[] =>
    isOnImage(mounts, i)
      ? [
          {
            of: "image",
            name: placeName(mount),
            path: relative(mount.destination),
            ...(takesMode(mounts, i) ? { mode: modeName(mount) } : {}),
          },
        ]
      : [],
  );
  const sources = mounts.flatMap((mount): Lookup[] => {
    const { source: path } = mount;
    if (path === undefined) return [];
    if (isBind(mount)) return [{ of: "source", name: sourceName(mount), path, link: meansLink(mount) }];
    return path.startsWith("/") ? [{ of: "device", name: deviceName(mount), path }] : [];
  });
  return [...images, ...sources, ...homeLookup(config)];
}
