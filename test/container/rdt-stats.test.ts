/** Statistics of resctrl, from a directory with the files of one. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stringifyJson } from "../../spec/json.ts";
import { rdtStats } from "../../src/container/rdt-stats.ts";

const root = mkdtempSync(join(tmpdir(), "kontena-resctrl-"));
afterAll(() => rmSync(root, { recursive: true }));

const FILES: Record<string, string> = {
  "info/L3/cbm_mask": "fffff\n",
  "info/L3/min_cbm_bits": "1\n",
  "info/L3/num_closids": "16\n",
  "info/L3_MON/mon_features": "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n",
  "info/MB/bandwidth_gran": "10\n",
  "info/MB/delay_linear": "1\n",
  "info/MB/min_bandwidth": "10\n",
  "info/MB/num_closids": "8\n",
  schemata: "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n",
  "c1/schemata": "    L3:0=f0;1=f\n    MB:0=20;1=70\n",
  "c1/mon_groups/c1/mon_data/mon_L3_00/llc_occupancy": "123456\n",
  "c1/mon_groups/c1/mon_data/mon_L3_00/mbm_total_bytes": "18446744073709551615\n",
  "c1/mon_groups/c1/mon_data/mon_L3_00/mbm_local_bytes": "9876\n",
  "c1/mon_groups/c1/mon_data/mon_L3_01/llc_occupancy": "0\n",
};
for (const [name, text] of Object.entries(FILES)) {
  mkdirSync(join(root, dirname(name)), { recursive: true });
  writeFileSync(join(root, name), text);
}

test("cache and bandwidth are told with runc's names, monitoring of the container's own group", () => {
  const groups = [join(root, "c1"), join(root, "c1/mon_groups/c1")];
  expect(stringifyJson(rdtStats({ groups, made: [] }, root))).toBe(
    '{"l3_cache_info":{"cbm_mask":"fffff","min_cbm_bits":1,"num_closids":16},' +
      '"l3_cache_schema_root":"L3:0=fffff;1=fffff","l3_cache_schema":"L3:0=f0;1=f",' +
      '"mem_bw_info":{"bandwidth_gran":10,"delay_linear":1,"min_bandwidth":10,"num_closids":8},' +
      '"mem_bw_schema_root":"MB:0=100;1=100","mem_bw_schema":"MB:0=20;1=70",' +
      '"mbm_stats":[{"mbm_total_bytes":18446744073709551615,"mbm_local_bytes":9876},{}],' +
      '"cmt_stats":[{"llc_occupancy":123456},{}]}',
  );
});

test("what the processor doesn't have is left out", () => {
  expect(rdtStats({ groups: ["/nowhere"], made: [] }, "/nowhere")).toEqual({});
});
