/** Several peers behind one NAPT: to the gateway that they call they have one address, and here even the same network. */
import { expect, test } from "vitest";
import { Clock } from "../support/clock.ts";
import { type Datagram, Link } from "../support/link.ts";
import { inTime } from "../support/peers-in-time.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { child, connection, disagreementsOf, identity, key, Peer, selectors } from "../support/two-peers.ts";

const HUB = "192.0.2.9";
const OUTSIDE = "203.0.113.9";
const SPOKES = [
  { name: "one", address: "192.0.2.1" },
  { name: "two", address: "192.0.2.2" },
  { name: "three", address: "192.0.2.3" },
] as const;

const NET = selectors("10.1.0.0/24");
const HUB_NET = selectors("10.2.0.0/24");

const setUp = () => {
  const random = new SeededRandom(9);
  const clock = new Clock();
  const link = new Link(clock, random);
  const world = { clock, link, random };
  /** By spoke: what the NAPT adds to its ports. */
  const shifts = new Map<string, number>(SPOKES.map(({ address }, i) => [address, 10_000 * (i + 1)]));
  link.meddler = (datagram: Datagram) => {
    const { from, to } = datagram;
    const shift = shifts.get(from.address);
    if (shift !== undefined) return [{ ...datagram, from: { address: OUTSIDE, port: from.port + shift } }];
    if (to.address !== OUTSIDE) return [datagram];
    const inside = [...shifts].find(([, each]) => [500, 4500].includes(to.port - each));
    return inside === undefined ? [] : [{ ...datagram, to: { address: inside[0], port: to.port - inside[1] } }];
  };
  const spokes = SPOKES.map(
    ({ name, address }, i) =>
      new Peer(
        address,
        0x1000 * (i + 1),
        world,
        [
          connection("a", {
            name,
            local: { address, id: identity(`${name}.example`) },
            remote: { address: HUB, port: 500, id: identity("hub.example") },
            psk: { local: key(name), remote: key(name) },
            children: [child({ local: NET, remote: HUB_NET })],
          }),
        ],
        {},
      ),
  );
  const hub = new Peer(
    HUB,
    0x9000,
    world,
    SPOKES.map(({ name }) =>
      connection("b", {
        name,
        local: { address: HUB, id: identity("hub.example") },
        remote: { address: undefined, port: 500, id: identity(`${name}.example`) },
        psk: { local: key(name), remote: key(name) },
        children: [child({ local: HUB_NET, remote: NET })],
      }),
    ),
    {},
  );
  const peers = [hub, ...spokes];
  const { run } = inTime(clock, peers);
  const disagreements = () => disagreementsOf(peers.map((peer, i) => [i === 0 ? "hub" : SPOKES[i - 1]!.name, peer]));
  SPOKES.forEach(({ name }, i) => {
    spokes[i]!.initiate(name);
  });
  run(2_000);
  return { link, hub, spokes, shifts, run, disagreements };
};

const portsAt = (hub: Peer): number[] =>
  [...hub.data.pairs.values()].map(({ path }) => path.remote.port).sort((a, b) => a - b);

test("each has its IKE SA and its Child SA, by its key, its identity, its SPIs and its port", () => {
  const { hub, disagreements } = setUp();
  SPOKES.forEach(({ name }, i) => {
    const port = 4500 + 10_000 * (i + 1);
    expect(hub.status(name)).toMatchObject({ state: "up", remote: `${OUTSIDE}:${port}`, childSas: [{ encap: true }] });
  });
  const pairs = [...hub.data.pairs.values()];
  expect(new Set(pairs.map(({ path }) => path.remote.address))).toEqual(new Set([OUTSIDE]));
  expect(portsAt(hub)).toEqual([14_500, 24_500, 34_500]);
  expect(new Set(pairs.map(({ connection: name }) => name)).size).toBe(3);
  expect(disagreements()).toEqual([]);
});

test("a new mapping of one, its rekeys, its crash and its end are nothing to the others", () => {
  const { hub, spokes, shifts, run, disagreements } = setUp();
  const [one, two] = spokes as [Peer, Peer, Peer];
  const others = () => [...hub.data.pairs.keys()].filter((spi) => hub.data.pairs.get(spi)?.connection !== "one");
  const before = others();
  shifts.set(SPOKES[0].address, 45_000);
  one.rekey("children", "one");
  run(2_000);
  one.rekey("ike", "one");
  run(2_000);
  expect(portsAt(hub)).toEqual([24_500, 34_500, 49_500]);
  one.crash();
  one.initiate("one");
  run(5_000);
  expect(hub.status("one").state).toBe("up");
  expect(others()).toEqual(before);
  expect(disagreements()).toEqual([]);
  one.terminate("one");
  run(2_000);
  expect(others()).toEqual(before);
  expect([two.status("two").state, hub.status("three").state]).toEqual(["up", "up"]);
  expect(disagreements()).toEqual([]);
});
