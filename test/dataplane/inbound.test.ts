/** The inbound pass alone: a packet whose SA belongs to another worker is left to that worker, and counted. */
import { expect, test } from "vitest";
import { noble } from "../../src/crypto/engines/noble.ts";
import { suiteByName } from "../../src/crypto/suites.ts";
import { Arena, BATCH } from "../../src/dataplane/arena.ts";
import { Inbound, InboundBatch } from "../../src/dataplane/inbound.ts";
import { OwnedSas } from "../../src/dataplane/owned-sas.ts";
import { Counters } from "../../src/ipsec/counters.ts";
import { Sad } from "../../src/ipsec/sad.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { Spd } from "../../src/ipsec/spd.ts";
import { verdictName } from "../../src/ipsec/verdict.ts";
import { forge, trailed } from "../support/forge.ts";
import { ipPacket } from "../support/ip-packets.ts";

const suite = suiteByName("aes128gcm16")!;
const key = new Uint8Array(suite.keyLength).fill(9);
const SLOTS = 64;
const BLOCK = SLOTS * 2;

const path = {
  family: 4 as const,
  local: new Uint8Array(4),
  remote: new Uint8Array(4),
  localPort: 0,
  remotePort: 0,
  socket: -1,
};

/** Worker `worker` of two, over tables with an SA in every slot. */
const workerOf = (worker: number) => {
  const [sad, spd, counters] = [Sad.create(SLOTS), Spd.create(SLOTS), Counters.create(BLOCK + 1)];
  for (let slot = 0; slot < SLOTS; slot++) {
    spd.set(slot, anySelectors, anySelectors);
    sad.publish(slot, { spi: 0x1000 + slot, suite, esn: false, encap: false, tunnel: 0, window: 64, key, path });
  }
  const arena = new Arena();
  const engine = noble.open(arena.slab, BATCH);
  const owned = new OwnedSas(sad, spd, engine);
  const { ops } = arena;
  const inbound = new Inbound({ sad, spd, counters, owned, engine, ops, worker, workers: 2, block: BLOCK });
  const batch = new InboundBatch(BATCH, new Uint8Array(0));
  const open = (packets: readonly Uint8Array[]): string[] => {
    packets.forEach((packet, n) => {
      batch.at[n] = arena.inboundAt(n);
      batch.length[n] = packet.length;
      arena.slab.set(packet, batch.at[n]);
    });
    batch.count = packets.length;
    inbound.open(batch);
    inbound.settle(batch);
    return packets.map((_, n) => verdictName(batch.verdict[n]!));
  };
  return { sad, counters, owned, open };
};

const packetFor = (slot: number, seq = 1): Uint8Array =>
  forge({ suite, spi: 0x1000 + slot, key }, seq, trailed(ipPacket({ version: 4 }), suite.alignment, 4));

test("a worker opens the packets of its slots and no others", () => {
  const packets = [0, 1, 2, 3, 62, 63].map((slot) => packetFor(slot));
  const [even, odd] = [workerOf(0), workerOf(1)];
  expect(even.open(packets)).toEqual(["pass", "handoff", "pass", "handoff", "pass", "handoff"]);
  expect(odd.open(packets)).toEqual(["handoff", "pass", "handoff", "pass", "handoff", "pass"]);
  expect(even.counters.tally(BLOCK)).toMatchObject({ packets: 3, drops: {} });
  expect(even.counters.sum(1)).toBe(0); // nothing of another's SA was written
  expect(even.sad.top(1)).toBe(0);
});

test("a batch of many SAs keeps each packet with its SA", () => {
  const worker = workerOf(0);
  const packets = Array.from({ length: 32 }, (_, i) => packetFor(i * 2, i + 1));
  expect(new Set(worker.open(packets))).toEqual(new Set(["pass"]));
  expect(Array.from({ length: 32 }, (_, i) => worker.sad.top(i * 2))).toEqual(packets.map((_, i) => i + 1));
});

test("an SA is forgotten when it is withdrawn, and its successor in the slot is another", () => {
  const worker = workerOf(0);
  expect(worker.open([packetFor(4)])).toEqual(["pass"]);
  worker.sad.withdraw(4);
  expect(worker.open([packetFor(4, 2)])).toEqual(["no-sa"]);
  worker.owned.sweep();
  const another = new Uint8Array(suite.keyLength).fill(1);
  worker.sad.publish(4, { spi: 0x2044, suite, esn: false, encap: false, tunnel: 0, window: 64, key: another, path });
  const packet = forge({ suite, spi: 0x2044, key: another }, 1, trailed(ipPacket({ version: 4 }), suite.alignment, 4));
  expect(worker.open([packetFor(4, 3), packet])).toEqual(["no-sa", "pass"]);
});
