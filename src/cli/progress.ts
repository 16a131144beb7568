/** How far something is, with the time left, on the screen of who waits; nothing where there is no screen. */
import { Writable } from "node:stream";
import { SingleBar } from "cli-progress";
import type { Terminal } from "./terminal.ts";

export interface Progress {
  /** `share` of all, 0 to 1, and what goes on now. */
  at(share: number, what?: string): void;
  /** Takes the bar away. */
  end(): void;
}

const STEPS = 1000;
const WIDEST = 24;

export const startProgress = (terminal: Terminal, quiet = false): Progress => {
  if (terminal.columns === undefined || quiet) return { at: () => {}, end: () => {} };
  const writable = new Writable({
    write: (chunk, _, done) => {
      terminal.err(String(chunk));
      done();
    },
  });
  const stream = Object.assign(writable, { isTTY: true, columns: terminal.columns }); // it is drawn in its place
  const bar = new SingleBar({
    stream,
    format: "{bar} {percentage} %{left}  {what}",
    barsize: WIDEST,
    barCompleteChar: "=",
    barIncompleteChar: "-",
    clearOnComplete: true,
    hideCursor: true,
    linewrap: null,
  });
  const began = performance.now();
  bar.start(STEPS, 0, { left: "", what: "" });
  return {
    at: (share, what = "") => {
      const seconds = ((performance.now() - began) / 1000) * (1 / share - 1);
      const left = share > 0 ? `, ${timeText(Math.max(0, seconds))} left` : "";
      bar.update(Math.round(Math.min(1, share) * STEPS), { left, what });
    },
    end: () => bar.stop(),
  };
};

const timeText = (seconds: number): string =>
  seconds < 60 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
