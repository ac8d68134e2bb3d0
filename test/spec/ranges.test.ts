/** For each property with a range, an enumeration or a form: the ends are legal, just outside is a problem there. */
import { expect, test } from "bun:test";
import { ConfigSchema } from "../../spec/config.ts";
import { parseDocument } from "../../spec/parse.ts";
import { nested } from "./documents.ts";

const U16: [string, string] = ["0", "65535"];
const I32: [string, string] = ["-2147483648", "2147483647"];
const U32: [string, string] = ["0", "4294967295"];
/** The last one is −1, which means "as it is" to chown(2) and setresuid(2): as a user's it would be the runtime's own. */
const ID: [string, string] = ["0", "4294967294"];
const I64: [string, string] = ["-9223372036854775808", "9223372036854775807"];
const U64: [string, string] = ["0", "18446744073709551615"];

const INTEGERS: Record<string, [string, string]> = {
  "process.consoleSize.height": U64,
  "process.consoleSize.width": U64,
  "process.user.uid": ID,
  "process.user.gid": ID,
  "process.user.umask": U32,
  "process.user.additionalGids.0": ID,
  "process.rlimits.0.soft": U64,
  "process.rlimits.0.hard": U64,
  "process.ioPriority.priority": I32,
  "process.scheduler.nice": I32,
  "process.scheduler.priority": I32,
  "process.scheduler.runtime": U64,
  "process.scheduler.deadline": U64,
  "process.scheduler.period": U64,
  "hooks.poststop.0.timeout": ["1", "9007199254740991"],
  "mounts.0.uidMappings.0.containerID": U32,
  "linux.uidMappings.0.containerID": U32,
  "linux.uidMappings.0.hostID": U32,
  "linux.gidMappings.0.size": U32,
  "linux.timeOffsets.boottime.secs": I64,
  "linux.timeOffsets.monotonic.nanosecs": U32,
  "linux.devices.0.major": I64,
  "linux.devices.0.minor": I64,
  "linux.devices.0.fileMode": ["0", "511"],
  "linux.devices.0.uid": ID,
  "linux.devices.0.gid": ID,
  "linux.seccomp.defaultErrnoRet": U32,
  "linux.seccomp.syscalls.0.errnoRet": U32,
  "linux.seccomp.syscalls.0.args.0.index": U32,
  "linux.seccomp.syscalls.0.args.0.value": U64,
  "linux.seccomp.syscalls.0.args.0.valueTwo": U64,
  "linux.resources.devices.0.major": I64,
  "linux.resources.devices.0.minor": I64,
  "linux.resources.memory.limit": I64,
  "linux.resources.memory.reservation": I64,
  "linux.resources.memory.swap": I64,
  "linux.resources.memory.kernel": I64,
  "linux.resources.memory.kernelTCP": I64,
  "linux.resources.memory.swappiness": U64,
  "linux.resources.cpu.shares": U64,
  "linux.resources.cpu.quota": I64,
  "linux.resources.cpu.burst": U64,
  "linux.resources.cpu.period": U64,
  "linux.resources.cpu.realtimeRuntime": I64,
  "linux.resources.cpu.realtimePeriod": U64,
  "linux.resources.cpu.idle": I64,
  "linux.resources.pids.limit": I64,
  "linux.resources.blockIO.weight": U16,
  "linux.resources.blockIO.leafWeight": U16,
  "linux.resources.blockIO.weightDevice.0.major": I64,
  "linux.resources.blockIO.weightDevice.0.weight": U16,
  "linux.resources.blockIO.weightDevice.0.leafWeight": U16,
  "linux.resources.blockIO.throttleReadBpsDevice.0.rate": U64,
  "linux.resources.blockIO.throttleWriteBpsDevice.0.rate": U64,
  "linux.resources.blockIO.throttleReadIOPSDevice.0.minor": I64,
  "linux.resources.blockIO.throttleWriteIOPSDevice.0.rate": U64,
  "linux.resources.hugepageLimits.0.limit": U64,
  "linux.resources.network.classID": U32,
  "linux.resources.network.priorities.0.priority": U32,
  "linux.resources.rdma.mlx5.hcaHandles": U32,
  "linux.resources.rdma.mlx5.hcaObjects": U32,
};

/** A legal value, and a near miss. */
const NAMES: Record<string, [string, string]> = {
  "process.rlimits.0.type": ["RLIMIT_CPU", "rlimit_cpu"],
  "process.ioPriority.class": ["IOPRIO_CLASS_BE", "IOPRIO_CLASS_NONE"],
  "process.scheduler.policy": ["SCHED_FIFO", "SCHED_FIF0"],
  "process.scheduler.flags.0": ["SCHED_FLAG_RECLAIM", "SCHED_RECLAIM"],
  "process.execCPUAffinity.initial": ["0-3, 7", "all"],
  "process.execCPUAffinity.final": ["", "0+1"],
  "linux.namespaces.0.type": ["network", "net"],
  "linux.devices.0.type": ["u", "d"],
  "linux.rootfsPropagation": ["rslave", "rslaved"],
  "linux.personality.domain": ["LINUX32", "linux32"],
  "linux.intelRdt.memBwSchema": ["MB:0=20", "L3:0=f"],
  "linux.memoryPolicy.mode": ["MPOL_WEIGHTED_INTERLEAVE", "MPOL_WEIGHTED"],
  "linux.memoryPolicy.flags.0": ["MPOL_F_STATIC_NODES", "MPOL_F_STATIC"],
  "linux.seccomp.defaultAction": ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_DENY"],
  "linux.seccomp.flags.0": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_NEW_LISTENER"],
  "linux.seccomp.architectures.0": ["SCMP_ARCH_RISCV64", "SCMP_ARCH_NATIVE"],
  "linux.seccomp.syscalls.0.action": ["SCMP_ACT_NOTIFY", "NOTIFY"],
  "linux.seccomp.syscalls.0.args.0.op": ["SCMP_CMP_MASKED_EQ", "=="],
  "linux.resources.hugepageLimits.0.pageSize": ["1GB", "1TB"],
};

/** The messages at `path` of a document that has only `literal` there; other properties may be missing. */
function messagesAt(path: string, literal: string): string[] {
  const text = JSON.stringify(nested(path, "@")).replace('"@"', literal);
  const parsed = parseDocument(ConfigSchema, text);
  const at = path.replace(/\.(\d+)/g, "[$1]");
  return "problems" in parsed ? parsed.problems.filter((p) => p.at === at).map((p) => p.message) : [];
}

for (const [path, [min, max]] of Object.entries(INTEGERS)) {
  test(`${path} is an integer from ${min} to ${max}`, () => {
    expect(messagesAt(path, min)).toEqual([]);
    expect(messagesAt(path, max)).toEqual([]);
    for (const outside of [
      String(BigInt(min) - 1n),
      String(BigInt(max) + 1n),
      "0.5",
      '"1"',
      "null",
      "true",
    ]) {
      const [message, ...others] = messagesAt(path, outside);
      expect(message).toContain(max);
      expect(message).toEndWith(`received ${outside}`);
      expect(others).toEqual([]);
    }
  });
}

for (const [path, [legal, illegal]] of Object.entries(NAMES)) {
  test(`${path} may be "${legal}" and not "${illegal}"`, () => {
    expect(messagesAt(path, JSON.stringify(legal))).toEqual([]);
    expect(messagesAt(path, JSON.stringify(illegal))).toEqual([
      expect.stringContaining(`received "${illegal}"`),
    ]);
    expect(messagesAt(path, "7")).toEqual([expect.stringContaining("received 7")]);
  });
}

test("a device's mode may carry the file type bits of st_mode, and octal digits in decimal are refused", () => {
  expect(messagesAt("linux.devices.0.fileMode", "8630")).toEqual([]);
  expect(messagesAt("linux.devices.0.fileMode", "666")).toEqual([expect.stringContaining("438")]);
});
