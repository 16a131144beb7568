import { describe, expect, test } from "vitest";
import { flowOf } from "../support/memory-data-plane.ts";
import {
  child,
  disagreements,
  drawn,
  esp,
  gaps,
  type Peer,
  selectors,
  type TwoPeers,
  twoPeers,
} from "../support/two-peers.ts";

const MINUTE = 60_000;

const flows = (peer: Peer): string[] => [...peer.data.pairs.values()].map(flowOf).sort();

const several = (ofA: number, ofB: number, seed = 1): TwoPeers =>
  twoPeers({ seed, a: { children: [child({ sas: ofA })] }, b: { children: [child({ sas: ofB })] } });

test("after the fallback the initiator asks for a pair for each other resource, each with keys of its own", () => {
  const peers = several(3, 3);
  const { a, b, connect, link } = peers;
  connect();
  expect(drawn(link.sent)).toEqual([
    "a> IKE_SA_INIT request 0",
    "b> IKE_SA_INIT answer 0",
    "a> IKE_AUTH request 1", //         N(SA_RESOURCE_INFO)
    "b> IKE_AUTH answer 1", //          N(SA_RESOURCE_INFO): it takes more
    "a> CREATE_CHILD_SA request 2", //  N(SA_RESOURCE_INFO 1)
    "b> CREATE_CHILD_SA answer 2",
    "a> CREATE_CHILD_SA request 3", //  N(SA_RESOURCE_INFO 2)
    "b> CREATE_CHILD_SA answer 3",
  ]);
  expect([flows(a), flows(b)]).toEqual([
    ["net", "net 1", "net 2"],
    ["net", "net 1", "net 2"],
  ]);
  expect(a.status().childSas.map(({ name, resource }) => [name, resource])).toEqual([
    ["net", 0],
    ["net", 1],
    ["net", 2],
  ]);
  expect(new Set([...a.data.pairs.values()].map(({ keyIn }) => Buffer.from(keyIn).toString("hex"))).size).toBe(3);
  expect([...disagreements(peers), ...gaps(peers)]).toEqual([]);
});

test.each([
  { ofA: 3, ofB: 2, pairs: [3, 2] },
  { ofA: 3, ofB: 1, pairs: [1, 1] },
])("with the first pair both know how many are to come: $ofA wanted here, $ofB there", ({ ofA, ofB, pairs }) => {
  const { a, b, connect } = twoPeers({
    a: { children: [child({ sas: ofA })] },
    b: { children: [child({ sas: ofB })] },
  });
  connect();
  expect([a, b].map((peer) => peer.data.sending("net")?.pairs)).toEqual(pairs);
});

test("a pair beside another has its suite and its narrowed selectors", () => {
  const peers = twoPeers({
    a: {
      children: [
        child({ sas: 2, proposals: esp("aes128gcm16-aes256gcm16", "aes256-sha256"), local: selectors("10.0.0.0/8") }),
      ],
    },
    b: { children: [child({ sas: 2, proposals: esp("aes256-sha256"), remote: selectors("10.1.0.0/16") })] },
  });
  peers.connect();
  const [first, second] = peers.a.data.pairs.values();
  expect(second).toMatchObject({ resource: 1, suite: first?.suite, esn: first?.esn, remote: first?.remote });
  expect(first?.suite.name).toBe("aes256-sha256");
  expect(second?.local).toEqual(selectors("10.1.0.0/16"));
  expect(disagreements(peers)).toEqual([]);
});

test.each([
  [4, 2, "b refuses"],
  [2, 4, "a asks for no more"],
])("with %i pairs wanted here and %i there both have two: %s", (ofA, ofB) => {
  const peers = several(ofA, ofB);
  const { a, b, connect, link, run } = peers;
  connect();
  expect([flows(a), flows(b)]).toEqual([
    ["net", "net 1"],
    ["net", "net 1"],
  ]);
  expect(a.events().filter((event) => event === "child-sa-limit")).toHaveLength(ofA > ofB ? 1 : 0);
  expect([a.status().lastError, b.status().lastError]).toEqual([undefined, undefined]);
  link.sent.length = 0;
  a.initiate(); // TS_MAX_QUEUE is remembered
  run(40 * MINUTE);
  expect(link.sent).toEqual([]);
  a.rekey("ike");
  run(MINUTE);
  a.initiate(); // also by the next IKE SA
  run(MINUTE);
  expect(drawn(link.sent).filter((line) => line.startsWith("a> CREATE"))).toHaveLength(1);
  expect(disagreements(peers)).toEqual([]);
});

test("a responder that wants more asks for them once the initiator has had its time", () => {
  const peers = twoPeers({
    a: { children: [child({ sas: 3 })] },
    b: { start: "initiate", children: [child({ sas: 3 })] },
  });
  const { a, b, connect, link, run } = peers;
  link.meddler = (datagram) => (drawn([datagram])[0]?.startsWith("a> CREATE_CHILD_SA request") ? [] : [datagram]);
  connect();
  b.initiate();
  expect(flows(b)).toEqual(["net"]);
  run(10_000);
  expect(flows(b)).toEqual(["net", "net 1", "net 2"]);
  link.meddler = (datagram) => [datagram];
  run(MINUTE);
  expect([flows(a), flows(b)]).toEqual([flows(a), ["net", "net 1", "net 2"]]);
  expect(flows(a)).toEqual(["net", "net 1", "net 2"]);
  expect(disagreements(peers)).toEqual([]);
});

test("a peer that does not say that it takes more pairs is asked for none: it might replace the first", () => {
  const peers = several(4, 1);
  const { a, b, connect, link, run } = peers;
  connect();
  run(30 * MINUTE);
  expect([flows(a), flows(b)]).toEqual([["net"], ["net"]]);
  expect(drawn(link.sent)).toHaveLength(4);
});

test("a second pair that the peer asks for without a word of resources is a duplicate, and allowed", () => {
  const peers = twoPeers({
    a: { children: [child({ sas: 2 })] },
    b: { children: [child(), child({ name: "again" })] },
  });
  const { a, b, connect, run } = peers;
  connect();
  b.initiate();
  run(10_000);
  expect([flows(a), flows(b)]).toEqual([
    ["net", "net"],
    ["again", "net"],
  ]);
  expect(disagreements(peers)).toEqual([]);
});

describe.each(["a", "b"] as const)("a rekey of all pairs by %s", (who) => {
  test("keeps the resource of each, and makes no gap", () => {
    const peers = several(3, 3);
    const { a, b, connect, run } = peers;
    connect();
    const before = new Map([...a.data.pairs].map(([spiIn, pair]) => [spiIn, pair.resource]));
    peers[who].rekey("children");
    run(5_000, () => expect(gaps(peers)).toEqual([]));
    expect([flows(a), flows(b)]).toEqual([
      ["net", "net 1", "net 2"],
      ["net", "net 1", "net 2"],
    ]);
    for (const { replaces, resource } of a.data.pairs.values()) expect(before.get(replaces ?? 0)).toBe(resource);
    expect(disagreements(peers)).toEqual([]);
  });
});

test.each(Array.from({ length: 10 }, (_, seed) => [seed]))(
  "both rekey all pairs at once: each pair is settled by itself (seed %i)",
  (seed) => {
    const peers = several(3, 3, seed);
    const { a, b, connect, run } = peers;
    connect();
    a.rekey("children");
    b.rekey("children");
    run(30_000, () => expect(gaps(peers)).toEqual([]));
    expect([flows(a), flows(b)]).toEqual([
      ["net", "net 1", "net 2"],
      ["net", "net 1", "net 2"],
    ]);
    expect(disagreements(peers)).toEqual([]);
  },
);

test.each(Array.from({ length: 10 }, (_, seed) => [seed, seed % 2 === 0 ? 2 : 4] as const))(
  "both ask for further pairs at once: in the end there are as many as both have room for (seed %i, %i pairs)",
  (seed, pairs) => {
    const peers = several(pairs, pairs, seed);
    const { a, b, until, run } = peers;
    a.initiate();
    until(() => b.status().state === "up");
    b.initiate(); // CREATE_CHILD_SA { N(SA_RESOURCE_INFO), ... } crosses a's
    run(30_000);
    const wanted = ["net", "net 1", "net 2", "net 3"].slice(0, pairs);
    expect([flows(a), flows(b)]).toEqual([wanted, wanted]);
    expect([...disagreements(peers), ...gaps(peers)]).toEqual([]);
  },
);

test("no room at the responder is TS_MAX_QUEUE for a further pair: other children are not concerned", () => {
  const peers = twoPeers({
    a: { children: [child({ sas: 3, local: selectors("10.1.0.0/16") }), child({ name: "other" })] },
    b: { children: [child({ sas: 3, remote: selectors("10.1.0.0/16") }), child({ name: "other" })] },
  });
  const { a, b, connect, run } = peers;
  b.data.capacity = 2;
  connect();
  expect(a.log("child-sa-limit")?.message).toContain("no more pairs");
  b.data.capacity = 10;
  a.initiate();
  run(MINUTE);
  expect(flows(a).filter((flow) => flow === "other")).toHaveLength(1);
  expect(disagreements(peers)).toEqual([]);
});
