/**
 * A slab with no memory on either side of it: its pages are mapped, their neighbours are forbidden, so that a native
 * engine that reads or writes one octet too far ends the process instead of passing by luck.
 */
import { describe, expect, test } from "vitest";
import { type Engine, OP_SCRATCH, Ops } from "../../../src/crypto/engine.ts";
import { addressOf, koffi } from "../../../src/crypto/engines/ffi.ts";
import { ESP_HEADER } from "../../../src/crypto/esp-inputs.ts";
import { ENGINE_DRIVERS } from "../../../src/crypto/select-engine.ts";
import { SUITES } from "../../../src/crypto/suites.ts";
import { type Packet, packetOf, sealedLength } from "./esp-batch.ts";

const PAGE = 4096;
const PAGES = 4;
const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** Pages between two forbidden ones, at `wanted` where that is free. They stay mapped until the process ends. */
const pagesBetweenForbiddenOnes = (wanted = 0): Uint8Array => {
  const libc = koffi().load("libc.so.6");
  const mmap = libc.func("int64_t mmap(int64_t, size_t, int, int, int, int64_t)");
  const mprotect = libc.func("int mprotect(int64_t, size_t, int)");
  const address: number = mmap(wanted, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  expect(mprotect(address + PAGE, PAGES * PAGE, PROT_READ_WRITE)).toBe(0);
  return new Uint8Array(koffi().view(BigInt(address + PAGE), PAGES * PAGE));
};

let acrossFourGiB: Uint8Array | undefined;

/** Pages of which half lie below a multiple of 4 GiB and half above: the two halves of an address change together. */
const pagesAcrossFourGiB = (): Uint8Array | undefined => {
  const turn = 0x123 * 2 ** 32;
  acrossFourGiB ??= pagesBetweenForbiddenOnes(turn - (1 + PAGES / 2) * PAGE);
  return addressOf(acrossFourGiB) === turn - (PAGES / 2) * PAGE ? acrossFourGiB : undefined;
};

/** Seal and open a packet in several places at once. */
const roundTripAt = (engine: Engine, ops: Ops, packet: Packet, heads: readonly number[]): void => {
  const key = engine.expand(packet.suite, packet.rawKey, packet.esn);
  ops.count = heads.length;
  heads.forEach((head, i) => {
    ops.keys[i] = key;
    ops.headAt[i] = head;
    ops.textAt[i] = head + ESP_HEADER + packet.suite.ivLength;
    ops.textLength[i] = packet.clear.length - ESP_HEADER - packet.suite.ivLength;
    ops.seqHigh[i] = packet.seqHigh;
    ops.slab.set(packet.clear, head);
  });
  engine.seal(ops);
  expect(ops.ok.subarray(0, ops.count).every((ok) => ok === 1)).toBe(true);
  engine.open(ops);
  expect(ops.ok.subarray(0, ops.count).every((ok) => ok === 1)).toBe(true);
  for (const head of heads)
    expect(Buffer.compare(ops.slab.subarray(head, head + packet.clear.length), packet.clear)).toBe(0);
  engine.release(key);
};

describe.each(ENGINE_DRIVERS.map((driver) => ({ name: driver.name, driver })))("engine $name", ({ driver }) => {
  test("touches nothing before the first and behind the last octet of its slab", (context) => {
    const reason = driver.unavailable();
    if (reason !== undefined) context.skip(`${driver.name}: ${reason}`);
    if (process.platform !== "linux") context.skip("pages are mapped as on Linux");
    const slab = pagesBetweenForbiddenOnes();
    const ops = new Ops(slab, 2 * PAGE, 2);
    const engine = driver.open(slab, 2);
    for (const suite of SUITES)
      for (const esn of [false, true])
        for (let payload = 0; payload < 700; payload += driver.name === "noble" ? 97 : 5) {
          const packet = packetOf(suite, payload, esn, payload);
          roundTripAt(engine, ops, packet, [0, slab.length - sealedLength(packet)]); // the first, and the last that fits
        }
    const atEnd = new Ops(slab, slab.length - OP_SCRATCH, 1); // now the scratch is what lies last
    roundTripAt(engine, atEnd, packetOf(SUITES[0]!, 64, true, 1), [0]);
    engine.close();
  });

  test("works in a slab that lies across a multiple of 4 GiB", (context) => {
    const reason = driver.unavailable();
    if (reason !== undefined) context.skip(`${driver.name}: ${reason}`);
    if (process.platform !== "linux") context.skip("pages are mapped as on Linux");
    const slab = pagesAcrossFourGiB();
    if (slab === undefined) return context.skip("those addresses are taken");
    const middle = slab.length / 2;
    const ops = new Ops(slab, middle - OP_SCRATCH, 3); // scratch on both sides, too
    const engine = driver.open(slab, 3);
    for (const suite of SUITES) {
      const packet = packetOf(suite, 300, true, suite.id);
      roundTripAt(engine, ops, packet, [1000, middle - 2 * OP_SCRATCH - 500, middle + 1000]);
    }
    const across = new Ops(slab, 0, 1);
    for (const suite of SUITES)
      for (let head = middle - 340; head < middle + 4; head += 7)
        roundTripAt(engine, across, packetOf(suite, 260, true, head), [head]);
    engine.close();
  });
});
