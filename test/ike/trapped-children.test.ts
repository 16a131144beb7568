/** Children that are made when the first packet for them comes (RFC 4301 §4.4.1: a policy that protects, without an SA). */
import { expect, test } from "vitest";
import { child, disagreements, type Peer, selectors, twoPeers } from "../support/two-peers.ts";

const one = child({ name: "one", trap: true, remote: selectors("10.1.0.0/16") });
const two = child({ name: "two", trap: true, remote: selectors("10.2.0.0/16") });
const three = child({ name: "three", remote: selectors("10.3.0.0/16") });
const mirrored = [one, two, three].map(({ name, remote }) => child({ name, local: remote }));

const namesOf = (peer: Peer): string[] => [...peer.data.pairs.values()].map(({ child: name }) => name).sort();

test("a packet for one child brings the connection and that child, not the others that trap", () => {
  const peers = twoPeers({ a: { children: [one, two] }, b: { children: mirrored } });
  const { a, b, run } = peers;
  a.start();
  run(5_000);
  expect(a.status().state).toBe("down");
  a.trapped("two");
  run(10_000);
  expect(namesOf(a)).toEqual(["two"]);
  for (let n = 0; n < 20; n++) a.trapped("one");
  run(2_000);
  expect(namesOf(a)).toEqual(["one", "two"]);
  expect(namesOf(b)).toEqual(["one", "two"]);
  expect(disagreements(peers)).toEqual([]);
});

test("a connection that is initiated brings those that do not trap, and the others with their first packet", () => {
  const peers = twoPeers({ a: { start: "initiate", children: [one, two, three] }, b: { children: mirrored } });
  const { a, run } = peers;
  a.start();
  run(10_000);
  expect(namesOf(a)).toEqual(["three"]);
  a.trapped("one");
  run(2_000);
  expect(namesOf(a)).toEqual(["one", "three"]);
  expect(disagreements(peers)).toEqual([]);
});

test("one whose children all trap comes up without a child, where the peer takes that", () => {
  const { a, run } = twoPeers({ a: { start: "initiate", children: [one, two] }, b: { children: mirrored } });
  a.start();
  run(10_000);
  expect(a.status()).toMatchObject({ state: "up", childSas: [] });
  a.trapped("one");
  run(2_000);
  expect(namesOf(a)).toEqual(["one"]);
});

test("what its user took down is not brought up by packets", () => {
  const { a, run } = twoPeers({ a: { children: [one, two] }, b: { children: mirrored } });
  a.trapped("one");
  run(2_000);
  a.terminate();
  run(2_000);
  a.trapped("one");
  run(2_000);
  expect(a.status().state).toBe("down");
});
