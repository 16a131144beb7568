import { describe, expect, it } from "vitest";
import { IkeError } from "../../src/ike/ike-error.ts";
import type { IkeKeys } from "../../src/ike/keymat.ts";
import { checkContents, emitMessage, parseMessage } from "../../src/ike/message.ts";
import { openProtected, sealProtected } from "../../src/ike/sk.ts";
import { AUTH_HEADER, AUTH_PAYLOADS, INIT_HEADER, INIT_PAYLOADS, keysOf, pattern, seeded } from "./sample-messages.ts";

const ROUNDS = 100_000;

/** One to four changes: a bit, an octet, a run of octets, a cut, an insertion, a length field that lies. */
const mutate = (original: Uint8Array, next: () => number): Uint8Array => {
  let bytes = original.slice();
  for (let changes = 1 + (next() % 4); changes > 0; changes--) {
    const at = next() % bytes.length;
    switch (next() % 7) {
      case 0:
        bytes[at]! ^= 1 << (next() & 7);
        break;
      case 1:
        bytes[at] = next();
        break;
      case 2:
        bytes.fill(next(), at, at + (next() % 16));
        break;
      case 3:
        bytes = bytes.slice(0, Math.max(1, at));
        break;
      case 4:
        bytes = Uint8Array.from([...bytes.subarray(0, at), next(), next(), ...bytes.subarray(at)]);
        break;
      case 5:
        bytes.copyWithin(at, next() % bytes.length, next() % bytes.length);
        break;
      default:
        bytes[at] = [0, 1, 3, 4, 0x7f, 0x80, 0xff][next() % 7]!;
    }
  }
  // Half of them keep a header that is coherent, so that what lies behind it is reached.
  if (next() % 2 === 0 && bytes.length >= 28) {
    bytes.set(original.subarray(0, 16));
    bytes[17] = 0x20;
    new DataView(bytes.buffer).setUint32(24, bytes.length);
  }
  return bytes;
};

const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

describe("mutated messages", () => {
  const clear = emitMessage(INIT_HEADER, INIT_PAYLOADS);

  it("in the clear parse, or fail as IkeError and as nothing else", () => {
    const next = seeded(1);
    const seen = { parsed: 0, refused: 0 };
    for (let round = 0; round < ROUNDS / 2; round++) {
      try {
        const { header, payloads } = parseMessage(mutate(clear, next));
        seen.parsed++;
        checkContents(header.exchange, header.isResponse, payloads);
      } catch (error) {
        if (!(error instanceof IkeError)) throw error;
        seen.refused++;
      }
    }
    expect(seen.parsed).toBeGreaterThan(ROUNDS / 100); // the mutations are not all trivially refused
    expect(seen.refused).toBeGreaterThan(ROUNDS / 100);
  });

  it.each(["aes256gcm16-prfsha384-ecp384", "aes128-sha256-modp2048", "chacha20poly1305-prfsha256-x25519"])(
    "that are protected by %s never pass the ICV",
    (text) => {
      const keys = keysOf(text).initiator;
      const sealed = sealProtected(AUTH_HEADER, AUTH_PAYLOADS, keys, (length) => pattern(length, 9));
      const next = seeded(2);
      let reached = 0;
      for (let round = 0; round < ROUNDS / 6; round++) {
        const bytes = mutate(sealed, next);
        if (isSame(bytes, sealed)) continue;
        try {
          const parsed = parseMessage(bytes);
          if (parsed.protected !== undefined) reached++;
          expect(openProtected(bytes, parsed, keys)).toBeUndefined();
        } catch (error) {
          if (!(error instanceof IkeError)) throw error;
        }
      }
      expect(reached).toBeGreaterThan(ROUNDS / 600);
    },
  );

  it("whose inside is authentic and malformed fail as IkeError and as nothing else", () => {
    const keys: IkeKeys = keysOf("aes128gcm16-prfsha256-x25519");
    const chain = emitMessage(AUTH_HEADER, AUTH_PAYLOADS);
    const next = seeded(3);
    const counts = { opened: 0, refused: 0 };
    for (let round = 0; round < ROUNDS / 10; round++) {
      // Mutate the payloads in the clear, then seal them: an authenticated peer that writes nonsense.
      const inner = mutate(chain, next);
      const head = sealProtected(AUTH_HEADER, AUTH_PAYLOADS, keys.initiator, () => pattern(8)).slice(0, 32);
      const iv = pattern(8, round);
      const text = Uint8Array.from([...inner.subarray(28), 0]);
      const sealed = Uint8Array.from([...head, ...iv, ...keys.initiator.seal(head, iv, text)]);
      try {
        const where = { protected: { firstPayload: inner[16] ?? 35, at: 28 } };
        const payloads = openProtected(sealed, where, keys.initiator);
        expect(payloads).toBeDefined();
        counts.opened++;
      } catch (error) {
        if (!(error instanceof IkeError)) throw error;
        counts.refused++;
      }
    }
    expect(Math.min(counts.opened, counts.refused)).toBeGreaterThan(50);
  });
});
