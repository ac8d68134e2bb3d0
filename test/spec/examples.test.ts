import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { parseConfig, parseFeatures, parseState } from "../../spec/parse.ts";

const DATA = `${import.meta.dir}/../data/runtime-spec/schema/test`;
const PARSERS = { config: parseConfig, state: parseState, features: parseFeatures };

/** The place that each bad example of the spec is bad at. */
const BAD_AT: Record<string, string> = {
  "config/invalid-json.json": "",
  "config/linux-hugepage.json": "linux.resources.hugepageLimits[0].pageSize",
  "config/linux-netdevice.json": "linux.netDevices.eth0.name",
  "config/linux-rdma.json": "linux.resources.rdma.mlx5_1.hcaHandles",
  "features/missing-ociVersionMax.json": "ociVersionMax",
  "state/invalid-json.json": "",
};

for (const [kind, parse] of Object.entries(PARSERS)) {
  for (const name of readdirSync(`${DATA}/${kind}/good`)) {
    test(`the spec's good ${kind} ${name} has no problems`, () => {
      const parsed = parse(readFileSync(`${DATA}/${kind}/good/${name}`, "utf8"));
      expect("problems" in parsed ? parsed.problems : []).toEqual([]);
    });
  }
  for (const name of readdirSync(`${DATA}/${kind}/bad`)) {
    test(`the spec's bad ${kind} ${name} is refused with its place`, () => {
      const parsed = parse(readFileSync(`${DATA}/${kind}/bad/${name}`, "utf8"));
      const places = "problems" in parsed ? parsed.problems.map(({ at }) => at) : undefined;
      expect(places).toEqual([BAD_AT[`${kind}/${name}`] ?? "not in the table"]);
    });
  }
}

test("the spec's full example gives one warning, for a property that left the spec", () => {
  const { warnings } = parseConfig(readFileSync(`${DATA}/config/good/spec-example.json`, "utf8"));
  expect(warnings.map(({ at }) => at)).toEqual(["linux.resources.oomScoreAdj"]);
});
