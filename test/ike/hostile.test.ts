/** Datagrams of strangers and of somebody on the way: they are counted, throw nothing, and change no IKE SA. */
import { expect, test } from "vitest";
import type { Datagram } from "../support/link.ts";
import { A, B, disagreements, gaps, type TwoPeers, twoPeers } from "../support/two-peers.ts";

const picture = ({ a, b }: TwoPeers) =>
  [a, b].map((peer) => ({
    ikeSa: peer.status().ikeSa,
    childSas: peer.status().childSas,
    pairs: [...peer.data.pairs.keys()],
    sending: [...peer.data.sendingOn],
    held: peer.manager.held.all - peer.manager.held.halfOpen,
  }));

/** A pair that has seen every exchange, and all the messages of its life. */
const life = (): { peers: TwoPeers; messages: readonly Datagram[] } => {
  const peers = twoPeers({ optionsB: { cookieThreshold: 0, halfOpenLimit: 5 } });
  const { a, b, connect, run, link } = peers;
  connect();
  a.rekey("children");
  run(500);
  b.rekey("ike");
  run(500);
  b.rekey("children");
  run(500);
  return { peers, messages: [...link.sent] };
};

const counted = ({ a, b }: TwoPeers): number =>
  [a, b].reduce((sum, { manager }) => sum + Object.values(manager.counters).reduce((all, one) => all + one, 0), 0);

test("every truncation of every message changes nothing", () => {
  const { peers, messages } = life();
  const before = picture(peers);
  let delivered = 0;
  const already = counted(peers);
  for (const { from, to, bytes } of messages)
    for (let length = 0; length < bytes.length; length++) {
      peers.link.inject({ from, to, bytes: bytes.subarray(0, length) });
      delivered++;
    }
  expect(delivered).toBeGreaterThan(2_000);
  expect(counted(peers) - already).toBe(delivered); // each has its reason
  expect(picture(peers)).toEqual(before);
});

test("seeded mutations of every message change nothing", () => {
  const { peers, messages } = life();
  const { random, link } = peers;
  const before = picture(peers);
  for (let n = 0; n < 20_000; n++) {
    const { from, to, bytes } = random.pick(messages);
    const mutated = bytes.slice();
    for (let flips = 1 + random.integer(3); flips > 0; flips--) {
      const at = random.chance(0.5) ? random.integer(Math.min(40, mutated.length)) : random.integer(mutated.length);
      mutated[at] = random.chance(0.5) ? random.integer(256) : mutated[at]! ^ (1 << random.integer(8));
    }
    link.inject({ from, to, bytes: mutated });
    link.sent.length = 0;
  }
  expect(picture(peers)).toEqual(before);
  peers.run(100_000); // half-open ones that a mutated IKE_SA_INIT began end
  expect([peers.a.manager.held.all, peers.b.manager.held.all]).toEqual([1, 1]);
  peers.a.rekey("ike");
  peers.b.rekey("children");
  peers.run(60_000, () => expect(gaps(peers)).toEqual([]));
  expect(disagreements(peers)).toEqual([]);
});

test("every message replayed, to both ends and from anywhere, changes nothing", () => {
  const { peers, messages } = life();
  const before = picture(peers);
  for (const { bytes } of messages)
    for (const to of [A, B])
      for (const port of [500, 4500, 31_337])
        peers.link.inject({ from: { address: "203.0.113.66", port }, to: { address: to, port: 500 }, bytes });
  peers.run(1_000);
  expect(picture(peers)).toEqual(before);
});

test("mutations while the peers are meeting do not keep them apart", () => {
  const peers = twoPeers({ a: { start: "initiate" } });
  const { a, b, link, run, random } = peers;
  link.meddler = (datagram) => {
    const mutated = datagram.bytes.slice();
    mutated[16 + random.integer(mutated.length - 16)]! ^= 1 << random.integer(8);
    // Whoever writes to the link at the same time is slower than the real message.
    return [datagram, { ...datagram, bytes: mutated }];
  };
  a.start();
  run(120_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect(disagreements(peers)).toEqual([]);
});

test("random octets are counted", () => {
  const { peers } = life();
  const before = picture(peers);
  const already = counted(peers);
  for (let n = 0; n < 2_000; n++)
    peers.link.inject({
      from: { address: A, port: 500 },
      to: { address: B, port: 500 },
      bytes: peers.random.bytes(peers.random.integer(200)),
    });
  expect(counted(peers) - already).toBe(2_000);
  expect(picture(peers)).toEqual(before);
});
