/** What Podman is told for a test: all that it keeps is in one directory, and kontena is its runtime. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface PodmanOptions {
  manager: "cgroupfs" | "systemd";
  /** Executable that Podman calls. */
  runtime: string;
  driver: "overlay" | "vfs";
  /** More lines of the table `containers`. */
  containers?: string;
}

/** Writes both configuration files. @returns the variables that name them */
export function configurePodman(
  directory: string,
  { manager, runtime, driver, containers = "" }: PodmanOptions,
): { CONTAINERS_CONF: string; CONTAINERS_STORAGE_CONF: string } {
  const files = {
    CONTAINERS_CONF: join(directory, "containers.conf"),
    CONTAINERS_STORAGE_CONF: join(directory, "storage.conf"),
  };
  writeFileSync(
    files.CONTAINERS_CONF,
    `[containers]
log_driver = "k8s-file"
${containers}
[engine]
cgroup_manager = "${manager}"
events_logger = "file"
tmp_dir = "${directory}/tmp"
static_dir = "${directory}/graph/libpod"
volume_path = "${directory}/graph/volumes"
runtime = "kontena"
runtime_supports_json = ["kontena"]
[engine.runtimes]
kontena = ["${runtime}"]
[network]
network_config_dir = "${directory}/net"
`,
  );
  writeFileSync(
    files.CONTAINERS_STORAGE_CONF,
    `[storage]
driver = "${driver}"
graphroot = "${directory}/graph"
rootless_storage_path = "${directory}/graph"
runroot = "${directory}/run"
`,
  );
  return files;
}
