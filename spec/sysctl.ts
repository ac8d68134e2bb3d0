/** config-linux.md, "Sysctl": names of kernel parameters, their files, and the namespaces that hold them (sysctl(8)). */
import type { NamespaceType } from "./namespaces.ts";

/** A name with `.` and `/` exchanged. */
const exchanged = (name: string) => name.replace(/[./]/g, (character) => (character === "/" ? "." : "/"));

/**
 * The name with dots between its parts. sysctl(8) takes `net/ipv4/conf/eth0.1/forwarding` too: whichever separator comes
 * first is the one, and the other one stands for a dot within a part.
 */
export function sysctlName(name: string): string {
  const [separator] = /[./]/.exec(name) ?? [];
  return separator === "/" ? exchanged(name) : name;
}

/** The parameter's file below /proc/sys; undefined for a name with a part that is empty, or leads elsewhere. */
export function sysctlPath(name: string): string | undefined {
  const path = exchanged(sysctlName(name));
  const leaves = (part: string) => part === "" || part === "." || part === "..";
  return path.split("/").some(leaves) ? undefined : path;
}

/** ipc_namespaces(7): the kernel.* parameters that each IPC namespace has of its own. */
const IPC_SYSCTLS =
  /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+)$/;

/** The type of the namespaces that hold the parameter of this name, with dots; undefined for one of the whole host. */
export function sysctlNamespace(name: string): NamespaceType | undefined {
  if (IPC_SYSCTLS.test(name)) return "ipc";
  if (name.startsWith("net.")) return "network";
  // How many namespaces of each type: namespaces(7), "The /proc/sys/user directory".
  if (name.startsWith("user.")) return "user";
  return name === "kernel.domainname" ? "uts" : undefined;
}
