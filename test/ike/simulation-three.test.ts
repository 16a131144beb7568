/**
 * Three whole gateways, each with a connection to the other two, on a bad link that is cut between some of them: what one
 * pair of them goes through changes nothing for the third, and in the end all agree.
 */
import { expect, test } from "vitest";
import type { ConnectionConfig } from "../../src/ike/connection.ts";
import { Clock } from "../support/clock.ts";
import { CLEAR, type Datagram, Link } from "../support/link.ts";
import { inTime } from "../support/peers-in-time.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { inBatches, SETTLED, simulationSeeds } from "../support/simulation-seeds.ts";
import { child, connection, disagreementsOf, identity, Peer } from "../support/two-peers.ts";

const NAMES = ["a", "b", "c"] as const;
type Name = (typeof NAMES)[number];
const ADDRESSES: Readonly<Record<Name, string>> = { a: "192.0.2.1", b: "192.0.2.2", c: "192.0.2.3" };

/** The connection of two of them is called the same at both. */
const between = (one: Name, other: Name): string => [one, other].sort().join("-");

interface Three {
  readonly random: SeededRandom;
  readonly clock: Clock;
  readonly link: Link;
  readonly peers: ReadonlyMap<Name, Peer>;
}

const setUp = (seed: number): Three => {
  const random = new SeededRandom(seed + 50_000);
  const clock = new Clock();
  const link = new Link(clock, random);
  const shortLives = random.chance(0.4);
  const configured = (me: Name, you: Name): ConnectionConfig => {
    const name = between(me, you);
    return connection("a", {
      name,
      local: { address: ADDRESSES[me], id: identity(`${me}.example`) },
      remote: { address: ADDRESSES[you], port: 500, id: identity(`${you}.example`) },
      liveness: { interval: 15_000 },
      retransmit: { first: 500, factor: 2, tries: 7, jitter: 0.2 },
      start: me < you || random.chance(0.3) ? "initiate" : "none",
      duplicates: random.pick(["contact", "contact", "replace"] as const),
      lifetime: shortLives ? 30_000 + random.integer(90_000) : 86_400_000,
      children: [child({ name, lifetime: shortLives ? 10_000 + random.integer(60_000) : 3_600_000 })],
    });
  };
  const peers = new Map(
    NAMES.map((me, n) => {
      const connections = NAMES.filter((you) => you !== me).map((you) => configured(me, you));
      return [me, new Peer(ADDRESSES[me], 0x1000 * (n + 1), { clock, link, random }, connections, {})];
    }),
  );
  return { random, clock, link, peers };
};

const passes = (cut: readonly [Name, Name], { from, to }: Datagram): boolean =>
  !cut.every((name) => [from.address, to.address].includes(ADDRESSES[name]));

const PAIRS = [
  ["a", "b"],
  ["a", "c"],
  ["b", "c"],
] as const;

const storm = ({ random, clock, link, peers }: Three): void => {
  const { run } = inTime(clock, [...peers.values()]);
  for (const peer of peers.values()) peer.start();
  link.weather = {
    loss: random.fraction() * 0.3,
    duplication: random.fraction() * 0.3,
    delay: 5 + random.integer(50),
    spread: random.integer(600),
  };
  run(random.integer(4_000));
  for (let n = 0; n < 12; n++) {
    const [one, other] = random.pick(PAIRS);
    const name = between(one, other);
    for (const peer of random.chance(0.4)
      ? [peers.get(one)!, peers.get(other)!]
      : [peers.get(random.pick([one, other]))!]) {
      const what = random.integer(10);
      if (peer.status(name).state === "up" && what < 7) peer.rekey(what < 4 ? "children" : "ike", name);
      else if (what < 8) peer.terminate(name);
      else if (what < 9) peer.initiate(name);
      else {
        peer.crash();
        peer.start();
      }
    }
    const cut = random.pick(PAIRS);
    if (random.chance(0.25)) link.meddler = (datagram) => (passes(cut, datagram) ? [datagram] : []);
    else link.meddler = (datagram) => [datagram];
    run(random.pick([0, 10, 50, 400, 5_000, 20_000]));
  }
  link.weather = CLEAR;
  link.meddler = (datagram) => [datagram];
  run(130_000);
  for (const [one, other] of PAIRS)
    for (const peer of [peers.get(one)!, peers.get(other)!]) peer.initiate(between(one, other));
  run(200_000);
};

const wrong = ({ peers }: Three): string[] => [
  ...disagreementsOf([...peers]),
  ...[...peers].flatMap(([me, { manager, data }]) => [
    ...(manager.held.all === 2 && manager.held.halfOpen === 0 ? [] : [`${me} holds ${manager.held.all} IKE SAs`]),
    ...(data.pairs.size === 2 ? [] : [`${me} has ${data.pairs.size} pairs`]),
    ...manager
      .status(0)
      .flatMap(({ name, state, childSas }) => [
        ...(state === "up" ? [] : [`${me}: ${name} is ${state}`]),
        ...childSas
          .filter(({ state: ofChild }) => ofChild !== "installed")
          .map((one) => `${me}: ${one.name} ${one.state}`),
      ]),
  ]),
];

const seeds = simulationSeeds(60);

test.each(inBatches(seeds))("three gateways agree after a storm: seeds from %i", (_first, batch) => {
  for (const seed of batch) {
    const three = setUp(seed);
    storm(three);
    const { until } = inTime(three.clock, [...three.peers.values()]);
    try {
      until(() => wrong(three).length === 0, SETTLED);
    } catch {
      expect({ seed, wrong: wrong(three) }).toEqual({ seed, wrong: [] });
    }
  }
});
