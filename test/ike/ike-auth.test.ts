import { expect, test } from "vitest";
import { parseEspProposal } from "../../src/ike/proposal.ts";
import { formatSelector } from "../../src/ipsec/selector.ts";
import {
  A,
  B,
  child,
  connection,
  disagreements,
  drawn,
  esp,
  identity,
  ike,
  key,
  type Setup,
  selectors,
  type TwoPeers,
  twoPeers,
} from "../support/two-peers.ts";

const nothingLeft = ({ a, b }: TwoPeers): void => {
  for (const peer of [a, b]) {
    expect(peer.manager.held.all).toBe(0);
    expect([peer.data.pairs.size, peer.data.reserved.size]).toEqual([0, 0]);
    expect(peer.status()).toMatchObject({ state: "down", childSas: [] });
  }
};

test("the pre-shared keys of the two directions may differ", () => {
  const { connect } = twoPeers({
    a: { psk: { local: key("from a"), remote: key("from b") } },
    b: { psk: { local: key("from b"), remote: key("from a") } },
  });
  connect();
});

test.each<[string, Setup, "a" | "b", RegExp]>([
  [
    "another key at the initiator",
    { a: { psk: { local: key("x"), remote: key("secret") } } },
    "b",
    /proof is wrong.*a\.example/,
  ],
  [
    "another key at the responder",
    { b: { psk: { local: key("x"), remote: key("secret") } } },
    "a",
    /proof is wrong.*b\.example/,
  ],
  [
    "an identity of the initiator that the responder does not know",
    { a: { local: { address: A, id: identity("mallory.example") } } },
    "b",
    /no connection for this identity.*says it is mallory\.example.*expected tunnel: a\.example/,
  ],
  [
    "an identity of the responder that the initiator does not expect",
    // The responder has no hint which identity is wanted, so it answers with its own.
    { a: { remote: { address: B, port: 500, id: undefined } } },
    "a",
    /another identity.*says it is b\.example; expected 192\.0\.2\.2/,
  ],
  [
    "a responder that is wanted under another identity",
    { a: { remote: { address: B, port: 500, id: identity("c.example") } } },
    "b",
    /wants c\.example; expected tunnel: a\.example to b\.example/,
  ],
])("%s ends in AUTHENTICATION_FAILED, a log line, and no half state", (_what, setup, who, reason) => {
  const peers = twoPeers(setup);
  peers.a.initiate();
  peers.run(1_000);
  const event = who === "a" ? "ike-auth-failed" : "ike-auth-rejected";
  expect(peers[who].log(event)?.message).toMatch(/AUTHENTICATION_FAILED/);
  expect(peers[who].log(event)?.message).toMatch(reason);
  expect(peers.a.status().lastError).toContain("AUTHENTICATION_FAILED");
  expect(peers.b.log(who === "a" ? "peer-error" : "ike-auth-rejected")?.message).toContain("AUTHENTICATION_FAILED");
  nothingLeft(peers);
});

test("a failed IKE_AUTH whose answer was lost is answered again", () => {
  const peers = twoPeers({ a: { psk: { local: key("x"), remote: key("secret") } } });
  const { a, link, run } = peers;
  let lost = false;
  link.meddler = (datagram) => {
    if (lost || drawn([datagram])[0] !== "b> IKE_AUTH answer 1") return [datagram];
    lost = true;
    return [];
  };
  a.initiate();
  run(2_000);
  expect(a.status().lastError).toContain("AUTHENTICATION_FAILED");
  nothingLeft(peers);
});

test("a connection that is to be initiated goes on trying after AUTHENTICATION_FAILED", () => {
  const { a, run } = twoPeers({ a: { start: "initiate", psk: { local: key("x"), remote: key("secret") } } });
  a.start();
  run(30_000);
  expect(a.logs.filter(({ event }) => event === "ike-auth-failed").length).toBeGreaterThan(3);
  expect(a.status()).toMatchObject({
    state: "connecting",
    lastError: expect.stringContaining("AUTHENTICATION_FAILED"),
  });
});

test("the responder finds connection and key by the identity of the initiator", () => {
  const from = (name: string, id: string, psk: string) =>
    connection("b", {
      name,
      remote: { address: undefined, port: 500, id: identity(id) },
      psk: { local: key(psk), remote: key(psk) },
    });
  const { a, b, run } = twoPeers({
    a: { psk: { local: key("two"), remote: key("two") } },
    connectionsB: [from("first", "z.example", "one"), from("second", "a.example", "two")],
  });
  a.initiate();
  run(1_000);
  expect(b.status("second").state).toBe("up");
  expect(b.status("first").state).toBe("down");
});

test("the identity the initiator asks for chooses between two of ours", () => {
  const as = (name: string, id: string) => connection("b", { name, local: { address: B, id: identity(id) } });
  const { a, b, run } = twoPeers({ connectionsB: [as("first", "other.example"), as("second", "b.example")] });
  a.initiate();
  run(1_000);
  expect([b.status("first").state, b.status("second").state]).toEqual(["down", "up"]);
});

test("an IKE suite of another connection of the same address is refused once the identity is known", () => {
  const remote = (id: string) => ({ address: undefined, port: 500, id: identity(id) });
  const peers = twoPeers({
    a: { proposals: ike("aes128-sha1-prfsha1-x25519") },
    connectionsB: [
      connection("b", { name: "lax", remote: remote("z.example"), proposals: ike("aes128-sha1-prfsha1-x25519") }),
      connection("b", { name: "strict", remote: remote("a.example"), proposals: ike("aes256gcm16-prfsha256-x25519") }),
    ],
  });
  peers.a.initiate();
  peers.run(1_000);
  expect(peers.b.log("ike-auth-rejected")?.message).toMatch(/NO_PROPOSAL_CHOSEN.*expected strict: aes256gcm16/);
  expect(peers.b.manager.held.all).toBe(0);
});

test.each<[string, Setup, RegExp]>([
  [
    "no ESP proposal in common",
    { a: { children: [child({ proposals: esp("aes128-sha256") })] } },
    /NO_PROPOSAL_CHOSEN.*offered aes128-sha256.*expected net: aes256gcm16/,
  ],
  [
    "no traffic selector in common",
    {
      a: { children: [child({ local: selectors("10.9.0.0/16") })] },
      b: { children: [child({ remote: selectors("10.1.0.0/16") })] },
    },
    /TS_UNACCEPTABLE.*offered 10\.9\.0\.0\/16 === .*expected net: 10\.1\.0\.0\/16/,
  ],
])("%s leaves the IKE SA up, says why, and the child is asked for again", (_what, setup, reason) => {
  const peers = twoPeers({ ...setup, a: { ...setup.a, start: "initiate" } });
  const { a, b, link, run } = peers;
  a.start();
  run(100);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect([a.status().childSas, b.status().childSas]).toEqual([[], []]);
  expect(b.log("child-sa-refused")?.message).toMatch(reason);
  expect(a.log("child-sa-failed")?.message).toMatch(reason.source.startsWith("NO") ? /NO_PROPOSAL_CHOSEN/ : /TS_UNACC/);
  expect(a.status().lastError).toContain("child net");
  expect([a.data.reserved.size, b.data.reserved.size]).toEqual([0, 0]);
  run(300_000);
  const asked = link.sent.filter((datagram) => drawn([datagram])[0]?.startsWith("a> CREATE_CHILD_SA request")).length;
  expect(asked).toBeGreaterThan(5);
  expect(asked).toBeLessThan(20);
  expect(a.manager.held.all).toBe(1);
});

test("of more selectors than a Child SA can have the responder takes the first ones, and both ends know", () => {
  const many = Array.from({ length: 40 }, (_, n) => `10.1.${n}.0/24`);
  const { a, b, run } = twoPeers({ a: { children: [child({ local: selectors(...many) })] } });
  a.initiate();
  run(1_000);
  expect(a.status().childSas[0]?.local).toEqual(many.slice(0, 32));
  expect(b.status().childSas[0]?.remote).toEqual(many.slice(0, 32));
});

test("the responder narrows, and both ends have the same selectors", () => {
  const { a, b, connect } = twoPeers({
    a: { children: [child({ local: selectors("10.1.0.0/16", "10.3.0.0/16"), remote: selectors("0.0.0.0/0") })] },
    b: { children: [child({ local: selectors("10.2.0.0/16[tcp]"), remote: selectors("10.1.4.0/24") })] },
  });
  connect();
  const [ofA] = a.data.pairs.values();
  const [ofB] = b.data.pairs.values();
  expect(ofA?.local.map(formatSelector)).toEqual(["10.1.4.0/24"]);
  expect(ofA?.remote.map(formatSelector)).toEqual(["10.2.0.0/16[tcp]"]);
  expect(ofB?.remote.map(formatSelector)).toEqual(["10.1.4.0/24"]);
  expect(ofB?.local.map(formatSelector)).toEqual(["10.2.0.0/16[tcp]"]);
});

test.each([
  ["yes", "yes", true],
  ["yes", "no", undefined],
  ["yes", "either", true],
  ["no", "yes", undefined],
  ["no", "no", false],
  ["no", "either", false],
  ["either", "yes", true],
  ["either", "no", false],
  ["either", "either", true],
] as const)("extended sequence numbers: %s meets %s", (ofA, ofB, agreed) => {
  const proposals = (esn: "yes" | "no" | "either") => [parseEspProposal("aes256gcm16", esn)];
  const { a, run } = twoPeers({
    a: { children: [child({ proposals: proposals(ofA) })] },
    b: { children: [child({ proposals: proposals(ofB) })] },
  });
  a.initiate();
  run(1_000);
  expect(a.status().childSas[0]?.esn).toBe(agreed);
});

test("no room for a child at the responder: NO_ADDITIONAL_SAS, the IKE SA stays", () => {
  const { a, b, run } = twoPeers();
  b.data.capacity = 0;
  a.initiate();
  run(1_000);
  expect(a.log("child-sa-failed")?.message).toContain("NO_ADDITIONAL_SAS");
  expect([a.status().state, a.data.reserved.size]).toEqual(["up", 0]);
  b.data.capacity = 10;
  run(60_000);
  expect(a.status().childSas).toHaveLength(1);
});

test("no room for a child at the initiator: nothing comes up, and it says so", () => {
  const { a, b, run } = twoPeers();
  a.data.capacity = 0;
  a.initiate();
  run(70_000);
  expect(a.status()).toMatchObject({ state: "down", lastError: expect.stringContaining("no room") });
  expect([a.manager.held.all, b.manager.held.all]).toEqual([0, 0]);
});

test("INITIAL_CONTACT of a peer that lost its memory ends what is left of before", () => {
  const peers = twoPeers();
  const { a, b, connect, run } = peers;
  connect();
  const [old] = b.data.pairs.keys();
  a.crash();
  run(5_000);
  a.initiate();
  run(1_000);
  expect([...b.data.pairs.keys()]).not.toContain(old);
  expect(b.data.pairs.size).toBe(1);
  expect(disagreements(peers)).toEqual([]);
  run(120_000);
  expect(b.manager.held.all).toBe(1);
  expect(b.status().state).toBe("up");
});

test("INITIAL_CONTACT of somebody without the key ends nothing", () => {
  const peers = twoPeers();
  const { a, b, connect, run } = peers;
  connect();
  const before = [...b.data.pairs.keys()];
  const impostor = twoPeers({ seed: 9, a: { psk: { local: key("guess"), remote: key("guess") } } });
  // The impostor's messages reach b from a's address, and b's answers reach it.
  impostor.link.meddler = (datagram) => {
    peers.link.sent.length = 0;
    peers.link.inject(datagram);
    for (const answer of peers.link.sent.splice(0)) impostor.link.inject(answer);
    return [];
  };
  peers.link.meddler = () => [];
  impostor.a.initiate();
  impostor.run(1_000);
  expect(impostor.a.status().lastError).toContain("AUTHENTICATION_FAILED");
  expect([...b.data.pairs.keys()]).toEqual(before);
  peers.link.meddler = (datagram) => [datagram];
  run(1_000);
  expect([a.status().state, b.status().state, b.manager.held.all]).toEqual(["up", "up", 1]);
});

test.each(Array.from({ length: 12 }, (_, seed) => [seed]))(
  "both initiate at once: one IKE SA is left (seed %i)",
  (seed) => {
    const peers = twoPeers({ seed, a: { start: "initiate" }, b: { start: "initiate" } });
    const { a, b, link, run } = peers;
    link.weather = { loss: 0, duplication: 0, delay: 10, spread: 200 };
    a.start();
    b.start();
    run(10_000);
    expect([a.manager.held.all, b.manager.held.all]).toEqual([1, 1]);
    expect([a.data.pairs.size, b.data.pairs.size]).toEqual([1, 1]);
    expect(disagreements(peers)).toEqual([]);
    expect(a.status().ikeSa?.spiI).toBe(b.status().ikeSa?.spiI);
  },
);
