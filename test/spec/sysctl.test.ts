import { expect, test } from "bun:test";
import { sysctlName, sysctlNamespace, sysctlPath } from "../../spec/sysctl.ts";

test("a name may use either separator, and the other one within a part", () => {
  expect(sysctlName("net.ipv4.conf.eth0/1.forwarding")).toBe("net.ipv4.conf.eth0/1.forwarding");
  expect(sysctlName("net/ipv4/conf/eth0.1/forwarding")).toBe("net.ipv4.conf.eth0/1.forwarding");
});

test("both lead to the same file", () => {
  expect(sysctlPath("net.ipv4.conf.eth0/1.forwarding")).toBe("net/ipv4/conf/eth0.1/forwarding");
  expect(sysctlPath("net/ipv4/conf/eth0.1/forwarding")).toBe("net/ipv4/conf/eth0.1/forwarding");
  expect(sysctlPath("kernel.sem")).toBe("kernel/sem");
});

test.each(["", ".", "net.", ".net", "net..a", "net/../vm/x", "net.//.vm.x", "net/./a", "/net/a", "net./.a"])(
  "%p is no name",
  (name) => {
    expect(sysctlPath(name)).toBeUndefined();
  },
);

test("the namespaces that hold them", () => {
  const types = [
    "net.a",
    "kernel.shm_rmid_forced",
    "fs.mqueue.msg_max",
    "kernel.domainname",
    "user.max_user_namespaces",
  ];
  expect(types.map(sysctlNamespace)).toEqual(["network", "ipc", "ipc", "uts", "user"]);
  for (const name of [
    "vm.swappiness",
    "kernel.pid_max",
    "fs.mqueue.",
    "network.a",
    "kernel.hostname",
    "kernel.semaphore",
  ])
    expect(sysctlNamespace(name), name).toBeUndefined();
});
