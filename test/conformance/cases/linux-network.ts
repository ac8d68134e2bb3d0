/** config-linux.md: network devices (since 1.3). The runtime is called in a network namespace that is there for the case. */
import { type Case, equal, holds, includes, type Section, section } from "../case.ts";
import { holder } from "../holder.ts";
import { done, type Lab } from "../lab.ts";
import { program } from "../needs.ts";

const OLD = { runc: "1.1 is older than netDevices (runtime-spec 1.3)", crun: "1.8 is older than netDevices" };

interface Net {
  /** Words before a command that is to run in the namespace. */
  inside: string[];
  ip(words: string): string;
}

/** A network namespace with the pair v0 and v1, v0 with addresses; the runtime's own for as long as `use` takes. */
async function withPair(use: (net: Net) => Promise<void>): Promise<void> {
  const other = await holder("--net");
  const inside = ["nsenter", `--net=/proc/${other.pid}/ns/net`];
  const ip = (words: string) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync([...inside, "ip", ...words.split(" ")]);
    if (exitCode !== 0) throw new Error(`ip ${words}: ${stderr}`);
    return stdout.toString();
  };
  try {
    ip("link add v0 type veth peer name v1");
    ip("addr add 10.1.2.3/24 dev v0");
    ip("addr add fd00::5/64 dev v0 nodad");
    await use({ inside, ip });
  } finally {
    other.end();
  }
}

/** What the container sees of its interfaces. */
async function seen(lab: Lab, { inside }: Net, netDevices: Record<string, object>): Promise<string> {
  const b = lab.bundle("ip addr", { changes: { "linux.netDevices": netDevices } });
  return done(await lab.run(b, [], { before: inside }), "run").stdout;
}

const device = (name: string, says: string, check: (lab: Lab, net: Net) => Promise<void>): Section => ({
  name,
  says,
  needs: [program("ip")],
  differs: OLD,
  check: (lab) => withPair((net) => check(lab, net)),
});

export const NETWORK_CASES: Case[] = section(
  "config-linux.md#network-devices",
  "MUST",
  "netDevices are moved into the container's network namespace",
  [
    device(
      "a device is in the container and no longer outside",
      "a set of devices made available in the container",
      async (lab, net) => {
        const b = lab.bundle(["sleep", "60"], { changes: { "linux.netDevices": { v0: {} } } });
        done(await lab.create(b, [], { before: net.inside }), "create");
        const { pid } = await lab.state(b);
        const inside = Bun.spawnSync(["nsenter", `--net=/proc/${pid}/ns/net`, "ip", "link", "show", "v0"]);
        equal(inside.exitCode, 0, "exit status of ip link show v0 inside");
        holds(!net.ip("link").includes(" v0"), "v0 is still outside");
      },
    ),
    device(
      "a device gets the name that the config gives it",
      "name is its name in the container",
      async (lab, net) => {
        includes(await seen(lab, net, { v0: { name: "inner" } }), "inner", "interfaces");
      },
    ),
    device(
      "permanent addresses of global scope come along",
      "addresses with IFA_F_PERMANENT and global scope are preserved",
      async (lab, net) => {
        const text = await seen(lab, net, { v0: {} });
        includes(text, "inet 10.1.2.3/24", "addresses");
        includes(text, "inet6 fd00::5/64", "addresses");
      },
    ),
    device("a moved device is up", "the device is set up after the move", async (lab, net) => {
      const line = (await seen(lab, net, { v0: {} })).split("\n").find((text) => text.includes(": v0"));
      holds(/[<,]UP[,>]/.test(line ?? ""), `the interface is "${line}"`);
    }),
    device(
      "a device that isn't there is an error",
      "a device that can't be moved is an error",
      async (lab, net) => {
        const b = lab.bundle(["true"], { changes: { "linux.netDevices": { nowhere0: {} } } });
        holds((await lab.create(b, [], { before: net.inside })).status !== 0, "create succeeded");
      },
    ),
    device(
      "a name that the namespace has already is an error",
      "an existing name in the container's namespace is an error",
      async (lab, net) => {
        const b = lab.bundle(["true"], { changes: { "linux.netDevices": { v0: { name: "lo" } } } });
        holds((await lab.create(b, [], { before: net.inside })).status !== 0, "create succeeded");
        includes(net.ip("link"), " v0", "interfaces outside");
      },
    ),
  ],
);
