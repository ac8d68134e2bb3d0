/** The controllers with a file or two: pids, hugetlb, net_cls, net_prio, rdma (config-linux.md, sections of their names). */
import type { HugepageLimit, NetworkResources, Rdma, Resources } from "../../../spec/resources.ts";
import { type Facts, type Item, lacking } from "../item.ts";

/**
 * A negative limit is none, and 0 is one (runtime-spec 1.3). Nobody can be born under that, nor a second stage under 1.
 */
export function pidsItems({ limit }: NonNullable<Resources["pids"]>, facts: Facts): Item[] {
  const at = "linux.resources.pids.limit";
  const version = facts.where("pids");
  if (version === undefined) return limit < 0 ? [] : [lacking(at, "pids", facts)];
  const value = limit < 0 ? "max" : String(limit);
  const late = version === 2 && limit <= 1;
  return [{ controller: "pids", version, file: "pids.max", value, at, ...(late ? { late } : {}) }];
}

/** Reservations where the kernel counts them (Linux 5.7), else faults. */
export function hugetlbItems(limits: readonly HugepageLimit[], facts: Facts): Item[] {
  const version = facts.where("hugetlb");
  return limits.map(({ pageSize, limit }, i): Item => {
    const at = `linux.resources.hugepageLimits[${i}]`;
    if (version === undefined) return lacking(at, "hugetlb", facts);
    const ending = version === 1 ? "limit_in_bytes" : "max";
    const files = [`hugetlb.${pageSize}.rsvd.${ending}`, `hugetlb.${pageSize}.${ending}`];
    const file = files.find((name) => facts.read("hugetlb", name) !== undefined);
    if (file === undefined) return { refused: `this kernel has no huge pages of ${pageSize}`, at };
    return { controller: "hugetlb", version, file, value: String(limit), at };
  });
}

export function networkItems({ classID = 0, priorities = [] }: NetworkResources, facts: Facts): Item[] {
  const item = (at: string, controller: string, file: string, value: string): Item => {
    const version = facts.where(controller);
    if (version === 1) return { controller, version, file, value, at };
    return { ...lacking(at, controller, facts), hint: "it exists on cgroup v1 only" };
  };
  const at = "linux.resources.network";
  return [
    ...(classID === 0 ? [] : [item(`${at}.classID`, "net_cls", "net_cls.classid", String(classID))]),
    ...priorities.map(({ name, priority }, i) =>
      item(`${at}.priorities[${i}]`, "net_prio", "net_prio.ifpriomap", `${name} ${priority}`),
    ),
  ];
}

export function rdmaItems(rdma: Readonly<Record<string, Rdma>>, facts: Facts): Item[] {
  const version = facts.where("rdma");
  return Object.entries(rdma).map(([device, { hcaHandles, hcaObjects }]): Item => {
    const at = `linux.resources.rdma.${device}`;
    if (version === undefined) return lacking(at, "rdma", facts);
    const limits = [
      ...(hcaHandles === undefined ? [] : [`hca_handle=${hcaHandles}`]),
      ...(hcaObjects === undefined ? [] : [`hca_object=${hcaObjects}`]),
    ];
    return { controller: "rdma", version, file: "rdma.max", value: [device, ...limits].join(" "), at };
  });
}
