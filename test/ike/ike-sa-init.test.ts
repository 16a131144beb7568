import { expect, test } from "vitest";
import { disagreements, drawn, twoPeers } from "../support/two-peers.ts";

test("two exchanges bring up an IKE SA and its first child", () => {
  const peers = twoPeers();
  const { a, b, link, run } = peers;
  a.initiate();
  run(100);
  expect(drawn(link.sent)).toEqual([
    "a> IKE_SA_INIT request 0",
    "b> IKE_SA_INIT answer 0",
    "a> IKE_AUTH request 1",
    "b> IKE_AUTH answer 1",
  ]);
  expect(a.status()).toMatchObject({ state: "up", childSas: [{ name: "net", state: "installed" }] });
  expect(b.status()).toMatchObject({ state: "up", childSas: [{ name: "net", state: "installed" }] });
  expect(disagreements(peers)).toEqual([]);
});
