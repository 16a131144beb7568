/** Gateways with one interface on which ordered policies and several children live, and what they have carried. */
import { configuration, INTERFACE, PEER, type Side } from "./configurations.ts";
import type { Configuration, Espalier } from "./espalier.ts";
import { INNER, OUTER } from "./namespaces.ts";

export const MARK = 4711;
/** Of TCP at B, whose packets are those of the child `web`. */
export const WEB_PORT = 5001;

const other = (side: Side): Side => (side === "a" ? "b" : "a");
export const nets = { a: INNER[4].netA, b: INNER[4].netB };
const nets6 = { a: INNER[6].netA, b: INNER[6].netB };

/** Three children: TCP to port 5001 of B, all else of IPv4, IPv6; ping to the gateway B itself bypasses, port 9 is nobody's. */
export const policed = (side: Side): Configuration => {
  const served = (port: number) => ({
    [side === "b" ? "local" : "remote"]: [`${nets.b}[tcp/${port}]`],
    [side === "b" ? "remote" : "local"]: [nets.a],
  });
  const base = configuration({ side, workers: 2 });
  const { connections } = base as { connections: Record<string, Record<string, unknown>> };
  const whole = { local: [nets[side]], remote: [nets[other(side)]] };
  const shares = { shares: INTERFACE };
  const elsewhere = side === "a" ? { remote: [`${OUTER[4].routerB}/32`] } : { local: [`${OUTER[4].routerB}/32`] };
  return {
    ...base,
    mark: MARK,
    interfaces: {
      [INTERFACE]: {
        routes: [nets[other(side)], nets6[other(side)], ...(side === "a" ? [`${OUTER[4].routerB}/32`] : [])],
        policies: [
          { action: "bypass", ...elsewhere },
          { action: "discard", ...served(9) },
          { action: "protect", child: `${PEER}/web` },
          { action: "protect", child: `${PEER}/rest` },
          { action: "protect", child: `${PEER}/six` },
        ],
      },
    },
    connections: {
      [PEER]: {
        ...connections[PEER],
        children: {
          web: { ...shares, ...served(WEB_PORT) },
          rest: { ...shares, ...whole, start: "trap" },
          six: { ...shares, local: [nets6[side]], remote: [nets6[other(side)]] },
        },
      },
    },
  };
};

/** Names of the children that have SAs. */
export const namesOf = async (gateway: Espalier): Promise<string[]> => [
  ...new Set(((await gateway.connection(PEER))?.childSas ?? []).map(({ name }) => name)),
];

/** Packets out and in of a child, over all its pairs. */
export const carried = async (gateway: Espalier, child: string): Promise<readonly [number, number]> => {
  const pairs = ((await gateway.connection(PEER))?.childSas ?? []).filter(({ name }) => name === child);
  const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);
  return [sum(pairs.map(({ packetsOut }) => packetsOut)), sum(pairs.map(({ packetsIn }) => packetsIn))];
};

export const dropped = async (gateway: Espalier, reason: string): Promise<number> =>
  (await gateway.status()).drops[reason] ?? 0;
