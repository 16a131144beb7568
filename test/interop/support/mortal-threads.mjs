/** Loaded before a gateway (`node --import`): at SIGUSR2 the oldest of its threads dies, whatever it is doing. */
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  const threads = [];
  process.on("worker", (thread) => threads.push(thread));
  process.on("SIGUSR2", () => threads.shift()?.terminate());
}
