/** What tests with hostile bundles share: a place outside that must stay as it is, and a process that races. */

import { expect } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Box, Finished, TestBundle, TestConfig } from "../integration/helpers.ts";

/** A directory of the host outside of every bundle, with a file `canary`. */
export function outsideIn(box: Box): string {
  const path = join(box.directory, box.next());
  mkdirSync(path);
  writeFileSync(join(path, "canary"), "untouched");
  return path;
}

/** Runs `act` while another process exchanges the names of two files all the time. */
export async function exchanging(one: string, other: string, act: () => void): Promise<void> {
  const racer = Bun.spawn([process.execPath, join(import.meta.dir, "exchange.ts"), one, other], {
    stdout: "pipe",
  });
  try {
    const { done } = await racer.stdout.getReader().read();
    if (done) throw new Error("nothing is exchanged");
    act();
    if (racer.exitCode !== null) throw new Error("the exchange has ended early");
  } finally {
    racer.kill("SIGKILL");
    await racer.exited;
  }
}

/** A user namespace whose root is root of the machine as well, as everyone is for a user's runtime with one id. */
export function sameIds(config: TestConfig): void {
  config.linux.namespaces?.push({ type: "user" });
  config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 1000 }];
  config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 1000 }];
}

/** Whatever a bundle was, it has become a container or been refused in clear words, with nothing left. */
export function expectClear(box: Box, b: TestBundle, { status, stderr }: Finished): void {
  // 137: it was killed since it didn't end.
  expect([0, 1, 126, 127]).toContain(status);
  // A mistake of the program's own has no place, and words of JavaScript.
  expect(stderr).not.toMatch(
    /INTERNAL|undefined|evaluating|\[object|is not a function|BigInt|Maximum call stack|JSON\.|E[A-Z]+: /,
  );
  if (status === 0) return;
  expect(stderr).toMatch(/^(kontena: warning: .*\n)*kontena: /);
  expect(box.ids()).not.toContain(b.id);
}
