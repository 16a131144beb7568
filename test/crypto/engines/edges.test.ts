/**
 * A slab with no memory on either side of it: its pages are mapped, their neighbours are forbidden, so that a native
 * engine that reads or writes one octet too far ends the process instead of passing by luck.
 */
import { describe, expect, test } from "vitest";
import { type Engine, OP_SCRATCH, Ops } from "../../../src/crypto/engine.ts";
import { koffi } from "../../../src/crypto/engines/ffi.ts";
import { ESP_HEADER } from "../../../src/crypto/esp-inputs.ts";
import { ENGINE_DRIVERS } from "../../../src/crypto/select-engine.ts";
import { SUITES } from "../../../src/crypto/suites.ts";
import { packetOf, sealedLength } from "./esp-batch.ts";

const PAGE = 4096;
const PAGES = 4;
const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** Pages between two forbidden ones. They stay mapped until the process ends. */
const pagesBetweenForbiddenOnes = (): Uint8Array => {
  const libc = koffi().load("libc.so.6");
  const mmap = libc.func("int64_t mmap(int64_t, size_t, int, int, int, int64_t)");
  const mprotect = libc.func("int mprotect(int64_t, size_t, int)");
  const address: number = mmap(0, (PAGES + 2) * PAGE, PROT_NONE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  expect(mprotect(address + PAGE, PAGES * PAGE, PROT_READ_WRITE)).toBe(0);
  return new Uint8Array(koffi().view(BigInt(address + PAGE), PAGES * PAGE));
};

const roundTrip = (engine: Engine, ops: Ops, clears: readonly Uint8Array[], heads: readonly number[]): void => {
  clears.forEach((clear, i) => {
    ops.slab.set(clear, heads[i]!);
  });
  engine.seal(ops);
  expect(ops.ok.subarray(0, ops.count).every((ok) => ok === 1)).toBe(true);
  engine.open(ops);
  expect(ops.ok.subarray(0, ops.count).every((ok) => ok === 1)).toBe(true);
  clears.forEach((clear, i) => {
    expect(Buffer.compare(ops.slab.subarray(heads[i]!, heads[i]! + clear.length), clear)).toBe(0);
  });
};

describe.each(ENGINE_DRIVERS.map((driver) => ({ name: driver.name, driver })))("engine $name", ({ driver }) => {
  test("touches nothing before the first and behind the last octet of its slab", (context) => {
    const reason = driver.unavailable();
    if (reason !== undefined) context.skip(`${driver.name}: ${reason}`);
    if (process.platform !== "linux") context.skip("pages are mapped as on Linux");
    const slab = pagesBetweenForbiddenOnes();
    const ops = new Ops(slab, 2 * PAGE, 2);
    const engine = driver.open(slab, 2);
    for (const suite of SUITES) {
      for (const esn of [false, true]) {
        const rawKey = packetOf(suite, 0, esn, 1).rawKey;
        const key = engine.expand(suite, rawKey, esn);
        for (let payload = 0; payload < 700; payload += driver.name === "noble" ? 97 : 5) {
          const packet = packetOf(suite, payload, esn, payload);
          const heads = [0, slab.length - sealedLength(packet)]; // the first packet, and the last that fits
          ops.count = 2;
          heads.forEach((head, i) => {
            ops.keys[i] = key;
            ops.headAt[i] = head;
            ops.textAt[i] = head + ESP_HEADER + suite.ivLength;
            ops.textLength[i] = packet.clear.length - ESP_HEADER - suite.ivLength;
            ops.seqHigh[i] = packet.seqHigh;
          });
          roundTrip(engine, ops, [packet.clear, packet.clear], heads);
        }
        engine.release(key);
      }
    }
    const atEnd = new Ops(slab, slab.length - OP_SCRATCH, 1); // now the scratch is what lies last
    const packet = packetOf(SUITES[0]!, 64, true, 1);
    atEnd.count = 1;
    atEnd.keys[0] = engine.expand(packet.suite, packet.rawKey, true);
    atEnd.textAt[0] = ESP_HEADER + packet.suite.ivLength;
    atEnd.textLength[0] = packet.clear.length - atEnd.textAt[0];
    roundTrip(engine, atEnd, [packet.clear], [0]);
    engine.close();
  });
});
