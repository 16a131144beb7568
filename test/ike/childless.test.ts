import { expect, test } from "vitest";
import { child, disagreements, drawn, esp, twoPeers } from "../support/two-peers.ts";

const withPfs = [child({ proposals: esp("aes256gcm16-ecp256") })];

test("prefer: IKE_AUTH without a child, and the first child has a key exchange of its own", () => {
  const peers = twoPeers({ a: { childless: "prefer", children: withPfs }, b: { children: withPfs } });
  const { a, connect, link } = peers;
  connect();
  expect(drawn(link.sent)).toEqual([
    "a> IKE_SA_INIT request 0",
    "b> IKE_SA_INIT answer 0", //          N(CHILDLESS_IKEV2_SUPPORTED)
    "a> IKE_AUTH request 1", //            SK {IDi, IDr, AUTH}
    "b> IKE_AUTH answer 1", //             SK {IDr, AUTH}
    "a> CREATE_CHILD_SA request 2", //     SK {SA, Ni, KEi, TSi, TSr}
    "b> CREATE_CHILD_SA answer 2",
  ]);
  expect([...a.data.pairs.values()].map(({ proposal }) => proposal)).toEqual(["aes256gcm16-ecp256"]);
  expect(disagreements(peers)).toEqual([]);
});

test("a mismatch of perfect forward secrecy shows at once, not at the first rekey", () => {
  const { a, connect } = twoPeers({
    a: { childless: "prefer", children: withPfs },
    b: { children: [child({ proposals: esp("aes256gcm16-x25519") })] },
  });
  connect();
  expect(a.status().lastError).toMatch(/NO_PROPOSAL_CHOSEN.*offered aes256gcm16-ecp256/);
  expect(a.status()).toMatchObject({ state: "up", childSas: [] });
});

test.each(["allow", "prefer", "never"] as const)("%s meets a peer that never begins without a child", (childless) => {
  const peers = twoPeers({ a: { childless: "never" }, b: { childless } });
  peers.connect();
  expect(drawn(peers.link.sent)).toHaveLength(4);
  expect(disagreements(peers)).toEqual([]);
  expect(peers.a.data.pairs.size).toBe(1);
});

test("prefer begins with a child where the responder does not say that it goes without", () => {
  const peers = twoPeers({ a: { childless: "prefer" }, b: { childless: "never" } });
  peers.connect();
  expect(drawn(peers.link.sent)).toHaveLength(4);
  expect(peers.a.data.pairs.size).toBe(1);
});

test("a childless start brings all pairs of all children", () => {
  const children = [child({ sas: 3 }), child({ name: "voice" })];
  const peers = twoPeers({ a: { childless: "prefer", children }, b: { children } });
  peers.connect();
  expect(
    peers.b
      .status()
      .childSas.map(({ name, resource }) => `${name} ${resource}`)
      .sort(),
  ).toEqual(["net 0", "net 1", "net 2", "voice 0"]);
  expect(disagreements(peers)).toEqual([]);
});
