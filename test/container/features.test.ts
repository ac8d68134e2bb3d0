import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { HOOK_NAMES } from "../../spec/hooks.ts";
import { parseFeatures } from "../../spec/parse.ts";
import { features } from "../../src/container/features.ts";
import { parseOptions } from "../../src/plan/options.ts";

const document = features({ "dev.kontena.version": "1" });

test("the document fits its schema, with nothing unknown in it", () => {
  const parsed = parseFeatures(JSON.stringify(document));
  expect(parsed).toEqual({ features: document, warnings: [] });
});

test("every mount option that it names is one that isn't handed to the file system", () => {
  for (const option of document.mountOptions ?? []) expect(parseOptions([option]).data, option).toEqual([]);
  expect(document.mountOptions).toEqual(
    expect.arrayContaining(["ro", "rro", "rbind", "idmap", "ridmap", "tmpcopyup", "iversion"]),
  );
});

test("all hooks are there, and all namespaces", () => {
  expect(document.hooks).toEqual([...HOOK_NAMES]);
  expect(document.linux?.namespaces).toEqual([
    "cgroup",
    "ipc",
    "mount",
    "network",
    "pid",
    "time",
    "user",
    "uts",
  ]);
});

test("a flag of seccomp that the kernel has is known, and the oldest of them are there", () => {
  const { knownFlags, supportedFlags } = document.linux?.seccomp ?? {};
  expect(knownFlags).toEqual(expect.arrayContaining([...(supportedFlags ?? [])]));
  expect(supportedFlags).toEqual(
    expect.arrayContaining(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]),
  );
  // Linux 5.19 brought it.
  const [major = 0, minor = 0] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(".").map(Number);
  const isNew = major > 5 || (major === 5 && minor >= 19);
  expect(supportedFlags?.includes("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")).toBe(isNew);
});
