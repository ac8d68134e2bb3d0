import { expect, test } from "bun:test";
import { listenFds, notifySocket } from "../../src/cli/service.ts";

test("sockets of the service manager are counted when they are this process's, or nobody's by name", () => {
  expect(listenFds({ LISTEN_FDS: "2", LISTEN_PID: "7" }, 7)).toBe(2);
  expect(listenFds({ LISTEN_FDS: "2" }, 7)).toBe(2);
  expect(listenFds({ LISTEN_FDS: "2", LISTEN_PID: "" }, 7)).toBe(2);
});

test("those of another process are not: the variable came from it", () => {
  expect(listenFds({ LISTEN_FDS: "2", LISTEN_PID: "8" }, 7)).toBe(0);
});

test.each(["", "-1", "a", "1e3", "9999999", " 1"])("%p is no number of sockets", (LISTEN_FDS) => {
  expect(listenFds({ LISTEN_FDS }, 7)).toBe(0);
  expect(listenFds({}, 7)).toBe(0);
});

test("an empty NOTIFY_SOCKET is none", () => {
  expect(notifySocket({ NOTIFY_SOCKET: "/run/systemd/notify" })).toBe("/run/systemd/notify");
  expect(notifySocket({ NOTIFY_SOCKET: "" })).toBeUndefined();
  expect(notifySocket({})).toBeUndefined();
});
