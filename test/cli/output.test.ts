import { afterAll, expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { $ } from "bun";
import { columns } from "../../src/cli/columns.ts";
import { guessLogOptions, logLine, openLog, terminalLine } from "../../src/cli/log.ts";
import { isTerminal, wantsColor, writeAll } from "../../src/cli/output.ts";

const dir = mkdtempSync(`${tmpdir()}/kontena-output-`);
afterAll(() => rmSync(dir, { recursive: true }));

test("a text larger than a pipe arrives wholly, though the pipe is non-blocking and its reader slow", async () => {
  const pipe = `${dir}/full`;
  await $`mkfifo ${pipe}`;
  const fd = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  const size = 300_001;
  const reader = Bun.spawn(["sh", "-c", `sleep 0.1; head -c ${size} ${pipe} | wc -c`], { stdout: "pipe" });
  expect(writeAll(fd, "x".repeat(size))).toBe(true);
  expect(Number(await new Response(reader.stdout).text())).toBe(size);
  closeSync(fd);
});

test("a reader that has gone is no error", async () => {
  const pipe = `${dir}/gone`;
  await $`mkfifo ${pipe}`;
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
  closeSync(reader);
  expect(writeAll(writer, "x")).toBe(false);
  closeSync(writer);
});

test("a full disk is an error", () => {
  const fd = openSync("/dev/full", "w");
  expect(() => writeAll(fd, "x")).toThrow("ENOSPC");
  closeSync(fd);
});

test("files and /dev/null aren't terminals, and get no colour", () => {
  const fd = openSync("/dev/null", "r");
  expect([isTerminal(fd), isTerminal(9999), wantsColor(fd, {})]).toEqual([false, false, false]);
  closeSync(fd);
});

test("a terminal gets colour, unless NO_COLOR is set", async () => {
  const { wantsColor: path } = { wantsColor: `${import.meta.dir}/../../src/cli/output.ts` };
  const code = `import { wantsColor, writeAll } from "${path}"; writeAll(1, "[" + wantsColor(1, {}) + " " + wantsColor(1, { NO_COLOR: "1" }) + " " + wantsColor(1, { NO_COLOR: "" }) + "]");`;
  await Bun.write(`${dir}/color.ts`, code);
  const proc = Bun.spawn(["script", "-qec", `${process.execPath} ${dir}/color.ts`, "/dev/null"], {
    stdin: "ignore",
    stdout: "pipe",
  });
  expect(await new Response(proc.stdout).text()).toContain("[true false true]");
});

const time = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 6));

test("a JSON line begins with what engines read, and stays one line", () => {
  expect(logLine("json", "error", 'a "b"\nc', time, { code: "USAGE" })).toBe(
    '{"level":"error","msg":"a \\"b\\"\\nc","time":"2026-01-02T03:04:05.006Z","error":{"code":"USAGE"}}\n',
  );
});

test("a text line is logfmt, and stays one line", () => {
  expect(logLine("text", "warning", 'a "b"\nc', time)).toBe(
    'time="2026-01-02T03:04:05.006Z" level=warning msg="a \\"b\\"\\nc"\n',
  );
});

test("a person reads the program's name first", () => {
  expect(terminalLine("error", "x", false)).toBe("kontena: x\n");
  expect(terminalLine("warning", "x", false)).toBe("kontena: warning: x\n");
  // What a config says can't clear the screen, or write over what stands there.
  expect(terminalLine("error", "a\x1b[2J\rb\n\tc", false)).toBe("kontena: a\\x1b[2J\\x0db\n\tc\n");
  expect(terminalLine("error", "x", true)).toBe("\x1b[31mkontena: \x1b[0mx\n");
});

test.each([
  ["", "plain"],
  ["file:", "prefixed"],
])("--log %sFILE is appended to, at the level asked for", async (prefix, name) => {
  const path = `${dir}/${name}.json`;
  await Bun.write(path, "before\n");
  const log = openLog({ file: `${prefix}${path}`, format: "json", level: "warning" });
  log.warn("no such thing", { at: "mounts[0]", hint: "try this" });
  log.debug("not asked for");
  const [before, warning, ...more] = readFileSync(path, "utf8").split("\n");
  expect([before, more]).toEqual(["before", [""]]);
  expect(JSON.parse(warning ?? "")).toMatchObject({
    level: "warning",
    msg: "mounts[0]: no such thing (try this)",
  });
});

test("a log that can't be opened is an error, as is a kind that isn't there yet", () => {
  const open = (file: string) => () => openLog({ file, format: "text", level: "error" });
  expect(open(`${dir}/no/log`)).toThrow(`--log: can't append to ${dir}/no/log: ENOENT`);
  expect(open("journald:x")).toThrow("--log journald: not in this version yet");
});

test("the log of a command line that can't be understood is found", () => {
  expect(guessLogOptions(["--log", "/l", "frob", "--log-format=json"])).toMatchObject({
    file: "/l",
    format: "json",
  });
  expect(guessLogOptions(["--log=/l", "--", "--log-format=json"])).toMatchObject({
    file: "/l",
    format: "text",
  });
  expect(guessLogOptions(["create", "--log"])).toMatchObject({ file: undefined });
});

test("columns are those of runc list, and control characters can't move the cursor", () => {
  expect(
    columns([
      ["ID", "BUNDLE", "OWNER"],
      ["a-rather-long-name", "/x\x1b[2J", "root"],
    ]),
  ).toBe("ID                   BUNDLE      OWNER\na-rather-long-name   /x\\x1b[2J   root\n");
});

test("neither yargs nor help makes a descriptor non-blocking, for the container shares it", async () => {
  const cli = `${import.meta.dir}/../../src/cli`;
  await Bun.write(
    `${dir}/flags.ts`,
    `import { readFileSync, writeFileSync } from "node:fs";
    import { helpText } from "${cli}/help.ts";
    import { parseSlow } from "${cli}/slow.ts";
    await parseSlow(["list", "--quiet=true"]);
    await helpText();
    const flags = [0, 1, 2].map((fd) => readFileSync("/proc/self/fdinfo/" + fd, "utf8").split(/\\s+/)[3]);
    writeFileSync("${dir}/flags.json", JSON.stringify(flags));`,
  );
  await $`sh -c ${`cat /dev/null | ${process.execPath} ${dir}/flags.ts 2>&1 | cat`}`.quiet();
  const flags: string[] = await Bun.file(`${dir}/flags.json`).json();
  expect(flags.length).toBe(3);
  for (const octal of flags) expect(Number.parseInt(octal, 8) & constants.O_NONBLOCK).toBe(0);
});
