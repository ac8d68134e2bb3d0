/** Hosts as data: which version has which controller, and what the container's control files hold. */
import type { Resources } from "../../spec/resources.ts";
import type { Facts, Item } from "../../src/cgroup/item.ts";
import { resourceItems } from "../../src/cgroup/resources.ts";

type Files = Record<string, string>;

const V1 = ["memory", "cpu", "cpuset", "blkio", "hugetlb", "pids", "rdma", "net_cls", "net_prio", "devices"];
const V2 = ["cgroup", "memory", "cpu", "cpuset", "io", "hugetlb", "pids", "rdma", "misc"];

/** A host with every controller in hierarchies of v1. */
export const onV1 = (files: Files = {}, without: string[] = []): Facts => ({
  where: (name) => (V1.includes(name) && !without.includes(name) ? 1 : undefined),
  read: (_, file) => files[file],
});

/** A host with v2 alone. */
export const onV2 = (files: Files = {}, without: string[] = []): Facts => ({
  where: (v1, v2 = v1) => (V2.includes(v2) && !without.includes(v2) ? 2 : undefined),
  read: (_, file) => files[file],
});

/** v1, and in v2 only what it hasn't got. */
export const onHybrid = (inV2: string[], files: Files = {}): Facts => ({
  where: (v1, v2 = v1) =>
    V1.includes(v1) && !inV2.includes(v2) ? 1 : inV2.includes(v2) || v2 === "cgroup" ? 2 : undefined,
  read: (_, file) => files[file],
});

export const NOWHERE: Facts = { where: () => undefined, read: () => undefined };

/** `file=value`, `place: words`. */
function short(item: Item): string {
  if ("file" in item) return `${item.file}=${item.value}`;
  return `${item.at.replace("linux.resources.", "")}: ${"refused" in item ? item.refused : item.notice}`;
}

export const itemsOf = (resources: Resources, facts: Facts): string[] =>
  resourceItems(resources, facts).map(short);
