import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { describe, expect, it } from "vitest";
import { concat, fromHex, toHex } from "../../src/bytes.ts";
import { prfById } from "../../src/crypto/prf.ts";
import { checkPskAuth, pskAuth, type Signed, signedOctets } from "../../src/ike/auth.ts";
import { parseIdentity } from "../../src/ike/identity.ts";
import { emitMessage } from "../../src/ike/message.ts";
import { INIT_HEADER, INIT_PAYLOADS, pattern } from "./sample-messages.ts";

const SIGNED: Signed = {
  message: emitMessage(INIT_HEADER, INIT_PAYLOADS),
  nonce: pattern(32, 6),
  prf: prfById(5)!,
  skP: pattern(32, 7),
  identity: parseIdentity("gw-a.example")!,
};

const PSK = new TextEncoder().encode("cisco");

describe("authentication with a shared key", () => {
  it("signs the own first message, the other's nonce and the own identity", () => {
    const idBody = concat(fromHex("02000000"), new TextEncoder().encode("gw-a.example"));
    const maced = hmac(sha256, SIGNED.skP, idBody);
    expect(toHex(signedOctets(SIGNED))).toBe(toHex(concat(SIGNED.message, SIGNED.nonce, maced)));
  });

  it("is the PRF of the padded key over what is signed", () => {
    const key = hmac(sha256, PSK, new TextEncoder().encode("Key Pad for IKEv2"));
    expect(toHex(pskAuth(PSK, SIGNED))).toBe(toHex(hmac(sha256, key, signedOctets(SIGNED))));
  });

  it("is the same whether the key was written as text or as hex", () => {
    expect(toHex(pskAuth(fromHex("636973636f"), SIGNED))).toBe(toHex(pskAuth(PSK, SIGNED)));
  });

  it("accepts the right key and nothing else", () => {
    const auth = pskAuth(PSK, SIGNED);
    expect(checkPskAuth(PSK, SIGNED, auth)).toBe(true);
    expect(checkPskAuth(fromHex("636973636e"), SIGNED, auth)).toBe(false);
    expect(checkPskAuth(PSK, { ...SIGNED, nonce: pattern(32, 8) }, auth)).toBe(false);
    expect(checkPskAuth(PSK, { ...SIGNED, identity: parseIdentity("gw-b.example")! }, auth)).toBe(false);
    expect(checkPskAuth(PSK, SIGNED, auth.subarray(0, 31))).toBe(false);
    expect(checkPskAuth(PSK, SIGNED, new Uint8Array(0))).toBe(false);
  });

  it("covers reserved octets of the identity as the peer sent them", () => {
    const odd = { ...SIGNED, identity: { ...SIGNED.identity, reserved: Uint8Array.of(1, 2, 3) } };
    expect(checkPskAuth(PSK, odd, pskAuth(PSK, SIGNED))).toBe(false);
  });
});
