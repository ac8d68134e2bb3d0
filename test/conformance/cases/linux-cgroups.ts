/** config-linux.md, control groups: paths, ownership, device rules. */

import { existsSync, mkdirSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { namespaces } from "../base.ts";
import { type Case, equal, holds, section } from "../case.ts";
import { cgroupPath, directory } from "../cgroups.ts";
import { done } from "../lab.ts";
import { CGROUP_V2, cgroupV1, cgroupV2, controller } from "../needs.ts";
import { disk } from "./linux-resources.ts";

/** A hierarchy that every host has. */
const ANY = "pids";

const PATHS: Case[] = section(
  "config-linux.md#cgroups-path",
  "MUST",
  "an absolute cgroupsPath is relative to the cgroups' mount point",
  [
    {
      name: "an absolute path is where the container's process is",
      async check(lab) {
        const path = `/${lab.nextName()}/deep/er`;
        const b = await lab.started(["sleep", "60"], { changes: { "linux.cgroupsPath": path } });
        equal(cgroupPath(b.pid, ANY), path, "cgroup");
        done(await lab.remove(b, ["--force"]), "delete");
        lab.removeCgroups(path.split("/")[1] as string);
      },
    },
    {
      name: "a relative path ends where it says",
      says: "a relative path may be interpreted relative to a place of the runtime's own",
      async check(lab) {
        const name = lab.nextName();
        const b = await lab.started(["sleep", "60"], { changes: { "linux.cgroupsPath": `${name}/deep` } });
        holds(cgroupPath(b.pid, ANY).endsWith(`/${name}/deep`), `it is in ${cgroupPath(b.pid, ANY)}`);
        done(await lab.remove(b, ["--force"]), "delete");
        lab.removeCgroups(name);
      },
    },
    {
      name: "the same value means the same place",
      says: "given the same value, the runtime attaches to the same place",
      async check(lab) {
        const changes = { "linux.cgroupsPath": lab.nextName() };
        const places: string[] = [];
        for (let i = 0; i < 2; i++) {
          const b = await lab.started(["sleep", "60"], { changes });
          places.push(cgroupPath(b.pid, ANY));
          done(await lab.remove(b, ["--force"]), "delete");
        }
        equal(places[1], places[0], "the second place");
      },
    },
    {
      name: "the container's process is in the place in every hierarchy with controllers",
      async check(lab) {
        const path = `/${lab.nextName()}`;
        const b = await lab.started(["sleep", "60"], { changes: { "linux.cgroupsPath": path } });
        const names = CGROUP_V2 ? [ANY] : ["cpu", "memory", "devices", "freezer", "pids", "blkio", "cpuset"];
        for (const name of names.filter((n) => controller(n).there()))
          equal(cgroupPath(b.pid, name), path, name);
      },
    },
    {
      name: "a path with .. doesn't leave the cgroups' mount point",
      async check(lab) {
        const outside = `/tmp/${lab.nextName()}`;
        const b = lab.bundle(["sleep", "60"], { changes: { "linux.cgroupsPath": `../../../..${outside}` } });
        await lab.create(b);
        const made = existsSync(outside);
        await lab.remove(b, ["--force"]);
        rmSync(outside, { recursive: true, force: true });
        holds(!made, "a directory was made outside");
      },
    },
    {
      name: "a cgroup that is there is used and not refused when it is empty",
      says: "cgroups are created if they don't exist",
      async check(lab) {
        const path = `/${lab.nextName()}`;
        const top = CGROUP_V2 ? "/sys/fs/cgroup" : `/sys/fs/cgroup/${ANY}`;
        mkdirSync(top + path);
        try {
          const b = await lab.started(["sleep", "60"], { changes: { "linux.cgroupsPath": path } });
          equal(cgroupPath(b.pid, ANY), path, "cgroup");
          done(await lab.remove(b, ["--force"]), "delete");
        } finally {
          if (existsSync(top + path)) rmdirSync(top + path);
        }
      },
    },
    {
      name: "without cgroupsPath the container has a cgroup of its own",
      level: "MAY",
      says: "without cgroupsPath the runtime may define the default path",
      async check(lab) {
        const b = await lab.started();
        holds(cgroupPath(b.pid, ANY) !== cgroupPath(process.pid, ANY), "it is in the runtime's cgroup");
      },
    },
  ],
);

const OWNERSHIP: Case[] = section(
  "config-linux.md#cgroup-ownership",
  "SHOULD",
  "the owner of cgroups is changed in cgroup v2 alone, and by its rules",
  [
    {
      name: "on cgroup v1 the owner of the container's cgroups isn't changed",
      needs: [cgroupV1],
      async check(lab) {
        const b = await lab.started(["sleep", "60"], {
          changes: {
            "linux.namespaces": namespaces({ user: "", cgroup: "" }),
            "linux.uidMappings": [{ containerID: 0, hostID: 200_000, size: 1000 }],
            "linux.gidMappings": [{ containerID: 0, hostID: 200_000, size: 1000 }],
            "mounts.+": { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw"] },
          },
        });
        for (const name of ["memory", "pids", "cpu"].filter((n) => controller(n).there()))
          equal(statSync(directory(b.pid, name)).uid, 0, `owner in ${name}`);
      },
    },
    {
      name: "on cgroup v2 the mapped root owns the cgroup when it is mounted read-write in a new cgroup namespace",
      needs: [cgroupV2],
      async check(lab) {
        const b = await lab.started(["sleep", "60"], {
          changes: {
            "linux.namespaces": namespaces({ user: "", cgroup: "" }),
            "linux.uidMappings": [{ containerID: 0, hostID: 200_000, size: 1000 }],
            "linux.gidMappings": [{ containerID: 0, hostID: 200_000, size: 1000 }],
            "mounts.+": { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw"] },
          },
        });
        equal(statSync(join(directory(b.pid, ANY), "cgroup.procs")).uid, 200_000, "owner of cgroup.procs");
        equal(statSync(join(directory(b.pid, "memory"), "memory.max")).uid, 0, "owner of memory.max");
      },
    },
  ],
);

const MKNOD = {
  "process.capabilities": Object.fromEntries(
    ["bounding", "effective", "permitted"].map((set) => [set, ["CAP_MKNOD", "CAP_DAC_OVERRIDE"]]),
  ),
};

const fuse = { name: "FUSE", there: () => existsSync("/sys/class/misc/fuse") };

/** Tries to make and read a device; what of both is allowed. */
const tried = (type: string, major: number, minor: number, file = "/tmp/node") =>
  `mknod ${file} ${type} ${major} ${minor} 2>/dev/null && echo made; true < ${file} 2>/dev/null && echo read; true > ${file} 2>/dev/null && echo written; true`;

const DEVICES: Case[] = section(
  "config-linux.md#allowed-device-list",
  "MUST",
  "device rules are applied in the listed order",
  [
    {
      name: "a rule that allows after one that denies all",
      needs: [fuse],
      async check(lab) {
        const devices = [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 10, minor: 229, access: "rwm" },
        ];
        const seen = await lab.inside(`${tried("c", 10, 229)}; ${tried("c", 10, 237, "/tmp/other")}`, {
          ...MKNOD,
          "linux.resources.devices": devices,
        });
        // Making any node is among what runtimes allow by default; what counts is its use.
        equal(seen.replace(/made\n$/, ""), "made\nread\nwritten\n", "what was allowed");
      },
    },
    {
      name: "a rule that denies after one that allows",
      needs: [fuse],
      async check(lab) {
        const devices = [
          { allow: true, access: "rwm" },
          { allow: false, type: "c", major: 10, minor: 229, access: "rw" },
        ];
        const seen = await lab.inside(tried("c", 10, 229), { ...MKNOD, "linux.resources.devices": devices });
        equal(seen, "made\n", "what was allowed");
      },
    },
    {
      name: "access of a rule is r, w and m apart",
      needs: [fuse],
      async check(lab) {
        const devices = [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 10, minor: 229, access: "rm" },
        ];
        const seen = await lab.inside(tried("c", 10, 229), { ...MKNOD, "linux.resources.devices": devices });
        equal(seen, "made\nread\n", "what was allowed");
      },
    },
    {
      name: "major and minor that aren't given mean all",
      needs: [fuse],
      says: "unset values mean all",
      async check(lab) {
        const devices = [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 10, access: "rwm" },
        ];
        const seen = await lab.inside(tried("c", 10, 229), { ...MKNOD, "linux.resources.devices": devices });
        equal(seen, "made\nread\nwritten\n", "what was allowed");
      },
    },
    {
      name: "default devices can be used when all is denied",
      at: "config-linux.md#default-devices",
      async check(lab) {
        const seen = await lab.inside("head -c 1 /dev/zero | wc -c; echo > /dev/null && echo written", {
          "linux.resources.devices": [{ allow: false, access: "rwm" }],
        });
        equal(seen, "1\nwritten\n", "output");
      },
    },
    {
      name: "a device that is neither default nor configured can't be used",
      at: "config-linux.md#devices",
      says: "containers may not access a device that is neither configured nor a default one",
      async check(lab) {
        const seen = await lab.inside(tried("b", disk.major, disk.minor), {
          ...MKNOD,
          "linux.resources.devices": [{ allow: false, access: "rwm" }],
        });
        holds(!seen.includes("read") && !seen.includes("written"), `allowed: ${seen}`);
      },
    },
    {
      name: "a rule without allow is an error",
      at: "config.md#valid-values",
      check: (lab) => lab.refused({ "linux.resources.devices": [{ access: "maybe", allow: "yes" }] }),
    },
  ],
);

const FITNESS: Case[] = section(
  "config-linux.md#control-groups",
  "MUST",
  "if the runtime checks whether the cgroup is fit and it isn't, that is an error",
  [
    {
      name: "a frozen cgroup is an error, and create doesn't wait for it",
      level: "MAY",
      needs: [controller(CGROUP_V2 ? "pids" : "freezer")],
      async check(lab) {
        const name = lab.nextName();
        const top = CGROUP_V2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/freezer";
        const [file, frozen, thawed] = CGROUP_V2
          ? (["cgroup.freeze", "1", "0"] as const)
          : (["freezer.state", "FROZEN", "THAWED"] as const);
        mkdirSync(join(top, name));
        writeFileSync(join(top, name, file), frozen);
        try {
          await lab.refused({ "linux.cgroupsPath": `/${name}` });
        } finally {
          if (existsSync(join(top, name))) writeFileSync(join(top, name, file), thawed);
          lab.removeCgroups(name);
        }
      },
    },
  ],
);

export const CGROUP_CASES: Case[] = [...PATHS, ...OWNERSHIP, ...FITNESS, ...DEVICES];
