/** Policies that change while worker threads carry packets: they run the build in dist/, so this needs `npm run build` first. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import type * as PlaneModule from "../../src/dataplane/plane.ts";
import type { PlanePolicy } from "../../src/dataplane/plane.ts";
import { anySelectors, parseSelector } from "../../src/ipsec/selector.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { installPair, MemorySite } from "../support/memory-sites.ts";

const BUILT = resolve(import.meta.dirname, "../../dist/dataplane/plane.js");
const isBuilt = existsSync(BUILT);
const reason = isBuilt ? "" : " (skipped: dist/ is not built)";

const pause = (): Promise<void> => new Promise((wake) => setTimeout(wake, 2));

test.skipIf(!isBuilt)(
  `lists of any length replace one another under load, and no packet is lost or astray${reason}`,
  async () => {
    const { Plane } = (await import(BUILT)) as typeof PlaneModule;
    const start = async (address: string): Promise<MemorySite> => {
      const plane = await Plane.start({ workers: 2, slots: 64, engine: "node", policyOctets: 1 << 18 });
      return MemorySite.start(address, { plane, workers: 2 });
    };
    const [a, b] = [await start("127.0.0.8"), await start("127.0.0.9")];
    const atA = a.addTunnel(undefined, { hasChildren: true, queues: 2 });
    const atB = b.addTunnel(undefined, { hasChildren: true, queues: 2 });
    const children = [0, 1].map((worker) => {
      const [one, other] = [a.plane.addChild(atA.id, { worker }), b.plane.addChild(atB.id, { worker })];
      const { spiA, spiB } = installPair([a, one], [b, other]);
      a.plane.use(spiA);
      b.plane.use(spiB);
      const network = [parseSelector(`10.2.${worker}.0/24`)!];
      return {
        one,
        other,
        spiB,
        network,
        packet: ipPacket({ version: 4, destination: `10.2.${worker}.1`, length: 120 }),
      };
    });
    b.plane.setPolicies(
      atB.id,
      children.map(({ other, network }) => ({ action: "protect", child: other, local: network, remote: anySelectors })),
    );
    const list = (round: number): PlanePolicy[] => [
      ...Array.from({ length: (round * 37) % 400 }, (_, i): PlanePolicy => {
        return { action: "discard", local: [parseSelector(`172.16.${i & 255}.${round & 255}`)!], remote: anySelectors };
      }),
      ...children.map(({ one, network }): PlanePolicy => {
        return { action: "protect", child: one, local: anySelectors, remote: network };
      }),
    ];
    a.plane.setPolicies(atA.id, list(0));

    let [sent, received] = [0, 0];
    const take = (): void => {
      for (const tun of atB.tuns) received += tun.delivered().length;
    };
    for (let round = 1; round <= 60; round++) {
      for (let i = 0; i < 12; i++, sent += 2)
        children.forEach(({ packet }, n) => {
          atA.tuns[(n + i) % 2]!.inject(packet);
        });
      a.plane.setPolicies(atA.id, list(round));
      while (received < sent - 24) {
        take();
        await pause();
      }
    }
    while (received < sent || b.plane.totals().in.packets < sent || a.plane.totals().out.packets < sent) {
      take();
      await pause();
    }
    expect(a.plane.totals().out).toMatchObject({ packets: sent, drops: {} });
    expect(b.plane.totals().in).toMatchObject({ packets: sent, drops: {} });
    for (const { spiB } of children) expect(b.plane.counters(spiB)?.packetsIn).toBe(sent / 2);
  },
);
