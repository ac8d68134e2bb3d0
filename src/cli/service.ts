/** What a service manager such as systemd says in the environment of its services. */

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Number of sockets that it has passed, from descriptor 3 on (sd_listen_fds(3)): none when they are meant for another
 * process, which this one has the variable from.
 */
export function listenFds(env: Environment, pid: number): number {
  const { LISTEN_FDS: count = "", LISTEN_PID: whose = "" } = env;
  if (count === "" || !/^[0-9]{1,6}$/.test(count)) return 0;
  return whose === "" || whose === String(pid) ? Number(count) : 0;
}

/** Where it waits to hear that the service is ready (sd_notify(3)). */
export function notifySocket(env: Environment): string | undefined {
  const { NOTIFY_SOCKET: socket } = env;
  return socket === undefined || socket === "" ? undefined : socket;
}
