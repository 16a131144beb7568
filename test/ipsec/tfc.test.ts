import * as fc from "fast-check";
import { expect, test } from "vitest";
import { NEXT_DUMMY, nextHeaderOf, payloadLength, writeTrailer } from "../../src/ipsec/esp.ts";
import { packetLength } from "../../src/ipsec/ip.ts";
import {
  DummyClock,
  paddedLength,
  type TfcPadding,
  tfcMultiple,
  writeDummy,
  writeTfcPadding,
} from "../../src/ipsec/tfc.ts";
import { ipPacket } from "../support/ip-packets.ts";

test.each<readonly [string, TfcPadding, length: number, padded: number]>([
  ["none", { kind: "none" }, 84, 84],
  ["full", { kind: "full" }, 84, 1438],
  ["full, and full already", { kind: "full" }, 1438, 1438],
  ["a multiple of 256", { kind: "multiple", octets: 256 }, 84, 256],
  ["a multiple of 256, met", { kind: "multiple", octets: 256 }, 512, 512],
  ["a multiple of 256, beyond the MTU", { kind: "multiple", octets: 256 }, 1300, 1438],
  ["longer than the MTU: not cut", { kind: "full" }, 1500, 1500],
])("padding, %s", (_, padding, length, padded) => {
  expect(paddedLength(length, tfcMultiple(padding, false), 1438)).toBe(padded);
});

test("a peer that said ESP_TFC_PADDING_NOT_SUPPORTED gets none", () => {
  const kinds: TfcPadding[] = [{ kind: "none" }, { kind: "full" }, { kind: "multiple", octets: 64 }];
  for (const padding of kinds) expect(paddedLength(84, tfcMultiple(padding, true), 1438)).toBe(84);
});

test("a receiver finds the packet in its padding, whatever both lengths are", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4 as const, 6 as const),
      fc.integer({ min: 40, max: 1400 }),
      fc.integer({ min: 1, max: 2000 }),
      fc.constantFrom(4, 16),
      (version, length, octets, alignment) => {
        const packet = ipPacket({ version, length });
        const slab = new Uint8Array(2100).fill(0xa5);
        const view = new DataView(slab.buffer);
        slab.set(packet, 8);
        const padded = paddedLength(length, tfcMultiple({ kind: "multiple", octets }, false), 1438);
        writeTfcPadding(slab, 8, length, padded);
        const text = writeTrailer(view, 8, padded, alignment, version === 4 ? 4 : 41);
        expect(slab[8 + text + 1]).toBe(0xa5); // a word may reach one octet into the place of the ICV
        const payload = payloadLength(view, 8, text);
        expect(payload).toBe(padded);
        expect(packetLength(view, 8, payload, version)).toBe(length);
        expect(slab.slice(8, 8 + length)).toEqual(packet);
        expect(slab.slice(8 + length, 8 + padded).every((octet) => octet === 0)).toBe(true);
      },
    ),
  );
});

test("a dummy is as long as a packet of that length, with next header 59", () => {
  for (const length of [0, 64, 1438])
    for (const alignment of [4, 16]) {
      const slab = new Uint8Array(1600).fill(0xa5);
      const view = new DataView(slab.buffer);
      const text = writeDummy(view, 8, length, alignment);
      expect(text).toBe(writeTrailer(new DataView(new ArrayBuffer(1600)), 8, length, alignment, 4));
      expect(nextHeaderOf(view, 8, text)).toBe(NEXT_DUMMY);
      expect(payloadLength(view, 8, text)).toBe(length);
      expect([slab[7], slab[8 + text]]).toEqual([0xa5, 0xa5]);
    }
});

test("25 dummies a second are 25 in each second, and a pause is not made up for", () => {
  const clock = new DummyClock(40, 0);
  const taken = (from: number, to: number): number => {
    let count = 0;
    for (let now = from; now < to; now++) if (clock.take(now)) count++;
    return count;
  };
  expect(clock.wait(0)).toBe(40);
  expect(taken(1, 1001)).toBe(25);
  expect(taken(1001, 2001)).toBe(25);
  expect(clock.take(60_000)).toBe(true);
  expect(clock.take(60_000)).toBe(false);
  expect(clock.wait(60_010)).toBe(30);
});
