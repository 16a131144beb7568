import { describe, expect, test } from "vitest";
import { generateKeyPair, kexById } from "../../src/crypto/kex.ts";
import { doKeyWork } from "../../src/crypto/key-work.ts";
import { answerCreateChildSa } from "../../src/ike/create-child-sa-answer.ts";
import { kePayload, noncePayload } from "../../src/ike/payloads.ts";
import { offerEsp } from "../../src/ike/proposal.ts";
import { Turn } from "../../src/ike/turn.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import type { Datagram } from "../support/link.ts";
import { upWith } from "../support/one-ike-sa.ts";
import {
  A,
  child,
  connection,
  disagreements,
  drawn,
  esp,
  gaps,
  type Peer,
  selectors,
  twoPeers,
} from "../support/two-peers.ts";

const HOUR = 3_600_000;

const only = (peer: Peer) => {
  const [pair, ...more] = peer.data.pairs.values();
  if (pair === undefined || more.length > 0) throw new Error(`${peer.data.pairs.size} pairs, not one`);
  return pair;
};

const isChildRequest = (datagram: Datagram): boolean =>
  drawn([datagram])[0]?.includes("CREATE_CHILD_SA request") ?? false;

test("further children follow the first one, each with keys of its own", () => {
  const children = [
    child({ name: "one", local: selectors("10.1.0.0/16"), remote: selectors("10.1.0.0/16") }),
    child({ name: "two", local: selectors("10.2.0.0/16"), remote: selectors("10.2.0.0/16") }),
    child({ name: "three", proposals: esp("chacha20poly1305"), local: selectors("::/0"), remote: selectors("::/0") }),
  ];
  const peers = twoPeers({ a: { children }, b: { children } });
  peers.connect();
  expect(peers.a.status().childSas.map(({ name, suite }) => [name, suite])).toEqual([
    ["one", "aes256gcm16"],
    ["two", "aes256gcm16"],
    ["three", "chacha20poly1305"],
  ]);
  expect(disagreements(peers)).toEqual([]);
  expect(new Set([...peers.a.data.pairs.values()].map(({ keyIn }) => Buffer.from(keyIn).toString("hex"))).size).toBe(3);
});

describe.each(["a", "b"] as const)("a rekey of the child by %s", (who) => {
  test("makes the new pair, moves traffic, then deletes the old one, without a gap", () => {
    const peers = twoPeers();
    const { a, b, connect, link, run } = peers;
    connect();
    const before = only(a);
    link.sent.length = 0;
    peers[who].rekey("children");
    run(1_000, () => expect(gaps(peers)).toEqual([]));
    const other = who === "a" ? "b" : "a";
    const id = who === "a" ? 2 : 0;
    expect(drawn(link.sent)).toEqual([
      `${who}> CREATE_CHILD_SA request ${id}`,
      `${other}> CREATE_CHILD_SA answer ${id}`,
      `${who}> INFORMATIONAL request ${id + 1}`,
      `${other}> INFORMATIONAL answer ${id + 1}`,
    ]);
    const after = only(a);
    expect(after.spiIn).not.toBe(before.spiIn);
    expect(after.keyIn).not.toEqual(before.keyIn);
    expect(after.replaces).toBe(before.spiIn);
    expect(a.data.sending("net")?.spiIn).toBe(after.spiIn);
    expect(b.data.sending("net")?.spiIn).toBe(only(b).spiIn);
    expect(disagreements(peers)).toEqual([]);
  });

  test("comes by itself before the lifetime is over", () => {
    const lives = { children: [child({ lifetime: who === "a" ? HOUR : 2 * HOUR })] };
    const peers = twoPeers({ a: lives, b: { children: [child({ lifetime: who === "a" ? 2 * HOUR : HOUR })] } });
    const { a, connect, run } = peers;
    connect();
    const first = only(a).spiIn;
    run(0.9 * HOUR - 2_000);
    expect(only(a).spiIn).toBe(first);
    run(0.1 * HOUR + 2_000, () => expect(gaps(peers)).toEqual([]));
    expect(only(a).spiIn).not.toBe(first);
    expect(disagreements(peers)).toEqual([]);
  });
});

test("the responder of a rekey sends on the old pair until the peer sends on the new one", () => {
  const { a, b, connect, link, run, until } = twoPeers();
  connect();
  const old = only(b).spiIn;
  link.meddler = (datagram) => (drawn([datagram])[0]?.startsWith("a> INFORMATIONAL") ? [] : [datagram]); // no Delete
  a.rekey("children");
  until(() => b.data.pairs.size === 2 && a.data.pairs.size === 2);
  expect(b.data.sendingOn.get("net")).toBe(old);
  const fresh = [...b.data.pairs.keys()].find((spi) => spi !== old) ?? 0;
  b.peerUsed(fresh);
  expect(b.data.sendingOn.get("net")).toBe(fresh);
  b.peerUsed(fresh); // once is enough
  link.meddler = (datagram) => [datagram];
  run(30_000);
  expect([a.data.pairs.size, b.data.pairs.size]).toEqual([1, 1]);
});

test("a peer that does not delete the old pair is helped after 120 s", () => {
  const { a, b, connect, link, run, until } = twoPeers();
  connect();
  const old = only(b).spiIn;
  a.rekey("children");
  until(() => b.data.pairs.size === 2);
  link.meddler = () => []; // a's Delete never comes
  run(119_000);
  expect(b.data.sendingOn.get("net")).toBe(old);
  run(2_000);
  expect(b.data.sending("net")?.replaces).toBe(old);
  expect(drawn(link.sent).filter((line) => line.startsWith("b> INFORMATIONAL request"))).not.toEqual([]);
});

test("a key exchange of its own gives each new pair perfect forward secrecy", () => {
  const children = [child({ proposals: esp("aes256gcm16-ecp256") })];
  const peers = twoPeers({ a: { children }, b: { children } });
  const { a, connect, run } = peers;
  connect();
  expect(only(a).proposal).toBe("aes256gcm16");
  a.rekey("children");
  run(1_000);
  expect(only(a).proposal).toBe("aes256gcm16-ecp256");
  expect(disagreements(peers)).toEqual([]);
});

test("INVALID_KE_PAYLOAD makes the child be asked for again with the other group", () => {
  const peers = twoPeers({
    a: { children: [child({ proposals: esp("aes256gcm16-x25519-ecp256") })] },
    b: { children: [child({ proposals: esp("aes256gcm16-ecp256") })] },
  });
  const { a, connect, link, run } = peers;
  connect();
  link.sent.length = 0;
  a.rekey("children");
  run(1_000);
  expect(link.sent.filter(isChildRequest)).toHaveLength(2);
  expect(only(a).proposal).toBe("aes256gcm16-ecp256");
  expect(disagreements(peers)).toEqual([]);
});

test("a peer without the key exchange of ours fails the first rekey, aloud, and the pair lives on to its end", () => {
  const peers = twoPeers({
    a: { children: [child({ proposals: esp("aes256gcm16-ecp256") })] },
    b: { children: [child({ proposals: esp("aes256gcm16"), lifetime: 10 * HOUR })] },
  });
  const { a, b, connect, run } = peers;
  connect();
  const first = only(a).spiIn;
  a.rekey("children");
  run(1_000);
  expect(a.log("child-sa-failed")?.message).toMatch(/NO_PROPOSAL_CHOSEN.*offered aes256gcm16-ecp256/);
  expect(b.log("child-sa-refused")?.message).toMatch(/offered aes256gcm16-ecp256.*expected net: aes256gcm16/);
  expect(only(a).spiIn).toBe(first);
  expect(a.status().lastError).toContain("NO_PROPOSAL_CHOSEN");
  run(1.1 * HOUR);
  expect(a.events()).toContain("child-sa-expired");
  expect([a.data.pairs.size, b.data.pairs.size]).toEqual([0, 0]);
  expect(disagreements(peers)).toEqual([]);
});

test.each(Array.from({ length: 10 }, (_, seed) => [seed]))(
  "both rekey the same child at once: the pair with the lowest nonce goes (seed %i)",
  (seed) => {
    const peers = twoPeers({ seed });
    const { a, b, connect, run } = peers;
    connect();
    a.rekey("children"); // CREATE_CHILD_SA { N(REKEY_SA), SA, Ni, TSi, TSr } -->
    b.rekey("children"); // <-- CREATE_CHILD_SA { N(REKEY_SA), SA, Ni, TSi, TSr }
    run(1_000, () => expect(gaps(peers)).toEqual([]));
    expect(disagreements(peers)).toEqual([]);
    expect(only(a).replaces).toBeDefined();
    expect([a, b].flatMap((peer) => peer.events()).filter((event) => event === "rekey-collision")).toHaveLength(2);
    expect([a, b].flatMap((peer) => peer.events()).filter((event) => event === "rekey-collision-lost")).toHaveLength(1);
    expect(a.data.sending("net")?.spiOut).toBe(b.data.sending("net")?.spiIn);
  },
);

test("a rekey that is noticed by one side alone is settled by TEMPORARY_FAILURE", () => {
  const peers = twoPeers();
  const { a, b, connect, link, run } = peers;
  connect();
  let held: Datagram | undefined;
  link.meddler = (datagram) => {
    if (held !== undefined || datagram.from.address !== A || !isChildRequest(datagram)) return [datagram];
    held = datagram;
    return [];
  };
  a.rekey("children"); // lost at first
  b.rekey("children"); // b is done with its own when a's comes
  run(25); // b has its answer and has sent its Delete
  if (held !== undefined) link.inject(held);
  run(5_000, () => expect(gaps(peers)).toEqual([]));
  expect(b.log("request-refused")?.message).toContain("TEMPORARY_FAILURE");
  expect(only(a).spiOut).toBe(only(b).spiIn);
  expect(disagreements(peers)).toEqual([]);
});

/** Neither end has room to rekey its child, so it dies at the same moment at both: 110 s after it began. */
const dying = () => {
  const lives = (lifetime: number) => ({ children: [child({ lifetime })] });
  const peers = twoPeers({ a: lives(100_000), b: lives(100_030) }); // b has it a little longer
  peers.link.weather = { loss: 0, duplication: 0, delay: 50, spread: 0 };
  peers.connect();
  peers.a.data.capacity = 1;
  peers.b.data.capacity = 1;
  return peers;
};

test("both delete the same child at once: each answers without the other half", () => {
  const peers = dying();
  const { a, b, run } = peers;
  run(120_000);
  const [atA = 0, atB = 1_000] = [a, b].map((peer) => peer.log("child-sa-expired")?.at);
  expect(Math.abs(atA - atB)).toBeLessThan(50); // they crossed
  expect(disagreements(peers)).toEqual([]);
  expect(a.status().state).toBe("up");
});

test("one rekeys what the other deletes: TEMPORARY_FAILURE, and the child is made anew", () => {
  const peers = dying();
  const { a, b, until, run } = peers;
  until(() => b.events().includes("child-sa-expired"), 120_000);
  b.data.capacity = 10;
  a.data.capacity = 10;
  a.rekey("children"); // crosses b's Delete
  run(60_000);
  expect(b.log("request-refused")?.message).toContain("TEMPORARY_FAILURE");
  expect(disagreements(peers)).toEqual([]);
  expect([a.data.pairs.size, b.data.pairs.size]).toEqual([1, 1]);
});

//   CREATE_CHILD_SA {SA, Ni, KEi, TSi, TSr} -->
//                                           <-- N(NO_ADDITIONAL_SAS)
test("what a key exchange has come to is wiped when there is no room for the Child SA that it was for", () => {
  const method = kexById(31)!;
  const peer = generateKeyPair(method).publicValue;
  const proposals = esp("aes256gcm16-x25519");
  const { core, sa } = upWith(connection("a", { children: [child({ proposals })] }), "no", 0x1000);
  Object.assign(core.env, { reserveSpi: () => 0 });
  const turn = new Turn(core, 1_000);
  const work = { what: "answer", method: method.id, peer } as const;
  const result = doKeyWork(work);
  turn.exchanged = { work, result };
  expect(result.shared?.some((octet) => octet !== 0)).toBe(true);
  const value = { selectors: anySelectors };
  const ask = () =>
    answerCreateChildSa(turn, sa, [
      { kind: "SA", value: offerEsp(proposals, 0x2000, { withKe: true }) },
      noncePayload(new Uint8Array(32)),
      kePayload(method.id, peer),
      { kind: "TSi", value },
      { kind: "TSr", value },
    ]);
  expect(ask).toThrow("NO_ADDITIONAL_SAS");
  expect(result.shared).toEqual(new Uint8Array(32));
});
