import { describe, expect, test } from "vitest";
import type { Datagram } from "../support/link.ts";
import { A, disagreements, drawn, gaps, ike, type Peer, twoPeers } from "../support/two-peers.ts";

const HOUR = 3_600_000;

const spisOf = (peer: Peer) => peer.status().ikeSa?.spiI;

describe.each(["a", "b"] as const)("a rekey of the IKE SA by %s", (who) => {
  test("makes a new one from message ID 0, which inherits the children, and deletes the old one", () => {
    const peers = twoPeers();
    const { a, b, connect, link, run } = peers;
    connect();
    const before = spisOf(a);
    const pairs = [...a.data.pairs.keys()];
    link.sent.length = 0;
    peers[who].rekey("ike");
    run(1_000, () => expect(gaps(peers)).toEqual([]));
    const other = who === "a" ? "b" : "a";
    const id = who === "a" ? 2 : 0;
    expect(drawn(link.sent)).toEqual([
      `${who}> CREATE_CHILD_SA request ${id}`,
      `${other}> CREATE_CHILD_SA answer ${id}`,
      `${who}> INFORMATIONAL request ${id + 1}`,
      `${other}> INFORMATIONAL answer ${id + 1}`,
    ]);
    expect(spisOf(a)).not.toBe(before);
    expect(spisOf(a)).toBe(spisOf(b));
    expect(peers[who].status().ikeSa?.role).toBe("initiator");
    expect([...a.data.pairs.keys()]).toEqual(pairs);
    expect([a.manager.held.all, b.manager.held.all]).toEqual([1, 1]);

    link.sent.length = 0;
    peers[who].rekey("children"); // with the keys of the new one
    run(1_000);
    expect(drawn(link.sent)[0]).toBe(`${who}> CREATE_CHILD_SA request 0`);
    expect(disagreements(peers)).toEqual([]);
    expect(a.data.pairs.size).toBe(1);
  });

  test("comes by itself before the lifetime is over", () => {
    const peers = twoPeers({
      a: { lifetime: who === "a" ? 2 * HOUR : 9 * HOUR },
      b: { lifetime: who === "a" ? 9 * HOUR : 2 * HOUR },
    });
    const { a, b, connect, run } = peers;
    connect();
    const before = spisOf(a);
    run(2 * HOUR, () => expect(gaps(peers)).toEqual([]));
    expect(spisOf(a)).not.toBe(before);
    expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
    expect(disagreements(peers)).toEqual([]);
  });
});

test.each(Array.from({ length: 10 }, (_, seed) => [seed]))(
  "both rekey the IKE SA at once: the one with the lowest nonce goes (seed %i)",
  (seed) => {
    const peers = twoPeers({ seed });
    const { a, b, connect, run } = peers;
    connect();
    const pairs = [...a.data.pairs.keys()];
    a.rekey("ike"); // CREATE_CHILD_SA { SA, Ni, KEi } -->
    b.rekey("ike"); // <-- CREATE_CHILD_SA { SA, Ni, KEi }
    run(1_000, () => expect(gaps(peers)).toEqual([]));
    expect(spisOf(a)).toBe(spisOf(b));
    expect([...a.data.pairs.keys()]).toEqual(pairs);
    expect([a.manager.held.all, b.manager.held.all]).toEqual([1, 1]);
    a.rekey("children");
    b.rekey("ike");
    run(30_000);
    expect(disagreements(peers)).toEqual([]);
    expect([a.data.pairs.size, b.data.pairs.size]).toEqual([1, 1]);
  },
);

test("a rekey of the IKE SA that comes while a child is rekeyed is asked to wait, and comes later", () => {
  const peers = twoPeers();
  const { a, b, connect, run } = peers;
  connect();
  const before = spisOf(a);
  a.rekey("children"); // -->
  b.rekey("ike"); // <--
  run(1_000, () => expect(gaps(peers)).toEqual([]));
  expect(a.log("request-refused")?.message).toContain("TEMPORARY_FAILURE");
  expect(b.log("request-refused")?.message).toContain("TEMPORARY_FAILURE");
  run(30_000, () => expect(gaps(peers)).toEqual([]));
  expect(spisOf(a)).not.toBe(before);
  expect(spisOf(a)).toBe(spisOf(b));
  expect(a.data.pairs.size).toBe(1);
  expect([...a.data.pairs.values()][0]?.replaces).toBeDefined();
  expect(disagreements(peers)).toEqual([]);
});

test.each(["a", "b"] as const)("%s terminates what the other rekeys: nothing is left", (who) => {
  for (const what of ["ike", "children"] as const) {
    const peers = twoPeers();
    peers.connect();
    peers[who].terminate();
    peers[who === "a" ? "b" : "a"].rekey(what);
    peers.run(70_000);
    for (const peer of [peers.a, peers.b]) {
      expect(peer.manager.held.all).toBe(0);
      expect([peer.data.pairs.size, peer.data.reserved.size]).toEqual([0, 0]);
    }
  }
});

test.each(["a", "b"] as const)("%s terminates what it is rekeying itself: nothing is left", (who) => {
  for (const what of ["ike", "children"] as const) {
    const peers = twoPeers();
    peers.connect();
    peers[who].rekey(what);
    peers[who].terminate();
    peers.run(70_000);
    for (const peer of [peers.a, peers.b]) {
      expect(peer.manager.held.all).toBe(0);
      expect([peer.data.pairs.size, peer.data.reserved.size]).toEqual([0, 0]);
    }
  }
});

test("INVALID_KE_PAYLOAD makes the rekey begin again with the other group", () => {
  const { a, b, connect, run } = twoPeers({
    a: { proposals: ike("aes256gcm16-prfsha256-x25519", "aes256gcm16-prfsha256-ecp256") },
    b: { proposals: ike("aes256gcm16-prfsha256-ecp256") },
  });
  connect();
  expect(a.status().ikeSa?.proposal).toContain("ecp256");
  b.rekey("ike");
  run(1_000);
  a.rekey("ike");
  run(1_000);
  expect(a.status().ikeSa).toMatchObject({ role: "initiator", proposal: "aes256gcm16-prfsha256-ecp256" });
});

test("a rekey of the IKE SA is never the end of it: lost answers are sent again", () => {
  const peers = twoPeers();
  const { a, b, connect, link, run } = peers;
  connect();
  let drops = 5;
  link.meddler = (datagram: Datagram) => (datagram.from.address !== A && drops-- > 0 ? [] : [datagram]);
  a.rekey("ike");
  run(60_000, () => expect(gaps(peers)).toEqual([]));
  expect(spisOf(a)).toBe(spisOf(b));
  expect([a.manager.held.all, b.manager.held.all]).toEqual([1, 1]);
});

//   a                                       b
//   CREATE_CHILD_SA 2 {SA, Ni, KEi} -->
//                                       <-- CREATE_CHILD_SA 0 {SA, Ni, KEi}
//                                       <-- CREATE_CHILD_SA 2 {SA, Nr, KEr}
//   CREATE_CHILD_SA 0 {SA, Nr, KEr} -->     never comes
//   INFORMATIONAL 3 {D}             -->     a's has won; b forgets its own (RFC 7296 §2.25.2), and cannot delete what it never had
//                                       <-- INFORMATIONAL 3 {}
//   INFORMATIONAL 0 {D}             -->     on b's, after the guard time; no whole row of retransmissions
//                                       <-- N(INVALID_IKE_SPI) without protection
test("an IKE SA of the peer's rekey that has lost, and that the peer never had, is gone soon after its guard time", () => {
  const peers = [0, 1, 2, 3].map((seed) => {
    const two = twoPeers({ seed });
    const { a, b, connect, link, run } = two;
    connect();
    link.meddler = (datagram) => (drawn([datagram])[0] === "a> CREATE_CHILD_SA answer 0" ? [] : [datagram]);
    a.rekey("ike");
    b.rekey("ike");
    run(1_000);
    return two;
  });
  const won = peers.find(({ b }) => b.manager.held.all === 1);
  if (won === undefined) throw new Error("a has never won");
  const { a, b, link, run } = won;
  expect([a.manager.held.all, spisOf(a)]).toEqual([2, spisOf(b)]);
  run(118_500);
  link.sent.length = 0;
  run(9_000);
  expect(a.manager.held.all).toBe(2); // what is not protected ends nothing
  expect(a.log("peer-forgot")).toBeDefined();
  run(2_500);
  expect(drawn(link.sent)).toEqual(
    Array.from({ length: 5 }, () => ["a> INFORMATIONAL request 0", "b> INFORMATIONAL answer 0"]).flat(),
  );
  expect([a.manager.held.all, a.log("peer-silent"), disagreements(won)]).toEqual([1, undefined, []]);
});
