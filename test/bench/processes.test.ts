/** The programs that a benchmark runs: what becomes of them when it is stopped, and of the signal that says so. */
import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { Processes } from "../../src/bench/processes.ts";

const SLEEP = ["sleep", "60"];

test("what a program printed comes back, and one that fails is told with the end of what it said", async () => {
  const processes = new Processes();
  expect(await processes.run(["echo", "carried"])).toBe("carried\n");
  await expect(processes.run(["sh", "-c", "echo no such link >&2; exit 3"])).rejects.toThrow(/no such link/);
});

test("a signal ends all that runs, and nothing more begins", async () => {
  const abort = new AbortController();
  const processes = new Processes(abort.signal);
  const running = [processes.start(SLEEP), processes.start(SLEEP)];
  abort.abort(new Error("stopped"));
  await Promise.all(running.map((each) => each.ended));
  expect(() => processes.start(SLEEP)).toThrow("stopped");
});

test("twenty measurements after one another that share a signal leave nothing on it", async () => {
  const { signal } = new AbortController();
  for (let run = 0; run < 20; run++) {
    const processes = new Processes(signal);
    const running = processes.start(SLEEP);
    await processes.endAll();
    await running.ended;
  }
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});
