/** SIGKILL at every step of create, start and delete: whatever is left, `delete --force` removes it wholly. */
import { expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { openBox, testNeeding, until } from "./helpers.ts";
import {
  command,
  createCommand,
  expectRemovable,
  filesOf,
  finish,
  killEverywhere,
  mustSucceed,
  storedState,
  test,
} from "./kill-helpers.ts";

const box = openBox("kill");
const LONG_MS = 120_000;

let made: ReturnType<typeof box.bundle> | undefined;
/** One root file system for all: no container writes to it. */
function sleeper() {
  made ??= box.bundle({ args: ["sleep", "1000"] });
  return made;
}

const create = (id: string) => mustSucceed(box, createCommand(box, sleeper(), id), id);
const start = (id: string) => mustSucceed(box, command(box, "start", id), id);
const removable = (id: string) => expectRemovable(box, id);

test(
  "create killed at any step leaves what delete --force removes wholly",
  async () => {
    const steps = await killEverywhere(box, {
      before: async () => {},
      words: (id) => createCommand(box, sleeper(), id),
      after: removable,
    });
    expect(steps).toBeGreaterThan(30);
  },
  LONG_MS,
);

const UNIFIED = "/sys/fs/cgroup/unified";
const isHybrid = existsSync(`${UNIFIED}/cgroup.procs`);
/** Where the host has both, v2 is unmounted in a mount namespace: on v1 alone nothing is made before init is there. */
const onV1 = (words: string[]) =>
  isHybrid ? ["unshare", "-m", "sh", "-c", `umount ${UNIFIED} && exec "$@"`, "sh", ...words] : words;

testNeeding(
  "root",
  "busybox",
  "strace",
  "cgroup v1",
)(
  "create killed at any step on v1 alone leaves what delete --force removes wholly",
  async () => {
    const steps = await killEverywhere(box, {
      before: async () => {},
      words: (id) => onV1(createCommand(box, sleeper(), id)),
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

/** The executable's front does it alone, and leaves it to Bun with an option that it doesn't know. */
const BY_BUN = ["--log-level", "warning"];
const WAYS: [way: string, options: string[]][] = [
  ["by the front", []],
  ["by Bun", BY_BUN],
];

for (const [way, options] of WAYS)
  test(
    `start ${way} killed at any step leaves a container that starts, runs or has stopped, and that delete removes`,
    async () => {
      const steps = await killEverywhere(box, {
        before: create,
        words: (id) => command(box, ...options, "start", id),
        after: async (id) => {
          const before = await statusOf(id);
          const { errors } = filesOf(box, id);
          const status = await finish(command(box, ...options, "start", id), errors);
          // Let go by the first start, init may be on its way to the program: created now, running a moment later.
          const others = before === "created" ? "running" : "(running|stopped)";
          expect({ before, status, errors: readFileSync(errors, "utf8") }).toEqual(
            before === "created" && status === 0
              ? { before, status: 0, errors: "" }
              : {
                  before,
                  status: 1,
                  errors: expect.stringMatching(
                    new RegExp(`cannot start a container in the ${others} state`),
                  ),
                },
          );
          await removable(id);
        },
      });
      expect(steps).toBeGreaterThan(5);
    },
    LONG_MS,
  );

for (const [way, options] of WAYS)
  test(
    `delete ${way} of a stopped container killed at any step is finished by another one`,
    async () => {
      const steps = await killEverywhere(box, {
        before: async (id) => {
          await create(id);
          await start(id);
          await mustSucceed(box, command(box, "kill", id, "KILL"), id);
          await until("it has stopped", () => box.state(id).status === "stopped");
        },
        words: (id) => command(box, ...options, "delete", id),
        after: removable,
        retries: true,
      });
      expect(steps).toBeGreaterThan(10);
    },
    LONG_MS,
  );

test(
  "delete --force killed at any step is finished by another one",
  async () => {
    const steps = await killEverywhere(box, {
      before: async (id) => {
        await create(id);
        await start(id);
      },
      // The front looks at the process, sees that it runs, and Bun begins.
      words: (id) => command(box, ...BY_BUN, "delete", "--force", id),
      after: removable,
      // A cgroup can be removed when its last process has left it.
      retries: true,
    });
    expect(steps).toBeGreaterThan(10);
  },
  LONG_MS,
);
