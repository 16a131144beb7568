/** Messages in pieces between two peers, RFC 7383: as drawn above each step. */
import { expect, test } from "vitest";
import { Exchange, notifies, parseHeader, parseMessage } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import { type Datagram, packetLength } from "../support/link.ts";
import {
  A,
  B,
  child,
  disagreements,
  drawn,
  fragmentOf,
  type Setup,
  selectors,
  twoPeers,
} from "../support/two-peers.ts";

/** So many selectors that IKE_AUTH and a rekey are long. */
const manySelectors = selectors(...Array.from({ length: 24 }, (_, n) => `2001:db8:${n + 1}::/48`));
const longChild = child({ local: manySelectors, remote: manySelectors });

const longMessages = (setup: Setup = {}) =>
  twoPeers({
    ...setup,
    a: { children: [longChild], ...setup.a },
    b: { children: [longChild], ...setup.b },
  });

const isOf = (exchange: number, { bytes }: Datagram): boolean => parseHeader(bytes).exchange === exchange;
const protectedOnes = (sent: readonly Datagram[]) => sent.filter((one) => !isOf(Exchange.IKE_SA_INIT, one));

test("both say that they take pieces, and what is too long for its path is cut", () => {
  const peers = longMessages();
  const { a, b, link, run } = peers;
  a.initiate();
  run(1_000);
  expect(drawn(link.sent)).toEqual([
    "a> IKE_SA_INIT request 0", // N(IKEV2_FRAGMENTATION_SUPPORTED)
    "b> IKE_SA_INIT answer 0", //  N(IKEV2_FRAGMENTATION_SUPPORTED)
    "a> IKE_AUTH request 1 [1/2]",
    "a> IKE_AUTH request 1 [2/2]",
    "b> IKE_AUTH answer 1 [1/2]",
    "b> IKE_AUTH answer 1 [2/2]",
  ]);
  for (const { bytes } of link.sent.slice(0, 2))
    expect(notifies(parseMessage(bytes).payloads, Notify.IKEV2_FRAGMENTATION_SUPPORTED)).toHaveLength(1);
  expect(Math.max(...link.sent.map(packetLength))).toBe(1384);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect(disagreements(peers)).toEqual([]);
  expect([a.status().ikeSa?.fragmentation, b.status().ikeSa?.fragmentation]).toEqual([true, true]);
  expect([a.count("messages-cut"), a.count("fragments-sent")]).toEqual([1, 2]);
  expect([b.count("messages-joined"), b.count("fragments-received")]).toEqual([1, 2]);
});

test("a rekeyed IKE SA goes on cutting", () => {
  const { a, b, connect, link, run } = longMessages();
  connect();
  a.rekey("ike");
  run(500);
  link.sent.length = 0;
  b.rekey("children");
  run(500);
  expect(drawn(link.sent).slice(0, 4)).toEqual([
    "b> CREATE_CHILD_SA request 0 [1/2]",
    "b> CREATE_CHILD_SA request 0 [2/2]",
    "a> CREATE_CHILD_SA answer 0 [1/2]",
    "a> CREATE_CHILD_SA answer 0 [2/2]",
  ]);
  expect(a.data.pairs.size).toBe(1);
});

test.each([
  ["the initiator", { a: { fragmentation: "no" } }, [0, 0]],
  ["the responder", { b: { fragmentation: "no" } }, [1, 0]],
] as const)("nothing is cut when %s does not want it", (_who, setup, offered) => {
  const { a, b, link, run } = longMessages(setup);
  a.initiate();
  run(1_000);
  expect(link.sent).toHaveLength(4);
  expect([a.status().ikeSa?.fragmentation, b.status().ikeSa?.fragmentation]).toEqual([false, false]);
  expect(
    link.sent
      .slice(0, 2)
      .map(({ bytes }) => notifies(parseMessage(bytes).payloads, Notify.IKEV2_FRAGMENTATION_SUPPORTED).length),
  ).toEqual(offered);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
});

test("pieces that nobody agreed to are counted, and change nothing", () => {
  const cutting = longMessages();
  cutting.connect();
  const piece = cutting.link.sent.find(({ bytes }) => fragmentOf(bytes) !== undefined)!;
  const { a, b, link, run } = longMessages({ a: { fragmentation: "no" } });
  a.initiate();
  run(15); // b has answered IKE_SA_INIT and expects IKE_AUTH
  const foreign = piece.bytes.slice();
  foreign.set(link.sent[1]!.bytes.subarray(0, 16));
  link.inject({ from: { address: A, port: 500 }, to: { address: B, port: 500 }, bytes: foreign });
  expect(b.count("fragment-unexpected")).toBe(1);
  run(1_000);
  expect(b.status().state).toBe("up");
});

test("force: cut to what any path carries from the beginning", () => {
  const { a, b, link, connect } = longMessages({ a: { fragmentation: "force" }, b: { fragmentation: "force" } });
  connect();
  const packets = protectedOnes(link.sent).map(packetLength);
  expect(Math.max(...packets)).toBe(576);
  expect(packets.length).toBeGreaterThan(6);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
});

test("a path whose MTU the system knows is not asked to carry more", () => {
  const { a, b, link, run } = longMessages();
  link.mtu = 1280;
  a.pathMtu = 1280;
  b.pathMtu = 1280;
  a.initiate();
  run(400); // no need to send anything twice
  expect(Math.max(...link.sent.map(packetLength))).toBe(1280);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
});

test("a configured size holds, and the marker of port 4500 counts", () => {
  const { link, connect } = longMessages({
    a: { fragmentSize: 700, encap: "force" },
    b: { fragmentSize: 700, encap: "force" },
  });
  connect();
  const { length } = protectedOnes(link.sent);
  expect(length).toBeGreaterThan(4);
  expect(Math.max(...protectedOnes(link.sent).map(packetLength))).toBe(700);
  expect(protectedOnes(link.sent).every(({ from }) => from.port === 4500)).toBe(true);
});

//   IKE_AUTH [1/2], [2/2] (too long for the path, and nobody says so) -->
//   the same after 0.5 s                                              -->
//   after 1.5 s cut anew: [1/5] ... [5/5]                             -->
//                                                                     <-- the answer, in pieces like these
test("what is sent in vain is cut smaller, in more pieces, and what follows too", () => {
  const peers = longMessages();
  const { a, b, link, run } = peers;
  link.mtu = 600;
  a.initiate();
  run(1_700);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect(disagreements(peers)).toEqual([]);
  const totals = link.sent.filter(({ from }) => from.address === A).map(({ bytes }) => fragmentOf(bytes)?.total ?? 0);
  expect(totals).toEqual([...totals].sort((x, y) => x - y)); // never fewer again (RFC 7383 §2.5.2)
  expect(new Set(totals).size).toBe(3); // IKE_SA_INIT, large pieces, small ones
  link.sent.length = 0;
  a.rekey("children");
  run(400); // no time for a second try
  expect(Math.max(...link.sent.map(packetLength))).toBe(576);
  expect(a.data.pairs.size).toBe(1);
});

//   IKE_AUTH, whole -->
//                   <-- the answer, too long for the way back
//   the same        -->
//                   <-- the same
//   cut: [1/2]      -->   which shows b why it is asked again
//                   <-- the answer, cut
test("an answer that is lost for its length is cut once the request is", () => {
  const few = child({ local: manySelectors.slice(0, 8), remote: manySelectors.slice(0, 8) });
  const { a, b, link, run } = twoPeers({ a: { children: [few] }, b: { children: [few] } });
  link.meddler = (datagram) => (datagram.from.address === B && packetLength(datagram) > 600 ? [] : [datagram]);
  a.initiate();
  run(1_700);
  expect(a.status().state).toBe("up");
  expect(b.count("repeated-requests")).toBe(2);
  expect(drawn(link.sent).filter((line) => line.startsWith("b> IKE_AUTH"))).toEqual([
    "b> IKE_AUTH answer 1",
    "b> IKE_AUTH answer 1",
    "b> IKE_AUTH answer 1 [1/2]",
    "b> IKE_AUTH answer 1 [2/2]",
  ]);
});

test("a message sent whole in vain is cut as well", () => {
  const some = child({ local: manySelectors.slice(0, 8), remote: manySelectors.slice(0, 8) });
  const { a, b, link, run } = twoPeers({ a: { children: [some] }, b: { children: [some] } });
  link.mtu = 600;
  a.initiate();
  run(20_000);
  const auth = drawn(link.sent).filter((line) => line.includes("IKE_AUTH request"));
  expect(auth.slice(0, 3)).toEqual(["a> IKE_AUTH request 1", "a> IKE_AUTH request 1", "a> IKE_AUTH request 1 [1/2]"]);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
});

test("a lost piece costs one more sending of all; the answer comes from memory, once for the first piece", () => {
  const { a, b, link, run } = longMessages();
  let lost = 0;
  link.meddler = (datagram) => {
    const isFirstAnswer = datagram.from.address === B && fragmentOf(datagram.bytes)?.number === 2;
    if (isFirstAnswer && lost++ === 0) return []; //  <-- [2/2] lost
    return [datagram];
  };
  a.initiate();
  run(2_000);
  const requests = link.sent.filter(({ from, bytes }) => from.address === A && fragmentOf(bytes) !== undefined);
  expect(requests).toHaveLength(4);
  expect(requests[2]?.bytes).toEqual(requests[0]?.bytes); // the same octets (RFC 7296 §2.1)
  expect(requests[3]?.bytes).toEqual(requests[1]?.bytes);
  const answers = link.sent.filter(({ from, bytes }) => from.address === B && fragmentOf(bytes) !== undefined);
  expect(answers).toHaveLength(4);
  expect(answers[2]?.bytes).toEqual(answers[0]?.bytes);
  expect([b.count("repeated-requests"), b.count("fragment-repeated")]).toEqual([1, 1]);
  expect(a.status().state).toBe("up");
});

test("pieces whose rest never comes are forgotten after 10 s", () => {
  const { a, b, link, run } = longMessages({ a: { retransmit: { first: 60_000, factor: 2, tries: 2 } } });
  link.meddler = (datagram) => (fragmentOf(datagram.bytes)?.number === 2 ? [] : [datagram]);
  a.initiate();
  run(10_000);
  expect(b.count("fragments-timed-out")).toBe(0);
  run(100);
  expect(b.count("fragments-timed-out")).toBe(1);
});

test("every piece of every message replayed, truncated or mutated changes nothing", () => {
  const peers = longMessages();
  const { a, b, connect, link, random, run } = peers;
  connect();
  a.rekey("children");
  run(500);
  b.rekey("ike");
  run(500);
  b.rekey("children");
  run(500);
  const messages = link.sent.filter(({ bytes }) => fragmentOf(bytes) !== undefined);
  expect(messages.length).toBeGreaterThan(10);
  const before = [[...a.data.pairs.keys()], [...b.data.pairs.keys()], a.status().ikeSa, b.status().ikeSa];
  for (const { from, to, bytes } of messages) {
    link.inject({ from, to, bytes });
    link.inject({ from: to, to: from, bytes });
    for (let length = 0; length < bytes.length; length += 7)
      link.inject({ from, to, bytes: bytes.subarray(0, length) });
    for (let n = 0; n < 200; n++) {
      const mutated = bytes.slice();
      const at = random.chance(0.5) ? random.integer(40) : random.integer(mutated.length);
      mutated[at]! ^= 1 << random.integer(8);
      link.inject({ from, to, bytes: mutated });
      link.sent.length = 0;
    }
  }
  expect([[...a.data.pairs.keys()], [...b.data.pairs.keys()], a.status().ikeSa, b.status().ikeSa]).toEqual(before);
  a.rekey("children");
  run(1_000);
  expect(disagreements(peers)).toEqual([]);
});

test("whoever forges pieces between the real ones does not keep the peers apart", () => {
  const peers = longMessages();
  const { a, b, link, random, run } = peers;
  link.meddler = (datagram) => {
    if (fragmentOf(datagram.bytes) === undefined) return [datagram];
    const forged = datagram.bytes.slice();
    forged[32 + random.integer(forged.length - 32)]! ^= 1 << random.integer(8); // number, total, IV or text
    return [{ ...datagram, bytes: forged }, datagram];
  };
  a.initiate();
  run(5_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect(disagreements(peers)).toEqual([]);
});
