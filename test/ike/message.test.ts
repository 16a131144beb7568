import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../../src/bytes.ts";
import { IkeError } from "../../src/ike/ike-error.ts";
import { checkContents, Exchange, emitMessage, find, notifies, parseMessage } from "../../src/ike/message.ts";
import { Notify, notifyName } from "../../src/ike/notify.ts";
import type { Payload, PayloadKind } from "../../src/ike/payload/index.ts";
import { IDENTITY, NONCE, SELECTORS } from "./sample-messages.ts";

const message = (firstPayload: number, body: string, change: (bytes: Uint8Array) => unknown = () => {}): Uint8Array => {
  const bytes = fromHex(`0102030405060708${"00".repeat(8)}${firstPayload.toString(16).padStart(2, "0")}20220800000000`);
  const whole = fromHex(`${toHex(bytes)}${(28 + body.length / 2).toString(16).padStart(8, "0")}${body}`);
  change(whole);
  return whole;
};

const errorOf = (act: () => unknown): IkeError => {
  try {
    act();
  } catch (error) {
    if (error instanceof IkeError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

describe("the header", () => {
  it("of a message without payloads is a whole message", () => {
    expect(parseMessage(message(0, ""))).toMatchObject({ payloads: [], skipped: 0, protected: undefined });
  });

  it("is refused at every truncation", () => {
    const whole = message(0, "");
    for (let length = 0; length < whole.length; length++)
      expect(errorOf(() => parseMessage(whole.subarray(0, length))).notify).toBe(Notify.INVALID_SYNTAX);
  });

  it("of another major version is refused by name", () => {
    for (const version of [0x10, 0x30])
      expect(errorOf(() => parseMessage(message(0, "", (bytes) => bytes.set([version], 17)))).notify).toBe(
        Notify.INVALID_MAJOR_VERSION,
      );
  });

  it("of a higher minor version is read", () => {
    expect(parseMessage(message(0, "", (bytes) => bytes.set([0x2f], 17))).header.minorVersion).toBe(15);
  });

  it("must name the datagram's length and an initiator's SPI", () => {
    expect(errorOf(() => parseMessage(message(0, "", (bytes) => bytes.set([29], 27)))).message).toMatch(/length 29/);
    expect(errorOf(() => parseMessage(message(0, "", (bytes) => bytes.fill(0, 0, 8)))).message).toMatch(/SPI/);
  });

  it("keeps a message ID of 32 bits and both flags", () => {
    const header = {
      spiI: fromHex("ffffffffffffffff"),
      spiR: fromHex("0102030405060708"),
      exchange: Exchange.INFORMATIONAL,
      fromInitiator: false,
      isResponse: true,
      messageId: 0xfffffffe,
    };
    expect(parseMessage(emitMessage(header, [])).header).toMatchObject(header);
  });
});

describe("an unknown payload", () => {
  it("is skipped when it is not critical, and counted", () => {
    const parsed = parseMessage(message(200, `2b000006abcd` + `00000005ff`));
    expect(parsed.payloads).toEqual([{ kind: "V", value: { data: Uint8Array.of(0xff) } }]);
    expect(parsed.skipped).toBe(1);
  });

  it("is refused with its type when it is critical", () => {
    const error = errorOf(() => parseMessage(message(200, "00800006abcd")));
    expect(error.notify).toBe(Notify.UNSUPPORTED_CRITICAL_PAYLOAD);
    expect(error.data).toEqual(Uint8Array.of(200));
  });
});

describe("the encrypted payload", () => {
  it("is located and not opened", () => {
    const parsed = parseMessage(message(43, `2e000005aa` + `23000008deadbeef`));
    expect(parsed.protected).toEqual({ firstPayload: 35, at: 33 });
    expect(parsed.payloads).toHaveLength(1);
  });

  it("must be the last one", () => {
    expect(errorOf(() => parseMessage(message(46, `2b000008deadbeef` + `00000004`))).notify).toBe(
      Notify.INVALID_SYNTAX,
    );
  });
});

describe("what a message may contain", () => {
  const SAMPLES: Partial<Record<PayloadKind, Payload>> = {
    SA: { kind: "SA", value: [] },
    KE: { kind: "KE", value: { method: 31, data: NONCE } },
    Nonce: { kind: "Nonce", value: { data: NONCE } },
    IDi: { kind: "IDi", value: IDENTITY },
    IDr: { kind: "IDr", value: IDENTITY },
    AUTH: { kind: "AUTH", value: { method: 2, data: NONCE } },
    CERT: { kind: "CERT", value: { encoding: 4, data: NONCE } },
    TSi: { kind: "TSi", value: { selectors: SELECTORS } },
    TSr: { kind: "TSr", value: { selectors: SELECTORS } },
    Delete: { kind: "Delete", value: { protocol: 1, spis: [] } },
    V: { kind: "V", value: { data: NONCE } },
    EAP: { kind: "EAP", value: { raw: NONCE } },
  };
  const of = (...kinds: PayloadKind[]): Payload[] => kinds.map((kind) => SAMPLES[kind]!);
  const notify = (type: number): Payload => ({
    kind: "Notify",
    value: { protocol: 0, spi: new Uint8Array(0), type, data: new Uint8Array(0) },
  });

  it.each<[string, number, boolean, Payload[]]>([
    ["IKE_SA_INIT request", 34, false, [notify(Notify.COOKIE), ...of("V", "SA", "KE", "Nonce", "V")]],
    ["IKE_SA_INIT response", 34, true, of("Nonce", "KE", "SA")],
    ["IKE_SA_INIT response that wants a cookie", 34, true, [notify(Notify.COOKIE)]],
    ["IKE_SA_INIT response that refuses", 34, true, [notify(Notify.NO_PROPOSAL_CHOSEN)]],
    ["IKE_AUTH request", 35, false, of("V", "IDi", "CERT", "CERT", "IDr", "AUTH", "SA", "TSi", "TSr")],
    ["IKE_AUTH request without a Child SA", 35, false, of("IDi", "AUTH")],
    ["IKE_AUTH response", 35, true, of("IDr", "AUTH", "SA", "TSi", "TSr")],
    ["IKE_AUTH response whose Child SA failed", 35, true, [...of("IDr", "AUTH"), notify(Notify.TS_UNACCEPTABLE)]],
    ["IKE_AUTH response that refuses", 35, true, [notify(Notify.AUTHENTICATION_FAILED)]],
    ["CREATE_CHILD_SA request for the IKE SA", 36, false, of("SA", "Nonce", "KE")],
    [
      "CREATE_CHILD_SA request for a Child SA",
      36,
      false,
      [notify(Notify.REKEY_SA), ...of("SA", "Nonce", "TSi", "TSr")],
    ],
    ["CREATE_CHILD_SA response that refuses", 36, true, [notify(Notify.TEMPORARY_FAILURE)]],
    ["INFORMATIONAL that asks for life", 37, false, []],
    ["INFORMATIONAL that deletes", 37, false, of("Delete", "Delete")],
  ])("%s is complete", (_name, exchange, isResponse, payloads) => {
    expect(() => checkContents(exchange, isResponse, payloads)).not.toThrow();
  });

  it.each<[string, number, boolean, Payload[], RegExp]>([
    ["without a nonce", 34, false, of("SA", "KE"), /IKE_SA_INIT request without Nonce/],
    ["with two public values", 34, false, of("SA", "KE", "KE", "Nonce"), /KE 2 times/],
    ["with an identity in the clear", 34, false, of("SA", "KE", "Nonce", "IDi"), /with IDi/],
    ["excused by a notification of status", 34, true, [notify(Notify.NAT_DETECTION_SOURCE_IP)], /without SA \(NAT_/],
    ["excused by an error in a request", 34, false, [notify(Notify.NO_PROPOSAL_CHOSEN)], /without SA/],
    ["without an identity", 35, false, of("AUTH", "SA", "TSi", "TSr"), /without IDi/],
    ["with half of the selectors", 35, false, of("IDi", "AUTH", "SA", "TSi"), /SA, TSi alone/],
    ["with EAP, which we do not speak", 35, false, of("IDi", "EAP"), /with EAP/],
    ["with one traffic selector payload", 36, false, of("SA", "Nonce", "TSr"), /TSr alone/],
    ["with a proposal where none belongs", 37, false, of("SA"), /INFORMATIONAL request with SA/],
    ["of an unknown exchange", 99, false, [], /exchange type 99/],
  ])("a message is refused %s", (_name, exchange, isResponse, payloads, complaint) => {
    const error = errorOf(() => checkContents(exchange, isResponse, payloads));
    expect(error.notify).toBe(Notify.INVALID_SYNTAX);
    expect(error.message).toMatch(complaint);
  });

  it("is found by kind and by type of notification", () => {
    const payloads = [...of("V", "IDi"), notify(Notify.COOKIE), notify(Notify.REKEY_SA)];
    expect(find(payloads, "IDi")).toEqual(IDENTITY);
    expect(find(payloads, "SA")).toBeUndefined();
    expect(notifies(payloads, Notify.REKEY_SA)).toHaveLength(1);
  });
});

describe("notifications", () => {
  it("have the names of RFC 7296, or a number", () => {
    expect(notifyName(14)).toBe("NO_PROPOSAL_CHOSEN");
    expect(notifyName(16390)).toBe("COOKIE");
    expect(notifyName(40_000)).toBe("notify-40000");
  });
});
