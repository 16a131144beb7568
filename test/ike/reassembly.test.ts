import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { equalBytes } from "../../src/bytes.ts";
import { sealDatagrams } from "../../src/ike/fragment.ts";
import { IkeError } from "../../src/ike/ike-error.ts";
import { emitMessage, parseMessage } from "../../src/ike/message.ts";
import type { Payload } from "../../src/ike/payload/index.ts";
import { Reassembly, type ReassemblyLimits, type Taken } from "../../src/ike/reassembly.ts";
import { AUTH_HEADER, AUTH_PAYLOADS, keysOf, pattern } from "./sample-messages.ts";

const keys = keysOf("aes256gcm16-prfsha256-x25519").initiator;
const random = (length: number): Uint8Array => pattern(length, 9);

const cut = (longest: number, payloads: readonly Payload[] = AUTH_PAYLOADS, messageId = AUTH_HEADER.messageId) =>
  sealDatagrams({ ...AUTH_HEADER, messageId }, payloads, keys, random, longest);

const feed = (pieces: Reassembly, bytes: Uint8Array, now = 0): Taken =>
  pieces.take(bytes, parseMessage(bytes), keys, now);

const isWhole = (taken: Taken | undefined): boolean =>
  taken !== undefined &&
  "payloads" in taken &&
  !(taken.payloads instanceof IkeError) &&
  equalBytes(emitMessage(AUTH_HEADER, taken.payloads), emitMessage(AUTH_HEADER, AUTH_PAYLOADS));

const long = (octets: number): readonly Payload[] => [{ kind: "V", value: { data: pattern(octets) } }];

describe("a reassembly", () => {
  it("joins pieces in whatever order they come, with repetitions, in the last one", () => {
    const datagrams = cut(160);
    const order = fc.shuffledSubarray([...datagrams.keys()], { minLength: datagrams.length });
    fc.assert(
      fc.property(order, fc.array(fc.nat(datagrams.length - 1)), (shuffled, repeated) => {
        const pieces = new Reassembly();
        const all = [...shuffled];
        for (const again of repeated) all.splice(all.indexOf(again) + 1, 0, again);
        const taken = all.map((index) => feed(pieces, datagrams[index]!));
        expect(taken.filter(isWhole)).toHaveLength(1);
        const whole = taken.findIndex(isWhole);
        expect(all.slice(0, whole + 1).reduce((seen, index) => seen.add(index), new Set<number>()).size).toBe(
          datagrams.length,
        );
      }),
    );
  });

  it("holds nothing once it is done, and gives the first piece back", () => {
    const pieces = new Reassembly();
    const datagrams = cut(160);
    const last = datagrams
      .toReversed()
      .map((bytes) => feed(pieces, bytes))
      .at(-1);
    expect(last).toMatchObject({ first: datagrams[0] });
    expect([pieces.held, pieces.until]).toEqual([0, undefined]);
  });

  it("drops a piece that it has, before it is decrypted", () => {
    const pieces = new Reassembly();
    const [first = new Uint8Array(0)] = cut(160);
    expect(feed(pieces, first)).toEqual({ kept: 1 });
    const forged = first.slice();
    forged[forged.length - 1]! ^= 1;
    expect(feed(pieces, first)).toEqual({ dropped: "fragment-repeated" });
    expect(feed(pieces, forged)).toEqual({ dropped: "fragment-repeated" });
  });

  it("keeps nothing of a piece whose ICV is wrong", () => {
    const pieces = new Reassembly();
    for (const bytes of cut(160)) {
      const forged = bytes.slice();
      forged[forged.length - 1]! ^= 1;
      expect(feed(pieces, forged)).toEqual({ dropped: "bad-icv" });
    }
    expect([pieces.held, pieces.until]).toEqual([0, undefined]);
  });

  it("begins anew with a set of more pieces, and only when that is authentic", () => {
    const pieces = new Reassembly();
    const [few, many] = [cut(300), cut(160)];
    expect(many.length).toBeGreaterThan(few.length);
    feed(pieces, few[0]!);
    const forged = many[0]!.slice();
    forged[forged.length - 1]! ^= 1;
    expect(feed(pieces, forged)).toEqual({ dropped: "bad-icv" });
    expect(pieces.held).toBeGreaterThan(0);
    expect(feed(pieces, many[1]!)).toEqual({ kept: 1 });
    expect(feed(pieces, few[1]!)).toEqual({ dropped: "fragment-of-older-set" });
    const rest = many.filter((_, index) => index !== 1).map((bytes) => feed(pieces, bytes));
    expect(isWhole(rest.at(-1))).toBe(true);
  });

  it("forgets the pieces of another message, and those that waited too long", () => {
    const pieces = new Reassembly();
    feed(pieces, cut(160)[0]!);
    expect(feed(pieces, cut(160, AUTH_PAYLOADS, 7)[1]!)).toEqual({ kept: 1 });
    expect(pieces.until).toBe(10_000);
    expect(feed(pieces, cut(160, AUTH_PAYLOADS, 7)[0]!, 10_000)).toEqual({ kept: 1 });
    expect(pieces.until).toBe(20_000);
  });

  it.each([
    [0, 3],
    [4, 3],
    [1, 0],
    [1, 256],
    [256, 256],
    [65_535, 65_535],
  ])("does not look into number %i of %i", (number, total) => {
    const pieces = new Reassembly();
    const forged = cut(160)[0]!.slice();
    new DataView(forged.buffer).setUint16(32, number);
    new DataView(forged.buffer).setUint16(34, total);
    expect(feed(pieces, forged)).toEqual({ dropped: "fragment-number" });
  });

  it("takes 255 pieces and holds no more than its limit of octets", () => {
    const limits: ReassemblyLimits = { piece: 1932, text: 100_000, patience: 10_000 };
    const size = cut(600, long(60_000)).length; // at least so many pieces
    expect(size).toBeGreaterThan(100);
    const all = cut(72 + 16 + 200, long(51_000));
    expect(all.length).toBeLessThanOrEqual(255);
    const roomy = new Reassembly(limits);
    expect("payloads" in all.map((bytes) => feed(roomy, bytes)).at(-1)!).toBe(true);

    const strict = new Reassembly();
    const verdicts = all.map((bytes) => {
      const taken = feed(strict, bytes);
      expect(strict.held).toBeLessThanOrEqual(10_000);
      return "dropped" in taken ? taken.dropped : "kept";
    });
    expect(new Set(verdicts)).toEqual(new Set(["kept", "fragments-too-many-octets"]));
  });

  it("drops a piece longer than a path would carry", () => {
    const pieces = new Reassembly();
    const [first = new Uint8Array(0)] = cut(1_940, long(4_000));
    expect(feed(pieces, first)).toEqual({ dropped: "fragment-too-long" });
    expect(feed(pieces, cut(1_932, long(4_000))[0]!)).toEqual({ kept: 1 });
  });

  it("tells what is wrong with payloads that are malformed though every piece is authentic", () => {
    const pieces = new Reassembly();
    const datagrams = cut(160);
    const twisted = datagrams.map((bytes, index) => {
      const message = parseMessage(bytes);
      return index > 0 ? message : { ...message, protected: { ...message.protected!, firstPayload: 33 } };
    });
    const taken = datagrams.map((bytes, index) => pieces.take(bytes, twisted[index]!, keys, 0)).at(-1);
    expect(taken).toMatchObject({ payloads: expect.any(IkeError) });
  });
});
