// HOT PATH
/** Delivers decrypted packets to the TUN interfaces of their tunnels, a run of packets for the same interface at a time. */

import { Verdict } from "../ipsec/verdict.ts";
import type { Memory } from "../linux/memory.ts";
import { PacketBatch } from "../linux/packet-batch.ts";
import { BATCH } from "./arena.ts";
import type { InboundBatch } from "./inbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";

export class TunWriter {
  readonly #tables: PlaneMemory;
  readonly #packets: PacketBatch;
  /** By packet written: its number in the batch. */
  readonly #packet = new Int32Array(BATCH);

  constructor(slab: Memory, tables: PlaneMemory) {
    this.#tables = tables;
    this.#packets = new PacketBatch(slab, BATCH);
  }

  /** Write what passed; a packet that the interface does not take gets the verdict TUN_ERROR. */
  write(batch: InboundBatch): void {
    const { sad, tunnels } = this.#tables;
    let fd = -1;
    let first = 0;
    let next = 0;
    for (let n = 0; n < batch.count; n++) {
      if (batch.verdict[n] !== Verdict.PASS) continue;
      const to = tunnels.fd(sad.tunnel(batch.slot[n]!));
      if (to !== fd && next > first) {
        this.#run(batch, fd, first, next);
        first = next;
      }
      fd = to;
      this.#packets.at[next] = batch.innerAt[n]!;
      this.#packets.length[next] = batch.innerLength[n]!;
      this.#packet[next++] = n;
    }
    if (next > first) this.#run(batch, fd, first, next);
  }

  #run(batch: InboundBatch, fd: number, first: number, end: number): void {
    const done = this.#packets.write(fd, first, end - first);
    for (let i = first; i < end; i++) {
      const written = i - first < done && this.#packets.result[i]! === this.#packets.length[i];
      if (!written) batch.verdict[this.#packet[i]!] = Verdict.TUN_ERROR;
    }
  }
}
