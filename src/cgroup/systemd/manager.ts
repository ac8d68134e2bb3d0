/** systemd as this process knows it: the system's, or the caller's own (org.freedesktop.systemd1(5)). */
import { KontenaError } from "../../error.ts";
import {
  awaitSignal,
  type Call,
  type Connection,
  call,
  connect,
  DBusError,
  disconnect,
  isUsable,
  socketsOf,
} from "./dbus.ts";
import type { Value, Variant } from "./marshal.ts";

export type Instance = "system" | "user";

/** A property of a unit. */
export type Property = readonly [name: string, value: Variant];

const MANAGER = {
  destination: "org.freedesktop.systemd1",
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
} as const;
const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;

/** systemd's own sockets first: they are there without a bus, and save a process between. */
function socketsFor(instance: Instance): { path: string; direct: boolean }[] {
  const bus = (address: string) => socketsOf(address).map((path) => ({ path, direct: false }));
  if (instance === "system")
    return [
      { path: "/run/systemd/private", direct: true },
      ...bus(process.env["DBUS_SYSTEM_BUS_ADDRESS"] || "unix:path=/run/dbus/system_bus_socket"),
    ];
  const runtime = process.env["XDG_RUNTIME_DIR"] || `/run/user/${process.geteuid?.() ?? 0}`;
  return [
    { path: `${runtime}/systemd/private`, direct: true },
    ...bus(process.env["DBUS_SESSION_BUS_ADDRESS"] || `unix:path=${runtime}/bus`),
  ];
}

/** Whose systemd is in charge: the caller's own, unless root calls. Root of a user namespace is a user, as with rootless Podman. */
export function instanceFor(host: { uid: number; firstUserNamespace: boolean }): Instance {
  if (host.uid !== 0) return "user";
  return !host.firstUserNamespace && process.env["XDG_RUNTIME_DIR"] ? "user" : "system";
}

const open = new Map<string, Connection>();

/**
 * The connection to systemd, made once.
 * @param known the socket by which it was reached before
 * @throws KontenaError HOST_UNSUPPORTED
 */
export function systemd(instance: Instance, known?: string): Connection {
  const connected = open.get(instance);
  if (connected !== undefined && isUsable(connected)) return connected;
  release(instance);
  const refused: string[] = [];
  const sockets = socketsFor(instance);
  if (known !== undefined) sockets.unshift({ path: known, direct: known.endsWith("/systemd/private") });
  for (const { path, direct } of sockets) {
    const connection = connect(path, direct);
    if (typeof connection === "string") {
      refused.push(connection);
      continue;
    }
    if (!direct) subscribe(connection);
    open.set(instance, connection);
    return connection;
  }
  const whose = instance === "system" ? "systemd" : "the user's systemd";
  throw new KontenaError("HOST_UNSUPPORTED", `no connection to ${whose}: ${refused.join("; ")}`, {
    hint:
      instance === "system"
        ? "--cgroup-manager cgroupfs needs no systemd"
        : "it runs in a login session (`loginctl enable-linger` without one), and XDG_RUNTIME_DIR leads to it",
  });
}

/** Ends the connection: systemd would go on to send signals to a program that makes many containers. */
export function release(instance: Instance): void {
  const connection = open.get(instance);
  if (connection === undefined) return;
  open.delete(instance);
  disconnect(connection);
}

/** A bus hands on what was subscribed to; systemd's own socket everything. */
function subscribe(connection: Connection): void {
  call(connection, { ...BUS, member: "Hello" });
  const rule = `type='signal',interface='${MANAGER.interface}',member='JobRemoved',path='${MANAGER.path}'`;
  call(connection, { ...BUS, member: "AddMatch", signature: "s", body: [rule] });
  call(connection, { ...MANAGER, member: "Subscribe" });
}

const manager = (connection: Connection, member: string, signature: string, body: readonly Value[]) =>
  call(connection, { ...MANAGER, member, signature, body } satisfies Call);

const PROPERTIES = "org.freedesktop.DBus.Properties";

function getProperty(connection: Connection, path: string, owner: string, name: string): Variant {
  const names = { destination: MANAGER.destination, path, interface: PROPERTIES, member: "Get" };
  const [value] = call(connection, { ...names, signature: "ss", body: [owner, name] });
  return value as Variant;
}

/** Path of the cgroup below which this systemd makes all others; empty for the hierarchy's root. */
export function controlGroup(connection: Connection): string {
  const { value } = getProperty(connection, MANAGER.path, MANAGER.interface, "ControlGroup");
  return String(value).replace(/\/$/, "");
}

function failed(what: string, unit: string, { message, code }: { message: string; code?: string }) {
  return new KontenaError("CGROUP_FAILED", `systemd can't ${what} ${unit}: ${message}`, {
    at: "linux.cgroupsPath",
    ...(code === "org.freedesktop.DBus.Error.PropertyReadOnly" ||
    code === "org.freedesktop.DBus.Error.UnknownProperty"
      ? { hint: "the property comes from linux.resources or an annotation org.systemd.property.*" }
      : {}),
  });
}

/** Waits for the end of a job of systemd's. */
function finish(connection: Connection, what: string, unit: string, [job]: readonly Value[]): void {
  const [, , , result] = awaitSignal(connection, "JobRemoved", (body) => body[1] === job);
  if (result !== "done") throw failed(what, unit, { message: `the job ended as "${result}"` });
}

/**
 * Starts a transient unit and waits until it is there.
 * @returns false when a unit of that name is there already
 * @throws KontenaError CGROUP_FAILED
 */
export function startUnit(connection: Connection, unit: string, properties: readonly Property[]): boolean {
  for (let first = true; ; first = false) {
    try {
      const body = [unit, "fail", properties, []];
      finish(connection, "start", unit, manager(connection, "StartTransientUnit", "ssa(sv)a(sa(sv))", body));
      return true;
    } catch (error) {
      if (!(error instanceof DBusError)) throw error;
      if (!error.code.endsWith(".UnitExists")) throw failed("start", unit, error);
      // One that has failed is remembered; one that runs stays as it is.
      if (!first || !resetFailed(connection, unit)) return false;
    }
  }
}

/** Stops a unit; one that isn't there is stopped. */
export function stopUnit(connection: Connection, unit: string): void {
  try {
    finish(connection, "stop", unit, manager(connection, "StopUnit", "ss", [unit, "replace"]));
  } catch (error) {
    if (!(error instanceof DBusError)) throw error;
    if (!error.code.endsWith(".NoSuchUnit")) throw failed("stop", unit, error);
  }
  resetFailed(connection, unit);
}

/** Makes systemd forget that a unit failed; false when it doesn't know the unit. */
function resetFailed(connection: Connection, unit: string): boolean {
  try {
    manager(connection, "ResetFailedUnit", "s", [unit]);
    return true;
  } catch (error) {
    if (error instanceof DBusError) return false;
    throw error;
  }
}

/** What a scope has of these properties. @throws KontenaError CGROUP_FAILED */
export function propertiesOf(connection: Connection, unit: string, names: readonly string[]): Property[] {
  try {
    const [path] = manager(connection, "GetUnit", "s", [unit]);
    const owner = "org.freedesktop.systemd1.Scope";
    return names.map((name) => [name, getProperty(connection, String(path), owner, name)]);
  } catch (error) {
    throw error instanceof DBusError ? failed("read the properties of", unit, error) : error;
  }
}

/**
 * Changes properties of a unit until it goes; its control files are written when this returns.
 * @throws KontenaError CGROUP_FAILED
 */
export function setProperties(connection: Connection, unit: string, properties: readonly Property[]): void {
  try {
    manager(connection, "SetUnitProperties", "sba(sv)", [unit, true, properties]);
    // systemd answers first, then writes, and only then looks at the next message (manager_loop).
    manager(connection, "GetUnit", "s", [unit]);
  } catch (error) {
    throw error instanceof DBusError ? failed("change", unit, error) : error;
  }
}
