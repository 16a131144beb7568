import { expect, test } from "vitest";
import { A, child, disagreements, drawn, twoPeers } from "../support/two-peers.ts";

const SILENT = { first: 500, factor: 2, tries: 3 };

test("terminate deletes the IKE SA at the peer, and all is gone", () => {
  const { a, b, connect, link, run } = twoPeers();
  connect();
  link.sent.length = 0;
  a.terminate();
  expect(a.data.pairs.size).toBe(0); // nothing leaves on it any more
  expect(a.status().state).toBe("closing");
  run(100);
  expect(drawn(link.sent)).toEqual(["a> INFORMATIONAL request 2", "b> INFORMATIONAL answer 2"]);
  expect([a.status().state, b.status().state]).toEqual(["down", "down"]);
  expect([a.manager.held.all, b.manager.held.all, b.data.pairs.size]).toEqual([0, 0, 0]);
});

test("a Delete whose answer was lost is answered again, after the SA is gone", () => {
  const { a, b, connect, link, run } = twoPeers();
  connect();
  let lost = false;
  link.meddler = (datagram) => {
    if (lost || datagram.from.address === A) return [datagram];
    lost = true;
    return [];
  };
  a.terminate();
  run(2_000);
  expect([a.manager.held.all, b.manager.held.all]).toEqual([0, 0]);
});

test("what was terminated stays down, even when both peers would initiate, until it is initiated", () => {
  const peers = twoPeers({ a: { start: "initiate" }, b: { start: "initiate" } });
  const { a, b, run } = peers;
  a.start();
  b.start();
  run(1_000);
  a.terminate();
  run(300_000);
  expect([a.status().state, b.status().state]).toEqual(["down", "connecting"]);
  expect([a.data.pairs.size, b.data.pairs.size]).toEqual([0, 0]);
  a.initiate();
  run(5_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect(disagreements(peers)).toEqual([]);
});

test("terminate while IKE_AUTH is on its way leaves nothing at either end", () => {
  const { a, b, run } = twoPeers();
  a.initiate();
  run(35); // b is up, its answer on its way
  expect(b.status().state).toBe("up");
  a.terminate();
  expect(a.status().state).toBe("closing");
  run(2_000);
  expect([a.manager.held.all, b.manager.held.all]).toEqual([0, 0]);
  expect([a.data.reserved.size, b.data.pairs.size]).toEqual([0, 0]);
});

test("both terminate at once", () => {
  const { a, b, connect, run } = twoPeers();
  connect();
  a.terminate();
  b.terminate();
  run(1_000);
  expect([a.manager.held.all, b.manager.held.all]).toEqual([0, 0]);
});

test("a connection to be initiated comes back after the peer deleted it", () => {
  const { a, b, run } = twoPeers({ a: { start: "initiate" } });
  a.start();
  run(1_000);
  b.terminate();
  run(5_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
});

test("one initiated by hand does not", () => {
  const { a, b, connect, run } = twoPeers();
  connect();
  b.terminate();
  run(120_000);
  expect([a.status().state, b.status().state]).toEqual(["down", "down"]);
});

test("stop deletes at the peers and forgets all at once", () => {
  const { a, b, connect, run } = twoPeers();
  connect();
  a.stop();
  expect([a.manager.held.all, a.data.pairs.size]).toEqual([0, 0]);
  expect(a.manager.nextWake()).toBeUndefined();
  run(100);
  expect([b.manager.held.all, b.data.pairs.size]).toEqual([0, 0]);
});

test("silence asks whether the peer lives, traffic does not", () => {
  const { a, connect, link, run } = twoPeers({ a: { liveness: { interval: 10_000 } } });
  connect();
  link.sent.length = 0;
  const [spiIn = 0] = a.data.pairs.keys();
  for (let second = 0; second < 30; second++) {
    a.data.packets.set(spiIn, { packetsIn: second + 1, packetsOut: 0 });
    run(1_000);
  }
  expect(link.sent).toEqual([]);
  run(21_000);
  expect(drawn(link.sent)).toEqual([
    "a> INFORMATIONAL request 2",
    "b> INFORMATIONAL answer 2",
    "a> INFORMATIONAL request 3",
    "b> INFORMATIONAL answer 3",
  ]);
  expect(a.status().state).toBe("up");
});

test("a dead peer is noticed, its SAs go, and the connection is begun again", () => {
  const { a, b, link, run } = twoPeers({
    a: { start: "initiate", liveness: { interval: 10_000 }, retransmit: SILENT },
  });
  a.start();
  run(1_000);
  link.meddler = () => [];
  run(15_000);
  expect(a.log("peer-silent")?.message).toContain("192.0.2.2:500 does not answer");
  expect(a.data.pairs.size).toBe(0);
  expect(a.status().state).toBe("connecting");
  b.crash();
  link.meddler = (datagram) => [datagram];
  run(60_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
});

test("a liveness timeout gives the peer up sooner than other requests", () => {
  const { a, connect, link, run } = twoPeers({ a: { liveness: { interval: 10_000, timeout: 3_000 } } });
  connect();
  link.meddler = () => [];
  run(11_900);
  expect(a.status().state).toBe("up");
  run(1_000);
  expect(a.status().state).toBe("down");
});

test("an IKE SA that cannot be rekeyed ends with its lifetime, and is begun again", () => {
  const life = 100_000;
  const { a, b, link, run } = twoPeers({ a: { start: "initiate", lifetime: life } });
  a.start();
  run(1_000);
  const before = a.status().ikeSa?.spiI;
  b.data.capacity = 10;
  // The peer never answers CREATE_CHILD_SA, and retransmission outlasts the lifetime.
  link.meddler = (datagram) => (drawn([datagram])[0]?.startsWith("a> CREATE_CHILD_SA") ? [] : [datagram]);
  run(life * 1.1 - 1_500);
  expect(a.status().ikeSa?.spiI).toBe(before);
  run(1_000);
  expect(a.events()).toContain("ike-sa-expired");
  expect(a.data.pairs.size).toBe(0);
  link.meddler = (datagram) => [datagram];
  run(130_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect([a.data.pairs.size, b.data.pairs.size]).toEqual([1, 1]);
});

test("a child that the peer deletes is asked for again where it is wanted", () => {
  // b's child dies and cannot be rekeyed: b has no room for another.
  const peers = twoPeers({
    a: { start: "initiate" },
    b: { children: [child({ lifetime: 100_000 })] },
  });
  const { a, b, run } = peers;
  a.start();
  run(1_000);
  b.data.capacity = 1;
  run(112_000);
  expect(b.events()).toContain("child-sa-expired");
  b.data.capacity = 10;
  run(60_000);
  expect([a.data.pairs.size, b.data.pairs.size]).toEqual([1, 1]);
  expect(disagreements(peers)).toEqual([]);
});
