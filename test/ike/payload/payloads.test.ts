import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHex, Writer } from "../../../src/bytes.ts";
import { IkeError, readingPeer } from "../../../src/ike/ike-error.ts";
import { emitMessage, parseMessage } from "../../../src/ike/message.ts";
import { Notify } from "../../../src/ike/notify.ts";
import {
  chainSize,
  emitChain,
  firstType,
  PAYLOAD_KINDS,
  type Payload,
  parseChain,
  payloadSize,
  payloadType,
} from "../../../src/ike/payload/index.ts";
import { offerEsp, offerIke, parseEspProposal, parseIkeProposal } from "../../../src/ike/proposal.ts";
import { parseSelector } from "../../../src/ipsec/selector.ts";
import { anyPayload, payloadOf } from "./payloads.arbitrary.ts";

const HEADER = {
  spiI: fromHex("0102030405060708"),
  spiR: new Uint8Array(8),
  exchange: 34,
  fromInitiator: true,
  isResponse: false,
  messageId: 0,
};

const emitted = (payloads: readonly Payload[]): Uint8Array => {
  const to = new Writer(0);
  emitChain(payloads, to);
  return to.finish();
};

describe.each(PAYLOAD_KINDS)("payload %s", (kind) => {
  it("survives being written and read, and is as long as it says", () => {
    fc.assert(
      fc.property(payloadOf(kind), (payload) => {
        const bytes = emitted([payload]);
        expect(bytes).toHaveLength(payloadSize(payload));
        expect(parseChain(payloadType(kind), bytes)).toEqual({ payloads: [payload], skipped: 0, protected: undefined });
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it("fails as INVALID_SYNTAX at every truncation of the message", () => {
    fc.assert(
      fc.property(payloadOf(kind), (payload) => {
        const bytes = emitted([payload]);
        for (let length = 0; length < bytes.length; length++)
          expect(syntaxError(() => parseChain(payloadType(kind), bytes.subarray(0, length)))).toBe(true);
      }),
      { numRuns: 20, seed: 2 },
    );
  });

  it("never fails but as INVALID_SYNTAX when its body is cut and its length says so", () => {
    fc.assert(
      fc.property(payloadOf(kind), (payload) => {
        const bytes = emitted([payload]);
        for (let length = 4; length < bytes.length; length++) {
          const cut = bytes.slice(0, length);
          new DataView(cut.buffer).setUint16(2, length);
          // Some are whole again, such as a shorter vendor ID: those parse, to the same length.
          const payloads = parsedOrSyntaxError(payloadType(kind), cut);
          if (payloads !== undefined && kind !== "TSi" && kind !== "TSr") expect(chainSize(payloads)).toBe(length);
        }
      }),
      { numRuns: 20, seed: 3 },
    );
  });
});

describe("a chain of payloads", () => {
  it("survives being written and read as a message", () => {
    fc.assert(
      fc.property(fc.array(anyPayload, { maxLength: 8 }), (payloads) => {
        const parsed = parseMessage(emitMessage(HEADER, payloads));
        expect(parsed.payloads).toEqual(payloads);
        expect(parsed.header).toMatchObject({ ...HEADER, nextPayload: firstType(payloads) });
      }),
      { numRuns: 200, seed: 4 },
    );
  });

  it("refuses to write a payload that is too long for its length field", () => {
    const tooLong: Payload = { kind: "V", value: { data: new Uint8Array(0xffff - 3) } };
    expect(() => emitted([tooLong])).toThrow(RangeError);
  });
});

describe("length of", () => {
  const tsi = (text: string): Payload => ({ kind: "TSi", value: { selectors: [parseSelector(text)!] } });

  it("a wildcard IPv4 selector payload is 24, of two 40, of IPv6 48", () => {
    expect(payloadSize(tsi("any4"))).toBe(24);
    expect(payloadSize({ kind: "TSr", value: { selectors: [parseSelector("any4")!, parseSelector("any4")!] } })).toBe(
      40,
    );
    expect(payloadSize(tsi("any6"))).toBe(48);
  });

  it("a Delete of one ESP SA is 12, of the IKE SA 8", () => {
    expect(payloadSize({ kind: "Delete", value: { protocol: 3, spis: [fromHex("cb989cce")] } })).toBe(12);
    expect(payloadSize({ kind: "Delete", value: { protocol: 1, spis: [] } })).toBe(8);
  });

  it("SET_WINDOW_SIZE is 12, and the protocol beside its empty SPI does not matter", () => {
    const { payloads } = parseChain(41, fromHex("0000000c0100400100000005"));
    expect(payloads).toMatchObject([{ kind: "Notify", value: { type: Notify.SET_WINDOW_SIZE, protocol: 1 } }]);
    expect(payloads.map(payloadSize)).toEqual([12]);
  });

  it("an AEAD and a CBC proposal in one SA payload is 84, with group 19's KE 72", () => {
    const proposals = offerIke([
      parseIkeProposal("aes256gcm16-prfsha256-ecp256"),
      parseIkeProposal("aes256-sha256-ecp256"),
    ]);
    expect(payloadSize({ kind: "SA", value: proposals })).toBe(4 + 36 + 44);
    expect(payloadSize({ kind: "KE", value: { method: 19, data: new Uint8Array(64) } })).toBe(72);
    expect(28 + 84 + 72 + 24 + 23 + 21 + 28 + 28).toBe(308);
  });

  it("one proposal of 14 transforms is 132, in a payload of 136", () => {
    const transforms = [
      ...[256, 192, 128].map((keyBits) => ({ type: 1, id: 12, keyBits })),
      ...[7, 6, 5, 2, 1].map((id) => ({ type: 2, id })),
      ...[14, 13, 12, 2, 1].map((id) => ({ type: 3, id })),
      { type: 4, id: 5 },
    ];
    const value = [{ number: 1, protocol: 1, spi: new Uint8Array(0), transforms }];
    expect(payloadSize({ kind: "SA", value })).toBe(4 + 8 + 3 * 12 + 11 * 8);
  });

  it("an ESP proposal of AES-CBC and an HMAC is 40 in a payload of 44", () => {
    const proposals = offerEsp([parseEspProposal("aes128-sha256", "no")], 0x11223344, { withKe: false });
    expect(payloadSize({ kind: "SA", value: proposals })).toBe(4 + 40);
  });
});

describe("a payload that breaks its format", () => {
  const refused = (type: number, hex: string): void => {
    expect(syntaxError(() => parseChain(type, fromHex(hex)))).toBe(true);
  };

  it("is refused when its length is less than its own header", () => refused(43, "00000003"));
  it("is refused when octets follow the last payload", () => refused(43, "0000000400"));
  it("is refused when a nonce has 15 octets", () => refused(40, `00000013${"00".repeat(15)}`));
  it("is refused when a nonce has 257 octets", () => refused(40, `00000105${"00".repeat(257)}`));
  it("is refused when a public value is empty", () => refused(34, "00000008000e0000"));
  it("is refused when an SA has no proposal", () => refused(33, "00000004"));
  it("is refused when the SPIs of a Delete do not fill it", () => refused(42, "0000000c0304000211223344"));
  it("is refused when a Notify's SPI runs past its end", () => refused(41, "0000000803044001"));
  it("is refused when the last proposal says that more follow", () =>
    refused(33, "0000000c" + "02000008" + "01010000"));
  it("is refused when the last transform says that more follow", () =>
    refused(33, "00000014" + "00000010" + "01010001" + "0300000802000005"));
  it("is refused when a proposal has more transforms than it says", () =>
    refused(33, "0000001c" + "00000018" + "01010001" + "0000000802000005" + "0000000803000005"));
  it("is refused when a transform is shorter than its fixed part", () =>
    refused(33, "00000014" + "00000010" + "01010001" + "0000000402000005"));
  it("is refused when a selector is longer than its addresses", () =>
    refused(44, "0000001c" + "01000000" + "070000140000ffff" + "00000000ffffffff" + "00000000"));
  it("is refused when there are fewer selectors than it says", () =>
    refused(44, "00000018" + "02000000" + "070000100000ffff" + "00000000ffffffff"));
});

describe("what RFC 7296 says to ignore", () => {
  it("is ignored: the number of SPIs beside an SPI size of zero", () => {
    expect(parseChain(42, fromHex("0000000801000001")).payloads).toEqual([
      { kind: "Delete", value: { protocol: 1, spis: [] } },
    ]);
  });

  it("is ignored: a traffic selector of an unknown type", () => {
    const { payloads } = parseChain(
      44,
      fromHex("00000020" + "02000000" + "0a000008deadbeef" + "070600100000ffff0a0000000a0000ff"),
    );
    expect(payloads).toMatchObject([{ kind: "TSi", value: { selectors: [{ protocol: 6 }] } }]);
  });

  it("is ignored: reserved octets and the critical flag of a payload that we know", () => {
    const { payloads } = parseChain(44, fromHex("00ff0018" + "01ffffff" + "070000100000ffff00000000ffffffff"));
    expect(payloads).toMatchObject([{ kind: "TSi", value: { selectors: [{ protocol: 0 }] } }]);
  });
});

const syntaxError = (parse: () => unknown): boolean => {
  try {
    readingPeer(parse);
  } catch (error) {
    if (error instanceof IkeError) return error.notify === Notify.INVALID_SYNTAX;
    throw error;
  }
  return false;
};

const parsedOrSyntaxError = (type: number, bytes: Uint8Array): readonly Payload[] | undefined => {
  let payloads: readonly Payload[] | undefined;
  const failed = syntaxError(() => {
    payloads = parseChain(type, bytes).payloads;
  });
  return failed ? undefined : payloads;
};
