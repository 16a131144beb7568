/** A worker's own packets, carried before those of others: they come back whole, leave nothing behind, and make nobody wait. */
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { suiteByName } from "../../src/crypto/suites.ts";
import { MAX_BATCH } from "../../src/dataplane/arena.ts";
import { PlaneMemory } from "../../src/dataplane/plane-memory.ts";
import { Rehearsal } from "../../src/dataplane/rehearsal.ts";
import { rehearsalPackets } from "../../src/dataplane/rehearsal-packets.ts";
import { memoryWire, openWire } from "../../src/dataplane/rehearsal-wire.ts";
import { warmUp } from "../../src/dataplane/warm-up.ts";
import { WorkerTools } from "../../src/dataplane/worker-tools.ts";

const suite = suiteByName("aes256gcm16")!;
let tools: WorkerTools;

beforeAll(() => {
  tools = new WorkerTools("node");
});

afterAll(() => tools.close());

const workerMemory = () =>
  ({ worker: 0, memory: PlaneMemory.create(64).shared, wakeFds: [-1], poll: "adaptive", batch: MAX_BATCH }) as const;

const descriptors = (): number => readdirSync("/proc/self/fd").length;

test.each([
  ["the loopback interface", openWire],
  ["a queue in memory", memoryWire],
])("every packet comes back over %s, alone and in bursts, through new pairs of SAs", (_, open) => {
  for (const [wakeFds, batch] of [
    [[-1], MAX_BATCH],
    [[-1, -1, -1], 16],
  ] as const) {
    const before = descriptors();
    const rehearsal = new Rehearsal({ poll: "adaptive", batch, wakeFds }, tools, suite, open);
    for (let pair = 0; pair < 5; pair++) {
      for (const [name, packet] of Object.entries(rehearsalPackets)) {
        if (name === "super") continue;
        expect([name, rehearsal.carry(packet)]).toEqual([name, packet.length]);
        expect([name, rehearsal.carry(packet, 3)]).toEqual([name, packet.length * 3]);
      }
      // Its segments may come back as several packets, each with its headers.
      expect(rehearsal.carry(rehearsalPackets.super)).toBeGreaterThanOrEqual(rehearsalPackets.super.length);
      rehearsal.rekey();
    }
    rehearsal.close();
    expect(descriptors()).toBe(before);
  }
});

test("packets of others come first, and while there are any none of our own is carried", () => {
  const before = descriptors();
  let served = 0;
  let most = 0;
  warmUp(
    workerMemory(),
    tools,
    () => {
      most = Math.max(most, descriptors());
      return ++served; // there is always one
    },
    () => served === 500,
  );
  expect(served).toBe(500);
  expect(most).toBeGreaterThan(before); // it was ready to
  expect(descriptors()).toBe(before);
});

test("a worker that is to stop stops at once; else the packets come to an end, and nothing of them is left", () => {
  const before = descriptors();
  let served = 0;
  const serve = (): number => {
    served++;
    return 0;
  };
  warmUp(workerMemory(), tools, serve, () => true);
  expect(served).toBe(0);
  const init = workerMemory();
  const words = Object.values(init.memory).map((memory) => new Uint8Array(memory).slice(0, 65_536));
  warmUp(init, tools, serve, () => false);
  expect(served).toBeGreaterThan(0);
  expect(descriptors()).toBe(before);
  const after = Object.values(init.memory).map((memory) => new Uint8Array(memory).slice(0, 65_536));
  expect(after.every((each, i) => Buffer.compare(each, words[i]!) === 0)).toBe(true); // no counter of the plane has moved
});
