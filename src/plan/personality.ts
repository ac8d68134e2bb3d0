/** The execution domain (config-linux.md, "Personality"; personality(2)). */
import type { Step } from "../init/step.ts";
import { PER } from "../kernel/consts/personality.ts";
import type { ProcessInput } from "./input.ts";

const DOMAINS = { LINUX: "PER_LINUX", LINUX32: "PER_LINUX32" } as const;

export function personality({ config }: ProcessInput): Step[] {
  const domain = config.linux?.personality?.domain;
  if (domain === undefined) return [];
  return [
    {
      call: "personality",
      args: [PER[DOMAINS[domain]]],
      why:
        domain === "LINUX32"
          ? "uname(2) tells of a 32-bit machine"
          : "uname(2) tells of the machine as it is",
      at: "linux.personality.domain",
      fail: {
        code: "PROCESS_FAILED",
        message: `cannot set the personality ${domain}`,
        hints: { EINVAL: "this machine's processors run no 32-bit programs" },
      },
    },
  ];
}
