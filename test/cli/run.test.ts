import { expect, test } from "vitest";
import { runUntilSignal } from "../../src/cli/run.ts";

const gateway = (change: { start?: () => Promise<void>; stop?: () => Promise<void>; closed?: Promise<void> } = {}) => {
  const did: string[] = [];
  return {
    did,
    start: async () => {
      did.push("start");
      await change.start?.();
    },
    stop: async () => {
      did.push("stop");
      await change.stop?.();
    },
    closed: change.closed ?? new Promise<void>(() => {}),
  };
};

test.each(["SIGTERM", "SIGINT"] as const)("%s stops the gateway in order and leaves no handler", async (signal) => {
  const before = process.listenerCount(signal);
  const runs = gateway({ start: async () => void setImmediate(() => process.emit(signal, signal)) });
  await runUntilSignal(runs);
  expect(runs.did).toEqual(["start", "stop"]);
  expect(process.listenerCount(signal)).toBe(before);
});

test("a gateway that cannot start is stopped, and why is told", async () => {
  const runs = gateway({
    start: () => Promise.reject(new Error("no privileges")),
    stop: () => Promise.reject(new Error("never started")),
  });
  await expect(runUntilSignal(runs)).rejects.toThrow("no privileges");
  expect(runs.did).toEqual(["start", "stop"]);
});

test("a gateway that ends by itself ends the command", async () => {
  const runs = gateway({ closed: Promise.resolve() });
  await runUntilSignal(runs);
  expect(runs.did).toEqual(["start", "stop"]);
  await expect(runUntilSignal(gateway({ closed: Promise.reject(new Error("a worker died")) }))).rejects.toThrow(
    "a worker died",
  );
});
