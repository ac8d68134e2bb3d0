/**
 * On cgroup v2 alone, without systemd; and on v2 with systemd, as root and as a user with a systemd of its own. A file of
 * tests is added by a line.
 */
import { testIn } from "./lab.ts";

await testIn({
  v2: {
    root: [
      "cgroup/devices/filter.test.ts",
      "integration/lifecycle.test.ts",
      "integration/namespaces.test.ts",
      "integration/resources.test.ts",
      "integration/resources-v2.test.ts",
      "integration/update.test.ts",
      "integration/ps.test.ts",
      "integration/events.test.ts",
      "integration/stats.test.ts",
      "integration/kill-all.test.ts",
      "integration/pause.test.ts",
      // The longest by far: where time runs out, it does here.
      "integration/parallel.test.ts",
    ],
  },
  systemd: {
    root: [
      "integration/systemd.test.ts",
      "integration/podman-systemd.test.ts",
      "integration/example.test.ts",
      "integration/pause.test.ts",
      "integration/resources-v2.test.ts",
      "integration/events.test.ts",
      "integration/stats.test.ts",
    ],
    user: ["integration/systemd.test.ts", "integration/podman-systemd.test.ts"],
  },
});
