/** USE_TRANSPORT_MODE (RFC 7296 §1.3.1), both roles. */
import { expect, test } from "vitest";
import type { ChildConfig } from "../../src/ike/connection.ts";
import { formatSelector } from "../../src/ipsec/selector.ts";
import { A, B, child, disagreements, type Peer, selectors, twoPeers } from "../support/two-peers.ts";

const gre = (changes: Partial<ChildConfig> = {}): ChildConfig =>
  child({
    name: "gre",
    mode: "transport",
    local: selectors("0.0.0.0/0[gre]"),
    remote: selectors("0.0.0.0/0[gre]"),
    ...changes,
  });

const pairsOf = (peer: Peer): string[] =>
  [...peer.data.pairs.values()].map(
    ({ child: name, mode, local, remote }) =>
      `${name} ${mode} ${local.map(formatSelector).join()} === ${remote.map(formatSelector).join()}`,
  );

test("both ends of transport mode agree on it, between their own addresses", () => {
  const peers = twoPeers({ a: { children: [gre()] }, b: { children: [gre()] } });
  peers.connect();
  expect(pairsOf(peers.a)).toEqual([`gre transport ${A}[gre] === ${B}[gre]`]);
  expect(pairsOf(peers.b)).toEqual([`gre transport ${B}[gre] === ${A}[gre]`]);
  expect(disagreements(peers)).toEqual([]);
});

test("a rekey by either end keeps the mode, and so does a second child by CREATE_CHILD_SA", () => {
  const both = [gre(), child({ name: "host", mode: "transport", local: selectors("any4[udp/53]") })];
  const there = [gre(), child({ name: "host", mode: "transport", remote: selectors("any4[udp/53]") })];
  const peers = twoPeers({ a: { children: both }, b: { children: there } });
  const { a, b, connect, run } = peers;
  connect();
  run(1_000);
  const expected = [`gre transport ${A}[gre] === ${B}[gre]`, `host transport ${A}[udp/53] === ${B}`].sort();
  expect(pairsOf(a).sort()).toEqual(expected);
  for (const one of [a, b]) {
    one.rekey("children");
    run(10_000);
    expect(pairsOf(a).sort()).toEqual(expected);
  }
  expect(disagreements(peers)).toEqual([]);
});

test("a responder that has only tunnel mode offers that, and who wants transport mode deletes it", () => {
  const peers = twoPeers({ a: { children: [gre()] }, b: { children: [child({ name: "net" })] } });
  const { a, b, connect, run, until } = peers;
  connect();
  run(2_000);
  until(() => a.data.reserved.size === 0); // it tries again and again
  run(100);
  expect(a.status().lastError).toMatch(/the peer made it a tunnel mode SA/);
  expect(pairsOf(a)).toEqual([]);
  expect(pairsOf(b)).toEqual([]);
  expect(disagreements(peers)).toEqual([]);
});

test("a responder that has only transport mode refuses a tunnel", () => {
  const { a, b, connect } = twoPeers({ a: { children: [child()] }, b: { children: [gre()] } });
  connect();
  expect(a.status().lastError).toMatch(/TS_UNACCEPTABLE/);
  expect([...pairsOf(a), ...pairsOf(b)]).toEqual([]);
});

test("of children in both modes the responder takes the one that was asked for", () => {
  const wide = child({ name: "wide" });
  const host = gre({ local: selectors("0.0.0.0/0"), remote: selectors("0.0.0.0/0") });
  for (const [mine, expected] of [
    [[host], "gre transport"],
    [[wide], "wide tunnel"],
  ] as const) {
    const { b, connect } = twoPeers({ a: { children: mine }, b: { children: [wide, host] } });
    connect();
    expect(pairsOf(b)[0]).toContain(expected);
  }
});

test("where ESP goes in UDP no transport mode is asked for, and none is given", () => {
  const behindNat = twoPeers({ a: { encap: "force", children: [gre()] }, b: { children: [gre()] } });
  behindNat.a.initiate();
  behindNat.run(1_000);
  expect(behindNat.a.status()).toMatchObject({ state: "down", lastError: expect.stringMatching(/NAT/) });
  expect(behindNat.a.data.reserved.size).toBe(0);

  const second = twoPeers({ a: { encap: "force", children: [child(), gre()] }, b: { children: [child(), gre()] } });
  second.connect();
  second.run(2_000);
  expect(pairsOf(second.a)).toEqual(["net tunnel 0.0.0.0/0 === 0.0.0.0/0"]);
  expect(second.a.log("child-sa-failed")?.message).toMatch(/NAT/);
});

test("selectors that do not hold the ends are told, and nothing is asked", () => {
  const elsewhere = gre({ local: selectors("10.0.0.0/8") });
  const { a, run } = twoPeers({ a: { children: [elsewhere] }, b: { children: [gre()] } });
  a.initiate();
  run(1_000);
  expect(a.status().lastError).toMatch(/do not hold the addresses of both ends/);
});
