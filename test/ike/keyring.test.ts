/** Keys by peer, alone and in IKE_AUTH. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseIdentity } from "../../src/ike/identity.ts";
import { Keyring, MOST_ENTRIES } from "../../src/ike/keyring.ts";
import { closenessOf, isExpected, parsePeerId } from "../../src/ike/peer-id.ts";
import { connection, disagreements, identity, key, twoPeers } from "../support/two-peers.ts";

const peerId = (text: string) => {
  const parsed = parsePeerId(text);
  if (parsed === undefined) throw new Error(`no pattern: ${text}`);
  return parsed;
};

const entry = (id: string, local = `key of ${id}`, remote = local) => ({
  id: peerId(id),
  psk: { local: key(local), remote: key(remote) },
});

const found = (ring: Keyring, id: string | undefined, address = "203.0.113.1"): string | undefined => {
  const psk = ring.find(id === undefined ? undefined : parseIdentity(id), address);
  return psk && Buffer.from(psk.local).toString();
};

const RING = new Keyring(
  ["%any", "*.example", "*.b.example", "gw.b.example", "*@b.example", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"].map(
    (id) => entry(id),
  ),
);

test.each([
  ["gw.b.example", "gw.b.example"],
  ["GW.B.Example", "gw.b.example"],
  ["x.b.example", "*.b.example"],
  ["x.c.example", "*.example"],
  ["user@b.example", "*@b.example"],
  ["10.1.2.3", "10.1.2.3"],
  ["10.1.2.4", "10.1.0.0/16"],
  ["10.2.0.0", "10.0.0.0/8"],
  ["keyid:00", "%any"],
])("%s has the key of %s", (id, of) => {
  expect(found(RING, id)).toBe(`key of ${of}`);
});

test("a peer whose identity is not known, or has no key, is found by its address", () => {
  expect(found(RING, undefined, "10.1.2.3")).toBe("key of 10.1.2.3");
  const ring = new Keyring([entry("10.0.0.0/8"), entry("other.example")]);
  expect(found(ring, "gw.example", "10.9.9.9")).toBe("key of 10.0.0.0/8");
  expect(found(ring, "gw.example", "192.0.2.1")).toBeUndefined();
});

test.each([
  // entries, identity, address, whose key
  [["%any", "192.0.2.9"], "gw.example", "192.0.2.9", "192.0.2.9"],
  [["%any", "192.0.2.0/24"], "gw.example", "192.0.2.9", "192.0.2.0/24"],
  [["*.example", "192.0.2.9"], "gw.example", "192.0.2.9", "192.0.2.9"],
  [["*.example", "192.0.2.0/24"], "gw.example", "192.0.2.9", "*.example"],
  [["gw.example", "192.0.2.9"], "gw.example", "192.0.2.9", "gw.example"],
  [["gw.example", "192.0.2.9"], "other.example", "192.0.2.9", "192.0.2.9"],
  [["%any", "192.0.2.9"], "gw.example", "192.0.2.10", "%any"],
  [["%any", "192.0.2.9"], undefined, "192.0.2.10", "%any"],
])(
  "scenarios K2 and K3: of %s, for %s at %s, the key of %s: most closely told, the identity before the address",
  (...row) => {
    const [entries, id, address, of] = row;
    for (const order of [entries, [...entries].reverse()])
      expect(found(new Keyring(order.map((text) => entry(text))), id, address)).toBe(`key of ${of}`);
  },
);

test("a thousand entries are taken, no more, and the first of two for one identity counts", () => {
  const many = Array.from({ length: MOST_ENTRIES }, (_, n) => entry(`gw${n}.example`));
  const ring = new Keyring(many);
  expect(found(ring, "gw999.example")).toBe("key of gw999.example");
  expect(() => new Keyring([...many, entry("more.example")])).toThrow(RangeError);
  expect(found(new Keyring([entry("a.example", "one"), entry("A.example", "two")]), "a.example")).toBe("one");
});

test("it finds what a slow search of all entries finds", () => {
  const label = fc.constantFrom("a", "b", "c");
  const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => `${labels.join(".")}.example`);
  const pattern = fc.oneof(
    name,
    name.map((text) => `*.${text}`),
    fc.constant("%any"),
  );
  fc.assert(
    fc.property(fc.uniqueArray(pattern, { maxLength: 12 }), name, (patterns, who) => {
      const ring = new Keyring(patterns.map((text) => entry(text)));
      const best = patterns
        .filter((text) => isExpected(peerId(text), identity(who)))
        .sort((x, y) => closenessOf(peerId(y)) - closenessOf(peerId(x)))[0];
      expect(found(ring, who)).toBe(best === undefined ? undefined : `key of ${best}`);
    }),
  );
});

describe("in IKE_AUTH", () => {
  const fromRing = (entries: ReturnType<typeof entry>[]) => ({ psk: undefined, keyring: new Keyring(entries) });

  test("each end finds the other's keys by its identity, one for each direction", () => {
    const peers = twoPeers({
      a: fromRing([entry("b.example", "from a", "from b"), entry("%any", "wrong")]),
      b: fromRing([entry("%any", "wrong"), entry("a.example", "from b", "from a")]),
    });
    peers.connect();
    expect(disagreements(peers)).toEqual([]);
  });

  test("a peer that is any of many is known by its pattern, and its key by the ring", () => {
    const remote = { address: undefined, port: 500, id: peerId("*.example") };
    const peers = twoPeers({
      a: { psk: { local: key("of a"), remote: key("of a") } },
      b: { remote, ...fromRing([entry("c.example", "of c"), entry("a.example", "of a")]) },
    });
    peers.connect();
    expect(disagreements(peers)).toEqual([]);
  });

  test("an identity outside of the pattern is refused", () => {
    const { a, b, run } = twoPeers({ b: { remote: { address: undefined, port: 500, id: peerId("*.elsewhere") } } });
    a.initiate();
    run(1_000);
    expect([a.status().state, b.status().state]).toEqual(["down", "down"]);
    expect(b.log("ike-auth-rejected")?.message).toMatch(
      /no connection for this identity.*expected tunnel: \*\.elsewhere/,
    );
  });

  test("who has no key is refused; where we have none for the peer not a packet leaves", () => {
    const refused = twoPeers({ b: fromRing([entry("other.example")]) });
    refused.a.initiate();
    refused.run(1_000);
    expect(refused.b.log("ike-auth-rejected")?.message).toContain("no key for this identity");
    expect(refused.a.status().state).toBe("down");

    const { a, link, run } = twoPeers({ a: fromRing([entry("other.example")]) });
    a.initiate();
    run(1_000);
    expect(link.sent).toEqual([]);
    expect(a.status()).toMatchObject({ state: "down", lastError: "the keyring has no key for b.example at 192.0.2.2" });
  });

  test("one that has an entry of its own is not let in with the key of a group", () => {
    const anywhere = { address: undefined, port: 500 };
    const own = connection("b", { name: "own", remote: { ...anywhere, id: identity("a.example") } });
    const group = connection("b", {
      name: "group",
      remote: { ...anywhere, id: peerId("*.example") },
      psk: { local: key("group"), remote: key("group") },
    });
    const { a, b, run } = twoPeers({
      a: { psk: { local: key("group"), remote: key("group") } },
      connectionsB: [group, own],
    });
    a.initiate();
    run(1_000);
    expect(a.status().state).toBe("down");
    expect(b.log("ike-auth-rejected")?.message).toContain("the peer's proof is wrong");
  });

  test("of two connections that would take a peer, the closer one does", () => {
    const anywhere = { address: undefined, port: 500 };
    const peers = twoPeers({
      connectionsB: [
        connection("b", { name: "wide", remote: { ...anywhere, id: peerId("%any") } }),
        connection("b", { name: "narrow", remote: { ...anywhere, id: peerId("*.example") } }),
      ],
    });
    peers.a.initiate();
    peers.run(1_000);
    expect([peers.b.status("wide").state, peers.b.status("narrow").state]).toEqual(["down", "up"]);
  });
});
