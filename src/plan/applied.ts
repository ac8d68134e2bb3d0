/**
 * What can't be applied as it stands. Such a property is an error that names it: a container that runs without a limit or a
 * filter that its config asks for is worse than one that doesn't run.
 */
import type { Config } from "../../spec/config.ts";
import type { Problem } from "../error.ts";
import { hasNamespace } from "./input.ts";
import { isRootItself, mountProblems } from "./mount-checks.ts";
import { notifyProblems } from "./seccomp.ts";

/** The place of a property that the config uses in a way that would have to be applied. */
const present = (place: string, value: unknown): string[] => {
  if (value === undefined || value === false || value === "") return [];
  if (typeof value === "object" && value !== null && Object.keys(value).length === 0) return [];
  return [place];
};

/** Without a mount namespace these would change the host, so they are refused, in every version. */
function withoutMountNamespace(config: Config): Problem[] {
  if (hasNamespace(config, "mount")) return [];
  const places = [
    ...present("mounts", config.mounts),
    ...present("root.readonly", config.root?.readonly),
    ...present("linux.devices", config.linux?.devices),
    ...present("linux.rootfsPropagation", config.linux?.rootfsPropagation),
    ...present("linux.maskedPaths", config.linux?.maskedPaths),
    ...present("linux.readonlyPaths", config.linux?.readonlyPaths),
  ];
  return places.map((at) => ({
    at,
    message: "needs a mount namespace, or the host's own files and mounts would change",
    hint: 'add {"type": "mount"} to linux.namespaces',
  }));
}

/** Moved to where they are already. */
function withoutNetworkNamespace(config: Config): Problem[] {
  if (hasNamespace(config, "network")) return [];
  return present("linux.netDevices", config.linux?.netDevices).map((at) => ({
    at,
    message: "needs a network namespace, for the devices to be moved into",
    hint: 'add {"type": "network"} to linux.namespaces',
  }));
}

/** It would have to be done to the root's own mount, and root.readonly does that. */
function protectedRoot({ linux = {} }: Config): Problem[] {
  return (["maskedPaths", "readonlyPaths"] as const).flatMap((name) =>
    (linux[name] ?? []).flatMap((path, i) =>
      isRootItself(path)
        ? [
            {
              at: `linux.${name}[${i}]`,
              message: "is the container's root, which can't be covered by itself",
              ...(name === "readonlyPaths" && { hint: "root.readonly makes it read-only" }),
            },
          ]
        : [],
    ),
  );
}

/** Everything in the config that this version refuses; none of it is ever ignored. */
export function notApplied(config: Config): Problem[] {
  return [
    ...mountProblems(config),
    ...withoutMountNamespace(config),
    ...protectedRoot(config),
    ...withoutNetworkNamespace(config),
    ...notifyProblems(config),
  ];
}
