import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { concat, toHex } from "../../src/bytes.ts";
import { openFragment, sealDatagrams, wholeLength } from "../../src/ike/fragment.ts";
import { emitMessage, parseMessage } from "../../src/ike/message.ts";
import { type Payload, SKF } from "../../src/ike/payload/index.ts";
import { parseInner, sealProtected } from "../../src/ike/sk.ts";
import { AUTH_HEADER, AUTH_PAYLOADS, keysOf, pattern } from "./sample-messages.ts";

const random = (length: number): Uint8Array => pattern(length, 9);
const SUITES = ["aes256gcm16-prfsha256-x25519", "chacha20poly1305-prfsha256-x25519", "aes128-sha256-x25519"] as const;

describe.each(SUITES)("with %s", (suite) => {
  const keys = keysOf(suite).initiator;

  it("what fits is one message with SK", () => {
    const whole = sealProtected(AUTH_HEADER, AUTH_PAYLOADS, keysOf(suite).initiator, random);
    const datagrams = sealDatagrams(AUTH_HEADER, AUTH_PAYLOADS, keysOf(suite).initiator, random, whole.length);
    expect(wholeLength(AUTH_PAYLOADS, keys)).toBe(whole.length);
    expect(datagrams).toEqual([whole]);
  });

  it("one octet less makes two pieces of equal headers, the first of which names the first payload", () => {
    const longest = wholeLength(AUTH_PAYLOADS, keys) - 1;
    const datagrams = sealDatagrams(AUTH_HEADER, AUTH_PAYLOADS, keys, random, longest);
    const messages = datagrams.map(parseMessage);
    expect(messages.map(({ header }) => header.nextPayload)).toEqual([SKF, SKF]);
    expect(messages.map(({ header }) => [header.exchange, header.messageId])).toEqual([
      [AUTH_HEADER.exchange, AUTH_HEADER.messageId],
      [AUTH_HEADER.exchange, AUTH_HEADER.messageId],
    ]);
    expect(messages.map((message) => message.protected)).toEqual([
      { at: 28, firstPayload: 35, fragment: { number: 1, total: 2 } },
      { at: 28, firstPayload: 0, fragment: { number: 2, total: 2 } },
    ]);
  });

  it("pieces of any size are within it, as long as can be, and make the message again", () => {
    const octets = (payloads: readonly Payload[]) => toHex(emitMessage(AUTH_HEADER, payloads));
    fc.assert(
      fc.property(fc.integer({ min: 110, max: 700 }), (longest) => {
        const datagrams = sealDatagrams(AUTH_HEADER, AUTH_PAYLOADS, keys, random, longest);
        const block = keys.cipher.blockLength;
        for (const [index, bytes] of datagrams.entries()) {
          expect(bytes.length).toBeLessThanOrEqual(longest);
          if (datagrams.length > 1 && index < datagrams.length - 1)
            expect(bytes.length).toBeGreaterThan(longest - block);
        }
        if (datagrams.length === 1) return;
        const pieces = datagrams.map((bytes) => openFragment(bytes, parseMessage(bytes), keys) ?? new Uint8Array(0));
        expect(octets(parseInner(35, concat(...pieces)))).toBe(octets(AUTH_PAYLOADS));
      }),
    );
  });

  it("any changed octet, the fragment's number and total too, fails the ICV", () => {
    const [first = new Uint8Array(0)] = sealDatagrams(AUTH_HEADER, AUTH_PAYLOADS, keys, random, 200);
    for (let at = 0; at < first.length; at++) {
      const forged = first.slice();
      forged[at]! ^= 1;
      expect(openFragment(forged, parseMessage(first), keys)).toBeUndefined();
    }
  });

  it("a piece is not taken for a whole message, nor the other way round", () => {
    const [first = new Uint8Array(0)] = sealDatagrams(AUTH_HEADER, AUTH_PAYLOADS, keys, random, 200);
    const whole = sealProtected(AUTH_HEADER, AUTH_PAYLOADS, keys, random);
    expect(openFragment(whole, parseMessage(whole), keys)).toBeUndefined();
    const { protected: skf } = parseMessage(first);
    expect(openFragment(first, { protected: skf && { at: skf.at, firstPayload: 35 } }, keys)).toBeUndefined();
  });
});

test("what cannot be cut so small is a bug", () => {
  const keys = keysOf(SUITES[0]).initiator;
  expect(() => sealDatagrams(AUTH_HEADER, AUTH_PAYLOADS, keys, random, 60)).toThrow(RangeError);
  expect(() => sealDatagrams(AUTH_HEADER, AUTH_PAYLOADS, keys, random, 62)).toThrow("in pieces of 62");
});

test("a fragment payload too short for its two numbers is malformed", () => {
  for (let length = 0; length < 4; length++) {
    const bytes = new Uint8Array(32 + length);
    bytes.set(sealProtected(AUTH_HEADER, [], keysOf(SUITES[0]).initiator, random).subarray(0, 28));
    bytes.set([0, 0, 0, 4 + length], 28);
    bytes[16] = SKF;
    bytes[27] = bytes.length;
    bytes[26] = 0;
    expect(() => parseMessage(bytes)).toThrow("INVALID_SYNTAX");
  }
});
