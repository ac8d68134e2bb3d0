/** Processes of the host with namespaces of their own. */
import { Broken } from "./case.ts";
import { processFile } from "./lab.ts";

/** A process of the host with new namespaces, to be joined. */
export async function holder(...flags: string[]): Promise<{ pid: number; end(): void }> {
  const child = Bun.spawn(["unshare", ...flags, "sleep", "60"], { stdio: ["ignore", "ignore", "pipe"] });
  const inner = () => {
    const text = processFile(child.pid, `task/${child.pid}/children`).trim();
    return flags.includes("--fork") ? Number(text) : child.pid;
  };
  for (let i = 0; i < 400; i++) {
    const pid = inner();
    if (pid && processFile(pid, "cmdline").startsWith("sleep")) {
      return {
        pid,
        end() {
          if (pid !== child.pid) process.kill(pid, "SIGKILL");
          child.kill("SIGKILL");
        },
      };
    }
    await Bun.sleep(5);
  }
  child.kill("SIGKILL");
  throw new Broken(`unshare ${flags.join(" ")} didn't start`);
}
