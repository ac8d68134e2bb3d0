/** Containers as services: sockets that a service manager passes on, and where they say that they are ready. */
import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openBox, test } from "./helpers.ts";

const box = openBox("service");

/** A shell that opens files in the place of sockets, and becomes kontena: its pid stays. */
const opening = (...words: string[]) => ["sh", "-c", `${words.join(" ")} exec "$0" "$@"`];

const filesOf = (...texts: string[]) =>
  texts.map((text, i) => {
    const path = join(box.directory, `${text}-${i}`);
    writeFileSync(path, `${text}\n`);
    return path;
  });

const SHOW = "echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4; ls /proc/$$/fd";

test("sockets of the service manager are preserved, with the variables that tell of them", () => {
  const [one, two] = filesOf("one", "two");
  const b = box.bundle({ args: SHOW });
  const before = opening(`exec 3<${one} 4<${two};`, "LISTEN_FDS=2 LISTEN_PID=$$");
  const { status, stdout, stderr } = box.kontena(["run", "--bundle", b.directory, b.id], { before });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toStartWith("2 1\none\ntwo\n0\n1\n2\n3\n4\n");
});

test("--preserve-fds counts from behind them", () => {
  const [one, two] = filesOf("first", "second");
  const b = box.bundle({ args: SHOW });
  const before = opening(`exec 3<${one} 4<${two};`, "LISTEN_FDS=1 LISTEN_PID=$$");
  const args = ["run", "--bundle", b.directory, "--preserve-fds", "1", b.id];
  expect(box.kontena(args, { before }).stdout).toStartWith("1 1\nfirst\nsecond\n");
});

test("what is meant for another process isn't passed on", () => {
  const b = box.bundle({ args: ["env"] });
  const env = { PATH: "/usr/bin:/bin", LISTEN_FDS: "2", LISTEN_PID: "1" };
  const { status, stdout } = box.kontena(["run", "--bundle", b.directory, b.id], { env });
  expect(status).toBe(0);
  expect(stdout).not.toContain("LISTEN");
});

test("a socket that isn't there is told", () => {
  const b = box.bundle({ args: "true" });
  const finished = box.kontena(["run", "--bundle", b.directory, b.id], {
    env: { PATH: "/usr/bin:/bin", LISTEN_FDS: "200" },
  });
  expect(finished.status).toBe(1);
  expect(finished.stderr).toMatch(/LISTEN_FDS=200: descriptor \d+ isn't open/);
});
