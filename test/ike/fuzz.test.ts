/**
 * Grammar-based fuzzing, by seed: `npm run fuzz` in the long run, `FUZZ_SEED=183` one life alone.
 *
 * Whole messages under the right keys: a peer that has proven itself (or is about to) sends what is nearly a proper message
 * of each exchange, with payloads taken away, doubled, moved, replaced by any other, or their octets changed; it answers the
 * gateway's requests in the same way. Nothing throws, its own IKE SA is all that it can spoil, and nothing is left of it.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Writer } from "../../src/bytes.ts";
import { IkeError } from "../../src/ike/ike-error.ts";
import { Exchange, type Payload } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import {
  chainSize,
  emitChain,
  firstType,
  PAYLOAD_KINDS,
  type PayloadKind,
  payloadType,
} from "../../src/ike/payload/index.ts";
import { kePayload, noncePayload, notifyAboutSpi, notifyPayload } from "../../src/ike/payloads.ts";
import { offerIke, Protocol, spiBytes } from "../../src/ike/proposal.ts";
import { parseInner } from "../../src/ike/sk.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { Puppet, type Said } from "../support/puppet.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import {
  child,
  connection,
  disagreements,
  gaps,
  identity,
  ike,
  type TwoPeers,
  twoPeers,
} from "../support/two-peers.ts";
import { payloadOf } from "./payload/payloads.arbitrary.ts";

const { FUZZ_SEED: ONLY, FUZZ_LIVES: LIVES = "80", FUZZ_FROM: FROM = "0" } = process.env;
const seeds = ONLY === undefined ? Array.from({ length: Number(LIVES) }, (_, n) => Number(FROM) + n) : [Number(ONLY)];

/** One to three changes of octets: a bit, an octet, a run, a cut, an insertion, a number that borders on something. */
const mutated = (original: Uint8Array, random: SeededRandom): Uint8Array => {
  let bytes = original.slice();
  for (let changes = 1 + random.integer(3); changes > 0 && bytes.length > 0; changes--) {
    const at = random.integer(bytes.length);
    const how = random.integer(6);
    if (how === 0) bytes[at]! ^= 1 << random.integer(8);
    else if (how === 1) bytes[at] = random.integer(256);
    else if (how === 2) bytes.fill(random.integer(256), at, at + random.integer(16));
    else if (how === 3) bytes = bytes.slice(0, at);
    else if (how === 4) bytes = Uint8Array.from([...bytes.subarray(0, at), ...random.bytes(2), ...bytes.subarray(at)]);
    else bytes[at] = random.pick([0, 1, 3, 4, 7, 8, 0x7f, 0x80, 0xff]);
  }
  return bytes;
};

/** Any payload of this kind that can be written. */
const anyPayload = (kind: PayloadKind, random: SeededRandom): Payload =>
  fc.sample(payloadOf(kind), { seed: random.integer(2 ** 31), numRuns: 1 })[0]!;

const written = (payloads: readonly Payload[]): Uint8Array => {
  const text = new Writer(chainSize(payloads));
  emitChain(payloads, text);
  return text.finish();
};

describe("every payload parser", () => {
  test.each(PAYLOAD_KINDS)("takes any octets as %s: it reads them, or says with an IkeError that it cannot", (kind) => {
    const random = new SeededRandom(Number(ONLY ?? FROM) + payloadType(kind));
    const seen = { read: 0, refused: 0 };
    for (let round = 0; round < seeds.length * 4; round++) {
      const text = mutated(written([anyPayload(kind, random)]), random);
      try {
        const payloads = parseInner(payloadType(kind), text);
        seen.read++;
        expect(parseInner(firstType(payloads), written(payloads))).toEqual(payloads); // what was read can be written
      } catch (error) {
        if (!(error instanceof IkeError)) throw error;
        seen.refused++;
      }
    }
    expect(seen.read + seen.refused).toBe(seeds.length * 4);
  });
});

/** Transform ID of the key exchange that all of them have, RFC 8031; some gateways compute it elsewhere meanwhile. */
const X25519 = 31;

interface World extends TwoPeers {
  puppet: Puppet;
  readonly fuzz: SeededRandom;
}

const world = (seed: number): World => {
  const fuzz = new SeededRandom(seed);
  const remote = { address: undefined, port: 500, id: identity("puppet.example") };
  const children = [child({ sas: fuzz.pick([1, 1, 3]) }), child({ name: "voice" })];
  const ofPuppet = connection("b", {
    name: "puppet",
    remote,
    children,
    childless: fuzz.pick(["allow", "prefer", "never"]),
    duplicates: fuzz.pick(["contact", "replace", "keep", "never"]),
    liveness: { interval: 20_000 },
  });
  const optionsB = fuzz.chance(0.3) ? { slowKeyExchanges: new Set([X25519]) } : {};
  const peers = twoPeers({ seed, optionsB, connectionsB: [connection("b"), ofPuppet] });
  peers.connect();
  peers.b.keyWorkTime = () => fuzz.pick([5, 5, 1_500]);
  return { ...peers, puppet: new Puppet(peers.link, peers.random), fuzz };
};

const nonce = (fuzz: SeededRandom): Payload => noncePayload(fuzz.bytes(fuzz.pick([16, 32, 32, 32, 256])));

const selectors = (kind: "TSi" | "TSr"): Payload => ({ kind, value: { selectors: anySelectors } });

const childPayloads = ({ puppet, fuzz }: World): Payload[] => [
  { kind: "SA", value: puppet.espOffer() },
  nonce(fuzz),
  selectors("TSi"),
  selectors("TSr"),
];

/** SPIs of the pairs that the gateway has with the puppet, as the puppet names them, and now and then one that is none. */
const someSpi = ({ b, fuzz }: World): Uint8Array => {
  const ours = [...b.data.pairs.values()].filter((pair) => pair.connection === "puppet");
  const outbound = ours.map(({ spiOut }) => spiBytes(spiOut));
  return fuzz.chance(0.2) || outbound.length === 0 ? fuzz.bytes(4) : fuzz.pick(outbound);
};

const someNotify = (fuzz: SeededRandom): Payload => {
  const type = fuzz.chance(0.9) ? fuzz.pick(Object.values(Notify)) : fuzz.integer(0x10000);
  return notifyPayload(type, fuzz.bytes(fuzz.pick([0, 0, 1, 2, 4, 8, 20])));
};

/** What a proper peer could say, by exchange. */
const SENTENCES: readonly ((at: World) => { exchange: number; payloads: Payload[] })[] = [
  (at) => ({ exchange: Exchange.CREATE_CHILD_SA, payloads: childPayloads(at) }),
  (at) => ({
    exchange: Exchange.CREATE_CHILD_SA,
    payloads: [notifyAboutSpi(Notify.REKEY_SA, Protocol.ESP, someSpi(at)), ...childPayloads(at)],
  }),
  (at) => ({
    exchange: Exchange.CREATE_CHILD_SA,
    payloads: [notifyPayload(Notify.SA_RESOURCE_INFO, at.fuzz.bytes(4)), ...childPayloads(at)],
  }),
  ({ fuzz }) => ({
    exchange: Exchange.CREATE_CHILD_SA,
    payloads: [
      { kind: "SA", value: offerIke(ike("aes256gcm16-prfsha256-x25519"), fuzz.bytes(8)) },
      nonce(fuzz),
      kePayload(31, fuzz.bytes(32)),
    ],
  }),
  () => ({ exchange: Exchange.INFORMATIONAL, payloads: [] }),
  ({ fuzz }) => ({ exchange: Exchange.INFORMATIONAL, payloads: [someNotify(fuzz)] }),
  (at) => ({
    exchange: Exchange.INFORMATIONAL,
    payloads: [{ kind: "Delete", value: { protocol: Protocol.ESP, spis: [someSpi(at), someSpi(at)] } }],
  }),
];

/** Nearly the same: none to three of its payloads are not as they should be. */
const garbled = (payloads: readonly Payload[], fuzz: SeededRandom): Payload[] => {
  const changed = [...payloads];
  for (let changes = fuzz.pick([0, 0, 1, 2, 3]); changes > 0; changes--) {
    const at = fuzz.integer(changed.length + 1);
    const how = fuzz.integer(5);
    if (how === 0) changed.splice(at, 1);
    else if (how === 1) changed.splice(at, 0, ...changed.slice(at, at + 1));
    else if (how === 2) changed.push(...changed.splice(at, 1));
    else if (how === 3) changed.splice(at, fuzz.integer(2), anyPayload(fuzz.pick(PAYLOAD_KINDS), fuzz));
    else changed.splice(at, 0, someNotify(fuzz));
  }
  return changed;
};

/** Sends it, mostly with the message ID that is due; a quarter with octets changed after they were written. */
const say = ({ puppet, fuzz }: World, exchange: number, payloads: readonly Payload[]): readonly Said[] => {
  const which = fuzz.chance(0.95) ? fuzz.pick([exchange, exchange, exchange, exchange, fuzz.integer(256)]) : exchange;
  const messageId = fuzz.chance(0.95) ? puppet.nextId++ : puppet.nextId + fuzz.integer(4) - 2;
  const spoken = garbled(payloads, fuzz);
  if (fuzz.chance(0.75)) return puppet.ask(which, spoken, Math.max(0, messageId));
  return puppet.askRaw(which, firstType(spoken), mutated(written(spoken), fuzz), Math.max(0, messageId));
};

/** Answers what the gateway has asked, properly or not. */
const reply = (at: World, asked: Said): void => {
  const { puppet, fuzz } = at;
  const answers: readonly Payload[][] = [
    [],
    childPayloads(at),
    [someNotify(fuzz)],
    [{ kind: "Delete", value: { protocol: Protocol.ESP, spis: [someSpi(at)] } }],
    [...childPayloads(at), kePayload(31, fuzz.bytes(32))],
  ];
  puppet.answer(asked, garbled(fuzz.pick(answers), fuzz));
};

/** The puppet that is up, or a new one that mostly says its IKE_AUTH as it should. */
const standing = (at: World): Puppet => {
  if (at.b.status("puppet").state === "up") return at.puppet;
  at.puppet = new Puppet(at.link, at.random);
  at.puppet.begin(() => at.run(2_000));
  if (at.fuzz.chance(0.3)) say(at, Exchange.IKE_AUTH, at.puppet.proof());
  else at.puppet.ask(Exchange.IKE_AUTH, at.puppet.proof());
  return at.puppet;
};

const live = (at: World): void => {
  const { fuzz, link, b, run } = at;
  for (let n = 0; n < 20; n++) {
    const puppet = standing(at);
    const before = link.sent.length;
    if (fuzz.chance(0.2)) {
      if (b.status("puppet").state === "up") b.rekey(fuzz.pick(["ike", "children"]), "puppet");
    } else {
      const { exchange, payloads } = fuzz.pick(SENTENCES)(at);
      say(at, exchange, payloads);
    }
    run(fuzz.pick([0, 0, 100, 1_000, 31_000]));
    for (const asked of puppet.open(puppet.heard(before))) if (!asked.isResponse && fuzz.chance(0.8)) reply(at, asked);
  }
};

/** What has happened at the gateway in any of the lives. */
const seen = new Set<string>();

/** The honest tunnel, as both its ends see it. */
const honest = ({ a, b }: TwoPeers) =>
  [a, b].map((peer) => ({
    ikeSa: peer.status().ikeSa?.spiI,
    childSas: peer.status().childSas.map(({ spiIn }) => spiIn),
  }));

test("a peer that says anything, under the right keys, spoils its own IKE SA at most", () => {
  for (const seed of seeds) {
    const at = world(seed);
    const before = honest(at);
    live(at);
    expect({ seed, honest: honest(at) }).toEqual({ seed, honest: before });
    for (const { event, connection: whose } of at.b.logs) if (whose !== "tunnel") seen.add(event);
    at.b.terminate("puppet");
    at.run(200_000);
    const left = {
      ikeSas: at.b.manager.held,
      pairs: at.b.data.pairs.size,
      wrong: [...disagreements(at), ...gaps(at).filter((gap) => gap.startsWith("a"))],
    };
    expect({ seed, left }).toEqual({
      seed,
      left: { ikeSas: { halfOpen: 0, all: 1, keyWorks: 0 }, pairs: 1, wrong: [] },
    });
  }
});

test.skipIf(ONLY !== undefined)("its lives come far enough", () => {
  const events = [
    "ike-sa-established",
    "ike-sa-rekeyed",
    "ike-auth-rejected",
    "request-refused",
    "answer-malformed",
    "peer-error",
    "peer-report",
    "peer-silent",
    "child-sa-rekeyed",
    "child-sa-deleted",
    "delete-unknown",
    "rekey-unknown",
  ];
  expect(events.filter((event) => !seen.has(event))).toEqual([]);
});
