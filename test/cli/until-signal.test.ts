/** A signal to who measures: what has been made is removed, and only then this process ends. */
import { expect, test } from "vitest";
import { untilSignal } from "../../src/cli/until-signal.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const until = (signal: AbortSignal) => new Promise((resolve) => signal.addEventListener("abort", resolve));

/** Signals that come while `act` runs and while it cleans up, to what the process was ended with. */
const endedBy = async (first: NodeJS.Signals, second?: NodeJS.Signals, enough?: NodeJS.Signals) => {
  const said: string[] = [];
  const running = untilSignal(
    async (signal) => {
      await until(signal);
      if (second !== undefined) process.emit(second, second);
      said.push("clean");
      return said;
    },
    enough,
    (signal) => said.push(signal),
  );
  process.emit(first, first);
  return running;
};

test.each(SIGNALS)("%s lets it clean up, then ends the process; a second one changes nothing", async (signal) => {
  expect(await endedBy(signal)).toEqual(["clean", signal]);
  expect(await endedBy(signal, "SIGINT")).toEqual(["clean", signal]);
});

test("with what there is it goes on after the signal that is enough, but not after another", async () => {
  expect(await endedBy("SIGINT", undefined, "SIGINT")).toEqual(["clean"]);
  expect(await endedBy("SIGINT", "SIGINT", "SIGINT")).toEqual(["clean"]);
  expect(await endedBy("SIGINT", "SIGTERM", "SIGINT")).toEqual(["clean", "SIGTERM"]);
  expect(await endedBy("SIGHUP", undefined, "SIGINT")).toEqual(["clean", "SIGHUP"]);
});

test("nothing is left on the process, also when it fails", async () => {
  const before = SIGNALS.map((signal) => process.listenerCount(signal));
  await expect(untilSignal(() => Promise.reject(new Error("no link")))).rejects.toThrow("no link");
  expect(SIGNALS.map((signal) => process.listenerCount(signal))).toEqual(before);
});
