/** Two control planes shake hands: small runs; the processes need `npm run build` first. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import type * as IkeBench from "../../src/bench/ike.ts";
import { measureInMemory } from "../../src/bench/ike-memory.ts";
import { checkProofs } from "../../src/bench/ike-proofs.ts";
import { figuresOf, ikeTasks } from "../../src/bench/ike-rows.ts";
import type { PairProof } from "../../src/bench/ike-site.ts";

const BUILT = resolve(import.meta.dirname, "../../dist/bench/ike.js");
const isBuilt = existsSync(BUILT);
const reason = isBuilt ? "" : " (skipped: dist/ is not built)";

test("a row for each key exchange, work and transport", () => {
  const tasks = ikeTasks({ kex: ["curve25519", "ecp521"], rekeys: true, transports: ["udp"] });
  expect(tasks.map(({ kex, work }) => `${kex} ${work}`)).toEqual(
    ["x25519", "ecp521"].flatMap((kex) =>
      ["handshake", "rekey-child", "rekey-child-pfs", "rekey-ike"].map((work) => `${kex} ${work}`),
    ),
  );
  expect(ikeTasks({})).toHaveLength(6);
});

test.each([
  [{ kex: ["modp1"] }, "no key exchange is called modp1"],
  [{ seconds: 0 }, "seconds: 0.1 to 600, not 0"],
  [{ concurrency: 1.5 }, "concurrency: a whole number, not 1.5"],
  [{ keyThreads: -1 }, "key threads: 0 to 1000, not -1"],
  [{ rate: 0 }, "rate: 0.1 to 100000, not 0"],
  [{ transports: ["tcp"] as never }, "transports are udp and memory, not tcp"],
  [{ auth: "eap" as never }, "authentication is psk, not eap"],
])("%j is refused", (options, message) => {
  expect(() => ikeTasks(options)).toThrow(message);
});

test.each(["handshake", "rekey-child", "rekey-child-pfs", "rekey-ike"] as const)("%s in memory", async (work) => {
  const task = { work, kex: "x25519", transport: "memory", concurrency: 3, seconds: 0.1, rate: undefined } as const;
  const row = await measureInMemory({ ...task, keyThreads: undefined });
  expect(row).toMatchObject({ what: work, keyExchange: "x25519", transport: "memory", retransmissions: 0, cookies: 0 });
  expect(row.count).toBeGreaterThan(0);
  expect(row.p99Ms).toBeGreaterThanOrEqual(row.p50Ms);
  expect(row.samples.length).toBeGreaterThan(0);
});

test("samples are equal parts of the time, as many as have enough in them", () => {
  const done = (count: number) => ({
    latencies: Array.from({ length: count }, () => 2),
    times: Array.from({ length: count }, (_, i) => 1000 + ((i + 0.5) * 2000) / count),
  });
  const figures = (count: number) => figuresOf(done(count), { began: 1000, ended: 3000 });
  expect(figures(400)).toMatchObject({ count: 400, seconds: 2, perSecond: 200, p50Ms: 2 });
  expect(figures(400).samples).toEqual(new Array(10).fill(200));
  expect(figures(30).samples).toEqual([15, 15, 15]);
  expect(figures(3).samples).toEqual([1.5]);
});

test.skipIf(!isBuilt)(`handshakes between two processes, and idle tunnels after them${reason}`, async () => {
  const { benchIke } = (await import(BUILT)) as typeof IkeBench;
  const [row] = await benchIke({ kex: ["ecp256"], seconds: 0.1, concurrency: 2, transports: ["udp"] });
  expect(row).toMatchObject({ what: "handshake", keyExchange: "ecp256", transport: "udp", cookies: 0 });
  expect(row?.count).toBeGreaterThan(0);
  const { benchIdle } = await import(resolve(BUILT, "../ike-idle.js"));
  const idle = await benchIdle({ tunnels: 20, idle: 1, liveness: 1 });
  expect([idle.initiator.tunnels, idle.responder.tunnels]).toEqual([20, 20]);
  expect([idle.initiator.samples.length, idle.responder.samples.length]).toEqual([2, 2]);
  await expect(benchIdle({ tunnels: 0 })).rejects.toThrow("tunnels: 1 to 20000, not 0");
});

test("sides that disagree are found out before anything is timed", () => {
  const ours: PairProof = { spiIn: 1, spiOut: 2, keyIn: "a", keyOut: "b" };
  const theirs: PairProof = { spiIn: 2, spiOut: 1, keyIn: "b", keyOut: "a" };
  const check = (change: Partial<PairProof>) => (): void =>
    checkProofs(1, new Map([[0, ours]]), new Map([[0, { ...theirs, ...change }]]));
  expect(check({})).not.toThrow();
  expect(check({ keyIn: "c" })).toThrow("connection 0 disagree: their keys differ");
  expect(check({ spiOut: 3 })).toThrow("their SPIs differ");
  expect(() => checkProofs(2, new Map([[0, ours]]), new Map([[0, theirs]]))).toThrow("it is not up at both sides");
});
