/** What an operator expects of IKE, and that is of no one file: it lasts, and a policy of ports is one Child SA. */
import { describe, expect, test } from "vitest";
import { Spd } from "../../src/ipsec/spd.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { child, disagreements, selectors, twoPeers } from "../support/two-peers.ts";

test("up and down a hundred times, by either end, cleanly or not: nothing is left, and it comes up again", () => {
  const peers = twoPeers();
  const { a, b, run, connect } = peers;
  for (let n = 0; n < 100; n++) {
    const [one, other] = n % 2 === 0 ? [a, b] : [b, a];
    one.initiate();
    run(500);
    expect([n, a.status().state, b.status().state]).toEqual([n, "up", "up"]);
    if (n % 10 === 9)
      other.crash(); // it begins next
    else (n % 3 === 0 ? other : one).terminate();
    run(500);
  }
  a.terminate();
  b.terminate();
  run(120_000); // a Delete to who has crashed is sent until it is given up
  expect([a, b].map(({ data }) => [data.pairs.size, data.reserved.size])).toEqual([
    [0, 0],
    [0, 0],
  ]);
  expect([a.manager.held.all, b.manager.held.all]).toEqual([0, 0]);
  connect();
  expect(disagreements(peers)).toEqual([]);
});

describe("a policy of two ports here and two there", () => {
  const here = selectors("198.51.100.66[udp/100]", "198.51.100.66[udp/200]");
  const there = selectors("203.0.113.66[udp/300]", "203.0.113.66[udp/400]");
  const peers = twoPeers({
    a: { children: [child({ local: here, remote: there })] },
    b: { children: [child({ local: there, remote: here })] },
  });
  peers.connect();

  test("is one Child SA, which carries all four combinations and no other", () => {
    const pairs = [...peers.a.data.pairs.values()];
    expect(pairs).toHaveLength(1);
    const spd = Spd.create(1);
    spd.set(0, pairs[0]!.local, pairs[0]!.remote);
    const passes = (sourcePort: number, destinationPort: number, protocol = 17): boolean => {
      const [source, destination] = ["198.51.100.66", "203.0.113.66"];
      const packet = ipPacket({ version: 4, source, destination, protocol, sourcePort, destinationPort });
      return spd.passesOutbound(0, new DataView(packet.buffer, packet.byteOffset), 0, packet.length, 4);
    };
    for (const from of [100, 200])
      for (const to of [300, 400]) expect([from, to, passes(from, to)]).toEqual([from, to, true]);
    expect([passes(100, 500), passes(300, 100), passes(150, 300), passes(100, 300, 6)]).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });
});

test("an offer of the other family alone is TS_UNACCEPTABLE; of both families, ours is what is left", () => {
  const b = { children: [child({ local: selectors("0.0.0.0/0"), remote: selectors("0.0.0.0/0") })] };
  const six = selectors("::/0");
  const apart = twoPeers({ a: { children: [child({ local: six, remote: six })] }, b });
  apart.a.initiate();
  apart.run(1_000);
  expect(apart.a.log("child-sa-failed")?.message).toContain("TS_UNACCEPTABLE");
  const both = selectors("0.0.0.0/0", "::/0");
  const peers = twoPeers({ a: { children: [child({ local: both, remote: both })] }, b });
  peers.connect();
  expect([...peers.a.data.pairs.values()].map(({ local }) => local)).toEqual([selectors("0.0.0.0/0")]);
  expect(disagreements(peers)).toEqual([]);
});
