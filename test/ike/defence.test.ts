/** Floods, forgers and peers that ask too much: what they get, and what those get who do not (RFC 7296 §2.6, §2.21). */
import { describe, expect, test } from "vitest";
import { generateKeyPair, kexById } from "../../src/crypto/kex.ts";
import { deletion } from "../../src/ike/deletion.ts";
import { Exchange, emitMessage, find, notifies, parseHeader, parseMessage } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import { kePayload, noncePayload } from "../../src/ike/payloads.ts";
import { type IkeProposal, offerEsp, offerIke, Protocol, spiBytes } from "../../src/ike/proposal.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { Puppet } from "../support/puppet.ts";
import {
  A,
  B,
  child,
  connection,
  disagreements,
  drawn,
  esp,
  gaps,
  identity,
  ike,
  key,
  type TwoPeers,
  twoPeers,
} from "../support/two-peers.ts";

const toB = { address: B, port: 500 };
const STRANGER = "203.0.113.66";
const anyone = connection("b", {
  name: "anyone",
  remote: { address: undefined, port: 500, id: identity("x.example") },
});

/** An IKE_SA_INIT request of a stranger: that of `a`, with another SPI and, where it has one, another cookie. */
const beginning = ({ a, link, random }: TwoPeers, cookie?: Uint8Array): Uint8Array => {
  if (link.sent.length === 0) a.initiate();
  const { header, payloads } = parseMessage(link.sent[0]!.bytes);
  const notify = { protocol: 0, spi: new Uint8Array(0), type: Notify.COOKIE };
  const first = cookie === undefined ? [] : [{ kind: "Notify", value: { ...notify, data: cookie } } as const];
  return emitMessage({ ...header, spiI: random.bytes(8) }, [...first, ...payloads]);
};

/** The same, its cookie fetched first: of somebody who receives at his address. */
const honestBeginning = (peers: TwoPeers, from: string): Uint8Array => {
  const bytes = beginning(peers);
  const { header, payloads } = parseMessage(bytes);
  const before = peers.link.sent.length;
  peers.link.inject({ from: { address: from, port: 500 }, to: toB, bytes });
  const answer = peers.link.sent.slice(before).map((sent) => parseMessage(sent.bytes))[0];
  const cookie = notifies(answer?.payloads ?? [], Notify.COOKIE)[0];
  return cookie === undefined ? bytes : emitMessage(header, [{ kind: "Notify", value: cookie }, ...payloads]);
};

describe("half-open IKE SAs", () => {
  test("of one source are limited, even when it returns cookies", () => {
    const peers = twoPeers({
      connectionsB: [connection("b"), anyone],
      optionsB: { halfOpenPerSource: 3, cookieThreshold: 2 },
    });
    for (let n = 0; n < 10; n++)
      peers.link.inject({
        from: { address: STRANGER, port: 500 },
        to: toB,
        bytes: honestBeginning(peers, STRANGER),
      });
    expect(peers.b.manager.held.halfOpen).toBeLessThanOrEqual(5); // two before cookies were asked for
    expect(peers.b.count("half-open-per-source")).toBeGreaterThan(0);
    peers.run(1_000);
    expect(peers.b.status().state).toBe("up"); // another source is not concerned
  });

  test("begun in somebody's name do not keep him out", () => {
    const peers = twoPeers({ optionsB: { halfOpenPerSource: 3, cookieThreshold: 100 } });
    const { a, b, link, run } = peers;
    a.initiate();
    for (let n = 0; n < 50; n++) link.inject({ from: { address: A, port: 500 }, to: toB, bytes: beginning(peers) });
    expect(b.manager.held.halfOpen).toBe(3);
    expect(b.count("cookies-sent")).toBe(47);
    run(2_000);
    expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  });

  test("are counted right however they end", () => {
    const peers = twoPeers({ optionsB: { cookieThreshold: 1_000, halfOpenPerSource: 1_000 } });
    const { a, b, link, run } = peers;
    a.initiate();
    for (let n = 0; n < 20; n++) link.inject({ from: { address: A, port: 500 }, to: toB, bytes: beginning(peers) });
    run(1_000);
    expect([b.status().state, b.manager.held.halfOpen]).toEqual(["up", 20]);
    run(60_000);
    expect(b.manager.held).toEqual({ halfOpen: 0, all: 1, keyWorks: 0 });
  });
});

//   IKE_SA_INIT, twice, one of them slow -->
//                                       <-- N(COOKIE): too many are half-open
//   IKE_SA_INIT with the cookie          -->
//   ... the slow one arrives: all the crowd is gone, and yet
//                                       <-- N(COOKIE)
test("a late copy of a request that was asked for a cookie begins nothing, when the crowd is gone", () => {
  const peers = twoPeers({ optionsB: { cookieThreshold: 3, halfOpenTimeout: 2_000 } });
  const { b, link, run } = peers;
  const slow = beginning(peers);
  for (let n = 0; n < 5; n++) link.inject({ from: { address: A, port: n + 1 }, to: toB, bytes: beginning(peers) });
  const arrive = (): number => {
    const asked = b.count("cookies-sent");
    link.inject({ from: { address: A, port: 500 }, to: toB, bytes: slow });
    return b.count("cookies-sent") - asked;
  };
  expect(arrive()).toBe(1);
  run(5_000);
  expect(b.manager.held.halfOpen).toBe(0);
  expect(arrive()).toBe(1);
  run(10_000);
  expect(arrive()).toBe(0); // nobody is that late
});

//   IKE_SA_INIT of a                  -->
//                                     <-- lost
//   IKE_SA_INIT of 300 others         -->
//   the same of a, as it hears nothing -->
//                                     <-- the same octets (RFC 7296 §2.1)
test("a request that comes again is answered from memory however many others have begun meanwhile", () => {
  const peers = twoPeers({
    optionsB: { halfOpenLimit: 1_000, cookieThreshold: 1_000, halfOpenPerSource: 1_000 },
  });
  const { a, b, link, run } = peers;
  let lost: Uint8Array | undefined;
  link.meddler = (datagram) => {
    if (lost !== undefined || datagram.from.address !== B) return [datagram];
    lost = datagram.bytes;
    return [];
  };
  a.initiate();
  run(100);
  for (let n = 0; n < 300; n++)
    link.inject({ from: { address: A, port: 1_000 + n }, to: toB, bytes: beginning(peers) });
  run(399);
  expect(b.manager.held.halfOpen).toBe(301);
  link.sent.length = 0;
  run(100);
  expect(drawn(link.sent).slice(0, 2)).toEqual(["a> IKE_SA_INIT request 0", "b> IKE_SA_INIT answer 0"]);
  expect(link.sent[1]?.bytes).toEqual(lost);
  expect([a.status().state, b.manager.held.all]).toEqual(["up", 301]);
});

test("a copy of the first request that comes late, when the IKE SA is up, begins nothing", () => {
  const { b, connect, link } = twoPeers();
  connect();
  const [request, answer] = link.sent;
  link.sent.length = 0;
  link.inject(request!);
  expect(link.sent.map(({ bytes }) => bytes)).toEqual([answer!.bytes]);
  expect(b.manager.held).toMatchObject({ halfOpen: 0, all: 1 });
});

test("a wrong cookie is answered with a right one, and counted", () => {
  const peers = twoPeers({ optionsB: { cookieThreshold: 0 } });
  const bytes = beginning(peers, new Uint8Array(36));
  peers.link.inject({ from: { address: A, port: 500 }, to: toB, bytes });
  expect(peers.b.count("cookies-refused")).toBe(1);
  expect(peers.b.manager.held.all).toBe(0);
});

/** The same request with another offer. */
const offering = (bytes: Uint8Array, proposals: readonly IkeProposal[]): Uint8Array => {
  const { header, payloads } = parseMessage(bytes);
  const sa = { kind: "SA", value: offerIke(proposals) } as const;
  return emitMessage(
    header,
    payloads.map((payload) => (payload.kind === "SA" ? sa : payload)),
  );
};

//   5,000 IKE_SA_INIT a second, each from another address -->
//                                                         <-- N(COOKIE) to each
//   and between them: a new peer connects, and one that is up is asked whether it lives and rekeys
test.each<[string, readonly IkeProposal[] | undefined, string]>([
  ["beginnings", undefined, "cookies-sent"],
  [
    "beginnings with proposals that none of 300 connections takes",
    ike("aes128-sha1-prfsha1-modp2048"),
    "refused-inits",
  ],
])("under a flood of forged %s a peer connects within 2 s, tunnels live, and memory stays flat", (_, offer, event) => {
  const liveness = { interval: 1_000, mode: "periodic", retry: 2_000 } as const;
  const many = Array.from({ length: 300 }, (_, n) => {
    const remote = { address: undefined, port: 500, id: identity(`x${n}.example`) };
    return connection("b", { name: `anyone-${n}`, remote });
  });
  const peers = twoPeers({ a: { liveness }, connectionsB: [connection("b", { liveness }), ...many] });
  const { a, b, link, run } = peers;
  const bytes = offer === undefined ? beginning(peers) : offering(beginning(peers), offer);
  const flood = (ms: number): void => {
    for (let t = 0; t < ms; t += 10) {
      for (let n = 0; n < 50; n++) {
        const forged = bytes.slice();
        forged.set(peers.random.bytes(8));
        const address = `198.51.${peers.random.integer(256)}.${1 + peers.random.integer(254)}`;
        link.inject({ from: { address, port: 500 }, to: toB, bytes: forged });
      }
      link.sent.length = 0;
      run(10);
    }
  };
  flood(2_000);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
  expect(b.manager.held.all).toBeLessThan(15);
  const { spiI } = a.status().ikeSa ?? {};
  flood(1_000);
  a.rekey("children");
  flood(1_000);
  expect(gaps(peers)).toEqual([]);
  expect(disagreements(peers)).toEqual([]);
  expect(a.status().ikeSa?.spiI).toBe(spiI);
  expect(a.count("retransmissions") + b.count("retransmissions")).toBe(0);
  expect(b.manager.held.all).toBeLessThan(15);
  expect(b.logs.length).toBeLessThan(60);
  expect(b.count(event)).toBeGreaterThan(19_900);
});

test("a list of proposals is compared once however many connections have it, and only what is logged is described", () => {
  let looks = 0;
  const many = Array.from({ length: 100 }, (_, n) => {
    const one = connection("b", { name: `c${n}`, remote: { address: undefined, port: 500, id: identity(`x${n}.ex`) } });
    const { proposals } = one;
    return Object.defineProperty(one, "proposals", {
      get: () => {
        looks++;
        return proposals;
      },
    });
  });
  const peers = twoPeers({ connectionsB: many });
  const bytes = offering(beginning(peers), ike("aes128-sha1-prfsha1-modp2048"));
  looks = 0;
  peers.link.inject({ from: { address: STRANGER, port: 500 }, to: toB, bytes });
  expect(looks).toBe(1);
  expect(peers.b.log("ike-sa-init-rejected")?.message).toMatch(
    /offered aes128-sha1-prfsha1-modp2048; expected c0: aes256gcm16-prfsha256-x25519; .*; c4: \S+; and 95 more\)$/,
  );
});

describe("messages with a wrong ICV", () => {
  const forgeAuth = ({ link }: TwoPeers, n: number): void => {
    const { spiI, spiR } = parseHeader(link.sent[1]!.bytes);
    const bytes = new Uint8Array(100);
    bytes.set(emitMessage({ spiI, spiR, exchange: 35, fromInitiator: true, isResponse: false, messageId: 1 }, []));
    bytes.set([46, 0x20, 35, 0x08], 16);
    new DataView(bytes.buffer).setUint32(24, 100);
    new DataView(bytes.buffer).setUint32(28, 0x2300_0048);
    bytes[99] = n;
    link.inject({ from: { address: A, port: 500 }, to: toB, bytes });
  };

  test("end an IKE SA that is not up after thirty", () => {
    const peers = twoPeers();
    const { a, b, link, run } = peers;
    link.meddler = (datagram) => (parseHeader(datagram.bytes).exchange === Exchange.IKE_AUTH ? [] : [datagram]);
    a.initiate();
    run(100);
    for (let n = 0; n < 29; n++) forgeAuth(peers, n);
    expect(b.manager.held.halfOpen).toBe(1);
    forgeAuth(peers, 29);
    expect(b.manager.held.halfOpen).toBe(0);
    expect([b.count("bad-icv"), b.count("decrypt-failure-limit")]).toEqual([30, 1]);
  });

  test("do nothing to one that is up but a line in the log", () => {
    const peers = twoPeers();
    const { b, connect, link, run } = peers;
    connect();
    const auth = link.sent.find(({ bytes }) => parseHeader(bytes).exchange === Exchange.IKE_AUTH)!;
    for (let n = 0; n < 100; n++) {
      const forged = auth.bytes.slice();
      forged[18] = Exchange.INFORMATIONAL;
      new DataView(forged.buffer).setUint32(20, 2);
      forged[60] = n;
      link.inject({ from: auth.from, to: auth.to, bytes: forged });
    }
    run(100);
    expect(b.status().state).toBe("up");
    expect(b.count("bad-icv")).toBe(100);
    expect(b.events().filter((event) => event === "decrypt-failures")).toHaveLength(3);
  });
});

test("who fails to authenticate again and again fills no log", () => {
  const { a, b, run } = twoPeers({ a: { psk: { local: key("wrong"), remote: key("wrong") } } });
  for (let n = 0; n < 50; n++) {
    a.initiate();
    run(100);
  }
  expect(b.events().filter((event) => event === "ike-auth-rejected")).toHaveLength(10);
  expect(b.count("logs-suppressed")).toBe(40);
  expect(b.manager.held.all).toBe(0);
});

test("who rekeys too often is told TEMPORARY_FAILURE, and may again a second later", () => {
  const peers = twoPeers({ optionsB: { rekeyRate: 2 } });
  const { a, b, connect, run } = peers;
  connect();
  for (let n = 0; n < 5; n++) {
    a.rekey("children");
    run(100);
  }
  expect(b.count("rekeys-too-often")).toBeGreaterThan(0);
  expect(a.events()).toContain("child-sa-postponed");
  expect(gaps(peers)).toEqual([]);
  const before = [...b.data.pairs.keys()];
  run(30_000);
  expect(a.status().state).toBe("up");
  a.rekey("children");
  run(1_000);
  expect([...b.data.pairs.keys()]).not.toEqual(before);
  expect(disagreements(peers)).toEqual([]);
});

describe("a peer that has proven who it is", () => {
  const puppets = connection("b", {
    name: "puppet",
    remote: { address: undefined, port: 500, id: identity("puppet.example") },
    children: [child({ proposals: esp("aes256gcm16-x25519") })],
  });
  const puppetOf = (optionsB = {}) => {
    const peers = twoPeers({ connectionsB: [puppets], optionsB });
    const puppet = new Puppet(peers.link, peers.random);
    puppet.connect();
    return { ...peers, puppet };
  };
  const value = { selectors: anySelectors };

  //   CREATE_CHILD_SA {SA, Ni, KEi, TSi, TSr} -->
  //   D                                       -->   again and again
  //                                           <-- ... N(TEMPORARY_FAILURE)
  test("makes and deletes Child SAs with key exchanges no faster than it may rekey", () => {
    const { b, random, puppet, run } = puppetOf({ rekeyRate: 3 });
    const method = kexById(31)!;
    const make = (): boolean => {
      const keyPair = generateKeyPair(method);
      const spi = random.integer(0x7fff_ffff) + 256;
      const [said] = puppet.ask(Exchange.CREATE_CHILD_SA, [
        { kind: "SA", value: offerEsp(esp("aes256gcm16-x25519"), spi, { withKe: true }) },
        noncePayload(random.bytes(32)),
        kePayload(method.id, keyPair.publicValue),
        { kind: "TSi", value },
        { kind: "TSr", value },
      ]);
      const isMade = find(said!.payloads, "SA") !== undefined;
      if (isMade) puppet.ask(Exchange.INFORMATIONAL, [deletion(Protocol.ESP, [spiBytes(spi)])]);
      else expect(notifies(said!.payloads, Notify.TEMPORARY_FAILURE)).toHaveLength(1);
      return isMade;
    };
    const count = () => Array.from({ length: 20 }, make).filter(Boolean).length;
    expect(count()).toBe(3);
    run(1_000);
    expect([count(), b.data.pairs.size]).toEqual([3, 1]);
  });

  //   D of 10,000 Child SAs, one of which it has, twice -->
  //                                                     <-- D of its other half, once
  test("deletes more than it has: what is there goes, the rest is one line in the log", () => {
    const { b, puppet } = puppetOf();
    const [pair] = b.data.pairs.values();
    const spis = Array.from({ length: 10_000 }, (_, n) => spiBytes(0x6000_0000 + n));
    const mine = spiBytes(pair!.spiOut);
    const [said] = puppet.ask(Exchange.INFORMATIONAL, [deletion(Protocol.ESP, [...spis, mine, mine])]);
    expect(find(said!.payloads, "Delete")?.spis).toEqual([spiBytes(pair!.spiIn)]);
    expect([b.data.pairs.size, b.events().filter((event) => event === "delete-unknown").length]).toEqual([0, 1]);
    expect(b.log("delete-unknown")?.message).toContain("10001");
  });

  test("asks again and again for a Child SA that it does not get: ten lines in the log", () => {
    const { b, random, puppet } = puppetOf();
    for (let n = 0; n < 50; n++) {
      const [said] = puppet.ask(Exchange.CREATE_CHILD_SA, [
        { kind: "SA", value: offerEsp(esp("aes128-sha1"), 0x5000 + n, { withKe: true }) },
        noncePayload(random.bytes(32)),
        { kind: "TSi", value },
        { kind: "TSr", value },
      ]);
      expect(notifies(said!.payloads, Notify.NO_PROPOSAL_CHOSEN)).toHaveLength(1);
    }
    expect(b.events().filter((event) => event === "child-sa-refused")).toHaveLength(10);
    expect(b.count("logs-suppressed")).toBe(40);
    expect(b.status("puppet").lastError).toContain("NO_PROPOSAL_CHOSEN");
  });
});

test("who rekeys one IKE SA after another is limited as well, and all goes on", () => {
  const peers = twoPeers({ optionsB: { rekeyRate: 2 } });
  const { a, b, connect, run } = peers;
  connect();
  for (let n = 0; n < 8; n++) {
    a.rekey("ike");
    run(50, () => expect(gaps(peers)).toEqual([]));
  }
  expect(b.events().filter((event) => event === "ike-sa-rekeyed")).toHaveLength(2);
  expect(b.count("rekeys-too-often")).toBeGreaterThan(0);
  run(30_000);
  expect([a.manager.held.all, b.manager.held.all]).toEqual([1, 1]);
  expect(disagreements(peers)).toEqual([]);
});

describe("what nobody vouches for", () => {
  const answerTo = ({ link }: TwoPeers, bytes: Uint8Array) => {
    const before = link.sent.length;
    link.inject({ from: { address: STRANGER, port: 999 }, to: toB, bytes });
    return link.sent.slice(before).map((sent) => ({ to: sent.to, ...parseMessage(sent.bytes) }));
  };

  test.each([
    ["a higher version", 0x30, 1],
    ["a much higher version", 0xf0, 1],
    ["version 1", 0x10, 0],
  ])("a request of %s", (_what, version, answers) => {
    const peers = twoPeers();
    const bytes = beginning(peers).slice();
    bytes[17] = version;
    const sent = answerTo(peers, bytes);
    expect(sent).toHaveLength(answers);
    for (const { header, payloads, to } of sent) {
      expect(notifies(payloads, Notify.INVALID_MAJOR_VERSION)).toHaveLength(1);
      expect(header).toMatchObject({ isResponse: true, fromInitiator: false, majorVersion: 2, messageId: 0 });
      expect(header.spiI).toEqual(bytes.subarray(0, 8));
      expect(to).toEqual({ address: STRANGER, port: 999 });
    }
    bytes[19]! |= 0x20; // an answer is never answered
    expect(answerTo(peers, bytes)).toEqual([]);
    expect(answerTo(peers, bytes.subarray(0, 27))).toEqual([]);
  });

  test("a request for an IKE SA that is not there is told so, an answer is not, and a flood is not answered", () => {
    const peers = twoPeers();
    const { b, connect, link, run } = peers;
    connect();
    const { bytes } = link.sent.find((sent) => parseHeader(sent.bytes).exchange === Exchange.IKE_AUTH)!;
    const unknown = bytes.slice();
    unknown.set(peers.random.bytes(8), 8);
    const [told] = answerTo(peers, unknown);
    expect(notifies(told?.payloads ?? [], Notify.INVALID_IKE_SPI)).toHaveLength(1);
    unknown[19]! |= 0x20;
    expect(answerTo(peers, unknown)).toEqual([]);
    unknown[19]! &= ~0x20;
    let answered = 0;
    for (let n = 0; n < 1_000; n++) answered += answerTo(peers, unknown).length;
    expect(answered).toBeLessThan(10);
    run(1_000);
    expect(answerTo(peers, unknown)).toHaveLength(1);
    expect(b.status().state).toBe("up");
  });

  test("INVALID_IKE_SPI without protection ends nothing: the request goes on being sent", () => {
    const peers = twoPeers({ a: { retransmit: { first: 500, factor: 2, tries: 4 } } });
    const { a, b, connect, link, run } = peers;
    connect();
    b.crash();
    a.rekey("children");
    run(3_000);
    expect(a.status().state).toBe("up");
    expect(a.log("peer-forgot")?.message).toContain("does not know this IKE SA");
    expect(drawn(link.sent).filter((line) => line.startsWith("b> CREATE_CHILD_SA answer")).length).toBeGreaterThan(1);
    run(60_000);
    expect(a.status().state).toBe("down");
  });
});

test("the Diffie-Hellman work of a flood is bounded: no key exchange for what is only answered with a cookie", () => {
  const peers = twoPeers({ optionsB: { cookieThreshold: 0 } });
  const { b, link } = peers;
  for (let n = 0; n < 1_000; n++)
    link.inject({ from: { address: A, port: 500 + n }, to: toB, bytes: beginning(peers) });
  expect(b.manager.held.all).toBe(0);
  expect(b.count("cookies-sent")).toBe(1_000);
  const answers = link.sent.filter(({ from }) => from.address === B).map(({ bytes }) => parseMessage(bytes).payloads);
  expect(answers.every((payloads) => find(payloads, "KE") === undefined)).toBe(true);
});
