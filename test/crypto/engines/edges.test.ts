/** A slab whose addresses change in both halves: engines that write addresses as two words must carry. */
import { describe, expect, test } from "vitest";
import { type Engine, OP_SCRATCH, Ops } from "../../../src/crypto/engine.ts";
import { addressOf, koffi } from "../../../src/crypto/engines/ffi.ts";
import { ESP_HEADER } from "../../../src/crypto/esp-inputs.ts";
import { ENGINE_DRIVERS } from "../../../src/crypto/select-engine.ts";
import { type Packet, packetOf, suitesOf } from "./esp-batch.ts";

const PAGE = 4096;
const PAGES = 4;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

let acrossFourGiB: Uint8Array | undefined;

/**
 * Pages of which half lie below a multiple of 4 GiB and half above, where that is free: the two halves of an address change
 * together. They stay mapped until the process ends.
 */
const pagesAcrossFourGiB = (): Uint8Array | undefined => {
  const wanted = 0x123 * 2 ** 32 - (PAGES / 2) * PAGE;
  if (acrossFourGiB === undefined) {
    const mmap = koffi().load("libc.so.6").func("int64_t mmap(int64_t, size_t, int, int, int, int64_t)");
    const address: number = mmap(wanted, PAGES * PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    acrossFourGiB = new Uint8Array(koffi().view(BigInt(address), PAGES * PAGE));
  }
  return addressOf(acrossFourGiB) === wanted ? acrossFourGiB : undefined;
};

/** Seal and open a packet in several places at once. */
const roundTripAt = (engine: Engine, ops: Ops, packet: Packet, heads: readonly number[]): void => {
  const key = engine.expand(packet.suite, packet.rawKey, packet.esn);
  ops.count = heads.length;
  heads.forEach((head, i) => {
    ops.keys[i] = key.handle;
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
  test("works in a slab that lies across a multiple of 4 GiB", (context) => {
    const reason = driver.unavailable();
    if (reason !== undefined) context.skip(`${driver.name}: ${reason}`);
    if (process.platform !== "linux") context.skip("pages are mapped as on Linux");
    const slab = pagesAcrossFourGiB();
    if (slab === undefined) return context.skip("those addresses are taken");
    const middle = slab.length / 2;
    const ops = new Ops(slab, middle - OP_SCRATCH, 3); // scratch on both sides, too
    const engine = driver.open(slab, 3);
    const suites = suitesOf(driver);
    for (const suite of suites) {
      const packet = packetOf(suite, 300, true, suite.id);
      roundTripAt(engine, ops, packet, [1000, middle - 2 * OP_SCRATCH - 500, middle + 1000]);
    }
    const across = new Ops(slab, 0, 1);
    for (const suite of suites)
      for (let head = middle - 340; head < middle + 4; head += 7)
        roundTripAt(engine, across, packetOf(suite, 260, true, head), [head]);
    engine.close();
  });
});
