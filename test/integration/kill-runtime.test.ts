/** SIGKILL at every step of create, start and delete: whatever is left, `delete --force` removes it wholly. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { openBox } from "./helpers.ts";
import {
  command,
  createCommand,
  dieAt,
  expectRemovable,
  filesOf,
  finish,
  forEach,
  isStep,
  killing,
  labelOf,
  readTrace,
  storedState,
  test,
  watching,
} from "./kill-helpers.ts";

const box = openBox("kill");
const LONG_MS = 120_000;

let made: ReturnType<typeof box.bundle> | undefined;
/** One root file system for all: no container writes to it. */
function sleeper() {
  made ??= box.bundle({ args: ["sleep", "1000"] });
  return made;
}

interface Command {
  /** Brings the container to where the command begins. */
  before: (id: string) => Promise<void>;
  words: (id: string) => string[];
  /** What has to be possible afterwards. */
  after: (id: string) => Promise<void>;
  /** How often a call is tried again differs from run to run: only its first time counts. */
  retries?: boolean;
}

async function mustSucceed(words: string[], id: string): Promise<void> {
  const { errors } = filesOf(box, id);
  const status = await finish(words, errors);
  expect({ status, errors: readFileSync(errors, "utf8") }).toEqual({ status: 0, errors: "" });
}

/** Watches the command once, then kills it at each of its steps; gives their number. */
async function killEverywhere({ before, words, after, retries }: Command): Promise<number> {
  const begin = async () => {
    const id = box.next();
    await before(id);
    return id;
  };
  const id = await begin();
  await mustSucceed(watching(filesOf(box, id).trace, words(id)), id);
  const all = readTrace(filesOf(box, id).trace, id);
  await expectRemovable(box, id);

  // What comes before has touched nothing of the container.
  const steps = all
    .slice(all.findIndex((call) => call.text.includes('/ID"')))
    .filter((call) => isStep(call) && !(retries && call.before > 0));
  expect(steps.at(-1)?.name).toBe("exit_group");
  await forEach(steps, labelOf, async (step) => {
    const attempt = async (count: number) => {
      const id = await begin();
      const { trace, errors } = filesOf(box, id);
      await finish(killing(trace, step, count, id, words(id)), errors);
      return { id, seen: readTrace(trace, id) };
    };
    await after(await dieAt(step, all, attempt, box));
  });
  return steps.length;
}

const create = (id: string) => mustSucceed(createCommand(box, sleeper(), id), id);
const start = (id: string) => mustSucceed(command(box, "start", id), id);
const removable = (id: string) => expectRemovable(box, id);

test(
  "create killed at any step leaves what delete --force removes wholly",
  async () => {
    const steps = await killEverywhere({
      before: async () => {},
      words: (id) => createCommand(box, sleeper(), id),
      after: removable,
    });
    expect(steps).toBeGreaterThan(30);
  },
  LONG_MS,
);

/** What `state` says, which never hangs. */
async function statusOf(id: string): Promise<string> {
  expect(storedState(box, id)?.pid).toBeGreaterThan(0);
  return box.state(id).status;
}

test(
  "start killed at any step leaves a container that starts, runs or has stopped, and that delete removes",
  async () => {
    const steps = await killEverywhere({
      before: create,
      words: (id) => command(box, "start", id),
      after: async (id) => {
        const before = await statusOf(id);
        const { errors } = filesOf(box, id);
        const status = await finish(command(box, "start", id), errors);
        // Let go by the first start, init may be on its way to the program: created now, running a moment later.
        const others = before === "created" ? "running" : "(running|stopped)";
        expect({ before, status, errors: readFileSync(errors, "utf8") }).toEqual(
          before === "created" && status === 0
            ? { before, status: 0, errors: "" }
            : {
                before,
                status: 1,
                errors: expect.stringMatching(new RegExp(`cannot start a container in the ${others} state`)),
              },
        );
        await removable(id);
      },
    });
    expect(steps).toBeGreaterThan(5);
  },
  LONG_MS,
);

test(
  "delete --force killed at any step is finished by another one",
  async () => {
    const steps = await killEverywhere({
      before: async (id) => {
        await create(id);
        await start(id);
      },
      words: (id) => command(box, "delete", "--force", id),
      after: removable,
      // A cgroup can be removed when its last process has left it.
      retries: true,
    });
    expect(steps).toBeGreaterThan(10);
  },
  LONG_MS,
);
