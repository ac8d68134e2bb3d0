/** linux.intelRdt where the host has no resctrl file system; what is done with one is tested in test/container. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { openBox, testWhen } from "./helpers.ts";

const box = openBox("rdt");
const hasNone = !readFileSync("/proc/self/mountinfo", "utf8").includes(" - resctrl ");

testWhen(hasNone)("a host without resctrl is refused, and nothing is left", () => {
  const b = box.bundle({
    patch: (config) => {
      config.linux.intelRdt = { closID: "gold", schemata: ["L3:0=f"], enableMonitoring: true };
    },
  });
  const { status, stderr } = box.create(b);
  expect(status).toBe(1);
  expect(stderr).toContain("linux.intelRdt: no resctrl file system is mounted");
  expect(stderr).toContain("mount -t resctrl");
  expect(box.ids()).toEqual([]);
});
