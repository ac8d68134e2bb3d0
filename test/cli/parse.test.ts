import { expect, test } from "bun:test";
import { parseFast } from "../../src/cli/fast.ts";
import { type Invocation, interpret } from "../../src/cli/interpret.ts";
import { parseSlow } from "../../src/cli/slow.ts";
import { formatError, KontenaError } from "../../src/error.ts";

async function parse(line: string): Promise<Invocation> {
  const words = line === "" ? [] : line.split(" ");
  return interpret(parseFast(words) ?? (await parseSlow(words)));
}

async function command(line: string): Promise<Invocation & { kind: "command" }> {
  const invocation = await parse(line);
  if (invocation.kind !== "command") throw new Error(`${line} is ${invocation.kind}`);
  return invocation;
}

async function complaint(line: string): Promise<string> {
  try {
    await parse(line);
  } catch (error) {
    expect(error).toBeInstanceOf(KontenaError);
    expect((error as KontenaError).code).toBe("USAGE");
    return formatError(error);
  }
  throw new Error(`${line} was accepted`);
}

test("a create as podman calls it gives its options, and flags that aren't there are false", async () => {
  const {
    command: spec,
    globals,
    args,
  } = await command("--log-format=json --log /u/log create --bundle /u --pid-file /u/p ID");
  expect(spec.name).toBe("create");
  expect(globals).toMatchObject({ log: "/u/log", "log-format": "json", debug: false });
  expect(args).toMatchObject({ id: "ID", bundle: "/u", "pid-file": "/u/p", "no-pivot": false });
});

test("global options stand before or after the command, and the last one counts", async () => {
  expect((await command("--root /a state x")).globals.root).toBe("/a");
  expect((await command("state x --root=/b")).globals.root).toBe("/b");
  expect((await command("--root /a state --root /b x")).globals.root).toBe("/b");
});

test("a number becomes a number, and nothing else does", async () => {
  expect((await command("create --preserve-fds 3 007")).args).toMatchObject({ "preserve-fds": 3, id: "007" });
});

test("--rootless is a flag of spec, and takes a value elsewhere", async () => {
  const { globals, args } = await command("--rootless auto spec --rootless");
  expect([globals.rootless, args["rootless"]]).toEqual(["auto", true]);
  expect((await command("create --rootless true x")).globals.rootless).toBe("true");
});

test.each([
  ["create -b/srv x", { bundle: "/srv" }],
  ["create -bsrv x", { bundle: "srv" }],
  ["create -b=/srv x", { bundle: "/srv" }],
  ["run -db /srv x", { bundle: "/srv", detach: true }],
  ["run -dbsrv x", { bundle: "srv", detach: true }],
  ["create -bundle /srv x", { bundle: "/srv" }],
  ["create -bundle=/srv x", { bundle: "/srv" }],
  ["run --detach=true x", { detach: true }],
  ["run --detach=1 x", { detach: true }],
  ["run --detach --detach=false x", { detach: false }],
  ["list -qfjson", { quiet: true, format: "json" }],
])("%s is understood as runc or crun would", async (line, args) => {
  expect((await command(line)).args).toMatchObject(args);
});

test("the words after the id of ps are another program's, options or not", async () => {
  const line = "ps --format json x -f --root /r -- --help";
  expect((await command(line)).args).toEqual({
    format: "json",
    id: "x",
    options: ["-f", "--root", "/r", "--", "--help"],
  });
  expect((await command("ps x")).args).toMatchObject({ id: "x", options: [] });
  expect((await command("ps x -- -ef")).args).toMatchObject({ id: "x", options: ["-ef"] });
  expect((await command("ps -fjson x -ef")).args).toMatchObject({ format: "json", options: ["-ef"] });
  expect(await complaint("ps")).toStartWith("ps: ID is missing");
});

test.each(["--version", "-v", "--version create x", "create x --version"])(
  "%s asks for the version",
  async (line) => {
    expect(await parse(line)).toEqual({ kind: "version" });
  },
);

test.each([
  ["", undefined],
  ["--help", undefined],
  ["help", undefined],
  ["--debug", undefined],
  ["kill --help", "kill"],
  ["kill -h x", "kill"],
  ["--help kill", "kill"],
  ["help kill", "kill"],
])("%p asks for help", async (line, name) => {
  const invocation = await parse(line);
  if (invocation.kind !== "help") throw new Error(invocation.kind);
  expect(invocation.command?.name).toBe(name as string);
});

test.each([
  ["creat x", 'unknown command "creat" (did you mean `create`?)'],
  ["create --bundel b x", "create: unknown option --bundel (did you mean `--bundle`?)"],
  ["--bundle b create x", "unknown option --bundle (it goes after the command: kontena COMMAND --bundle)"],
  ["create --bundle", "create: --bundle needs a value (--bundle=DIR)"],
  ["list --format", "list: --format needs a value (one of table, json)"],
  ["list --format jsn", 'list: --format: "jsn" isn\'t one of table, json (did you mean `json`?)'],
  ["list --quiet=maybe", "list: --quiet is either there or not (legal values are true and false)"],
  ["--root= list", "--root: the value is empty"],
  ["create --preserve-fds -1 x", 'create: --preserve-fds: "-1" isn\'t a number from 0 to 999999999'],
  ["create --preserve-fds 0x3 x", 'create: --preserve-fds: "0x3" isn\'t a number from 0 to 999999999'],
  ["create a b", 'create: "b" is one word too many (kontena create [OPTION]... ID)'],
  ["help frob", 'unknown command "frob"'],
])("%s is refused with what would be right", async (line, text) => {
  expect(await complaint(line)).toStartWith(text);
});

test("a missing id is named, with the form of the command", async () => {
  expect(await complaint("start")).toBe(
    "start: ID is missing: the container's name (kontena start [OPTION]... ID)",
  );
});

test.each([["checkpoint --help", "checkpoint: not in this version yet"]])(
  "%s is for a later version, and refused",
  async (line, text) => {
    expect(await complaint(line)).toStartWith(text);
  },
);
