import { describe, expect, test } from "vitest";
import { type PeerId, parsePeerId } from "../../src/ike/peer-id.ts";
import type { Datagram } from "../support/link.ts";
import { A, B, connection, disagreements, identity, type Setup, twoPeers } from "../support/two-peers.ts";

type Policy = "contact" | "replace" | "keep" | "never";

/** b takes anyone who calls himself a; two of them do, and neither knows of the other. */
const twins = (duplicates: Policy) => {
  const fromAnywhere = connection("b", {
    duplicates,
    local: { address: B, id: identity("b.example") },
    remote: { address: undefined, port: 500, id: identity("a.example") },
  });
  const setup: Setup = { a: { duplicates: "never" }, connectionsB: [fromAnywhere] }; // never: no INITIAL_CONTACT
  const first = twoPeers(setup);
  first.connect();
  const second = twoPeers({ ...setup, seed: 7 });
  // The second one's messages reach the first one's b, and the answers it.
  second.link.meddler = (datagram: Datagram) => {
    const before = first.link.sent.length;
    first.link.inject(datagram);
    for (const answer of first.link.sent.splice(before)) second.link.inject(answer);
    return [];
  };
  first.run(1_000);
  second.a.initiate();
  second.run(1_000);
  first.run(1_000);
  return { first, second };
};

test.each<[Policy, number, boolean, boolean]>([
  // policy, IKE SAs that b has in the end, is the first up, is the second
  ["contact", 2, true, true],
  ["never", 2, true, true],
  ["replace", 1, false, true],
  ["keep", 1, true, false],
])("%s: another IKE SA of a peer that has one, without INITIAL_CONTACT", (policy, count, isFirstUp, isSecondUp) => {
  const { first, second } = twins(policy);
  expect(first.b.manager.held.all).toBe(count);
  expect([first.a.status().state, second.a.status().state]).toEqual([
    isFirstUp ? "up" : "down",
    isSecondUp ? "up" : "down",
  ]);
  if (policy === "keep") {
    expect(second.a.status().lastError).toContain("AUTHENTICATION_FAILED");
    expect(first.b.log("ike-auth-rejected")?.message).toContain("the peer has an IKE SA already");
    expect(first.b.status()).toMatchObject({ state: "up" });
    expect(first.b.status().lastError).toBeUndefined();
    expect(disagreements(first)).toEqual([]);
  }
});

test.each<[Policy, boolean]>([
  ["contact", true],
  ["replace", true],
  ["keep", true],
  ["never", false],
])("%s: a peer that lost its memory and says so", (duplicates, isOldGone) => {
  const peers = twoPeers({ b: { duplicates } });
  const { a, b, connect, run } = peers;
  connect();
  const [old] = b.data.pairs.keys();
  a.crash();
  a.initiate();
  run(1_000);
  expect(a.status().state).toBe("up");
  expect(b.data.pairs.has(old ?? 0)).toBe(!isOldGone);
});

//   a, uplink one: IKE_AUTH with INITIAL_CONTACT -->       up
//   a, uplink two: IKE_AUTH without it           -->       up: they are two between the same identities
//   uplink two is cut, and comes back without it -->       uplink one has not noticed
describe("a peer with two uplinks and one identity", () => {
  const UPLINK = "198.51.100.1";
  const uplinks = (expected: PeerId, start: "initiate" | "none" = "none", seed = 1) => {
    const liveness = { interval: 10_000 };
    const to = (name: string, address: string) => {
      const local = { address, id: identity("a.example") };
      return connection("a", { name, start, liveness, local, remote: { address: B, port: 500, id: expected } });
    };
    const from = (name: string, address: string) =>
      connection("b", { name, liveness, remote: { address, port: 500, id: identity("a.example") } });
    const peers = twoPeers({
      seed,
      connectionsA: [to("one", A), to("two", UPLINK)],
      connectionsB: [from("one", A), from("two", UPLINK)],
    });
    const { a, b, clock, link } = peers;
    link.attach(UPLINK, (bytes, path) => a.apply(a.manager.receive(bytes, path, clock.now)));
    const states = () => [b.status("one").state, b.status("two").state];
    const made = () => b.events().filter((event) => event === "ike-sa-established").length;
    return { ...peers, states, made };
  };
  const pattern = parsePeerId("*.example")!;

  test.each([
    ["one identity", identity("b.example")],
    ["a pattern", pattern],
  ])("does not end the IKE SA of the other when one comes back, expecting %s", (_what, expected) => {
    const { a, b, link, run, states, made, ...peers } = uplinks(expected, "initiate");
    a.initiate("one");
    run(1_000);
    a.initiate("two");
    run(1_000);
    expect(states()).toEqual(["up", "up"]);
    const first = b.status("one").ikeSa?.spiI;
    link.meddler = (datagram) => ([datagram.from.address, datagram.to.address].includes(UPLINK) ? [] : [datagram]);
    run(120_000);
    expect(states()).toEqual(["up", "down"]);
    link.meddler = (datagram) => [datagram];
    run(120_000);
    expect(states()).toEqual(["up", "up"]);
    expect([b.status("one").ikeSa?.spiI, made()]).toEqual([first, 3]);
    expect(disagreements({ a, b, ...peers })).toEqual([]);
  });

  test.each(Array.from({ length: 10 }, (_, seed) => [seed]))(
    "and begins both at once, IKE_AUTH of one answered late: none ends the other (%i)",
    (seed) => {
      const expected = seed % 2 === 0 ? identity("b.example") : pattern;
      const { a, link, run, states, made } = uplinks(expected, "initiate", seed);
      link.weather = { loss: 0.3, duplication: 0.1, delay: 10, spread: 700 };
      a.start();
      run(20_000);
      expect([...states(), made()]).toEqual(["up", "up", 2]);
    },
  );

  test("says INITIAL_CONTACT once it has lost its memory: what is left of before ends, on both", () => {
    const { a, b, run, states } = uplinks(identity("b.example"));
    for (const name of ["one", "two"]) a.initiate(name);
    run(1_000);
    const before = [...b.data.pairs.keys()];
    a.crash();
    a.initiate("one");
    run(1_000);
    expect(states()).toEqual(["up", "closing"]);
    expect(before.filter((spi) => b.data.pairs.has(spi))).toEqual([]);
  });
});

test("keep: an IKE SA that is kept is asked whether it lives, so that a dead one does not stay for ever", () => {
  const peers = twoPeers({ a: { duplicates: "never" }, b: { duplicates: "keep" } });
  const { a, b, connect, run } = peers;
  connect();
  a.crash(); // without INITIAL_CONTACT
  a.initiate();
  run(1_000);
  expect([a.status().state, b.manager.held.all]).toEqual(["down", 1]);
  run(70_000);
  expect(b.log("peer-silent")).toBeDefined();
  a.initiate();
  run(1_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect(disagreements(peers)).toEqual([]);
});

test.each(Array.from({ length: 6 }, (_, seed) => [seed]))(
  "no policy mistakes twins for duplicates: both initiate at once, one IKE SA is left (seed %i)",
  (seed) => {
    for (const duplicates of ["contact", "replace", "keep", "never"] as const) {
      const peers = twoPeers({ seed, a: { duplicates }, b: { duplicates } });
      const { a, b, run } = peers;
      a.initiate();
      b.initiate();
      run(30_000);
      expect([a.manager.held.all, b.manager.held.all]).toEqual([1, 1]);
      expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
      expect(disagreements(peers)).toEqual([]);
    }
  },
);
