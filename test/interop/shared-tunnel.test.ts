/** One tunnel over several workers: its pairs of SAs share the flows, and with fewer pairs than workers nothing is lost. */
import { describe, expect, test } from "vitest";
import type { ConnectionReport, GatewayStatus } from "../../src/control/status.ts";
import { configuration, PEER } from "./support/configurations.ts";
import { type Configuration, Espalier } from "./support/espalier.ts";
import { INNER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";
import { makeFile, ping, transfer } from "./support/traffic.ts";
import { allOf } from "./support/tunnel-checks.ts";

const NEEDS = ["build", "namespaces", "tun", "transfer"] as const;
const WORKERS = 2;
const FLOWS = 8;

interface Whole extends Configuration {
  readonly connections: Record<string, { children: { net: object } }>;
}

const withPairs = (side: "a" | "b", sas: number | "auto", encap: "force" | "never"): Configuration => {
  const start = side === "a" ? "initiate" : "none";
  const whole = configuration({ side, workers: WORKERS, encap, start }) as Whole;
  const { children } = whole.connections[PEER]!;
  children.net = { ...children.net, sas };
  return whole;
};

const dropsOf = ({ drops, connections }: GatewayStatus): Record<string, number> =>
  Object.assign({}, drops, ...connections.flatMap(({ childSas }) => childSas.map((pair) => pair.drops)));

const packetsBy = (connection: ConnectionReport | undefined, way: "packetsIn" | "packetsOut"): number[] =>
  (connection?.childSas ?? []).toSorted((a, b) => a.resource - b.resource).map((pair) => pair[way]);

describe.each([
  { what: "a pair for each worker, in UDP", sas: "auto", encap: "force", pairs: 2 },
  { what: "a pair for each worker, raw", sas: "auto", encap: "never", pairs: 2 },
  { what: "one pair for two workers", sas: 1, encap: "force", pairs: 1 },
] as const)("$what", ({ sas, encap, pairs }) => {
  const lab = testBed(NEEDS, async (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    const b = await Espalier.start(bed, sites.gatewayB, withPairs("b", sas, encap));
    const a = await Espalier.start(bed, sites.gatewayA, withPairs("a", sas, encap));
    await a.up(PEER);
    await until("all pairs of SAs", async () => {
      const all = [await a.connection(PEER), await b.connection(PEER)];
      return all.every((connection) => connection?.childSas.length === pairs);
    });
    return { sites, a, b, file: makeFile(bed.directory, 20_000_000) };
  });

  test("many flows cross unharmed, and no packet is lost", async () => {
    const { sites, a, b, file } = lab();
    // While a pair is being negotiated one end has it before the other: what was lost then is not what is asked here.
    const before = [dropsOf(await a.status()), dropsOf(await b.status())];
    const flows = Array.from({ length: FLOWS }, (_, flow) =>
      flow % 2 === 0
        ? transfer(file.file, sites.hostA, sites.hostB, INNER[4].hostB)
        : transfer(file.file, sites.hostB, sites.hostA, INNER[4].hostA),
    );
    const pings = ping(sites.hostA, INNER[4].hostB, { count: 200 });
    for (const { sha256 } of await Promise.all(flows)) expect(sha256).toBe(file.sha256);
    expect(await pings).toEqual(allOf(200));
    for (const [side, gateway] of [a, b].entries()) {
      const status = await gateway.status();
      expect(dropsOf(status)).toEqual(before[side]);
      const [connection] = status.connections;
      for (const way of ["packetsIn", "packetsOut"] as const) {
        const counts = packetsBy(connection, way);
        expect(counts).toHaveLength(pairs);
        for (const count of counts) expect(count).toBeGreaterThan(0);
      }
      expect(connection!.childSas.map(({ worker }) => worker).sort()).toEqual([0, 1].slice(0, pairs));
      expect(status.workers.map(({ replaced }) => replaced)).toEqual([0, 0]);
    }
  });
});
