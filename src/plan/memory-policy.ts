/** On which NUMA nodes the program's memory lies (config-linux.md, "Memory policy"; set_mempolicy(2)). */
import { parseNumberList } from "../../spec/number-list.ts";
import { type Step, type Words, words } from "../init/step.ts";
import { MPOL, MPOL_F } from "../kernel/consts/mempolicy.ts";
import type { ProcessInput } from "./input.ts";

const WORD = 64;

/** A bit for each node, and how many bits the kernel shall look at: it takes one less than it is told. */
function nodeMask(nodes: string): { mask: Words | 0; maxnode: number } {
  const ranges = parseNumberList(nodes) ?? [];
  const highest = Math.max(-1, ...ranges.map(([, last]) => last));
  if (highest < 0) return { mask: 0, maxnode: 0 };
  const bits: bigint[] = new Array(Math.floor(highest / WORD) + 1).fill(0n);
  for (const [first, last] of ranges)
    for (let node = first; node <= last; node++) {
      const word = Math.floor(node / WORD);
      bits[word] = (bits[word] as bigint) | (1n << BigInt(node % WORD));
    }
  return { mask: words(...bits), maxnode: highest + 2 };
}

/** In the container's cgroup already, whose cpuset.mems bounds what can be asked for. */
export function memoryPolicy({ config }: ProcessInput): Step[] {
  const asked = config.linux?.memoryPolicy;
  if (asked === undefined) return [];
  const { mode, nodes = "", flags = [] } = asked;
  const { mask, maxnode } = nodeMask(nodes);
  return [
    {
      call: "set_mempolicy",
      args: [flags.reduce((all, name) => all | MPOL_F[name], MPOL[mode] as number), mask, maxnode],
      why: nodes === "" ? `memory by the policy ${mode}` : `memory by the policy ${mode}, nodes ${nodes}`,
      at: "linux.memoryPolicy",
      fail: {
        code: "PROCESS_FAILED",
        message: `cannot set the memory policy ${mode}${nodes === "" ? "" : ` on nodes ${nodes}`}`,
        hints: {
          EINVAL:
            "a node isn't there or isn't in the cgroup's cpuset.mems, or the kernel doesn't know the mode",
          ENOSYS: "the kernel is built without NUMA",
        },
      },
    },
  ];
}
