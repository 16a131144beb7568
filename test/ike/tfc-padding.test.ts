import { expect, test } from "vitest";
import { child, disagreements, twoPeers } from "../support/two-peers.ts";

const refusing = [child({ refuseTfc: true })];
const told = (peer: { data: { pairs: Map<number, { tfcRefused: boolean }> } }): boolean[] =>
  [...peer.data.pairs.values()].map(({ tfcRefused }) => tfcRefused);

test.each([
  ["the initiator", { a: { children: refusing } }, [false], [true]],
  ["the responder", { b: { children: refusing } }, [true], [false]],
  ["neither", {}, [false], [false]],
] as const)("who takes no padding: %s", (_, options, atA, atB) => {
  const peers = twoPeers(options);
  peers.connect();
  expect([told(peers.a), told(peers.b)]).toEqual([atA, atB]);
  expect(disagreements(peers)).toEqual([]);
});

test("it is said anew for each pair: by CREATE_CHILD_SA, and when the pair is rekeyed by either side", () => {
  const children = [child({ sas: 2 })];
  const peers = twoPeers({ a: { children: [child({ sas: 2, refuseTfc: true })] }, b: { children } });
  const { a, b, connect, run } = peers;
  connect();
  run(5_000);
  expect([told(a), told(b)]).toEqual([
    [false, false],
    [true, true],
  ]);
  for (const peer of [a, b]) {
    peer.rekey("children");
    run(10_000);
    expect([new Set(told(a)), new Set(told(b))]).toEqual([new Set([false]), new Set([true])]);
  }
});
