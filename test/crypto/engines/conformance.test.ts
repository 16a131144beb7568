/** What every engine must do, run by each of them. An engine that cannot run here says why and is skipped. */
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { toHex } from "../../../src/bytes.ts";
import { type EngineDriver, OP_SCRATCH, Ops } from "../../../src/crypto/engine.ts";
import { ESP_HEADER, isTextLength, MAX_ESP_PACKET } from "../../../src/crypto/esp-inputs.ts";
import { failedAnswer } from "../../../src/crypto/known-answers.ts";
import { ENGINE_DRIVERS } from "../../../src/crypto/select-engine.ts";
import { isClear, SUITES, type Suite, suiteByName } from "../../../src/crypto/suites.ts";
import { Bench, EVERY_KIND, octets, type Packet, packetOf, sealedLength, suitesOf } from "./esp-batch.ts";

const GCM = suiteByName("aes256gcm16")!;
const CBC = suiteByName("aes128-sha256")!;

/** The longest payloads take noble a while: there one suite of each kind stands for the others. */
const sizesOf = (driver: EngineDriver, suite: Suite): number[] => {
  const small = Array.from({ length: 101 }, (_, payload) => payload);
  const longest = MAX_ESP_PACKET - ESP_HEADER - suite.ivLength - suite.icvLength - suite.alignment - 2;
  if (driver.name !== "noble") return [...small, 1400, 9000, longest];
  return suite.mac === undefined || suite === CBC ? [...small, 1400, longest] : [...small, 1400];
};

describe.each(ENGINE_DRIVERS.map((driver) => ({ name: driver.name, driver })))("engine $name", ({ driver }) => {
  const reason = driver.unavailable();
  const suites = suitesOf(driver);
  const kinds = EVERY_KIND.filter(({ suite }) => suites.includes(suite));
  const it = (behaviour: string, body: () => void): void =>
    test(behaviour, (context) => {
      if (reason !== undefined) context.skip(`${driver.name}: ${reason}`);
      body();
    });
  const bench = (capacity?: number, size?: number): Bench => new Bench(driver.open, capacity, size);

  it("says what it is", () => expect(driver.describe()).toMatch(/\w+ .*\d|noble/));

  it("gives the known answers of every suite", () => expect(failedAnswer(driver, suites)).toBeUndefined());

  it("does most suites, and refuses to expand a key for the others", () => {
    const b = bench();
    expect(suites.length).toBeGreaterThan(SUITES.length * 0.7);
    for (const suite of SUITES.filter((each) => !suites.includes(each)))
      expect(() => b.engine.expand(suite, new Uint8Array(suite.keyLength), false)).toThrow(RangeError);
    b.engine.close();
  });

  for (const { suite, esn, kind } of kinds) {
    it(`opens what it sealed, at every length: ${kind}`, () => {
      const b = bench(1, 1 << 16);
      const first = packetOf(suite, 0, esn, suite.id);
      const key = b.expand(first);
      for (const payload of sizesOf(driver, suite)) {
        const packet = { ...packetOf(suite, payload, esn, suite.id + payload), rawKey: first.rawKey };
        const sealed = b.sealOne(packet, key);
        const plain = packet.clear.subarray(ESP_HEADER + suite.ivLength);
        expect(toHex(sealed.subarray(0, ESP_HEADER + suite.ivLength))).toBe(
          toHex(packet.clear.subarray(0, ESP_HEADER + suite.ivLength)),
        );
        const isSame = Buffer.compare(sealed.subarray(ESP_HEADER + suite.ivLength, packet.clear.length), plain) === 0;
        expect(isSame).toBe(isClear(suite));
        expect(Buffer.compare(b.openOne(packet, key, sealed) ?? octets(0, 0), packet.clear)).toBe(0);
      }
      b.engine.close();
    });

    it(`refuses every single flipped bit: ${kind}`, () => {
      const b = bench();
      const packet = packetOf(suite, 2, esn, 7);
      const key = b.expand(packet);
      const sealed = b.sealOne(packet, key);
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const forged = sealed.slice();
        forged[bit >> 3] = forged[bit >> 3]! ^ (1 << (bit & 7));
        expect(b.openOne(packet, key, forged), `bit ${bit}`).toBeUndefined();
      }
      expect(b.openOne(packet, key, sealed)).toEqual(packet.clear);
      b.engine.close();
    });

    it(`${esn ? "takes" : "leaves"} the high half of the sequence number into the ICV: ${kind}`, () => {
      const b = bench();
      const packet = packetOf(suite, 40, esn, 11);
      const key = b.expand(packet);
      const sealed = b.sealOne(packet, key);
      for (const high of [packet.seqHigh ^ 1, packet.seqHigh ^ 0x80000000, packet.seqHigh + 1, 0]) {
        const opened = b.openOne({ ...packet, seqHigh: high >>> 0 }, key, sealed);
        if (esn) expect(opened).toBeUndefined();
        else expect(opened).toEqual(packet.clear);
      }
      b.engine.close();
    });
  }

  it("refuses a packet of another key", () => {
    const b = bench();
    for (const suite of suites) {
      const packet = packetOf(suite, 40, false, 3);
      const sealed = b.sealOne(packet, b.expand(packet));
      for (let octet = 0; octet < suite.keyLength; octet++) {
        const rawKey = packet.rawKey.slice();
        rawKey[octet] = rawKey[octet]! ^ 1;
        const other = b.expand({ ...packet, rawKey });
        const opened = b.openOne(packet, other, sealed);
        // Another encryption key beside a MAC opens to other text: only the integrity key is in the ICV.
        if (suite.mac !== undefined && octet < suite.keyLength - suite.integrityKeyLength)
          expect(opened).not.toEqual(packet.clear);
        else expect(opened).toBeUndefined();
        b.engine.release(other);
      }
    }
    b.engine.close();
  });

  it("does batches of mixed suites, keys and lengths, of every size up to its capacity", () => {
    const capacity = 200; // more than one burst of the library that has bursts
    const b = bench(capacity, 100_000);
    const packets: Packet[] = Array.from({ length: capacity }, (_, i) => {
      const { suite, esn } = kinds[(i * 7) % kinds.length]!;
      return packetOf(suite, (i * 37) % 300, esn, i);
    });
    const keys = packets.map((packet) => b.expand(packet));
    const alone = packets.map((packet, i) => toHex(b.sealOne(packet, keys[i]!)));
    const counts = driver.name === "noble" ? [0, 1, 2, 31, 200] : [0, 1, 2, 3, 16, 31, 64, 127, 128, 129, 199, 200];
    for (const count of counts) {
      b.clear();
      for (let i = 0; i < count; i++) b.add(packets[i]!, keys[i]!, packets[i]!.clear, i % 5);
      b.engine.seal(b.ops);
      for (let i = 0; i < count; i++) {
        expect(b.ops.ok[i]).toBe(1);
        expect(toHex(b.at(i, sealedLength(packets[i]!))), `packet ${i} of ${count}`).toBe(alone[i]);
      }
      for (let i = 0; i < count; i += 3) {
        const spoilt = b.ops.headAt[i]! + 4 + (i % sealedLength(packets[i]!)) / 2;
        b.ops.slab[spoilt | 0] = b.ops.slab[spoilt | 0]! ^ 0x10;
      }
      b.engine.open(b.ops);
      for (let i = 0; i < count; i++) {
        expect(b.ops.ok[i], `packet ${i} of ${count}`).toBe(i % 3 === 0 ? 0 : 1);
        if (i % 3 !== 0) expect(toHex(b.at(i, packets[i]!.clear.length))).toBe(toHex(packets[i]!.clear));
      }
    }
    b.engine.close();
  });

  it("writes nothing outside its slab, and inside it only texts, ICVs and scratch", () => {
    const guard = 4096;
    const capacity = 140;
    const packets = Array.from({ length: capacity }, (_, i) => {
      const { suite, esn } = kinds[(i * 3) % kinds.length]!;
      return packetOf(suite, (i * 11) % 130, esn, i);
    });
    const room = 24; // octets before, between and behind the packets
    const end = packets.reduce((sum, packet) => sum + room + sealedLength(packet), room);
    const scratchAt = Math.ceil(end / 64) * 64;
    const whole = new Uint8Array(new SharedArrayBuffer(guard + scratchAt + capacity * OP_SCRATCH + guard)).fill(0xa5);
    const slab = whole.subarray(guard, whole.length - guard);
    const ops = new Ops(slab, scratchAt, capacity);
    const engine = driver.open(slab, capacity);
    const mayChange = new Uint8Array(whole.length).fill(1, guard + scratchAt, whole.length - guard);
    let at = room;
    packets.forEach((packet, i) => {
      slab.set(packet.clear, at);
      ops.keys[i] = engine.expand(packet.suite, packet.rawKey, packet.esn).handle;
      ops.headAt[i] = at;
      ops.textAt[i] = at + ESP_HEADER + packet.suite.ivLength;
      ops.textLength[i] = packet.clear.length - ESP_HEADER - packet.suite.ivLength;
      ops.seqHigh[i] = packet.seqHigh;
      mayChange.fill(1, guard + ops.textAt[i]!, guard + at + sealedLength(packet));
      at += sealedLength(packet) + room;
    });
    ops.count = capacity;
    const before = whole.slice();
    const expectUntouched = (): void => {
      let touched = 0;
      for (let i = 0; i < whole.length; i++) if (mayChange[i] !== 1 && whole[i] !== before[i]) touched++;
      expect(touched).toBe(0);
    };
    engine.seal(ops);
    expectUntouched();
    const sealed = whole.slice();
    engine.open(ops);
    expect(ops.ok.subarray(0, capacity).every((ok) => ok === 1)).toBe(true);
    expectUntouched();
    whole.set(sealed);
    for (let i = 0; i < capacity; i++) slab[ops.headAt[i]!] = slab[ops.headAt[i]!]! ^ 1;
    before.set(whole);
    engine.open(ops);
    expect(ops.ok.subarray(0, capacity).every((ok) => ok === 0)).toBe(true);
    expectUntouched();
    engine.close();
    expectUntouched();
  });

  it("refuses offsets and lengths that are not a packet inside the slab, before it touches anything", () => {
    const b = bench(2, 4096);
    const { ops, engine } = b;
    const size = ops.slab.length;
    for (const suite of [GCM, CBC, suiteByName("chacha20poly1305")!]) {
      const packet = packetOf(suite, 100, true, 5);
      const key = b.expand(packet);
      const fits = (change: () => void): void => {
        b.clear();
        b.add(packet, key, packet.clear);
        b.add(packet, key, packet.clear);
        const before = ops.slab.slice();
        change();
        expect(() => engine.seal(ops)).toThrow(RangeError);
        expect(() => engine.open(ops)).toThrow(RangeError);
        expect(Buffer.compare(ops.slab, before)).toBe(0);
      };
      const text = ESP_HEADER + suite.ivLength;
      const place = (head: number, length: number) => (): void => {
        ops.headAt[1] = head;
        ops.textAt[1] = head + text;
        ops.textLength[1] = length;
      };
      const aligned = suite.alignment * 4;
      fits(place(-1, aligned));
      fits(place(-0x80000000, aligned));
      fits(place(size - text - aligned - suite.icvLength + 1, aligned));
      fits(place(size, aligned));
      fits(place(0x7ffffff0, aligned));
      fits(place(0, 0));
      fits(place(0, -suite.alignment));
      fits(place(0, aligned + 1));
      fits(place(0, suite.alignment / 2));
      fits(place(0, 0x7ffffff0));
      fits(place(0, -0x80000000));
      fits(() => {
        ops.textAt[1] = ops.textAt[1]! + 4;
      });
      fits(() => {
        ops.textAt[1] = ops.textAt[1]! - 1;
      });
      place(size - text - aligned - suite.icvLength, aligned)();
      engine.seal(ops);
      expect(ops.ok[1]).toBe(1);
    }
    engine.close();
  });

  it("refuses a batch that is not its own or does not fit", () => {
    const b = bench(4, 4096);
    const { ops, engine } = b;
    const packet = packetOf(GCM, 10, false, 1);
    const key = b.expand(packet);
    b.add(packet, key, packet.clear);
    const like = (slab: Uint8Array, scratchAt: number, capacity = 4): Ops => {
      const other = new Ops(slab, scratchAt, capacity);
      other.count = 1;
      other.keys[0] = key.handle;
      other.headAt.set(ops.headAt.subarray(0, 4));
      other.textAt.set(ops.textAt.subarray(0, 4));
      other.textLength.set(ops.textLength.subarray(0, 4));
      return other;
    };
    expect(() => engine.seal(like(ops.slab.slice(), ops.scratchAt))).toThrow(RangeError);
    for (const scratchAt of [-1, -128, ops.slab.length - OP_SCRATCH + 1, ops.slab.length, 2 ** 40, 0.5, Number.NaN])
      expect(() => engine.seal(like(ops.slab, scratchAt)), `scratch at ${scratchAt}`).toThrow(RangeError);
    for (const count of [-1, 5, 1000, 1.5, Number.NaN]) {
      ops.count = count;
      expect(() => engine.seal(ops), `${count} packets`).toThrow(RangeError);
      expect(() => engine.open(ops), `${count} packets`).toThrow(RangeError);
    }
    const wide = new Ops(ops.slab, 0, 5);
    wide.count = 5;
    expect(() => engine.seal(wide)).toThrow(RangeError);
    ops.count = 1;
    engine.seal(ops);
    expect(ops.ok[0]).toBe(1);
    engine.close();
  });

  it("refuses a slab whose memory was given away", () => {
    const scratchAt = 1024;
    const buffer = new ArrayBuffer(scratchAt + OP_SCRATCH);
    const ops = new Ops(new Uint8Array(buffer), scratchAt, 1);
    const engine = driver.open(ops.slab, 1);
    const packet = packetOf(GCM, 10, false, 1);
    ops.count = 1;
    ops.keys[0] = engine.expand(GCM, packet.rawKey, false).handle;
    ops.textAt[0] = ESP_HEADER + GCM.ivLength;
    ops.textLength[0] = 12;
    engine.seal(ops);
    expect(ops.ok[0]).toBe(1);
    structuredClone(buffer, { transfer: [buffer] });
    expect(() => engine.seal(ops)).toThrow(RangeError);
    expect(() => engine.open(ops)).toThrow(RangeError);
    engine.close();
  });

  it("refuses keys of a wrong length, of another engine, released ones and none", () => {
    const b = bench();
    const stranger = bench();
    for (const suite of suites)
      for (const length of [0, suite.keyLength - 1, suite.keyLength + 1])
        expect(() => b.engine.expand(suite, new Uint8Array(length), false)).toThrow(RangeError);
    expect(() => b.engine.expand({ ...GCM }, new Uint8Array(GCM.keyLength), false)).toThrow(RangeError);

    const packet = packetOf(GCM, 10, false, 1);
    const own = b.expand(packet);
    b.add(packet, own, packet.clear);
    for (const handle of [
      0,
      stranger.expand(packet).handle,
      own.handle + 1,
      own.handle - 1,
      own.handle ^ (1 << 31),
      1,
      -1,
    ]) {
      b.ops.keys[0] = handle;
      expect(() => b.engine.seal(b.ops)).toThrow(RangeError);
      expect(() => b.engine.open(b.ops)).toThrow(RangeError);
    }
    b.ops.keys[0] = own.handle;
    b.engine.release(own);
    b.engine.release(own); // twice is once
    expect(() => b.engine.seal(b.ops)).toThrow(RangeError);
    const next = b.expand(packet); // takes the place of the one released
    expect(() => b.engine.seal(b.ops)).toThrow(RangeError);
    b.ops.keys[0] = next.handle;
    b.engine.seal(b.ops);
    expect(b.ops.ok[0]).toBe(1);

    b.engine.close();
    b.engine.close();
    stranger.engine.close();
    expect(() => b.engine.seal(b.ops)).toThrow(RangeError);
    expect(() => b.expand(packet)).toThrow(RangeError);
  });

  it("keeps a copy of the key: the caller may wipe his", () => {
    const b = bench();
    for (const { suite, esn } of kinds) {
      const packet = packetOf(suite, 30, esn, 9);
      for (const given of [packet.rawKey.slice(), Buffer.from(packet.rawKey)]) {
        const key = b.engine.expand(suite, given, esn);
        const before = new Uint8Array(given);
        const released = b.engine.expand(suite, given, esn);
        b.engine.release(released);
        expect(toHex(given)).toBe(toHex(before)); // ours is wiped, not his
        given.fill(0);
        const sealed = b.sealOne(packet, key);
        expect(b.openOne(packet, b.expand(packet), sealed)).toEqual(packet.clear);
      }
    }
    b.engine.close();
  });

  it("prints no secret", () => {
    const b = bench();
    for (const suite of suites) {
      const rawKey = new Uint8Array(suite.keyLength).fill(0x5a); // "Z", 90
      const key = b.engine.expand(suite, rawKey, false);
      const depth = Number.POSITIVE_INFINITY;
      const printed = [inspect(key, { depth, showHidden: true }), JSON.stringify(key), String(key)].join("\n");
      expect(printed).not.toMatch(/5a5a|ZZZ|90, *90|90,90/);
      expect(printed).toContain("redacted");
      for (const value of Object.values(key)) expect(ArrayBuffer.isView(value)).toBe(false);
    }
    b.engine.close();
  });
});

test("lengths of text: whole blocks, at least one, and no more than an ESP packet can hold", () => {
  for (const suite of SUITES) {
    const longest = MAX_ESP_PACKET - ESP_HEADER - suite.ivLength - suite.icvLength;
    expect(isTextLength(suite, 0)).toBe(false);
    expect(isTextLength(suite, suite.alignment)).toBe(true);
    expect(isTextLength(suite, suite.alignment + 1)).toBe(false);
    expect(isTextLength(suite, longest - (longest % suite.alignment))).toBe(true);
    expect(isTextLength(suite, longest - (longest % suite.alignment) + suite.alignment)).toBe(false);
    expect(isTextLength(suite, Number.NaN)).toBe(false);
  }
});
