/**
 * linux.netDevices (config-linux.md, "Network Devices"): devices of the runtime's network namespace move into the container's,
 * with their names, addresses and state. The kernel takes addresses away as a device moves, and stops it.
 */

import { KontenaError } from "../error.ts";
import { IFA, IFA_F, IFLA, NLM_F, RT_SCOPE_UNIVERSE, RTM } from "../kernel/consts/netlink.ts";
import { IFF } from "../kernel/consts/socket.ts";
import { codeOf } from "../kernel/files.ts";
import { fstatSync, openSync } from "../kernel/fs.ts";
import {
  type AddressMessage,
  attributeText,
  decodeAddress,
  decodeLink,
  encodeAddress,
  encodeLink,
  NetlinkError,
  openRoute,
  openRouteIn,
  request,
} from "../kernel/netlink.ts";
import { namespaceAt, type PlanInput } from "../plan/input.ts";
import { isTemplate, type NetDevice, netDevices } from "../plan/network.ts";

/** Both namespaces, and a socket to the devices of each. */
interface Networks {
  own: number;
  containers: number;
  here: number;
  there: number;
}

interface Link {
  index: number;
  name: string;
  isUp: boolean;
  /** What has to be there again after a move. */
  addresses: AddressMessage[];
}

/** A device that is the container's now, as it was before. */
interface Moved {
  device: NetDevice;
  index: number;
  before: Link;
}

/** Where create keeps what it holds, and what a failure has to undo. */
export interface Undoing {
  own(fd: number): number;
  /** Called in the opposite order; what it throws is told, and nothing more. */
  atFailure(undo: () => void): void;
}

/** @throws KontenaError NETWORK_FAILED; what has been moved by then is moved back by `undoing` */
export function moveNetDevices(input: PlanInput, pid: number, undoing: Undoing): void {
  const devices = netDevices(input.config);
  const networks = openNetworks(input, pid, undoing);
  // All is looked at before the first one moves.
  const links = devices.map((device) => findLink(networks, device));
  for (const device of devices) checkName(networks, device);
  devices.forEach((device, i) => {
    moveOne(networks, device, links[i] as Link, undoing);
  });
}

const NEEDS = "it takes CAP_NET_ADMIN in both network namespaces, the runtime's and the container's";

function failed({ from, at }: Pick<NetDevice, "from" | "at">, what: string, error: unknown): KontenaError {
  const { errno, message } = error as { errno?: string; message: string };
  const said = error instanceof NetlinkError && error.said !== "" ? ` (${error.said})` : "";
  return new KontenaError("NETWORK_FAILED", `cannot ${what}: ${message}${said}`, {
    at,
    path: from,
    ...(errno === undefined ? {} : { errno }),
    ...(errno === "EPERM" ? { hint: NEEDS } : {}),
  });
}

function openNetworks({ config }: PlanInput, pid: number, { own: keep }: Undoing): Networks {
  const at = namespaceAt(config, "network");
  const path = `/proc/${pid}/ns/net`;
  try {
    const own = keep(openSync("/proc/thread-self/ns/net", "r"));
    const containers = keep(openSync(path, "r"));
    if (fstatSync(own).ino === fstatSync(containers).ino)
      throw new KontenaError("NETWORK_FAILED", "the container's network namespace is the runtime's own", {
        at,
        hint: "network devices can only move to another one",
      });
    return { own, containers, here: keep(openRoute()), there: keep(openRouteIn(containers, own)) };
  } catch (error) {
    if (error instanceof KontenaError) throw error;
    const errno = (error as { errno?: unknown }).errno;
    const name = typeof errno === "string" ? errno : codeOf(error);
    throw new KontenaError("NETWORK_FAILED", `cannot reach the container's network namespace: ${name}`, {
      at,
      path,
      errno: name,
      ...(name === "EPERM" || name === "EACCES" ? { hint: NEEDS } : {}),
    });
  }
}

const byName = (name: string) => encodeLink({ attributes: [{ type: IFLA.IFLA_IFNAME, value: name }] });

/** Index, name and flags of a device; undefined when there is none of this name. */
function look(socket: number, name: string): Omit<Link, "addresses"> | undefined {
  try {
    const [answer] = request(socket, RTM.RTM_GETLINK, 0, byName(name));
    if (answer === undefined) return undefined;
    const { index, flags, attributes } = decodeLink(answer.payload);
    return { index, name: attributeText(attributes.get(IFLA.IFLA_IFNAME)), isUp: (flags & IFF.IFF_UP) !== 0 };
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === "ENODEV") return undefined;
    throw error;
  }
}

function findLink({ here }: Networks, device: NetDevice): Link {
  const { from, at } = device;
  const found = attempt(device, `look for network device ${from}`, () => look(here, from));
  if (found === undefined)
    throw new KontenaError("NETWORK_FAILED", `there is no network device ${from}`, {
      at,
      path: from,
      errno: "ENODEV",
      hint: "it has to be in the network namespace that kontena is called in",
    });
  const addresses = attempt(device, `read the addresses of ${from}`, () => addressesOf(here, found.index));
  return { ...found, addresses };
}

function attempt<T>(device: NetDevice, what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw failed(device, what, error);
  }
}

/** "If a network device with the specified name already exists in the container namespace, the runtime MUST generate an error" */
function checkName({ there }: Networks, device: NetDevice): void {
  const { to, at } = device;
  if (isTemplate(to)) return;
  const taken = attempt(device, `look for ${to} in the container`, () => look(there, to));
  if (taken === undefined) return;
  throw new KontenaError("NETWORK_FAILED", `the container has a network device ${to} already`, {
    at,
    path: to,
    errno: "EEXIST",
    hint: "a name such as eth%d lets the kernel choose the number",
  });
}

/** Flags of an address that are somebody's wish, and not the kernel's own account of it. */
const WISHES =
  IFA_F.IFA_F_NODAD |
  IFA_F.IFA_F_HOMEADDRESS |
  IFA_F.IFA_F_MANAGETEMPADDR |
  IFA_F.IFA_F_NOPREFIXROUTE |
  IFA_F.IFA_F_MCAUTOJOIN;

/** Permanent addresses of global scope, of any family: others are the kernel's or a server's, for where the device is. */
function addressesOf(socket: number, index: number): AddressMessage[] {
  const any = { family: 0, prefixLength: 0, flags: 0, scope: 0, index: 0, attributes: [] };
  return request(socket, RTM.RTM_GETADDR, NLM_F.NLM_F_DUMP, encodeAddress(any)).flatMap(({ payload }) => {
    const { attributes, ...address } = decodeAddress(payload);
    const wide = attributes.get(IFA.IFA_FLAGS);
    const flags =
      wide === undefined ? address.flags : new DataView(wide.buffer, wide.byteOffset).getUint32(0, true);
    const isPermanent = (flags & IFA_F.IFA_F_PERMANENT) !== 0;
    if (address.index !== index || !isPermanent || address.scope !== RT_SCOPE_UNIVERSE) return [];
    const kept = [IFA.IFA_LOCAL, IFA.IFA_ADDRESS, IFA.IFA_BROADCAST, IFA.IFA_RT_PRIORITY].flatMap((type) => {
      const value = attributes.get(type);
      return value === undefined ? [] : [{ type, value }];
    });
    return [{ ...address, flags: 0, attributes: [...kept, { type: IFA.IFA_FLAGS, value: flags & WISHES }] }];
  });
}

function indexes(socket: number): Set<number> {
  const all = request(socket, RTM.RTM_GETLINK, NLM_F.NLM_F_DUMP, encodeLink({}));
  return new Set(all.map(({ payload }) => decodeLink(payload).index));
}

/** Namespace and name change in one request; the kernel takes the device down for it. */
function change(socket: number, index: number, name: string, namespaceFd: number): void {
  const attributes = [
    { type: IFLA.IFLA_IFNAME, value: name },
    { type: IFLA.IFLA_NET_NS_FD, value: namespaceFd },
  ];
  request(socket, RTM.RTM_NEWLINK, 0, encodeLink({ index, attributes }));
}

function moveOne(networks: Networks, device: NetDevice, before: Link, undoing: Undoing): void {
  const { here, there, containers } = networks;
  const { from, to } = device;
  const what = `move network device ${from} into the container`;
  const were = attempt(device, what, () => indexes(there));
  // Its number in the container may be another; and it may have moved although the renaming failed.
  const arrived = () => [...indexes(there)].find((index) => !were.has(index));
  const remember = (index: number) =>
    undoing.atFailure(() => {
      moveBack(networks, { device, index, before });
    });
  try {
    change(here, before.index, to, containers);
  } catch (error) {
    const index = arrived();
    if (index !== undefined) remember(index);
    throw failed(device, what, error);
  }
  const index = attempt(device, what, arrived);
  if (index === undefined) throw failed(device, what, new Error("it is gone"));
  remember(index);
  attempt(device, `give ${from} its addresses in the container`, () => {
    addAddresses(there, index, before.addresses);
  });
  attempt(device, `bring up ${from} in the container`, () => {
    bringUp(there, index);
  });
}

function addAddresses(socket: number, index: number, addresses: readonly AddressMessage[]): void {
  for (const address of addresses)
    request(
      socket,
      RTM.RTM_NEWADDR,
      NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL,
      encodeAddress({ ...address, index }),
    );
}

function bringUp(socket: number, index: number): void {
  request(socket, RTM.RTM_NEWLINK, 0, encodeLink({ index, flags: IFF.IFF_UP, change: IFF.IFF_UP }));
}

/** As it was, but for routes, which go with a device's state. */
function moveBack({ own, here, there }: Networks, { device, index, before }: Moved): void {
  change(there, index, device.from, own);
  const link = look(here, device.from);
  if (link === undefined) return;
  addAddresses(here, link.index, before.addresses);
  if (before.isUp) bringUp(here, link.index);
}
