import { expect, test } from "bun:test";
import { RESOLVE } from "../../src/kernel/consts/fcntl.ts";
import { sysctls, sysctlsNeedProcfs } from "../../src/plan/sysctl.ts";
import { callsIn, inputOf, short, structAt } from "./helpers.ts";

const inputFor = (sysctl: Record<string, string>) => inputOf({ linux: { sysctl } });
const callsFor = (sysctl: Record<string, string>) => callsIn(sysctls(inputFor(sysctl)));

test("a parameter is a file of a procfs that is the kernel's, opened without a way out of it, and written whole", () => {
  const at = 'linux.sysctl["net.core.somaxconn"]';
  const list = callsFor({ "net.core.somaxconn": "1234" });
  expect(list.map(short)).toEqual([
    `openat2(<procfs>, "sys/net/core/somaxconn", open_how, 24) = ${at} file`,
    `write(<${at} file>, "1234", 4)`,
    `close(<${at} file>)`,
  ]);
  const { resolve } = structAt(list[0], 2, "open_how");
  expect(resolve).toBe(RESOLVE.RESOLVE_BENEATH | RESOLVE.RESOLVE_NO_XDEV | RESOLVE.RESOLVE_NO_MAGICLINKS);
  expect(list[0]).toMatchObject({
    at,
    fail: { code: "SYSCTL_FAILED", message: 'cannot set the kernel parameter net.core.somaxconn to "1234"' },
  });
});

test("both forms of a name lead to the same file, a dot in an interface's name included", () => {
  const fileOf = (name: string) => callsFor({ [name]: "1" })[0]?.args[1];
  expect(fileOf("net.ipv4.conf.eth0/1.forwarding")).toBe("sys/net/ipv4/conf/eth0.1/forwarding");
  expect(fileOf("net/ipv4/conf/eth0.1/forwarding")).toBe("sys/net/ipv4/conf/eth0.1/forwarding");
});

test("bytes are counted, not characters", () => {
  expect(callsFor({ "net.a": "ü" })[1]?.args[2]).toBe(2);
});

test("the domain name is set by the system call, which a user namespace's root may use", () => {
  for (const name of ["kernel.domainname", "kernel/domainname"]) {
    expect(callsFor({ [name]: "dömain" }).map(short)).toEqual(['setdomainname("dömain", 7)']);
    expect(sysctlsNeedProcfs(inputFor({ [name]: "d" }))).toBe(false);
  }
  expect(sysctlsNeedProcfs(inputFor({ "kernel.sem": "1", "kernel.domainname": "d" }))).toBe(true);
});
