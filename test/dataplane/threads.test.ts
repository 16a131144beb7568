/** Workers in threads of their own: they run the build in dist/, so this needs `npm run build` first. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Worker } from "node:worker_threads";
import { expect, test, vi } from "vitest";
import type * as PlaneModule from "../../src/dataplane/plane.ts";
import { MAX_CPUS, usableCpus } from "../../src/linux/affinity.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite } from "../support/memory-sites.ts";

const BUILT = resolve(import.meta.dirname, "../../dist/dataplane/plane.js");
const isBuilt = existsSync(BUILT);
const reason = isBuilt ? "" : " (skipped: dist/ is not built)";
const builtPlane = async () => ((await import(BUILT)) as typeof PlaneModule).Plane;

vi.setConfig({ testTimeout: 120_000 }); // threads want processors, which others may have

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((wake) => setTimeout(wake, 2));
};

/** A batch is counted after it has been sent or delivered, which may be after it has arrived. */
const settled = (packets: () => number, count: number): Promise<void> => until(() => packets() >= count);

test.skipIf(!isBuilt)(`two planes of two threads each carry packets, and account for them${reason}`, async () => {
  const Plane = await builtPlane();
  const start = async (address: string): Promise<MemorySite> => {
    const site = await MemorySite.start(address, {
      workers: 2,
      plane: await Plane.start({ workers: 2, slots: 64, engine: "node" }),
    });
    return site;
  };
  const [a, b] = [await start("127.0.0.4"), await start("127.0.0.5")];
  const tunnels = [0, 1].map((worker) => {
    const [atA, atB] = [a.addTunnel(worker), b.addTunnel(worker)];
    const { spiA, spiB } = installPair([a, atA.id], [b, atB.id]);
    a.plane.use(spiA);
    b.plane.use(spiB);
    return { atA, atB, spiA, packet: ipPacket({ version: 4, source: `10.0.0.${worker}`, length: 200 }) };
  });
  const received = [0, 0];
  for (let sent = 0; sent < 500; sent++) {
    for (const { atA, packet } of tunnels) atA.tun.inject(packet);
    await until(() => {
      tunnels.forEach(({ atB, packet }, i) => {
        for (const each of atB.tun.delivered()) {
          expect(Buffer.compare(each, packet)).toBe(0);
          received[i]!++;
        }
      });
      return Math.min(...received) > sent - 32; // as many as a queue in memory takes
    });
  }
  await until(() => b.plane.totals().in.packets === 1000);
  await settled(() => a.plane.totals().out.packets, 1000);
  expect(a.plane.workerStats().map(({ out }) => out)).toEqual(
    [0, 1].map(() => ({ packets: 500, bytes: 100_000, drops: {} })),
  );
  expect(a.plane.workerStats().every(({ status, cpuTime }) => status === "running" && cpuTime! > 0)).toBe(true);
  expect(a.plane.poll()).toEqual([]);
  await a.plane.removeTunnel(tunnels[0]!.atA.id);
  expect(a.plane.counters(tunnels[0]!.spiA)).toBeUndefined();
});

test.skipIf(!isBuilt)(`a hundred rekeyings under load lose nothing, through slots used again${reason}`, async () => {
  const Plane = await builtPlane();
  const [a, b] = await Promise.all(
    ["127.0.0.4", "127.0.0.5"].map(async (address) => {
      const plane = await Plane.start({ workers: 1, slots: 64, engine: "node" });
      return MemorySite.start(address, { plane });
    }),
  );
  const [atA, atB] = [a!.addTunnel(), b!.addTunnel()];
  const packet = ipPacket({ version: 4, length: 200 });
  let [sent, received] = [0, 0];
  const exchange = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++, sent++) atA.tun.inject(packet);
    await until(() => {
      received += atB.tun.delivered().length;
      return received > sent - 16; // some are always on their way
    });
  };
  let old: { spiA: number; spiB: number } | undefined;
  let before: { spiA: number; spiB: number } | undefined;
  const used = new Set<number>();
  for (let round = 0; round < 100; round++) {
    const next = installPair([a!, atA.id], [b!, atB.id]);
    used.add(next.spiA & 63);
    a!.plane.use(next.spiA);
    b!.plane.use(next.spiB);
    await exchange(30);
    if (before !== undefined) {
      a!.plane.remove(before.spiA); // two rounds old: nothing of it can still be on its way
      b!.plane.remove(before.spiB);
    }
    [before, old] = [old, next];
  }
  await until(() => {
    received += atB.tun.delivered().length;
    return received === sent;
  });
  expect(used.size).toBeLessThanOrEqual(64);
  await settled(() => a!.plane.totals().out.packets + b!.plane.totals().in.packets, 2 * sent);
  const whole = { packets: sent, bytes: sent * packet.length, drops: {} };
  expect(a!.plane.tunnelCounters(atA.id).out).toEqual(whole);
  expect(b!.plane.tunnelCounters(atB.id).in).toEqual(whole);
  expect(b!.plane.totals().in).toEqual(whole);
});

test.skipIf(!isBuilt)(`a worker that cannot start says why${reason}`, async () => {
  const Plane = await builtPlane();
  const engine = "abacus" as PlaneModule.PlaneOptions["engine"];
  await expect(Plane.start({ workers: 2, engine })).rejects.toMatchObject({
    code: "ESPALIER_PLATFORM",
    message: expect.stringMatching(/worker [01] cannot start: no engine is called abacus/),
  });
});

test.skipIf(!isBuilt)(`workers run on the CPUs they were given, and others are refused${reason}`, async () => {
  const Plane = await builtPlane();
  const cpus = usableCpus();
  const affinity = [cpus.at(-1)!, cpus[0]!];
  const plane = await Plane.start({ workers: 3, slots: 64, engine: "node", affinity });
  const allowed = readdirSync("/proc/self/task").flatMap((task) => {
    const found = /^Cpus_allowed_list:\s*(\d+)$/m.exec(readFileSync(`/proc/self/task/${task}/status`, "utf8"));
    return found === null ? [] : [Number(found[1])];
  });
  await plane.stop();
  if (cpus.length > 1) expect(allowed.sort()).toEqual([cpus[0]!, cpus.at(-1)!, cpus.at(-1)!].sort());
  await expect(Plane.start({ workers: 1, engine: "node", affinity: [MAX_CPUS] })).rejects.toMatchObject({
    code: "ESPALIER_CONFIG",
  });
});

test.skipIf(!isBuilt)(`a plane may be stopped while a dead thread is being replaced${reason}`, async () => {
  const threads: Worker[] = [];
  const note = (thread: Worker): unknown => threads.push(thread);
  process.on("worker", note);
  const Plane = await builtPlane();
  const plane = await Plane.start({ workers: 2, slots: 64, engine: "node" });
  await threads[1]!.terminate();
  await until(() => threads.length === 3);
  process.off("worker", note);
  await plane.stop();
  expect(plane.workerStats().map(({ status }) => status)).not.toContain("running");
});

test("TypeScript sources cannot run threads, and say so", async () => {
  const { Plane } = await import("../../src/dataplane/plane.ts");
  await expect(Plane.start({ workers: 1, engine: "node" })).rejects.toMatchObject({ code: "ESPALIER_PLATFORM" });
});

test.skipIf(!isBuilt)(`a worker that sleeps is woken for what another hands it, every time${reason}`, async () => {
  const Plane = await builtPlane();
  const start = async (address: string): Promise<MemorySite> => {
    const plane = await Plane.start({ workers: 2, slots: 64, engine: "node" });
    return MemorySite.start(address, { workers: 2, plane });
  };
  const [a, b] = [await start("127.0.0.4"), await start("127.0.0.5")];
  const [atA, atB] = [a.addTunnel(0, { queues: 2 }), b.addTunnel(0, { queues: 2 })];
  const { spiA, spiB } = installPair([a, atA.id], [b, atB.id]);
  a.plane.use(spiA);
  b.plane.use(spiB);
  // A wake-up that is lost costs half a second of sleep: a few hundred of them would outlast the test.
  for (let i = 0; i < 300; i++) {
    const packet = ipPacket({ version: 4, sourcePort: 1000 + i });
    atA.tuns[1]!.inject(packet);
    let arrived: Uint8Array[] = [];
    await until(() => {
      arrived = atB.tuns[0]!.delivered();
      return arrived.length > 0;
    });
    expect(arrived.map((each) => Buffer.compare(each, packet))).toEqual([0]);
  }
  await settled(() => a.plane.totals().out.packets, 300);
  expect(a.plane.workerStats().map(({ out }) => out.packets)).toEqual([300, 0]);
  expect(a.plane.totals().out.drops).toEqual({});
});

test.skipIf(!isBuilt)(`a thread that dies under traffic is replaced, and its SAs go on${reason}`, async () => {
  const threads: Worker[] = [];
  const note = (thread: Worker): unknown => threads.push(thread);
  process.on("worker", note);
  const Plane = await builtPlane();
  const start = async (address: string): Promise<MemorySite> => {
    const plane = await Plane.start({ workers: 2, slots: 64, engine: "node" });
    return MemorySite.start(address, { workers: 2, plane });
  };
  const a = await start("127.0.0.4");
  const ofA = threads.splice(0);
  const b = await start("127.0.0.5");
  const ofB = threads.splice(0);
  process.off("worker", note);
  expect([ofA.length, ofB.length]).toEqual([2, 2]);
  const tunnels = [0, 1].map((worker) => {
    const [atA, atB] = [a.addTunnel(worker), b.addTunnel(worker)];
    const pair = installPair([a, atA.id], [b, atB.id]);
    a.plane.use(pair.spiA);
    b.plane.use(pair.spiB);
    return { atA, atB, ...pair, sent: 0, received: 0 };
  });
  const packet = ipPacket({ version: 4, length: 200 });
  /** Keep up to 16 packets of each tunnel on their way until each has delivered `more`. */
  const exchange = async (more: number): Promise<void> => {
    const goals = tunnels.map(({ received }) => received + more);
    for (const tunnel of tunnels) tunnel.sent = tunnel.received; // what was lost is not waited for
    await until(() => {
      for (const tunnel of tunnels) {
        for (; tunnel.sent < tunnel.received + 16; tunnel.sent++) tunnel.atA.tun.inject(packet);
        tunnel.received += tunnel.atB.tun.delivered().length;
      }
      return tunnels.every(({ received }, i) => received >= goals[i]!);
    });
  };
  await exchange(100);
  const deaths: string[] = [];
  const look = (site: MemorySite): void => {
    for (const event of site.plane.poll()) if (event.kind === "replaced") deaths.push(event.message);
  };
  for (const [site, of] of [
    [b, ofB],
    [a, ofA],
  ] as const) {
    const before = deaths.length;
    void of[before % 2]!.terminate();
    let sent = 0;
    await until(() => {
      if (sent++ < 100) for (const { atA } of tunnels) atA.tun.inject(packet);
      for (const tunnel of tunnels) tunnel.received += tunnel.atB.tun.delivered().length;
      look(site);
      return deaths.length > before;
    });
    await exchange(100);
    expect(site.plane.workerStats().map(({ status }) => status)).toEqual(["running", "running"]);
  }
  expect(deaths).toEqual(new Array(2).fill("worker exited with code: 1"));
  for (const { atA, spiA, spiB } of tunnels) {
    expect(a.plane.counters(spiA)!.seqOut).toBeGreaterThan(300); // the very same SAs
    expect(b.plane.counters(spiB)!.drops).toEqual({});
    expect(a.plane.tunnelCounters(atA.id).out.drops).toEqual({});
  }
});
