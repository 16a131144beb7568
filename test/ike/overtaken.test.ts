/**
 * A request of the peer that comes before the peer's answer to ours, though the answer was sent first: each side has a window of
 * its own, and the network keeps no order (RFC 7296 §2.3). In the drawings the gateway is on the left.
 */
import { describe, expect, test } from "vitest";
import type { ChildConfig } from "../../src/ike/connection.ts";
import { deletion } from "../../src/ike/deletion.ts";
import { Exchange, find, notifies, type Payload } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import { noncePayload, notifyAboutSpi } from "../../src/ike/payloads.ts";
import { chooseEsp, offerEsp, Protocol, spiBytes } from "../../src/ike/proposal.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import type { Datagram } from "../support/link.ts";
import { Puppet, type Said } from "../support/puppet.ts";
import {
  child,
  connection,
  disagreements,
  drawn,
  esp,
  gaps,
  identity,
  type Peer,
  selectors,
  type TwoPeers,
  twoPeers,
} from "../support/two-peers.ts";

const LATE = 0x7200_0000;
const RIVAL = 0x7300_0000;
const VOICE = selectors("10.9.0.0/16");

const net = child();
const voice = child({ name: "voice", local: VOICE, remote: VOICE });

/** A gateway that wants these children, and a peer in the test's hands that has made a pair for the first of them. */
const gateway = (...children: ChildConfig[]) => {
  const remote = { address: "203.0.113.9", port: 500, id: identity("puppet.example") };
  const { b, link, random, run } = twoPeers({
    connectionsB: [connection("b", { name: "puppet", remote, children })],
  });
  const puppet = new Puppet(link, random);
  puppet.connect();
  const [first] = b.data.pairs.values();

  /** What the gateway asks when this is done. */
  const asked = (act: () => void): Said[] => {
    const before = link.sent.length;
    act();
    return puppet.open(puppet.heard(before)).filter(({ isResponse }) => !isResponse);
  };
  /** The answer to a request for a pair, which the peer receives on by this SPI; what the gateway says to it. */
  const answer = (request: Said, spi: number, nonce = 7) => {
    const { chosen } = chooseEsp(find(request.payloads, "SA")!, esp("aes256gcm16"), { withKe: true })!;
    return puppet.answer(request, [
      { kind: "SA", value: [{ ...chosen, spi: spiBytes(spi) }] },
      noncePayload(new Uint8Array(32).fill(nonce)),
      { kind: "TSi", value: find(request.payloads, "TSi")! },
      { kind: "TSr", value: find(request.payloads, "TSr")! },
    ]);
  };
  const say = (exchange: number, ...payloads: Payload[]) => puppet.ask(exchange, payloads)[0]!.payloads;
  const remove = (...spis: number[]) => say(Exchange.INFORMATIONAL, deletion(Protocol.ESP, spis.map(spiBytes)));
  /** The peer's own request for a pair. */
  const ask = (spi: number, nonce: number, which: readonly Payload[], nets = anySelectors) =>
    say(
      Exchange.CREATE_CHILD_SA,
      ...which,
      { kind: "SA", value: offerEsp(esp("aes256gcm16"), spi, { withKe: true }) },
      noncePayload(new Uint8Array(32).fill(nonce)),
      { kind: "TSi", value: { selectors: nets } },
      { kind: "TSr", value: { selectors: nets } },
    );
  const rekeyOf = (spi: number): Payload => notifyAboutSpi(Notify.REKEY_SA, Protocol.ESP, spiBytes(spi));
  /** The answer to a Delete. */
  const acknowledge = (request: Said, ...spis: number[]) =>
    puppet.answer(request, [deletion(Protocol.ESP, spis.map(spiBytes))]);
  const spisOut = () => [...b.data.pairs.values()].map(({ spiOut }) => spiOut);
  return { b, first: first!, run, asked, answer, remove, ask, rekeyOf, acknowledge, spisOut };
};

const spisIn = (payloads: readonly Payload[]) =>
  payloads.flatMap((payload) => (payload.kind === "Delete" ? payload.value.spis.map((spi) => Buffer.from(spi)) : []));
const octets = (...spis: number[]) => spis.map((spi) => Buffer.from(spiBytes(spi)));

/** Its second child is asked for; the answer is in the test's hands. */
const makingVoice = () => {
  const made = gateway(net, voice);
  const [request] = made.asked(() => made.b.initiate("puppet"));
  return { ...made, request: request! };
};

/** Its only pair is being rekeyed. */
const rekeying = () => {
  const made = gateway(net);
  made.b.initiate("puppet");
  const [request] = made.asked(() => made.b.rekey("children", "puppet"));
  return { ...made, request: request! };
};

describe("the Delete of a pair overtakes the answer that makes it: the pair goes", () => {
  //   CREATE_CHILD_SA {SA, Ni, TSi, TSr} -->
  //                                      <-- CREATE_CHILD_SA {SA, Nr, TSi, TSr}      comes last
  //                                      <-- INFORMATIONAL {D}
  //   INFORMATIONAL {} -->
  test("a new one, and the child is asked for again", () => {
    const { b, first, run, asked, answer, remove, spisOut, request } = makingVoice();
    expect(remove(LATE)).toEqual([]); // as of any pair that is not there (§2.25.1)
    answer(request, LATE);
    expect(spisOut()).toEqual([first.spiOut]);
    expect(b.log("child-sa-removed")?.message).toBe("child voice: deleted by the peer");
    expect(b.log("child-sa-deleted")?.message).toBe("child voice: the peer deleted it");
    expect(b.data.reserved.size).toBe(0);

    const [again] = asked(() => run(10_000));
    answer(again!, LATE); // the Delete was of the pair before
    expect(spisOut()).toEqual([first.spiOut, LATE]);
  });

  //   CREATE_CHILD_SA {N(REKEY_SA), SA, Ni, TSi, TSr} -->
  //                                                   <-- CREATE_CHILD_SA {SA, Nr, TSi, TSr}      comes last
  //                                                   <-- INFORMATIONAL {D}
  //   INFORMATIONAL {} -->
  //   INFORMATIONAL {D} -->               of the old pair, as after any rekey
  //                                                   <-- INFORMATIONAL {D}
  test("one that replaces another, which goes as after any rekey, and the child is asked for again", () => {
    const { b, first, run, asked, answer, remove, spisOut, acknowledge, request } = rekeying();
    expect(remove(LATE)).toEqual([]);
    const [last] = answer(request, LATE);
    expect(spisIn(last!.payloads)).toEqual(octets(first.spiIn));
    expect(spisOut()).toEqual([first.spiOut]);
    acknowledge(last!, first.spiOut);
    expect([spisOut(), b.data.reserved.size]).toEqual([[], 0]);

    const [again] = asked(() => run(10_000));
    expect(notifies(again!.payloads, Notify.REKEY_SA)).toEqual([]);
    answer(again!, LATE + 1);
    expect(spisOut()).toEqual([LATE + 1]);
  });

  //   CREATE_CHILD_SA {SA, Ni, TSi, TSr} -->
  //                                      <-- CREATE_CHILD_SA {SA, Nr, TSi, TSr}      comes last
  //                                      <-- INFORMATIONAL {D}
  //   INFORMATIONAL {} -->
  //                                      <-- CREATE_CHILD_SA {SA, Ni, TSi, TSr}      the peer's own try
  //   CREATE_CHILD_SA {SA, Nr, TSi, TSr} -->
  test.each([
    ["higher", 255],
    ["lower", 0],
  ])("a new one, and the one that the peer has made instead stays, its nonces being %s", (_, nonce) => {
    const { run, first, asked, answer, remove, ask, spisOut, request } = makingVoice();
    remove(LATE);
    expect(find(ask(RIVAL, nonce, [], VOICE), "SA")).toBeDefined();
    expect(asked(() => answer(request, LATE))).toEqual([]);
    expect(asked(() => run(60_000))).toEqual([]);
    expect(spisOut()).toEqual([first.spiOut, RIVAL]);
  });

  //   CREATE_CHILD_SA {N(REKEY_SA), SA, Ni, TSi, TSr} -->
  //                                                   <-- CREATE_CHILD_SA {N(REKEY_SA), SA, Ni, TSi, TSr}
  //   CREATE_CHILD_SA {SA, Nr, TSi, TSr} -->
  //                                                   <-- CREATE_CHILD_SA {SA, Nr, TSi, TSr}      comes last
  //                                                   <-- INFORMATIONAL {D, D}      it has lost, and the old one goes
  //   INFORMATIONAL {D} -->
  test.each([
    ["higher", 255],
    ["lower", 0],
  ])("one that has lost against the rekey of the peer, its nonces being %s", (_, nonce) => {
    const { b, run, first, asked, answer, remove, ask, rekeyOf, spisOut, request } = rekeying();
    expect(find(ask(RIVAL, nonce, [rekeyOf(first.spiOut)]), "SA")).toBeDefined();
    expect(spisIn(remove(LATE, first.spiOut))).toEqual(octets(first.spiIn));
    expect(asked(() => answer(request, LATE))).toEqual([]);
    expect(spisOut()).toEqual([RIVAL]);
    expect(b.data.sending("net")?.spiOut).toBe(RIVAL);
    expect(asked(() => run(60_000))).toEqual([]);
    expect(spisOut()).toEqual([RIVAL]);
  });

  test("however many others the peer deletes, no more than some are kept", () => {
    const { answer, remove, first, spisOut, request } = makingVoice();
    remove(...Array.from({ length: 5_000 }, (_, n) => LATE + 5_000 - n));
    answer(request, LATE + 1); // the last of them
    expect(spisOut()).toEqual([first.spiOut, LATE + 1]);
  });
});

const OURS = ["another child", "rekey of a child", "rekey of the IKE SA", "Delete of a child", "liveness"] as const;
const THEIRS = [...OURS, "Delete of the IKE SA"] as const;
type What = (typeof THEIRS)[number];

/** Make a peer ask this now; what is another child for it is `name`. */
const begin = ({ run, until }: TwoPeers, peer: Peer, what: What, name: string): void => {
  if (what === "another child") peer.trapped(name);
  if (what === "rekey of a child") peer.rekey("children");
  if (what === "rekey of the IKE SA") peer.rekey("ike");
  if (what === "Delete of the IKE SA") peer.terminate();
  if (what === "liveness") run(5_000);
  if (what !== "Delete of a child") return;
  // The newest pair has carried more than it may, and there is no room for another.
  const newest = [...peer.data.pairs.keys()].at(-1)!;
  peer.data.packets.set(newest, { packetsIn: 1, bytesIn: 2e6 });
  peer.data.capacity = 0;
  until(() => peer.events().includes("child-sa-expired"), 15_000);
  peer.data.capacity = 100;
};

const nets = (net: string) => ({ local: selectors(net), remote: selectors(net), lifebytes: 1e6 });

/** Of one who is to ask this. */
const habits = (what: What) => ({
  children: [
    child(nets("10.1.0.0/16")),
    child({ name: "voice", ...nets("10.2.0.0/16"), trap: true }),
    child({ name: "video", ...nets("10.3.0.0/16"), trap: true }),
  ],
  ...(what === "liveness" ? { liveness: { interval: 4_000 } } : {}),
});

/** Answers like this do not arrive from now on; until what is returned is called: then the first of them does. */
const holdAnswer = ({ link }: TwoPeers, which: RegExp): (() => void) => {
  let held: Datagram | undefined;
  link.meddler = (datagram) => {
    if (!which.test(drawn([datagram])[0]!)) return [datagram];
    held ??= datagram;
    return [];
  };
  return () => {
    link.meddler = (datagram) => [datagram];
    link.inject(held!);
  };
};

/** Both have one pair of `net`, of what the peer asked for, and of `others`; where it ended the IKE SA, nothing. */
const expectSettled = (peers: TwoPeers, theirs: What, others: readonly string[]): void => {
  const isEnded = theirs === "Delete of the IKE SA";
  peers.run(isEnded ? 70_000 : 15_000);
  const up = ["net", ...(theirs === "another child" ? ["video"] : []), ...others];
  for (const peer of [peers.a, peers.b]) {
    expect([...peer.data.pairs.values()].map((pair) => pair.child).sort()).toEqual(isEnded ? [] : up);
    expect(peer.status().childSas.filter(({ state }) => state !== "installed")).toEqual([]);
    expect(peer.manager.held.all).toBe(isEnded ? 0 : 1);
  }
  expect([...disagreements(peers), ...gaps(peers)]).toEqual([]);
};

/** What we say when theirs cannot be done before our own is settled (RFC 7296 §2.25). */
const REFUSED: Readonly<Record<string, string>> = {
  "another child, rekey of a child": "TEMPORARY_FAILURE: a Child SA is being made",
  "rekey of a child, rekey of a child": "TEMPORARY_FAILURE: a Child SA is being made",
  "another child, rekey of the IKE SA": "TEMPORARY_FAILURE: a Child SA is being made or deleted",
  "rekey of a child, rekey of the IKE SA": "TEMPORARY_FAILURE: a Child SA is being made or deleted",
  "Delete of a child, rekey of the IKE SA": "TEMPORARY_FAILURE: a Child SA is being made or deleted",
};

// When the peer has answered our Delete of the IKE SA it has nothing left to ask on it.
describe.each(OURS)("the peer's answer to our request comes late: %s", (ours) => {
  //   a                                b
  //   request, ours                -->
  //                                <-- answer       held
  //                                <-- request, theirs, perhaps on the new IKE SA
  //   answer, if we know that one  -->
  //                                <-- answer       comes now
  test.each(THEIRS)("after its own: %s", (theirs) => {
    const peers = twoPeers({ a: habits(ours), b: habits(theirs) });
    const { a, b, connect, link, run } = peers;
    connect();
    if (ours === "Delete of a child") begin(peers, a, "another child", "voice"); // so that another is left
    run(1_000);
    const release = holdAnswer(peers, /^b> .* answer/);
    begin(peers, a, ours, "voice");
    run(100);
    const before = link.sent.length;
    begin(peers, b, theirs, "video");
    run(1_000);
    expect(drawn(link.sent.slice(before)).filter((line) => /^b> .* request/.test(line))).not.toEqual([]);
    release();
    expect(a.log("request-refused")?.message.replace(/^\S* /, "")).toBe(REFUSED[`${ours}, ${theirs}`]);

    if (theirs !== "Delete of the IKE SA") expect(b.log("peer-forgot")).toBeUndefined();
    const hasVoice = ours === "another child" || ours === "Delete of a child"; // it is asked for again
    expectSettled(peers, theirs, hasVoice ? ["voice"] : []);
  });
});

//   IKE_AUTH {IDi, AUTH, SA, TSi, TSr} -->
//                                      <-- IKE_AUTH {IDr, AUTH, SA, TSi, TSr}      held
//                                      <-- request, theirs                         not answered: it comes again
test.each(THEIRS)("the peer's answer to IKE_AUTH comes late, after its own: %s", (theirs) => {
  const peers = twoPeers({ a: habits("liveness"), b: habits(theirs) });
  const { a, b, link, run } = peers;
  const release = holdAnswer(peers, /^b> IKE_AUTH answer/);
  a.initiate();
  run(100);
  begin(peers, b, theirs, "video");
  run(1_000);
  expect(drawn(link.sent).filter((line) => /^a> (INFORMATIONAL|CREATE_CHILD_SA)/.test(line))).toEqual([]);
  expect(a.count("unexpected-exchange")).toBeGreaterThan(0);
  release();
  expectSettled(peers, theirs, []);
});
