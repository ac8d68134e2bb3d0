/**
 * Devices: those that every container has (config-linux.md, "Default Devices"; runtime-linux.md, "/dev symbolic links"), and
 * those of the config (config-linux.md, "Devices"), which may be anywhere in the root file system.
 */

import type { Device } from "../../spec/devices.ts";
import { type Call, cell, type Step } from "../init/step.ts";
import { basename, dirname } from "../path.ts";
import { openInRoot, openOrMake, relative, sweep, swept } from "./destination.ts";
import { hasNamespace, type PlanInput } from "./input.ts";
import { type DeviceNode, isMade, look, makeNode, nodeBuffers, nodeFailure } from "./node.ts";

/** Numbers from the kernel's admin-guide/devices.txt. */
const DEFAULT_DEVICES: readonly (readonly [name: string, major: number, minor: number])[] = [
  ["null", 1, 3],
  ["zero", 1, 5],
  ["full", 1, 7],
  ["random", 1, 8],
  ["urandom", 1, 9],
  ["tty", 5, 0],
];

const LINKS: readonly (readonly [target: string, name: string])[] = [
  ["/proc/self/fd", "fd"],
  ["/proc/self/fd/0", "stdin"],
  ["/proc/self/fd/1", "stdout"],
  ["/proc/self/fd/2", "stderr"],
  ["pts/ptmx", "ptmx"],
];

const DEV = "/dev";

/** Whether /dev is the container's own: with the host's bound there, the devices are as the host has them. */
function ownsDev({ config }: PlanInput): boolean {
  if (!hasNamespace(config, "mount")) return false;
  return !(config.mounts ?? []).some(
    (m) =>
      relative(m.destination) === "dev" &&
      (m.type === "bind" || m.options?.some((o) => o === "bind" || o === "rbind")),
  );
}

/** The permissions without the file type that engines leave in. */
const PERMISSIONS = 0o7777;

function nodeOf(device: Device, i: number): DeviceNode {
  const { type, path, major = 0, minor = 0, fileMode, uid, gid } = device;
  return {
    path: `/${relative(path)}`,
    at: `linux.devices[${i}]`,
    type: type === "u" ? "c" : type,
    major: Number(major),
    minor: Number(minor),
    ...(fileMode === undefined ? {} : { mode: fileMode & PERMISSIONS }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  };
}

/** Engines list the host's /dev/ptmx, but a container's leads to its own devpts: the link that is there anyway. */
const isPtmx = ({ path, type, major, minor }: DeviceNode) =>
  path === "/dev/ptmx" && type === "c" && major === 5 && minor === 2;

function configured({ config }: PlanInput): DeviceNode[] {
  return (config.linux?.devices ?? []).map(nodeOf).filter((node) => !isPtmx(node));
}

/** The default devices but those that the config describes in its own way. */
function defaults(input: PlanInput): DeviceNode[] {
  if (!ownsDev(input)) return [];
  const own = new Set(configured(input).map(({ path }) => path));
  return DEFAULT_DEVICES.map(
    ([name, major, minor]): DeviceNode => ({
      path: `${DEV}/${name}`,
      at: undefined,
      type: "c",
      major,
      minor,
    }),
  ).filter(({ path }) => !own.has(path));
}

export function devices(input: PlanInput): Step[] {
  return [...configuredDevices(input), ...defaultDevices(input)];
}

function defaultDevices(input: PlanInput): Step[] {
  if (!ownsDev(input)) return [];
  const open = openOrMake({
    path: DEV,
    kind: "directory",
    save: DEV,
    at: undefined,
    why: "where the devices are made",
    fail: nodeFailure({ path: DEV }),
  });
  return [
    open,
    ...defaults(input).flatMap((node) => makeNode(input, node, DEV, basename(node.path))),
    ...LINKS.map(
      ([target, name]): Call => ({
        call: "symlinkat",
        args: [target, cell(DEV), name],
        why: `${DEV}/${name}`,
        on: { EEXIST: "next" },
        fail: nodeFailure({ path: `${DEV}/${name}` }),
      }),
    ),
    ...sweep("temporary"),
  ];
}

/** Nothing is made in the host's own /dev: what the config lists has to be there. */
const isHosts = (input: PlanInput, { path }: DeviceNode) => !ownsDev(input) && path.startsWith(`${DEV}/`);

function configuredDevices(input: PlanInput): Step[] {
  return swept(configured(input).map((node) => configuredDevice(input, node)));
}

function configuredDevice(input: PlanInput, node: DeviceNode): Step[] {
  const { path, at } = node;
  const name = basename(path);
  const save = `${at} directory`;
  const place = {
    path: dirname(path),
    kind: "directory" as const,
    save,
    at: `${at}.path`,
    why: `the directory of ${path}`,
    fail: nodeFailure(node),
  };
  if (!isHosts(input, node)) {
    const open = place.path === "/" ? openInRoot(place) : openOrMake(place);
    return [open, ...makeNode(input, node, save, name)];
  }
  const fail = {
    ...nodeFailure(node),
    message: `cannot find ${path} in the host's /dev, which is bound`,
    hints: { ENOENT: "nothing is made there: the device has to exist on the host" },
  };
  const { before } = nodeBuffers(node);
  return [
    openInRoot({ ...place, fail }),
    { ...look(node, save, name, before, "/dev is the host's: is the device there?"), fail },
  ];
}

/** What has to be true of a device's path; TypeScript looks when the batch is done. */
export interface DeviceCheck extends DeviceNode {
  /** Buffers with what was there before, and with what has been bound; all zero when no one had to look. */
  before: string;
  after?: string;
  /** An empty file may have been there, for the host's device to be bound over. */
  mayBeEmpty: boolean;
}

export function deviceChecks(input: PlanInput): DeviceCheck[] {
  return [...configured(input), ...defaults(input)].map((node) => {
    const { mode, uid, gid, ...device } = node;
    const { before, after } = nodeBuffers(node);
    // What is the host's keeps the host's mode and owner.
    if (isHosts(input, node)) return { ...device, before, mayBeEmpty: false };
    return isMade(input, node)
      ? { ...node, before, mayBeEmpty: false }
      : { ...device, before, after, mayBeEmpty: true };
  });
}
