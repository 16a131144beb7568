import { expect, test } from "vitest";
import { suiteByName } from "../../src/crypto/suites.ts";
import { addressBytes } from "../../src/ip-address.ts";
import { MAX_KEY, SAD_LAYOUT, Sad, SaEvent, type SaRecord } from "../../src/ipsec/sad.ts";

const suite = suiteByName("aes256-sha512")!;
const key = Uint8Array.from({ length: suite.keyLength }, (_, i) => i + 1);
const path = (remote: string, remotePort = 4500) => ({
  family: 4 as const,
  local: addressBytes("192.0.2.1"),
  remote: addressBytes(remote),
  localPort: 4500,
  remotePort,
  socket: 0,
});
const record = (spi: number): SaRecord => ({
  spi,
  suite,
  esn: true,
  encap: true,
  tunnel: 3,
  window: 1024,
  key,
  path: path("192.0.2.2"),
});

test("an SA is found by its SPI from publication to withdrawal, and by no other SPI of its slot", () => {
  const sad = Sad.create(64);
  const spi = 0xfedc_ba00 + 5;
  expect(sad.find(spi)).toBe(-1);
  sad.publish(5, record(spi));
  expect(sad.find(spi)).toBe(5);
  expect(sad.find(spi - 64)).toBe(-1);
  expect([sad.tunnel(5), sad.window(5), sad.suite(5), sad.top(5)]).toEqual([3, 1024, suite.id, 0]);
  expect(sad.path(5)).toEqual(path("192.0.2.2"));
  sad.withdraw(5);
  expect(sad.find(spi)).toBe(-1);
});

test("a withdrawn SA leaves no octet of its key", () => {
  const sad = Sad.create(64);
  sad.publish(5, record(0x1000 + 5));
  expect(sad.key(5, key.length)).toEqual(key);
  expect(Buffer.from(sad.memory).includes(Buffer.from(key.subarray(0, 8)))).toBe(true);
  sad.withdraw(5);
  expect(sad.key(5, MAX_KEY).every((octet) => octet === 0)).toBe(true);
  expect(Buffer.from(sad.memory).includes(Buffer.from(key.subarray(0, 8)))).toBe(false);
});

test("a slot used again starts anew, in another generation", () => {
  const sad = Sad.create(64);
  sad.publish(5, record(0x1000 + 5));
  const first = sad.generation(5);
  sad.setTop(5, 2 ** 40);
  sad.words[sad.ringAt(5)] = 0xffff_ffff;
  sad.words[sad.newestAt(5)] = 0xffff_ffff;
  sad.raise(5, SaEvent.FIRST_PACKET);
  sad.withdraw(5);
  expect(sad.generation(5)).toBe(0);
  expect(sad.top(5)).toBe(2 ** 40); // still to be read by control
  sad.publish(5, record(0x2000 + 5));
  expect(sad.generation(5)).not.toBe(first);
  expect([sad.top(5), sad.words[sad.ringAt(5)], sad.words[sad.newestAt(5)]]).toEqual([0, 0, 0]);
  expect(sad.takeEvents(5)).toBe(0);
});

test("withdrawing twice is withdrawing once", () => {
  const sad = Sad.create(64);
  sad.publish(5, record(0x1000 + 5));
  sad.withdraw(5);
  sad.withdraw(5);
  expect(sad.generation(5)).toBe(0);
});

test("neighbours do not touch: record and ring of one are its own", () => {
  const sad = Sad.create(64);
  const of = (slot: number) => [
    sad.words.slice(slot * SAD_LAYOUT.record, (slot + 1) * SAD_LAYOUT.record),
    sad.words.slice(sad.ringAt(slot), sad.ringAt(slot) + SAD_LAYOUT.ring),
  ];
  for (const slot of [4, 6]) sad.publish(slot, record(0x1000 + slot));
  for (const slot of [4, 6]) sad.publish(sad.outbound(slot), record(0x1000 + slot));
  const others = () => [...of(4), ...of(6), ...of(sad.outbound(4)).slice(0, 1), ...of(sad.outbound(6)).slice(0, 1)];
  const before = others();
  sad.publish(5, { ...record(0x1000 + 5), window: 4096 });
  sad.publish(sad.outbound(5), record(0x1000 + 5));
  sad.words.fill(0xffff_ffff, sad.ringAt(5), sad.ringAt(5) + sad.ringWords(5));
  for (const of5 of [5, sad.outbound(5)]) sad.setTop(of5, 2 ** 53 - 1);
  expect(others()).toEqual(before);
  expect(sad.ringAt(63) + SAD_LAYOUT.ring + 1024 + 4).toBe(sad.words.length); // live rows follow, and a few octets
  expect(sad.ringAt(0)).toBe(2 * 64 * SAD_LAYOUT.record);
});

test.each([1, 2, 64, 128, 256, 2048])(
  "of %i slots every record has a live row of its own, and neighbours share no line",
  (slots) => {
    const sad = Sad.create(slots);
    const records = Array.from({ length: 2 * slots }, (_, record) => record);
    const doubles = new Float64Array(sad.words.buffer, sad.words.byteOffset);
    const begin = (sad.ringAt(slots - 1) + SAD_LAYOUT.ring) / 2;
    const placeOf = records.map((record) => {
      sad.setTop(record, record + 0.5);
      return doubles.indexOf(record + 0.5, begin);
    });
    expect(new Set(placeOf).size).toBe(2 * slots);
    expect(records.map((record) => sad.top(record))).toEqual(records.map((record) => record + 0.5));
    expect(new Sad(sad.memory).capacity).toBe(slots);
    expect(Math.min(...placeOf)).toBeGreaterThanOrEqual(begin);
    // The newest word of the window lies in the same row, apart from the counter.
    expect(records.map((record) => sad.newestAt(record))).toEqual(placeOf.map((place) => place * 2 + 3));
    for (let slot = 1; slot < slots; slot++)
      expect(Math.floor(placeOf[slot]! / 8)).not.toBe(Math.floor(placeOf[slot - 1]! / 8));
  },
);

test("control's words and the worker's lie on cache lines of their own, in a record and a ring of whole lines", () => {
  const line = 16;
  const { record, live, cold, ring, fixedEnd, liveEnd, coldEnd } = SAD_LAYOUT;
  expect([record % line, live % line, cold % line, ring % line]).toEqual([0, 0, 0, 0]);
  expect(fixedEnd).toBeLessThanOrEqual(live);
  expect(liveEnd).toBeLessThanOrEqual(cold);
  expect(coldEnd).toBeLessThanOrEqual(record);
});

test("a path that moves changes its version, and is whole at an even one", () => {
  const sad = Sad.create(64);
  sad.publish(5, record(0x1000 + 5));
  const before = sad.pathVersion(5);
  sad.move(5, path("198.51.100.7", 61_234));
  expect(sad.pathVersion(5)).not.toBe(before);
  expect(sad.pathVersion(5) % 2).toBe(0);
  expect(sad.path(5)).toEqual(path("198.51.100.7", 61_234));
});

test.each(["203.0.113.9", "2001:db8::9"])("control hears of a peer seen at %s", (address) => {
  const sad = Sad.create(64);
  sad.publish(5, record(0x1000 + 5));
  const slab = Uint8Array.of(0, 0, 0, ...addressBytes(address));
  sad.sawPeer(5, slab, 3, slab.length - 3, 40_001);
  expect(sad.takeEvents(5)).toBe(SaEvent.PEER_MOVED);
  expect(sad.seenPeer(5)).toEqual({ address: addressBytes(address), port: 40_001 });
  expect(sad.takeEvents(5)).toBe(0);
});
