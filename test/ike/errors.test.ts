/** Every error of RFC 7296 §3.10.1: sent when it should be, and understood when it comes. */
import { describe, expect, test } from "vitest";
import { Exchange, emitMessage, notifies, type Payload, parseMessage } from "../../src/ike/message.ts";
import { isErrorNotify, Notify, notifyName } from "../../src/ike/notify.ts";
import { kePayload, noncePayload, notifyAboutSpi, notifyPayload } from "../../src/ike/payloads.ts";
import { offerIke, Protocol, spiBytes } from "../../src/ike/proposal.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { Puppet, type Said } from "../support/puppet.ts";
import { connection, disagreements, identity, ike, selectors, twoPeers } from "../support/two-peers.ts";

/** A gateway, `b`, with an honest peer, `a`, and one that says what it is told to. */
const withPuppet = (ofPuppet: Parameters<typeof connection>[1] = {}) => {
  const remote = { address: undefined, port: 500, id: identity("puppet.example") };
  const peers = twoPeers({ connectionsB: [connection("b"), connection("b", { name: "puppet", remote, ...ofPuppet })] });
  peers.connect();
  return { ...peers, puppet: new Puppet(peers.link, peers.random), held: peers.b.manager.held.all };
};

const errorsOf = (said: readonly Said[]): string[] =>
  said.flatMap(({ payloads }) =>
    payloads.flatMap(({ kind, value }) =>
      kind === "Notify" && isErrorNotify(value.type) ? [notifyName(value.type)] : [],
    ),
  );

const nonce = noncePayload(new Uint8Array(32).fill(7));

const childRequest = (puppet: Puppet, tsi = anySelectors): Payload[] => [
  { kind: "SA", value: puppet.espOffer() },
  nonce,
  { kind: "TSi", value: { selectors: tsi } },
  { kind: "TSr", value: { selectors: tsi } },
];

describe("is sent", () => {
  test("UNSUPPORTED_CRITICAL_PAYLOAD, with the type, for one that is not known and marked so", () => {
    const { puppet } = withPuppet();
    puppet.connect();
    // Payload type 200, critical, four octets long.
    const [answer] = puppet.askRaw(Exchange.INFORMATIONAL, 200, Uint8Array.of(0, 0x80, 0, 4));
    expect(notifies(answer!.payloads, Notify.UNSUPPORTED_CRITICAL_PAYLOAD)[0]?.data).toEqual(Uint8Array.of(200));
    expect(errorsOf(puppet.ask(Exchange.INFORMATIONAL, []))).toEqual([]); // the IKE SA goes on
  });

  test("INVALID_IKE_SPI, in the clear, for an IKE SA that nobody knows", () => {
    const { puppet } = withPuppet();
    puppet.connect();
    puppet.spiR = new Uint8Array(8).fill(9);
    expect(errorsOf(puppet.ask(Exchange.INFORMATIONAL, []))).toEqual(["INVALID_IKE_SPI"]);
  });

  test("nothing for a one-way INVALID_SPI, which belongs to no IKE SA (RFC 7296 §1.5)", () => {
    const { puppet, b, link } = withPuppet();
    puppet.connect();
    const before = [b.status("puppet"), link.sent.length];
    const notify = notifyPayload(Notify.INVALID_SPI, Uint8Array.of(1, 2, 3, 4));
    for (const octet of [0, 7]) {
      const [spiI, spiR] = [new Uint8Array(8).fill(octet), new Uint8Array(8).fill(octet)];
      const header = { spiI, spiR, exchange: Exchange.INFORMATIONAL, messageId: 0 };
      puppet.deliver(emitMessage({ ...header, fromInitiator: true, isResponse: false }, [notify]));
    }
    expect([b.count("malformed"), b.count("unknown-spi")]).toEqual([1, 1]);
    expect([b.status("puppet"), link.sent.length]).toEqual(before);
  });

  test("INVALID_MAJOR_VERSION, in the clear, with our own version, for a higher one", () => {
    const { puppet } = withPuppet();
    puppet.begin();
    const request = new Uint8Array(28);
    request.set(puppet.spiI);
    request.set([0, 0x30, Exchange.IKE_SA_INIT, 0x08], 16);
    request[27] = 28;
    const [answer] = puppet.deliver(request);
    expect(parseMessage(answer!).payloads).toMatchObject([{ value: { type: Notify.INVALID_MAJOR_VERSION } }]);
  });

  test("INVALID_SYNTAX, and the IKE SA ends, for a message that makes no sense", () => {
    const { puppet, b, held } = withPuppet();
    puppet.connect();
    expect(errorsOf(puppet.ask(Exchange.CREATE_CHILD_SA, [nonce]))).toEqual(["INVALID_SYNTAX"]);
    expect(b.manager.held.all).toBe(held);
  });

  test("INVALID_MESSAGE_ID, in a request of its own and seldom, for one ahead of its turn", () => {
    const { puppet, link, run } = withPuppet();
    puppet.connect();
    const [complaint, ...more] = puppet.ask(Exchange.INFORMATIONAL, [], 9);
    expect(complaint).toMatchObject({ exchange: Exchange.INFORMATIONAL, isResponse: false });
    expect(notifies(complaint!.payloads, Notify.INVALID_MESSAGE_ID)[0]?.data).toEqual(Uint8Array.of(0, 0, 0, 9));
    expect(more).toEqual([]);
    puppet.answer(complaint!, []);
    expect(puppet.ask(Exchange.INFORMATIONAL, [], 10)).toEqual([]);
    run(10_000);
    const before = link.sent.length;
    puppet.ask(Exchange.INFORMATIONAL, [], 11);
    expect(errorsOf(puppet.open(puppet.heard(before)))).toEqual(["INVALID_MESSAGE_ID"]);
  });

  test("nothing for one behind its turn, which anybody can send again", () => {
    const { puppet } = withPuppet();
    puppet.connect();
    puppet.ask(Exchange.INFORMATIONAL, []);
    puppet.ask(Exchange.INFORMATIONAL, []);
    expect(puppet.ask(Exchange.INFORMATIONAL, [], 2)).toEqual([]);
  });

  test("NO_PROPOSAL_CHOSEN for suites that we have not, of an IKE SA and of a Child SA", () => {
    const { puppet } = withPuppet();
    puppet.connect();
    const [offer] = puppet.espOffer();
    const unknown = { ...offer!, transforms: [{ type: 1, id: 3 }] }; // 3DES
    const [, , tsi, tsr] = childRequest(puppet);
    const asked = [{ kind: "SA", value: [unknown] }, nonce, tsi!, tsr!] as const;
    expect(errorsOf(puppet.ask(Exchange.CREATE_CHILD_SA, asked))).toEqual(["NO_PROPOSAL_CHOSEN"]);
    const weak = offerIke(ike("aes256gcm16-prfsha512-ecp521"), new Uint8Array(8).fill(1));
    const rekey = [{ kind: "SA", value: weak } as const, nonce, kePayload(21, new Uint8Array(132).fill(1))];
    expect(errorsOf(puppet.ask(Exchange.CREATE_CHILD_SA, rekey))).toEqual(["NO_PROPOSAL_CHOSEN"]);
  });

  test("INVALID_KE_PAYLOAD, with the group, for a value of another than the one chosen", () => {
    const { puppet } = withPuppet();
    puppet.connect();
    const offer = offerIke(ike("aes256gcm16-prfsha256-x25519"), new Uint8Array(8).fill(1));
    const rekey = [{ kind: "SA", value: offer } as const, nonce, kePayload(19, new Uint8Array(64).fill(1))];
    const [answer] = puppet.ask(Exchange.CREATE_CHILD_SA, rekey);
    expect(notifies(answer!.payloads, Notify.INVALID_KE_PAYLOAD)[0]?.data).toEqual(Uint8Array.of(0, 31));
  });

  test("AUTHENTICATION_FAILED for a proof that proves nothing, and nothing is left", () => {
    const { puppet, b, held } = withPuppet();
    puppet.begin();
    const proof = puppet
      .proof()
      .map((payload) =>
        payload.kind === "AUTH" ? { ...payload, value: { ...payload.value, data: new Uint8Array(32) } } : payload,
      );
    expect(errorsOf(puppet.ask(Exchange.IKE_AUTH, proof))).toEqual(["AUTHENTICATION_FAILED"]);
    expect(b.manager.held.all).toBe(held);
  });

  test("TS_UNACCEPTABLE for networks that are nobody's here", () => {
    const { puppet } = withPuppet({ children: [{ ...connection("b").children[0]!, local: selectors("10.1.0.0/16") }] });
    puppet.connect();
    const asked = childRequest(puppet, selectors("172.16.0.0/12"));
    expect(errorsOf(puppet.ask(Exchange.CREATE_CHILD_SA, asked))).toEqual(["TS_UNACCEPTABLE"]);
  });

  test("NO_ADDITIONAL_SAS where the data plane has no room", () => {
    const { puppet, b } = withPuppet();
    puppet.connect();
    b.data.reserveSpi = () => 0;
    expect(errorsOf(puppet.ask(Exchange.CREATE_CHILD_SA, childRequest(puppet)))).toEqual(["NO_ADDITIONAL_SAS"]);
  });

  test("CHILD_SA_NOT_FOUND, about its SPI, for the rekey of a pair that is not there", () => {
    const { puppet } = withPuppet();
    puppet.connect();
    const spi = Uint8Array.of(1, 2, 3, 4);
    const rekey = [notifyAboutSpi(Notify.REKEY_SA, Protocol.ESP, spi), ...childRequest(puppet)];
    const [answer] = puppet.ask(Exchange.CREATE_CHILD_SA, rekey);
    expect(notifies(answer!.payloads, Notify.CHILD_SA_NOT_FOUND)).toMatchObject([{ spi, protocol: Protocol.ESP }]);
  });

  describe("on the IKE SA with the peer, in a request of its own and seldom,", () => {
    const told = ({ link, puppet }: ReturnType<typeof withPuppet>, provoke: () => void): readonly Said[] => {
      const before = link.sent.length;
      provoke();
      return puppet.open(puppet.heard(before));
    };

    test("INVALID_SPI for ESP from there that is no SA's", () => {
      const peers = withPuppet();
      const { puppet, b, clock, run } = peers;
      puppet.connect();
      const { address, port } = puppet.from;
      const stray = (spi: number, from = { address, port: 0 }): readonly Said[] =>
        told(peers, () => b.apply(b.manager.unknownSpi(spi, from, clock.now)));
      const [pair] = [...b.data.pairs.values()].slice(-1);
      expect(stray(pair!.spiIn)).toEqual([]); // it is there by now
      expect(stray(0xf1223344, { address: "203.0.113.10", port: 0 })).toEqual([]);
      expect(stray(0xf1223344, { address, port: port + 1 })).toEqual([]); // another peer behind the same NAT
      const [complaint, ...more] = stray(0xf1223344);
      expect(more).toEqual([]);
      expect(complaint).toMatchObject({ exchange: Exchange.INFORMATIONAL, isResponse: false });
      expect(notifies(complaint!.payloads, Notify.INVALID_SPI)).toMatchObject([
        { protocol: 0, data: Uint8Array.of(0xf1, 0x22, 0x33, 0x44) },
      ]);
      puppet.answer(complaint!, []);
      run(2_000);
      expect(stray(0xf1223345, { address, port })).toEqual([]);
      run(10_000);
      expect(errorsOf(stray(0xf1223345, { address, port }))).toEqual(["INVALID_SPI"]);
      expect(b.count("stray-reports")).toBe(2);
    });

    test("nobody is looked for more than four times a second, whatever comes", () => {
      const peers = withPuppet();
      const { puppet, b, clock } = peers;
      puppet.connect();
      for (let n = 0; n < 4; n++) b.manager.unknownSpi(0x1000 + n, { address: "203.0.113.77", port: 0 }, clock.now);
      expect(told(peers, () => b.apply(b.manager.unknownSpi(0x999, { ...puppet.from, port: 0 }, clock.now)))).toEqual(
        [],
      );
    });

    test("INVALID_SELECTORS, about the pair and with the start of the packet, for one outside of its selectors", () => {
      const peers = withPuppet();
      const { puppet, b, clock } = peers;
      puppet.connect();
      const [pair] = [...b.data.pairs.values()].slice(-1);
      const start = new Uint8Array(64).fill(0x45);
      const stray = (spiIn: number) => told(peers, () => b.apply(b.manager.selectorMismatch(spiIn, start, clock.now)));
      expect(stray(0x999)).toEqual([]);
      const [complaint] = stray(pair!.spiIn);
      expect(complaint).toMatchObject({ exchange: Exchange.INFORMATIONAL, isResponse: false });
      expect(notifies(complaint!.payloads, Notify.INVALID_SELECTORS)).toMatchObject([
        { protocol: Protocol.ESP, spi: spiBytes(pair!.spiIn), data: start },
      ]);
      puppet.answer(complaint!, []);
      expect(stray(pair!.spiIn)).toEqual([]);
    });
  });

  test("TEMPORARY_FAILURE while the IKE SA is being rekeyed by us", () => {
    const { puppet, b } = withPuppet();
    puppet.connect();
    b.rekey("ike", "puppet");
    expect(errorsOf(puppet.ask(Exchange.CREATE_CHILD_SA, childRequest(puppet)))).toEqual(["TEMPORARY_FAILURE"]);
  });
});

describe("is understood", () => {
  /** The gateway asks for a rekey of its Child SA, and the peer refuses with this. */
  const refusing = (type: number) => {
    const world = withPuppet();
    const { puppet, b, link, run } = world;
    puppet.connect();
    const before = link.sent.length;
    b.rekey("children", "puppet");
    const [asked] = puppet.open(puppet.heard(before));
    expect(asked).toMatchObject({ exchange: Exchange.CREATE_CHILD_SA, isResponse: false });
    const since = link.sent.length;
    puppet.answer(asked!, [notifyPayload(type)]);
    run(100);
    return { ...world, said: puppet.open(puppet.heard(since)) };
  };

  test.each([
    "NO_PROPOSAL_CHOSEN",
    "SINGLE_PAIR_REQUIRED",
    "NO_ADDITIONAL_SAS",
    "INTERNAL_ADDRESS_FAILURE",
    "FAILED_CP_REQUIRED",
    "TS_UNACCEPTABLE",
    "INVALID_KE_PAYLOAD",
    "UNSUPPORTED_CRITICAL_PAYLOAD",
    "TEMPORARY_FAILURE",
  ] as const)("%s as the answer to a rekey: the old pair goes on, and it is tried again", (name) => {
    const { b, puppet, link, run, said } = refusing(Notify[name]);
    expect(said).toEqual([]);
    expect(b.status("puppet").childSas).toMatchObject([{ state: "installed" }]);
    const before = link.sent.length;
    run(60_000);
    expect(puppet.open(puppet.heard(before))[0]).toMatchObject({
      exchange: Exchange.CREATE_CHILD_SA,
      isResponse: false,
    });
  });

  test("CHILD_SA_NOT_FOUND: the pair goes, and with the last one an IKE SA that nobody here wants", () => {
    const { b, said } = refusing(Notify.CHILD_SA_NOT_FOUND);
    expect(b.status("puppet").childSas).toEqual([]);
    expect(said).toMatchObject([{ payloads: [{ kind: "Delete", value: { protocol: Protocol.IKE } }] }]);
  });

  test.each(["INVALID_SYNTAX", "AUTHENTICATION_FAILED"] as const)("%s: the IKE SA is over, whoever asked", (name) => {
    const refused = refusing(Notify[name]);
    expect(refused.b.manager.held.all).toBe(refused.held);
    const told = withPuppet();
    told.puppet.connect();
    expect(told.puppet.ask(Exchange.INFORMATIONAL, [notifyPayload(Notify[name])])).toMatchObject([{ payloads: [] }]);
    expect(told.b.manager.held.all).toBe(told.held);
  });

  test("INVALID_SPI about a pair that is up: it is deleted, since the peer has lost it, and asked for where it is wanted", () => {
    const { puppet, b, link, run } = withPuppet();
    puppet.connect();
    const [pair] = [...b.data.pairs.values()].slice(-1);
    const spiOut = new Uint8Array(4);
    new DataView(spiOut.buffer).setUint32(0, pair!.spiOut);
    const report = [notifyPayload(Notify.INVALID_SPI, spiOut)];
    puppet.ask(Exchange.INFORMATIONAL, report); // too early: the peer may not have made it yet
    expect(b.status("puppet").childSas).toMatchObject([{ state: "installed" }]);
    run(30_000);
    const before = link.sent.length;
    puppet.ask(Exchange.INFORMATIONAL, report);
    expect(puppet.open(puppet.heard(before))).toMatchObject([
      { isResponse: false, payloads: [{ kind: "Delete", value: { protocol: Protocol.ESP } }] },
      { isResponse: true, payloads: [] },
    ]);
  });

  test.each([
    "INVALID_IKE_SPI",
    "INVALID_MAJOR_VERSION",
    "INVALID_MESSAGE_ID",
    "INVALID_SPI",
    "INVALID_SELECTORS",
    "UNSUPPORTED_CRITICAL_PAYLOAD",
  ] as const)("%s, told in a request: it is answered and logged, and nothing changes", (name) => {
    const { puppet, b } = withPuppet();
    puppet.connect();
    const before = b.status("puppet");
    expect(puppet.ask(Exchange.INFORMATIONAL, [notifyPayload(Notify[name], new Uint8Array(4))])).toMatchObject([
      { isResponse: true, payloads: [] },
    ]);
    expect(b.log("peer-report")?.fields).toMatchObject({ notify: name });
    expect(b.status("puppet")).toEqual(before);
  });

  test.each(["INVALID_IKE_SPI", "INVALID_MAJOR_VERSION", "INVALID_SYNTAX", "AUTHENTICATION_FAILED"] as const)(
    "%s without protection: it changes nothing",
    (name) => {
      const peers = withPuppet();
      const { puppet, b } = peers;
      puppet.connect();
      const before = b.status("puppet");
      puppet.deliver(unprotected(puppet, name));
      expect(b.status("puppet")).toEqual(before);
      expect(disagreements(peers).filter((wrong) => wrong.startsWith("a"))).toEqual([]);
    },
  );
});

/** An answer in the clear to a request that the gateway may have made. */
const unprotected = ({ spiI, spiR }: Puppet, name: keyof typeof Notify): Uint8Array => {
  const header = { spiI, spiR, exchange: Exchange.INFORMATIONAL, fromInitiator: true, isResponse: true, messageId: 0 };
  return emitMessage(header, [notifyPayload(Notify[name])]);
};
