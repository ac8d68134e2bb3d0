/** config.md: the top of config.json. */
import * as v from "valibot";
import { optional, text } from "./common.ts";
import { HooksSchema } from "./hooks.ts";
import { LinuxSchema } from "./linux.ts";
import { MountSchema } from "./mounts.ts";
import { ProcessSchema } from "./process.ts";

/** "Root": the container's root file system. */
export const RootSchema = v.object({
  /** A directory; relative is from the bundle. */
  path: text,
  /** Not writable inside the container; false when absent. */
  readonly: optional.boolean,
});
export type Root = v.InferOutput<typeof RootSchema>;

/** A section for another platform: known, so that it is no typo, and not looked into. */
const otherPlatform = v.exactOptional(v.unknown());

export const ConfigSchema = v.object({
  /** "Specification version" that the bundle is written to, SemVer 2.0.0. */
  ociVersion: text,
  /** Needed on Linux; without it a config can be parsed but not created. */
  root: v.exactOptional(RootSchema),
  /** In the order in which they are made. */
  mounts: v.exactOptional(v.array(MountSchema)),
  /** Needed to start. */
  process: v.exactOptional(ProcessSchema),
  /** Host name in the container's UTS namespace, at most 64 bytes. */
  hostname: optional.text,
  /** NIS domain name in the container's UTS namespace, at most 64 bytes. */
  domainname: optional.text,
  hooks: v.exactOptional(HooksSchema),
  /** Anything else, by reverse domain name; keys aren't empty. */
  annotations: optional.textMap,
  linux: v.exactOptional(LinuxSchema),
  solaris: otherPlatform,
  windows: otherPlatform,
  vm: otherPlatform,
  zos: otherPlatform,
  freebsd: otherPlatform,
});
export type Config = v.InferOutput<typeof ConfigSchema>;
