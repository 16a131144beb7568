/** What acceptance tests begin with: two sites in memory, one tunnel, and the wire between them in the test's hands. */
import { onTestFinished } from "vitest";
import { installPair, MemorySite, type PairOptions } from "../support/memory-sites.ts";
import type { MemoryTun } from "../support/memory-tun.ts";
import { Wire } from "../support/wire.ts";

export interface TwoSites {
  readonly a: MemorySite;
  readonly b: MemorySite;
  readonly tunA: MemoryTun;
  readonly tunB: MemoryTun;
  readonly idA: number;
  readonly idB: number;
  /** By which each knows the pair: the inbound SPI. */
  readonly spiA: number;
  readonly spiB: number;
  readonly wire: Wire;
}

/** Gone when the test is. `outer`: family of the addresses between the sites. */
export const twoSites = async (options: PairOptions & { readonly outer?: 4 | 6 } = {}): Promise<TwoSites> => {
  const [hereA, hereB] = options.outer === 6 ? ["::1", "::1"] : ["127.0.0.2", "127.0.0.3"];
  const a = await MemorySite.start(hereA!);
  const b = await MemorySite.start(hereB!);
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  const spis = installPair([a, tunnelA.id], [b, tunnelB.id], options);
  const wire = new Wire(a, b, spis);
  a.plane.use(spis.spiA);
  b.plane.use(spis.spiB);
  onTestFinished(() => wire.close());
  return { a, b, tunA: tunnelA.tun, tunB: tunnelB.tun, idA: tunnelA.id, idB: tunnelB.id, ...spis, wire };
};
