/** Workers in threads of their own: they run the build in dist/, so this needs `npm run build` first. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { afterEach, expect, test } from "vitest";
import type * as PlaneModule from "../../src/dataplane/plane.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite } from "../support/memory-sites.ts";

const BUILT = resolve(import.meta.dirname, "../../dist/dataplane/plane.js");
const isBuilt = existsSync(BUILT);
const reason = isBuilt ? "" : " (skipped: dist/ is not built)";
const builtPlane = async () => ((await import(BUILT)) as typeof PlaneModule).Plane;

const running: MemorySite[] = [];

afterEach(async () => {
  for (const site of running.splice(0)) await site.stop();
});

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((wake) => setTimeout(wake, 2));
};

test.skipIf(!isBuilt)(`two planes of two threads each carry packets, and account for them${reason}`, async () => {
  const Plane = await builtPlane();
  const start = async (address: string): Promise<MemorySite> => {
    const site = await MemorySite.start(address, {
      workers: 2,
      plane: await Plane.start({ workers: 2, slots: 64, engine: "node" }),
    });
    running.push(site);
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
  expect(a.plane.workerStats().map(({ out }) => out)).toEqual(
    [0, 1].map(() => ({ packets: 500, bytes: 100_000, drops: {} })),
  );
  expect(a.plane.workerStats().every(({ status, cpuTime }) => status === "running" && cpuTime! > 0)).toBe(true);
  expect(a.plane.poll()).toEqual([]);
  await a.plane.removeTunnel(tunnels[0]!.atA.id);
  expect(a.plane.counters(tunnels[0]!.spiA)).toBeUndefined();
});

test.skipIf(!isBuilt)(`a worker that cannot start says why${reason}`, async () => {
  const Plane = await builtPlane();
  const engine = "abacus" as PlaneModule.PlaneOptions["engine"];
  await expect(Plane.start({ workers: 2, engine })).rejects.toMatchObject({
    code: "ESPALIER_PLATFORM",
    message: expect.stringMatching(/worker [01] cannot start: no engine is called abacus/),
  });
});

test("TypeScript sources cannot run threads, and say so", async () => {
  const { Plane } = await import("../../src/dataplane/plane.ts");
  await expect(Plane.start({ workers: 1, engine: "node" })).rejects.toMatchObject({ code: "ESPALIER_PLATFORM" });
});
