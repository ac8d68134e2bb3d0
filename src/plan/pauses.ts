/** Where init waits for the runtime. By itself: create asks for it every time, and needs nothing else of the plans around. */
import type { Config } from "../../spec/config.ts";
import type { Pause } from "../init/step.ts";

/** The runtime runs the hooks of create: everything is mounted, and the host can still be seen. */
export const HOOKS: Pause = {
  pause: "hooks",
  why: "prestart, createRuntime and createContainer hooks run now",
};

/** The second stage is there; the runtime writes its pid to the state, and its id mappings. */
export const JOINED: Pause = { pause: "joined", why: "it has joined its namespaces" };

/** The state names init, and the ids of its user namespace are mapped. */
export const BORN: Pause = { pause: "born", why: "wait for state and id mappings", silent: true };

/**
 * The container's cgroup is there, and init in it, or free to enter. As late as can be: meanwhile the runtime makes it, which
 * takes about as long as what comes before.
 */
export const IN_CGROUP: Pause = { pause: "cgroup", why: "wait for the cgroup", silent: true };

/** All is made; the runtime looks at the results and writes the state `created`. */
export const CREATED: Pause = { pause: "created", why: "all is made" };

/** Whether create has to stop for hooks. */
export function pauseForHooks({ hooks }: Config): Pause[] {
  const some = (["prestart", "createRuntime", "createContainer"] as const).some(
    (name) => hooks?.[name]?.length,
  );
  return some ? [HOOKS] : [];
}
