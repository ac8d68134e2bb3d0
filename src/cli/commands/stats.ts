import { stringifyJson } from "../../../spec/json.ts";
import { openRuntime } from "../../container/runtime.ts";
import { type ContainerStats, openStats } from "../../container/stats.ts";
import { terminalSize } from "../../container/terminal.ts";
import type { StatsArguments } from "../arguments.ts";
import { parseDuration } from "../duration.ts";
import type { CommandContext } from "../option.ts";
import { fit, redraw, SHOW_CURSOR, statsLines, statsObjects } from "../stats-table.ts";

/** Signals that end the table: the cursor is shown again first. */
const ENDING = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

interface Pause {
  /** Waits, or until a signal comes; its number, or 0 when the time is over. */
  wait(milliseconds: number): Promise<number>;
  stop(): void;
}

function openPause(): Pause {
  let signal = 0;
  let wake: (() => void) | undefined;
  const listeners = Object.entries(ENDING).map(([name, number]) => {
    const listener = () => {
      signal = number;
      wake?.();
    };
    process.on(name as NodeJS.Signals, listener);
    return () => process.off(name as NodeJS.Signals, listener);
  });
  return {
    async wait(milliseconds) {
      if (signal !== 0) return signal;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, milliseconds);
      wake = resolve;
      await promise;
      clearTimeout(timer);
      return signal;
    },
    stop: () => {
      for (const remove of listeners) remove();
    },
  };
}

export async function execute(context: CommandContext, args: StatsArguments): Promise<number> {
  const interval = parseDuration(args.interval ?? "1s", "stats: --interval");
  const take = openStats(openRuntime(context.runtime), { ids: args.ids, all: args.all });
  const isJson = args.format === "json";
  const isLive = !isJson && !args["no-stream"] && terminalSize(1) !== undefined;
  let drawn = 0;
  const show = (rows: readonly ContainerStats[]): boolean => {
    if (isJson) return context.write(`${stringifyJson(statsObjects(rows, new Date()))}\n`);
    const screen = isLive ? terminalSize(1) : undefined;
    if (screen === undefined) return context.write(`${statsLines(rows).join("\n")}\n`);
    const lines = fit(statsLines(rows), screen);
    const text = redraw(lines, drawn);
    drawn = lines.length;
    return context.write(text);
  };
  const pause = openPause();
  try {
    // A share of the CPU takes two samples; a terminal isn't kept waiting for it.
    const first = take();
    if (isLive) show(first);
    let next = performance.now() + interval;
    for (;;) {
      const signal = await pause.wait(Math.max(0, next - performance.now()));
      if (signal !== 0) return 128 + signal;
      next = Math.max(next + interval, performance.now());
      const rows = take();
      if (!show(rows) || args["no-stream"]) return 0;
      // All that were asked for have ended.
      if (args.ids.length > 0 && rows.every(({ status }) => status === "stopped")) return 0;
    }
  } finally {
    pause.stop();
    if (drawn > 0) context.write(SHOW_CURSOR);
  }
}
