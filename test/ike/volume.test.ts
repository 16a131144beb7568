import { expect, test } from "vitest";
import { parseEspProposal } from "../../src/ike/proposal.ts";
import {
  child,
  disagreements,
  esp,
  gaps,
  type Peer,
  selectors,
  type TwoPeers,
  twoPeers,
} from "../support/two-peers.ts";

const only = (peer: Peer) => {
  const [pair, ...more] = peer.data.pairs.values();
  if (pair === undefined || more.length > 0) throw new Error(`${peer.data.pairs.size} pairs, not one`);
  return pair;
};

/** Traffic from a to b on whatever pair a sends on, for so many seconds; what each pair had carried when it went. */
const send = ({ a, b, run }: TwoPeers, seconds: number, perSecond: { packets: number; bytes: number }): number[] => {
  const carried = new Map<number, number>();
  for (let tick = 0; tick < seconds * 20; tick++) {
    const { spiIn = 0, spiOut = 0 } = a.data.sending("net") ?? {};
    const before = a.data.usage(spiIn);
    const packets = (before?.packetsOut ?? 0) + perSecond.packets / 20;
    const bytes = (before?.bytesOut ?? 0) + perSecond.bytes / 20;
    a.data.packets.set(spiIn, { packetsOut: packets, bytesOut: bytes });
    b.data.packets.set(spiOut, { packetsIn: packets, bytesIn: bytes });
    carried.set(spiIn, bytes);
    run(50, () => expect(gaps({ a, b })).toEqual([]));
  }
  return [...carried.values()];
};

test.each(["a", "b"] as const)(
  "%s rekeys a pair that has carried its octets, before the hard end, at any speed",
  (who) => {
    for (const bytes of [2e6, 2e8]) {
      const limited = { children: [child({ lifebytes: 1e8 })] };
      const peers = twoPeers({ [who]: limited });
      peers.connect();
      const carried = send(peers, 1.5e8 / bytes + 4, { packets: 1000, bytes });
      const [first = 0] = carried;
      expect(carried.length).toBeGreaterThan(1);
      expect(first / 1e8).toBeGreaterThan(0.9);
      expect(first / 1e8).toBeLessThan(bytes > 1e8 ? 3 : 1.05); // it comes twice a second, the first look after one
      expect(peers[who].events()).toContain("volume-used");
      expect(peers[who].events()).not.toContain("child-sa-expired");
      expect(disagreements(peers)).toEqual([]);
    }
  },
);

test("packets count as octets do", () => {
  const peers = twoPeers({ a: { children: [child({ lifepackets: 50_000 })] } });
  peers.connect();
  send(peers, 20, { packets: 5000, bytes: 1 });
  expect(peers.a.events().filter((event) => event === "volume-used")).toHaveLength(2);
  expect(only(peers.a).replaces).toBeDefined();
});

test("the hard end deletes a pair that could not be rekeyed, and another is made when there is room", () => {
  const peers = twoPeers({ a: { children: [child({ lifebytes: 1e8 })] } });
  const { a, b, connect, run } = peers;
  connect();
  const { spiIn } = only(a);
  b.data.capacity = 1;
  a.data.packets.set(spiIn, { bytesOut: 1.05e8 });
  run(11_000);
  expect(a.log("child-sa-failed")?.message).toContain("NO_ADDITIONAL_SAS");
  expect(only(a).spiIn).toBe(spiIn);
  a.data.packets.set(spiIn, { bytesOut: 1.2e8 });
  run(11_000);
  expect(a.log("child-sa-expired")?.message).toContain("carried as much as it may");
  run(10_000);
  expect(only(a).spiIn).not.toBe(spiIn);
  expect(disagreements(peers)).toEqual([]);
});

const withoutEsn = child({
  proposals: esp("aes256gcm16").map((one) => ({
    ...one,
    transforms: one.transforms.filter(({ type, id }) => type !== 5 || id === 0),
  })),
});

test("without ESN a pair is rekeyed at nine tenths of its sequence numbers, also on the next IKE SA", () => {
  const peers = twoPeers({ a: { children: [withoutEsn] }, b: { children: [withoutEsn] } });
  const { a, connect, run } = peers;
  connect();
  a.rekey("ike");
  run(1_000);
  const { spiIn, esn } = only(a);
  expect(esn).toBe(false);
  a.data.packets.set(spiIn, { packetsIn: 0.9 * 0xfff00000 - 1 });
  run(30_000);
  expect(only(a).spiIn).toBe(spiIn);
  a.data.packets.set(spiIn, { packetsIn: 0.9 * 0xfff00000 });
  run(11_000);
  expect(only(a).replaces).toBe(spiIn);
  expect(a.events()).toContain("sequence-numbers-low");
});

test("with ESN they do not end, and nobody looks", () => {
  const peers = twoPeers({ a: { liveness: undefined } });
  const { a, connect, run } = peers;
  connect();
  a.data.packets.set(only(a).spiIn, { packetsIn: 2 ** 40 });
  run(60_000);
  expect(only(a).replaces).toBeUndefined();
});

test("a pair that is one of several ends alone and comes again, whether it is the fallback or not", () => {
  for (const resource of [0, 1, 2]) {
    const several = { children: [child({ sas: 3, lifebytes: 1e8 })] };
    const peers = twoPeers({ a: several, b: { children: [child({ sas: 3 })] } });
    const { a, b, connect, run } = peers;
    connect();
    const worn = [...a.data.pairs.values()].find((pair) => pair.resource === resource)?.spiIn ?? 0;
    a.data.capacity = 3;
    a.data.packets.set(worn, { bytesIn: 2e8 });
    run(25_000);
    expect(a.events()).toContain("child-sa-expired");
    a.data.capacity = 10;
    run(90_000);
    for (const peer of [a, b])
      expect([...peer.data.pairs.values()].map((pair) => pair.resource).sort()).toEqual([0, 1, 2]);
    expect([...a.data.pairs.keys()]).not.toContain(worn);
    expect([...disagreements(peers), ...gaps(peers)]).toEqual([]);
  }
});

test("selectors stay when a pair is made again beside others", () => {
  const narrow = { sas: 2, lifebytes: 1e8, local: selectors("10.0.0.0/8") };
  const peers = twoPeers({
    a: { children: [child(narrow)] },
    b: { children: [child({ sas: 2, remote: selectors("10.1.0.0/16") })] },
  });
  const { a, connect, run } = peers;
  connect();
  const [first = 0] = a.data.pairs.keys();
  a.data.packets.set(first, { bytesIn: 2e8 });
  run(30_000);
  for (const { local } of a.data.pairs.values()) expect(local).toEqual(selectors("10.1.0.0/16"));
  expect(a.data.pairs.size).toBe(2);
});

test("sequence numbers ask for a rekey where packets are fewer: fragments and dummies take numbers too", () => {
  const peers = twoPeers({ a: { children: [child({ proposals: [parseEspProposal("aes256gcm16", "no")] })] } });
  const { a, connect, run } = peers;
  connect();
  const { spiIn, esn } = only(a);
  expect(esn).toBe(false);
  a.data.packets.set(spiIn, { packetsOut: 1000, seqOut: 3_864_526_847 });
  run(30_000);
  expect(a.events()).not.toContain("sequence-numbers-low");
  a.data.packets.set(spiIn, { packetsOut: 1000, seqOut: 3_864_526_848 });
  run(30_000);
  expect(a.events()).toContain("sequence-numbers-low");
  expect(only(a).replaces).toBe(spiIn);
});
