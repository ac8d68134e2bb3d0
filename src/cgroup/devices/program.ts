/**
 * Rules → an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE: the kernel runs it for each access to a device, 1 allows.
 *
 * An access is a set of bits. The rules are looked at from the last to the first; a rule that allows settles its bits, one
 * that forbids any bit that is still open ends it. So for each bit the last rule that fits counts.
 */
import {
  and,
  exit,
  type Instruction,
  jump,
  jumpIfBits,
  jumpIfNot,
  loadWord,
  move,
  type Register,
  shiftRight,
} from "./instruction.ts";
import { ALL_ACCESS, type Rule } from "./rules.ts";

/** linux/bpf.h: `struct bpf_cgroup_dev_ctx`. */
const CONTEXT = { access_type: 0, major: 4, minor: 8 } as const;
/** BPF_DEVCG_DEV_* */
export const DEVICE_TYPE = { b: 1, c: 2 } as const;

const RESULT: Register = 0;
const ARGUMENT: Register = 1;
const TYPE: Register = 2;
/** The bits of the access that no rule has settled yet. */
const OPEN: Register = 3;
const MAJOR: Register = 4;
const MINOR: Register = 5;

const answer = (allow: boolean) => [move(RESULT, allow ? 1 : 0), exit()];

/** What happens when the rule fits; `jump`s over nothing but itself. */
function effect({ allow, access }: Rule): Instruction[] {
  if (!allow) {
    if (access === ALL_ACCESS) return answer(false);
    return [jumpIfBits(OPEN, access, 1), jump(2), ...answer(false)];
  }
  if (access === ALL_ACCESS) return answer(true);
  return [and(OPEN, ~access), jumpIfNot(OPEN, 0, 2), ...answer(true)];
}

/** Whether nothing that comes before the rule can count. */
const isLast = ({ type, major, minor, access }: Rule) =>
  type === "a" && major === undefined && minor === undefined && access === ALL_ACCESS;

function ruleInstructions(rule: Rule): Instruction[] {
  const body = effect(rule);
  const tests: [Register, number][] = [
    ...(rule.type === "a" ? [] : [[TYPE, DEVICE_TYPE[rule.type]] as [Register, number]]),
    ...(rule.major === undefined ? [] : [[MAJOR, rule.major] as [Register, number]]),
    ...(rule.minor === undefined ? [] : [[MINOR, rule.minor] as [Register, number]]),
  ];
  return [
    ...tests.map(([register, value], i) => jumpIfNot(register, value, tests.length - 1 - i + body.length)),
    ...body,
  ];
}

/** The program for a list of rules; what none of them fits is forbidden. */
export function deviceProgram(rules: readonly Rule[]): Instruction[] {
  const program = [
    loadWord(TYPE, ARGUMENT, CONTEXT.access_type),
    and(TYPE, 0xffff),
    loadWord(OPEN, ARGUMENT, CONTEXT.access_type),
    shiftRight(OPEN, 16),
    loadWord(MAJOR, ARGUMENT, CONTEXT.major),
    loadWord(MINOR, ARGUMENT, CONTEXT.minor),
  ];
  for (const rule of rules.toReversed()) {
    if (rule.access === 0) continue;
    program.push(...ruleInstructions(rule));
    // The verifier refuses what can never be reached.
    if (isLast(rule)) return program;
  }
  return [...program, ...answer(false)];
}
