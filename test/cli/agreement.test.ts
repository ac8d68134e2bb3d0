import { expect, test } from "bun:test";
import { parseFast } from "../../src/cli/fast.ts";
import { GLOBAL_OPTIONS } from "../../src/cli/globals.ts";
import type { OptionSpec } from "../../src/cli/option.ts";
import { parseSlow } from "../../src/cli/slow.ts";
import { readyCommands } from "../../src/cli/table.ts";
import type { Line } from "../../src/cli/words.ts";

/** Every form in which podman, buildah, conmon, containerd's shim, ctr and docker call a runtime; no word holds a space. */
const ENGINES = `
--log-format=json --log /u/oci-log create --bundle /u --pid-file /u/pidfile ID
--log-format=json --log /u/oci-log create --bundle /u --pid-file /u/pidfile --console-socket /tmp/conmon-term.X ID
--cgroup-manager disabled --log-format=json --log /u/oci-log create --bundle /u --pid-file /u/pidfile ID
--systemd-cgroup --log-format=json --log /u/oci-log create --bundle /u --pid-file /u/pidfile ID
start ID
delete --force ID
--log-format=json --log /e/oci-log exec --pid-file /e/exec_pid --process /e/exec-process-1 --detach --tty --console-socket /s ID
pause ID
resume ID
kill ID 10
kill ID 15
kill ID 9
update --resources=/var/tmp/podman1 ID
checkpoint --image-path /p --work-path /w ID
--version
state ID
create --bundle /b --pid-file /b/pid --console-socket /s buildah-alpine
create --bundle /b --pid-file /b/pid buildah-alpine
start buildah-alpine
state buildah-alpine
delete buildah-alpine
--root /k/default --log /t/log.json --log-format json create --bundle /t --pid-file /t/init.pid r1
--root /k/default --log /t/log.json --log-format json create --bundle /t --pid-file /t/init.pid --console-socket /tmp/pty1/pty.sock r1
--root /k/default --log /t/log.json --log-format json --systemd-cgroup create --bundle /t --pid-file /t/init.pid r1
--root /k/default --log /t/log.json --log-format json start r1
--root /k/default --log /t/log.json --log-format json kill r1 10
--root /k/default --log /t/log.json --log-format json kill --all r1 9
--root /k/default --log /t/log.json --log-format json ps --format json r1
--root /k/default --log /t/log.json --log-format json delete r1
--root /k/default --log /t/log.json --log-format json delete --force r1
--root /k/default --log /t/log.json --log-format json update --resources - r1
--root /k/default --log /t/log.json --log-format json exec --process /tmp/runc-process1 --detach --pid-file /t/e1.pid r1
--root /k/moby --log /t/log.json --log-format json checkpoint --image-path /i --work-path /w --leave-running r1
`
  .trim()
  .split("\n")
  .map((line) => line.split(" "));

/** Spellings by hand, the ugly ones above all; JSON, because the empty word is one of them. */
const SPELLINGS: string[][] = [
  [],
  [""],
  ["create"],
  ["create", "-b", "/srv", "x"],
  ["create", "-b/srv", "x"],
  ["create", "-bsrv", "x"],
  ["create", "-b=/srv", "x"],
  ["create", "--bundle=/srv", "x"],
  ["create", "--bundle=", "x"],
  ["create", "--bundle", "", "x"],
  ["create", "--bundle=a=b", "x"],
  ["create", "-bundle", "/srv", "x"],
  ["create", "-bundle=/srv", "x"],
  ["create", "x", "--bundle", "/srv"],
  ["create", "x", "--bundle"],
  ["create", "--bundle", "--no-pivot", "x"],
  ["create", "--bundle", "--", "x"],
  ["create", "--bundle", "-", "x"],
  ["create", "--bundle", "a", "--bundle", "b", "x"],
  ["create", "--bundel", "a", "x"],
  ["create", "--b", "a", "x"],
  ["create", "--no-pivot", "--no-pivot", "x"],
  ["create", "--no-pivot=true", "x"],
  ["create", "--no-pivot=false", "x"],
  ["create", "--no-pivot=maybe", "x"],
  ["create", "--no-pivot", "true"],
  ["create", "--pivot", "x"],
  ["create", "--no-bundle", "x"],
  ["create", "--preserve-fds", "3", "x"],
  ["create", "--preserve-fds=3", "x"],
  ["create", "--preserve-fds", "-1", "x"],
  ["create", "--preserve-fds=-1", "x"],
  ["create", "--preserve-fds", "0x10", "x"],
  ["create", "--preserve-fds", "1e3", "x"],
  ["create", "--", "-x"],
  ["create", "--", "--bundle"],
  ["create", "x", "--", "y"],
  ["create", "--", "x", "--"],
  ["create", "-x"],
  ["create", "-"],
  ["create", "-1"],
  ["create", "007"],
  ["create", "1e3"],
  ["create", "0x1f"],
  ["create", "true"],
  ["create", "x", "y", "z"],
  ["create", "--root", "/r", "x"],
  ["create", "x", "--root=/r"],
  ["create", "--constructor", "x"],
  ["create", "--__proto__=x", "y"],
  ["create", "__proto__"],
  ["create", "--toString"],
  ["create", "--help"],
  ["create", "-h"],
  ["create", "x", "--version"],
  ["--root", "/a", "create", "--root", "/b", "x"],
  ["--root=/a", "--debug", "create", "x", "--debug"],
  ["--root", "create", "create", "x"],
  ["--root", "create"],
  ["--root"],
  ["--root", "/r", "--"],
  ["--", "create", "x"],
  ["-root", "/r", "state", "x"],
  ["-debug", "state", "x"],
  ["--debug=true", "state", "x"],
  ["--debug=false", "--debug", "state", "x"],
  ["--debug", "--debug=false", "state", "x"],
  ["--debug", "true"],
  ["--bundle", "/b", "create", "x"],
  ["-v"],
  ["-vh"],
  ["-h", "create"],
  ["--version", "create", "x"],
  ["help"],
  ["help", "kill"],
  ["creat", "x"],
  ["constructor"],
  ["delete", "--force", "true"],
  ["delete", "-f", "true"],
  ["delete", "-f", "false"],
  ["delete", "true", "-f"],
  ["delete", "-ff", "x"],
  ["delete", "-fr", "x"],
  ["delete", "-f=true", "x"],
  ["delete", "-fx", "x"],
  ["delete", "x", "--force"],
  ["kill", "x", "-9"],
  ["kill", "x", "--", "-9"],
  ["kill", "-a", "x", "SIGTERM"],
  ["kill", "x", "--all", "KILL"],
  ["kill", "x", "RTMIN+1"],
  ["kill", "--all", "--regex", "x"],
  ["run", "-d", "x"],
  ["run", "-db", "/srv", "x"],
  ["run", "-db/srv", "x"],
  ["run", "-dbsrv", "x"],
  ["run", "-bd", "x"],
  ["run", "--detach", "--keep", "x"],
  ["run", "-f", "c.json", "x"],
  ["run", "--", "x"],
  ["list", "-q"],
  ["list", "-qf", "json"],
  ["list", "-f", "json", "-q"],
  ["list", "--format=table"],
  ["list", "--format", "yaml"],
  ["spec", "--rootless"],
  ["spec", "--rootless", "-b", "d"],
  ["--rootless", "auto", "spec", "--rootless"],
  ["--rootless=true", "spec"],
  ["--rootless", "spec"],
  ["create", "--rootless", "auto", "x"],
  ["create", "--rootless", "x"],
  ["explain"],
  ["explain", "-b", "d", "--format", "json"],
  ["ns", "x", "-f", "json"],
  ["completion", "bash"],
  ["events", "x", "--interval", "5s", "--stats"],
  ["events", "--interval=1m30s", "x"],
  ["stats"],
  ["stats", "a", "--no-stream", "b"],
  ["stats", "-af", "json", "--", "-c"],
  ["ps", "x"],
  ["ps", "x", "-ef"],
  ["ps", "x", "--", "-ef"],
  ["ps", "--", "x", "-ef"],
  ["ps", "--", "x", "--", "-ef"],
  ["ps", "-f", "json", "x", "-f", "json"],
  ["ps", "-fjson", "x", "--help"],
  ["ps", "--format=json", "x", "aux", "--root", "/r"],
  ["ps", "--root", "/r", "x", "-o", "pid"],
  ["ps", "--format", "x"],
  ["ps", "--debug", "x", "--version"],
];

/** Every option of every command, in each spelling, before and after the other words, once and twice. */
function generated(): string[][] {
  const out: string[][] = [];
  for (const command of readyCommands()) {
    const ids = Object.keys(command.positionals).map((_, i) => `word${i}`);
    for (const [name, option] of Object.entries<OptionSpec>({ ...GLOBAL_OPTIONS, ...command.options })) {
      const values = option.kind === "flag" ? [] : [(option.choices ?? ["5"])[0] ?? "5"];
      const forms = [[`--${name}`, ...values]];
      if (values.length > 0) forms.push([`--${name}=${values[0]}`]);
      if (option.short) forms.push([`-${option.short}`, ...values], [`-${option.short}${values[0] ?? ""}`]);
      for (const form of forms) {
        out.push(
          [command.name, ...form, ...ids],
          [command.name, ...ids, ...form],
          [command.name, ...form, ...form],
        );
        out.push(
          [...form, command.name, ...ids],
          [command.name, ...form, "--", ...ids],
          [command.name, ...form.slice(0, 1)],
        );
      }
    }
  }
  return out;
}

/** Without what is absent or off: both parsers may leave that out. */
function given(line: Line): unknown {
  const some = (values: Line["globals"]): [string, unknown][] =>
    Object.entries(values)
      .filter(([, value]) => value !== undefined && value !== false)
      .sort();
  return { ...line, globals: some(line.globals), options: some(line.options) };
}

async function slow(words: string[]): Promise<unknown> {
  try {
    return given(await parseSlow(words));
  } catch (error) {
    return String(error);
  }
}

test("whatever the fast parser accepts, yargs reads in the same way", async () => {
  const lines = [...ENGINES, ...SPELLINGS, ...generated()];
  expect(lines.length).toBeGreaterThan(800);
  let accepted = 0;
  for (const words of lines) {
    const fast = parseFast(words);
    if (fast === undefined) continue;
    accepted++;
    expect({ words, line: given(fast) }).toEqual({ words, line: await slow(words) });
  }
  expect(accepted).toBeGreaterThan(400);
  // Thousands of lines through yargs.
}, 60_000);

test.each(ENGINES.map((words) => [words.join(" "), words] as const))(
  "the fast parser takes %s",
  (_, words) => {
    expect(parseFast(words)).toBeDefined();
  },
);
