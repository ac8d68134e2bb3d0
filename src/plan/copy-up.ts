/** tmpcopyup: where init waits while the runtime fills a tmpfs with what the image has at its destination. */

import type { Mount } from "../../spec/mounts.ts";
import type { Pause } from "../init/step.ts";
import type { PlanInput } from "./input.ts";
import { COPY_UP } from "./names.ts";

/** One tmpfs to be filled. */
export interface CopyUp {
  at: string;
  destination: string;
  /** Name of the pause. */
  pause: string;
  /** Cells with init's descriptors of the directory in the image and of the tmpfs, which is attached nowhere yet. */
  destinationCell: string;
  mountCell: string;
  /** Whether the tmpfs's top gets the owner of the directory: not where the options give it one. */
  ownsTop: boolean;
}

const ownerGiven = ({ options = [] }: Mount) => options.some((option) => /(^|,)[ug]id=/.test(option));

export function copyUps({ config }: PlanInput): CopyUp[] {
  return (config.mounts ?? []).flatMap((mount, i) => {
    if (!mount.options?.includes("tmpcopyup")) return [];
    const at = `mounts[${i}]`;
    const [destinationCell, mountCell] = [`${at} destination`, `${at} mount`];
    const { destination } = mount;
    return [
      { at, destination, pause: `${COPY_UP}${at}`, destinationCell, mountCell, ownsTop: !ownerGiven(mount) },
    ];
  });
}

/** The pause between opening the destination and attaching the tmpfs there. */
export function copyUpPause(mount: Mount, at: string): Pause[] {
  if (!mount.options?.includes("tmpcopyup")) return [];
  return [{ pause: `${COPY_UP}${at}`, why: `the runtime copies what the image has at ${mount.destination}` }];
}
