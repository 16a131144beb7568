import { expect, test } from "vitest";
import { IkeError } from "../../src/ike/ike-error.ts";
import { Exchange, emitMessage, find, notifies, parseHeader, parseMessage } from "../../src/ike/message.ts";
import { Notify } from "../../src/ike/notify.ts";
import { notifyPayload } from "../../src/ike/payloads.ts";
import { A, B, connection, disagreements, drawn, ike, type TwoPeers, twoPeers } from "../support/two-peers.ts";

const isInit = (bytes: Uint8Array): boolean => parseHeader(bytes).exchange === Exchange.IKE_SA_INIT;

/** An IKE_SA_INIT answer of one notification, as anyone could send it to the initiator of the first request on the link. */
const forge = ({ link }: TwoPeers, type: number, data?: Uint8Array): void => {
  const { spiI } = parseHeader(link.sent[0]!.bytes);
  const header = { spiI, spiR: new Uint8Array(8), exchange: Exchange.IKE_SA_INIT, fromInitiator: false };
  const bytes = emitMessage({ ...header, isResponse: true, messageId: 0 }, [notifyPayload(type, data)]);
  link.inject({ from: { address: B, port: 500 }, to: { address: A, port: 500 }, bytes });
};

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
  expect(a.status()).toMatchObject({
    state: "up",
    remote: "192.0.2.2:500",
    ikeSa: { role: "initiator", proposal: "aes256gcm16-prfsha256-x25519", natDetected: false },
    childSas: [{ name: "net", state: "installed", suite: "aes256gcm16", esn: true, encap: false }],
  });
  expect(b.status()).toMatchObject({ state: "up", ikeSa: { role: "responder" } });
  expect(b.status().ikeSa?.spiI).toBe(a.status().ikeSa?.spiI);
  expect(disagreements(peers)).toEqual([]);
});

test("a lost answer costs one retransmission of the same octets, answered from memory", () => {
  const { a, b, link, run } = twoPeers();
  a.initiate(); //      IKE_SA_INIT { SAi1, KEi, Ni } -->
  let lost = false;
  link.meddler = (datagram) => {
    if (lost || datagram.from.address === A) return [datagram];
    lost = true;
    return []; //                                   <-- lost
  };
  run(499);
  expect(a.status().state).toBe("connecting");
  run(200); //          the same again -->
  const requests = link.sent.filter(({ bytes, from }) => from.address === A && isInit(bytes));
  const answers = link.sent.filter(({ bytes, from }) => from.address === B && isInit(bytes));
  expect(requests).toHaveLength(2);
  expect(requests[1]?.bytes).toEqual(requests[0]?.bytes);
  expect(answers[1]?.bytes).toEqual(answers[0]?.bytes);
  expect(b.count("repeated-requests")).toBe(1);
  expect([a.status().state, b.manager.held.all]).toEqual(["up", 1]);
});

test("under load a responder wants its cookie back, first in a request that is otherwise the same", () => {
  const { a, b, link, run } = twoPeers({ optionsB: { cookieThreshold: 0 } });
  a.initiate();
  run(15);
  expect(b.manager.held.all).toBe(0); // nothing is kept
  run(1_000);
  expect(drawn(link.sent).slice(0, 4)).toEqual([
    "a> IKE_SA_INIT request 0",
    "b> IKE_SA_INIT answer 0",
    "a> IKE_SA_INIT request 0",
    "b> IKE_SA_INIT answer 0",
  ]);
  const [first, cookie, second] = link.sent.map(({ bytes }) => parseMessage(bytes));
  expect(parseHeader(link.sent[1]!.bytes).spiR).toEqual(new Uint8Array(8));
  expect(second?.payloads[0]).toMatchObject({ kind: "Notify", value: { type: Notify.COOKIE } });
  expect(notifies(second?.payloads ?? [], Notify.COOKIE)[0]?.data).toEqual(
    notifies(cookie?.payloads ?? [], Notify.COOKIE)[0]?.data,
  );
  expect(second?.payloads.slice(1, 4)).toEqual(first?.payloads.slice(0, 3));
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
});

//   IKE_SA_INIT, and a copy of it  -->
//                                 <-- N(COOKIE)
//   IKE_SA_INIT with the cookie    -->
//                                 <-- N(COOKIE), to the copy
//                                 <-- HDR, SAr1, KEr, Nr, to the request with the cookie: which is the one that we sign
test("the same cookie twice changes nothing: the request that has it already stays the one that is signed", () => {
  const { a, b, link, run } = twoPeers({ a: { encap: "force" }, optionsB: { cookieThreshold: 0 } });
  let copied = false;
  link.meddler = (datagram) => {
    if (copied) return [datagram];
    copied = true;
    return [datagram, { ...datagram, at: datagram.at + 3 }];
  };
  a.initiate();
  run(1_000);
  expect(b.count("cookies-sent")).toBe(2);
  expect(a.count("repeated-cookies")).toBe(1);
  expect(link.sent.filter(({ bytes }) => isInit(bytes) && !parseHeader(bytes).isResponse)).toHaveLength(2);
  expect([a.status().state, b.status().state]).toEqual(["up", "up"]);
});

//   IKE_SA_INIT                     -->
//                                   <-- N(COOKIE), of somebody, of another length than 1 to 64 octets
//                                   <-- HDR, SAr1, KEr, Nr
test.each([
  [0, false],
  [1, true],
  [64, true],
  [65, false],
  [60_000, false],
])(
  "a cookie of %i octets is returned: %s; one that is not changes nothing (RFC 7296 §2.6, §2.21.1)",
  (length, isTaken) => {
    const { a, clock, link, run } = twoPeers();
    a.initiate();
    const { spiI } = parseHeader(link.sent[0]!.bytes);
    const header = { spiI, spiR: new Uint8Array(8), exchange: Exchange.IKE_SA_INIT, messageId: 0 };
    const bytes = emitMessage({ ...header, fromInitiator: false, isResponse: true }, [
      notifyPayload(Notify.COOKIE, new Uint8Array(length)),
    ]);
    clock.at(clock.now + 1, () => link.inject({ from: link.sent[0]!.to, to: link.sent[0]!.from, bytes }));
    run(5);
    expect([link.sent.length, a.count("unproven-errors")]).toEqual(isTaken ? [2, 0] : [1, 1]);
    if (isTaken) return;
    expect(a.status().lastError).toContain(`a cookie of ${length} octets`);
    run(100);
    expect(a.status().state).toBe("up");
  },
);

test("INVALID_KE_PAYLOAD makes the initiator begin again with the group asked for and the whole list", () => {
  const { a, b, link, run } = twoPeers({
    a: { proposals: ike("aes256gcm16-prfsha256-x25519", "aes128-sha256-ecp256") },
    b: { proposals: ike("aes128-sha256-ecp256") },
  });
  a.initiate();
  run(1_000);
  const [first, , second] = link.sent.map(({ bytes }) => parseMessage(bytes).payloads);
  expect(find(first ?? [], "KE")?.method).toBe(31);
  expect(find(second ?? [], "KE")?.method).toBe(19);
  expect(find(second ?? [], "SA")).toEqual(find(first ?? [], "SA"));
  expect(a.status()).toMatchObject({ state: "up", ikeSa: { proposal: "aes128-sha256-prfsha256-ecp256" } });
  expect(b.manager.held.all).toBe(1);
});

test("a cookie and then another group take six messages, the cookie sent again", () => {
  const { a, link, run } = twoPeers({
    a: { proposals: ike("aes256gcm16-prfsha256-x25519-ecp256") },
    b: { proposals: ike("aes256gcm16-prfsha256-ecp256") },
    optionsB: { cookieThreshold: 0 },
  });
  a.initiate();
  run(1_000);
  const inits = link.sent.filter(({ bytes }) => isInit(bytes));
  expect(inits).toHaveLength(6);
  expect(notifies(parseMessage(inits[4]!.bytes).payloads, Notify.COOKIE)).toHaveLength(1);
  expect(a.status().state).toBe("up");
});

test.each([
  ["NO_PROPOSAL_CHOSEN", Notify.NO_PROPOSAL_CHOSEN, undefined],
  ["AUTHENTICATION_FAILED", Notify.AUTHENTICATION_FAILED, undefined],
  ["INVALID_KE_PAYLOAD", Notify.INVALID_KE_PAYLOAD, Uint8Array.of(0, 14)],
  ["INVALID_KE_PAYLOAD", Notify.INVALID_KE_PAYLOAD, Uint8Array.of(1)],
] as const)("a forged %s (%i, %o) is remembered and ends nothing", (name, type, data) => {
  const peers = twoPeers();
  const { a, run } = peers;
  a.initiate();
  forge(peers, type, data);
  expect(a.status()).toMatchObject({ state: "connecting", lastError: expect.stringContaining(name) });
  run(1_000);
  expect(a.status().state).toBe("up");
  expect(a.status().lastError).toBeUndefined();
});

test("who asks for a new beginning without end is not obeyed for ever", () => {
  const peers = twoPeers();
  const { a, link } = peers;
  link.meddler = () => [];
  a.initiate();
  for (let n = 0; n < 50; n++) forge(peers, Notify.COOKIE, Uint8Array.of(n));
  expect(link.sent.length).toBeLessThan(10);
});

test("a peer that never answers is given up and tried again, later each time, for ever", () => {
  const { a, link, run } = twoPeers({ a: { start: "initiate" } });
  link.meddler = () => [];
  a.start();
  run(63_400);
  expect(link.sent.map(({ at }) => at)).toEqual([0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
  expect(a.status().state).toBe("connecting");
  run(3_600_000);
  const begun = a.logs.filter(({ event }) => event === "ike-sa-initiating").map(({ at }) => at);
  const pauses = begun.slice(1).map((at, n) => at - begun[n]! - 63_500);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(60_000);
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(500);
  expect(pauses.at(-1)).toBeGreaterThan(29_000);
  expect(a.status().lastError).toContain("does not answer");
  link.meddler = (datagram) => [datagram];
  run(200_000);
  expect(a.status().state).toBe("up");
});

test("no IKE proposal in common: both ends say what was offered and what was expected, and nothing is left", () => {
  const { a, b, run } = twoPeers({
    a: { proposals: ike("aes128-sha256-ecp256") },
    b: { proposals: ike("aes256gcm16-prfsha384-ecp384") },
  });
  a.initiate();
  run(100);
  expect(b.log("ike-sa-init-rejected")?.message).toMatch(
    /NO_PROPOSAL_CHOSEN.*offered aes128-sha256-prfsha256-ecp256.*expected tunnel: aes256gcm16-prfsha384-ecp384/,
  );
  expect(a.status().lastError).toMatch(/NO_PROPOSAL_CHOSEN.*offered aes128-sha256-prfsha256-ecp256/);
  run(120_000);
  expect([a.manager.held.all, b.manager.held.all]).toEqual([0, 0]);
  expect(a.status()).toMatchObject({ state: "down", lastError: expect.stringContaining("NO_PROPOSAL_CHOSEN") });
});

test("a stranger's address is refused", () => {
  const { a, b, run } = twoPeers({ b: { remote: { address: "198.51.100.7", port: 500, id: undefined } } });
  a.initiate();
  run(100);
  expect(b.log("ike-sa-init-rejected")?.message).toContain("no connection between 192.0.2.2 and 192.0.2.1");
});

test("half-open IKE SAs are limited and end after their time", () => {
  const { a, b, link, run, random } = twoPeers({ optionsB: { halfOpenLimit: 4, cookieThreshold: 100 } });
  a.initiate();
  const { bytes } = link.sent[0]!;
  link.meddler = () => [];
  for (let n = 0; n < 20; n++) {
    const flood = bytes.slice();
    flood.set(random.bytes(8)); // another initiator's SPI
    link.inject({ from: { address: A, port: 1_000 + n }, to: { address: B, port: 500 }, bytes: flood });
  }
  expect(b.manager.held.halfOpen).toBe(4);
  expect(b.count("half-open-limit")).toBe(16);
  run(60_000);
  expect(b.manager.held.all).toBe(0);
});

test("a flood from forged addresses leaves nothing once cookies are asked for", () => {
  const { a, b, link, random, run } = twoPeers({ optionsB: { halfOpenLimit: 40, cookieThreshold: 3 } });
  a.initiate();
  const { bytes } = link.sent[0]!;
  for (let n = 0; n < 30; n++) {
    const flood = bytes.slice();
    flood.set(random.bytes(8));
    link.inject({ from: { address: A, port: 1_000 + n }, to: { address: B, port: 500 }, bytes: flood });
  }
  expect(b.manager.held.halfOpen).toBe(3);
  expect(b.count("cookies-sent")).toBe(27);
  run(1_000); // and who answers the cookie still gets in
  expect(a.status().state).toBe("up");
});

test("our own request sent back to us begins nothing", () => {
  const { a, link, run } = twoPeers();
  link.meddler = ({ bytes, from, to, at }) => [{ bytes, from: to, to: from, at }];
  a.initiate();
  run(30_000);
  expect(a.count("reflected")).toBeGreaterThan(0);
  expect(a.manager.held.all).toBe(1);
});

test.each(["request", "answer"] as const)("who changes the IKE_SA_INIT %s makes authentication fail", (which) => {
  const { a, b, link, run } = twoPeers({
    a: { proposals: ike("aes256gcm16-prfsha256-x25519", "aes128-sha1-prfsha1-x25519") },
    b: { proposals: ike("aes256gcm16-prfsha256-x25519", "aes128-sha1-prfsha1-x25519") },
  });
  link.meddler = (datagram) => {
    const message = parseMessage(datagram.bytes);
    if (message.header.exchange !== Exchange.IKE_SA_INIT) return [datagram];
    const isAnswer = message.header.isResponse;
    if (isAnswer !== (which === "answer")) return [datagram];
    // A downgrade of the offer, or a vendor ID of our own in the answer.
    const payloads = message.payloads.map((payload) =>
      payload.kind === "SA" && !isAnswer ? { ...payload, value: payload.value.slice(1) } : payload,
    );
    if (isAnswer) payloads.push({ kind: "V", value: { data: Uint8Array.of(1, 2, 3) } });
    return [{ ...datagram, bytes: emitMessage(message.header, payloads) }];
  };
  a.initiate();
  run(5_000);
  expect([a.status().state, b.status().state]).toEqual(["down", "down"]);
  expect(a.status().lastError).toContain("AUTHENTICATION_FAILED");
  expect([a.data.pairs.size, b.data.pairs.size, a.data.reserved.size, b.data.reserved.size]).toEqual([0, 0, 0, 0]);
  expect([a.manager.held.all, b.manager.held.all]).toEqual([0, 0]);
});

test("an unknown critical payload is refused by its type", () => {
  const { a, b, link, run } = twoPeers();
  a.initiate();
  const bytes = link.sent[0]!.bytes.slice();
  const tail = Uint8Array.of(0, 0x80, 0, 4); // no next payload, critical, empty
  const whole = new Uint8Array(bytes.length + tail.length);
  whole.set(bytes);
  whole.set(tail, bytes.length);
  // The last payload of the request is a notification: make it name the unknown payload as the next one.
  const header = parseHeader(bytes);
  let at = 28;
  for (let next = header.nextPayload; next !== 0; ) {
    next = whole[at]!;
    if (next === 0) whole[at] = 99;
    else at += (whole[at + 2]! << 8) | whole[at + 3]!;
  }
  new DataView(whole.buffer).setUint32(24, whole.length);
  expect(() => parseMessage(whole)).toThrow(IkeError);
  link.sent.length = 0;
  link.inject({ from: { address: A, port: 777 }, to: { address: B, port: 500 }, bytes: whole });
  expect(notifies(parseMessage(link.sent[0]!.bytes).payloads, Notify.UNSUPPORTED_CRITICAL_PAYLOAD)[0]?.data).toEqual(
    Uint8Array.of(99),
  );
  run(1);
  expect(b.manager.held.all).toBe(0);
});

test("two connections of one name, or one without a child, are refused", () => {
  expect(() => twoPeers({ connectionsA: [connection("a"), connection("a")] })).toThrow("two connections");
  expect(() => twoPeers({ a: { children: [] } })).toThrow("has no child");
});

test("unknown names and peers without an address are the caller's mistake", () => {
  const { a } = twoPeers({ a: { remote: { address: undefined, port: 500, id: undefined } } });
  expect(() => a.initiate("other")).toThrow("no connection is called other");
  expect(() => a.initiate()).toThrow("takes any peer");
  expect(() => a.rekey("ike")).toThrow("not up");
});
