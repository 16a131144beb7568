import { describe, expect, it } from "vitest";
import { CookieJar } from "../../src/ike/cookie.ts";
import { pattern, seeded } from "./sample-messages.ts";

const SECOND = 1000;
const NI = pattern(32, 1);
const SPI = pattern(8, 2);

const jar = (): CookieJar => {
  const next = seeded(1);
  return new CookieJar((length) => Uint8Array.from({ length }, next), 60 * SECOND);
};

describe("a cookie", () => {
  it("is taken back from the initiator that it was issued to", () => {
    const cookies = jar();
    const cookie = cookies.issue(NI, "192.0.2.1", SPI, 5);
    expect(cookie.length).toBeLessThanOrEqual(64); // RFC 7296 §2.6
    expect(cookies.check(cookie, NI, "192.0.2.1", SPI, 6)).toBe(true);
    expect(cookies.issue(NI, "192.0.2.1", SPI, 7)).toEqual(cookie);
  });

  it("is not taken from another address, nonce or SPI", () => {
    const cookies = jar();
    const cookie = cookies.issue(NI, "192.0.2.1", SPI, 0);
    expect(cookies.check(cookie, NI, "192.0.2.2", SPI, 1)).toBe(false);
    expect(cookies.check(cookie, NI, "2001:db8::1", SPI, 1)).toBe(false);
    expect(cookies.check(cookie, pattern(32, 3), "192.0.2.1", SPI, 1)).toBe(false);
    expect(cookies.check(cookie, NI, "192.0.2.1", pattern(8, 4), 1)).toBe(false);
  });

  it("is not taken when it is not ours: any length, any bit", () => {
    const cookies = jar();
    const cookie = cookies.issue(NI, "192.0.2.1", SPI, 0);
    for (let length = 0; length < cookie.length; length++)
      expect(cookies.check(cookie.subarray(0, length), NI, "192.0.2.1", SPI, 1)).toBe(false);
    for (let bit = 0; bit < cookie.length * 8; bit++) {
      const forged = cookie.slice();
      forged[bit >> 3]! ^= 1 << (bit & 7);
      expect(cookies.check(forged, NI, "192.0.2.1", SPI, 1)).toBe(false);
    }
    expect(jar().check(cookie, NI, "192.0.2.1", SPI, 1)).toBe(true); // the same seed, hence the same secret
    expect(new CookieJar((length) => pattern(length)).check(cookie, NI, "192.0.2.1", SPI, 1)).toBe(false);
  });

  it("outlives one change of the secret and not two", () => {
    const cookies = jar();
    cookies.issue(NI, "192.0.2.1", SPI, 0);
    const cookie = cookies.issue(NI, "192.0.2.1", SPI, 59 * SECOND);
    expect(cookies.check(cookie, NI, "192.0.2.1", SPI, 61 * SECOND)).toBe(true);
    expect(cookies.issue(NI, "192.0.2.1", SPI, 62 * SECOND)).not.toEqual(cookie);
    expect(cookies.check(cookie, NI, "192.0.2.1", SPI, 119 * SECOND)).toBe(true);
    expect(cookies.check(cookie, NI, "192.0.2.1", SPI, 122 * SECOND)).toBe(false);
  });

  it("is too old after a long silence", () => {
    const cookies = jar();
    const cookie = cookies.issue(NI, "192.0.2.1", SPI, 0);
    expect(cookies.check(cookie, NI, "192.0.2.1", SPI, 3600 * SECOND)).toBe(false);
  });
});
