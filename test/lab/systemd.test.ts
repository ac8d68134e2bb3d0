/** On cgroup v2 with systemd; as root, and as a user with a systemd of its own. A file of tests is added by a line. */
import { testIn } from "./lab.ts";

testIn("systemd", {
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
});
