import { expect, test } from "vitest";
import type { Datagram } from "../support/link.ts";
import { A, B, connection, disagreements, twoPeers } from "../support/two-peers.ts";

const OUTSIDE = "203.0.113.9";

/** A NAT in front of a: what a sends comes from OUTSIDE and a port of its own, and answers find their way back. */
const natBefore = (shift: () => number) => (datagram: Datagram) => {
  const { from, to } = datagram;
  if (from.address === A) return [{ ...datagram, from: { address: OUTSIDE, port: from.port + shift() } }];
  if (to.address === OUTSIDE) return [{ ...datagram, to: { address: A, port: to.port - shift() } }];
  return [datagram];
};

const anyone = { remote: { address: undefined, port: 500, id: connection("b").remote.id } };

test("behind a NAT both ends move to port 4500 with IKE_AUTH, and ESP goes in UDP", () => {
  const peers = twoPeers({ b: anyone });
  const { a, b, link, run } = peers;
  link.meddler = natBefore(() => 10_000);
  a.initiate();
  run(1_000);
  expect(link.sent.map(({ from, to }) => [from.port, to.port])).toEqual([
    [500, 500],
    [500, 10_500],
    [4500, 4500],
    [4500, 14_500],
  ]);
  expect(a.status()).toMatchObject({ state: "up", ikeSa: { natDetected: true }, childSas: [{ encap: true }] });
  expect(b.status()).toMatchObject({ remote: `${OUTSIDE}:14500`, ikeSa: { natDetected: true } });
  expect([...b.data.pairs.values()][0]?.path.remote).toEqual({ address: OUTSIDE, port: 14_500 });
  expect(disagreements(peers)).toEqual([]);
  run(60_000);
  expect([a.keepalives, b.keepalives]).toEqual([3, 0]); // the end behind the NAT keeps the mapping
});

test("a keepalive is sent where nothing else was, and never later than 30 s after the last packet", () => {
  const { a, link, run } = twoPeers({ b: anyone });
  link.meddler = natBefore(() => 10_000);
  a.initiate();
  run(1_000);
  const [spiIn = 0] = a.data.pairs.keys();
  const send = (seconds: number): void => {
    for (let second = 0; second < seconds; second++) {
      a.data.packets.set(spiIn, { packetsOut: (a.data.usage(spiIn)?.packetsOut ?? 0) + 1 });
      run(1_000);
    }
  };
  send(120);
  expect(a.keepalives).toBe(0);
  run(20_000);
  expect(a.keepalives).toBe(1);
  run(60_000);
  expect(a.keepalives).toBe(4);
});

test("a new mapping of the NAT is followed, when IKE or ESP comes from there", () => {
  const { a, b, link, run, clock } = twoPeers({ b: anyone });
  let shift = 10_000;
  link.meddler = natBefore(() => shift);
  a.initiate();
  run(1_000);
  shift = 20_000;
  a.rekey("ike");
  run(1_000);
  expect(b.status().remote).toBe(`${OUTSIDE}:24500`);
  const [pair] = b.data.pairs.values();
  expect(pair?.path.remote.port).toBe(24_500);
  b.apply(b.manager.espFrom(pair?.spiIn ?? 0, { address: OUTSIDE, port: 30_000 }, clock.now));
  expect([...b.data.pairs.values()][0]?.path.remote.port).toBe(30_000);
  a.apply(a.manager.espFrom([...a.data.pairs.keys()][0] ?? 0, { address: OUTSIDE, port: 1 }, clock.now));
  expect(a.status().remote).toBe(`${B}:4500`); // not the other way round
});

/** A NAT in front of b that forwards its ports: b is known to others as OUTSIDE. */
const natAround = (port: (own: number) => number) => (datagram: Datagram) => {
  const { from, to } = datagram;
  if (from.address === B) return [{ ...datagram, from: { address: OUTSIDE, port: port(from.port) } }];
  const forwarded = [500, 4500].find((own) => own === to.port || port(own) === to.port);
  if (to.address === OUTSIDE && forwarded !== undefined) return [{ ...datagram, to: { address: B, port: forwarded } }];
  return [datagram];
};

test("a responder behind a NAT is met at the NAT's address, keeps the mapping, rekeys, and is followed when it moves", () => {
  const { remote } = connection("a");
  const peers = twoPeers({ a: { remote: { ...remote, address: OUTSIDE } } });
  const { a, b, link, run } = peers;
  let moved = 0;
  link.meddler = natAround((own) => own + moved);
  a.initiate();
  run(1_000);
  expect(link.sent.map(({ from, to }) => [from.address, to.address, to.port])).toEqual([
    [A, OUTSIDE, 500],
    [B, A, 500],
    [A, OUTSIDE, 4500],
    [B, A, 4500],
  ]);
  for (const peer of [a, b])
    expect(peer.status()).toMatchObject({ state: "up", ikeSa: { natDetected: true }, childSas: [{ encap: true }] });
  run(60_000);
  expect([a.keepalives, b.keepalives]).toEqual([0, 3]);
  for (const what of ["children", "ike"] as const) {
    b.rekey(what);
    run(1_000);
    a.rekey(what);
    run(1_000);
  }
  expect(disagreements(peers)).toEqual([]);
  expect([...a.data.pairs.values()].map(({ path }) => path.remote)).toEqual([{ address: OUTSIDE, port: 4500 }]);
  moved = 7_000;
  b.rekey("children");
  run(1_000);
  expect([...a.data.pairs.values()].map(({ path }) => path.remote)).toEqual([{ address: OUTSIDE, port: 11_500 }]);
  expect(b.status().remote).toBe(`${A}:4500`);
  expect(disagreements(peers)).toEqual([]);
});

test("without a NAT all stays on port 500 and ESP is not in UDP", () => {
  const { a, connect, link } = twoPeers();
  connect();
  expect(new Set(link.sent.map(({ from }) => from.port))).toEqual(new Set([500]));
  expect(a.status()).toMatchObject({ ikeSa: { natDetected: false }, childSas: [{ encap: false }] });
});

test.each([
  ["initiator", { a: { encap: "force" } }],
  ["responder", { b: { encap: "force" } }],
] as const)("encap: force at the %s makes both ends encapsulate", (_who, setup) => {
  const { a, b, connect, link } = twoPeers(setup);
  connect();
  expect(link.sent.map(({ from }) => from.port)).toEqual([500, 500, 4500, 4500]);
  expect([a.status().childSas[0]?.encap, b.status().childSas[0]?.encap]).toEqual([true, true]);
});

test("encap: never sends no NAT detection and ignores the peer's", () => {
  const { a, b, link, run } = twoPeers({ a: { encap: "never" }, b: anyone });
  link.meddler = natBefore(() => 10_000);
  a.initiate();
  run(1_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect(a.status().childSas[0]?.encap).toBe(false);
  expect(new Set(link.sent.map(({ from }) => from.port))).toEqual(new Set([500]));
});

test("a peer on another port than 500 is met on 4500 from the start, and answers there", () => {
  const { a, b, connect, link } = twoPeers({ a: { remote: { ...connection("a").remote, port: 4500 } } });
  connect();
  expect(new Set(link.sent.flatMap(({ from, to }) => [from.port, to.port]))).toEqual(new Set([4500]));
  expect([a.status().childSas[0]?.encap, b.status().childSas[0]?.encap]).toEqual([false, false]);
});
