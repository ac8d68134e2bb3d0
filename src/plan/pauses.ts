/** Where init waits for hooks. By itself: the runtime asks for it at every create, and needs nothing else of their plan. */
import type { Config } from "../../spec/config.ts";
import type { Pause } from "../init/step.ts";

/** The runtime runs the hooks of create: everything is mounted, and the host can still be seen. */
export const HOOKS: Pause = {
  pause: "hooks",
  why: "prestart, createRuntime and createContainer hooks run now",
};

/** Whether create has to stop for hooks. */
export function pauseForHooks({ hooks }: Config): Pause[] {
  const some = (["prestart", "createRuntime", "createContainer"] as const).some(
    (name) => hooks?.[name]?.length,
  );
  return some ? [HOOKS] : [];
}
