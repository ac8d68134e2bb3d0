/** On cgroup v2 alone, without systemd. A file of tests is added by a line. */
import { testIn } from "./lab.ts";

testIn("v2", {
  root: [
    "integration/lifecycle.test.ts",
    "integration/namespaces.test.ts",
    "integration/parallel.test.ts",
    "integration/resources.test.ts",
    "integration/resources-v2.test.ts",
    "integration/update.test.ts",
    "cgroup/devices/filter.test.ts",
    "integration/pause.test.ts",
    "integration/kill-all.test.ts",
    "integration/ps.test.ts",
    "integration/events.test.ts",
    "integration/stats.test.ts",
  ],
});
