import { version } from "../../package.json";

/** Set by scripts/build; absent when the sources are run. */
declare const KONTENA_REVISION: string | undefined;

/** The version of the runtime-spec that the schemas in spec/ follow. */
export const SPEC_VERSION = "1.3.0";

/** Of kontena, its sources, and the Bun in it. */
export function versions() {
  const revision = typeof KONTENA_REVISION === "string" ? KONTENA_REVISION : "unknown";
  return { version, revision, bun: Bun.version };
}

/** The version text: `podman info` and the like print it whole, and expect runc's first words on each line. */
export function versionText(): string {
  const { revision, bun } = versions();
  return `kontena version ${version}\ncommit: ${revision}\nspec: ${SPEC_VERSION}\nbun: ${bun}\n`;
}
