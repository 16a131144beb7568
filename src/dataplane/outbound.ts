// HOT PATH
/**
 * Packets on their way out (RFC 4303 §3.3, RFC 4301 §5.1), a batch at a time:
 *
 *   prepare every packet -> seal all with one engine call -> finish every packet -> (worker: send) -> settle
 *
 * What meets no SA or does not match its selectors is dropped, never sent in the clear.
 */
import type { Engine, Ops } from "../crypto/engine.ts";
import type { Counters } from "../ipsec/counters.ts";
import { highOf, NEXT_IPV4, NEXT_IPV6, writeCounterIv, writeHeader, writeTrailer } from "../ipsec/esp.ts";
import { Fields, packetLength, readFields, versionOf } from "../ipsec/ip.ts";
import type { Sad } from "../ipsec/sad.ts";
import type { Spd } from "../ipsec/spd.ts";
import { Verdict } from "../ipsec/verdict.ts";
import { MAX_PACKET } from "./arena.ts";
import type { IvPool } from "./iv-pool.ts";
import type { OwnedSa, OwnedSas } from "./owned-sas.ts";

/** Columns of packets to send. The worker fills the first group, `Outbound` the second. */
export class OutboundBatch {
  count = 0;
  readonly capacity: number;
  /** The inner packet, with headroom before it. */
  readonly at: Int32Array;
  readonly length: Int32Array;
  /** Slot of the pair that is to carry it, or -1. */
  readonly slot: Int32Array;
  /** Counter block of its tunnel, for what meets no SA. */
  readonly tunnelBlock: Int32Array;
  /** The reason why it is dropped unseen, or PASS. */
  readonly refused: Uint8Array;
  /** TOS or traffic class of the outer header. */
  readonly tos: Uint8Array;

  readonly verdict: Uint8Array;
  /** The ESP packet, when the verdict is PASS. */
  readonly sealedAt: Int32Array;
  readonly sealedLength: Int32Array;
  readonly sa: (OwnedSa | undefined)[];

  constructor(capacity: number) {
    this.capacity = capacity;
    this.at = new Int32Array(capacity);
    this.length = new Int32Array(capacity);
    this.slot = new Int32Array(capacity);
    this.tunnelBlock = new Int32Array(capacity);
    this.refused = new Uint8Array(capacity);
    this.tos = new Uint8Array(capacity);
    this.verdict = new Uint8Array(capacity);
    this.sealedAt = new Int32Array(capacity);
    this.sealedLength = new Int32Array(capacity);
    this.sa = new Array<OwnedSa | undefined>(capacity).fill(undefined);
  }
}

export interface OutboundParts {
  readonly sad: Sad;
  readonly spd: Spd;
  readonly counters: Counters;
  readonly owned: OwnedSas;
  readonly engine: Engine;
  readonly ops: Ops;
  readonly ivs: IvPool;
  /** Counter block of all that this worker reads. */
  readonly block: number;
}

export class Outbound {
  readonly #sad: Sad;
  readonly #spd: Spd;
  readonly #counters: Counters;
  readonly #owned: OwnedSas;
  readonly #engine: Engine;
  readonly #ops: Ops;
  readonly #ivs: IvPool;
  readonly #block: number;
  readonly #fields = new Fields();
  /** By op: its packet in the batch. */
  readonly #packet: Int32Array;
  /** The slot looked at last in this batch, its outbound record and what lives there. */
  #slot = -1;
  #record = -1;
  #sa: OwnedSa | undefined;

  constructor(parts: OutboundParts) {
    this.#sad = parts.sad;
    this.#spd = parts.spd;
    this.#counters = parts.counters;
    this.#owned = parts.owned;
    this.#engine = parts.engine;
    this.#ops = parts.ops;
    this.#ivs = parts.ivs;
    this.#block = parts.block;
    this.#packet = new Int32Array(parts.ops.capacity);
  }

  /** Judge and seal `batch[0..count)` in place; the caller sends those that pass and then calls `settle`. */
  seal(batch: OutboundBatch): void {
    const ops = this.#ops;
    ops.count = 0;
    this.#slot = -1;
    for (let n = 0; n < batch.count; n++) {
      batch.sa[n] = undefined;
      batch.verdict[n] = this.#prepare(batch, n);
    }
    if (ops.count > 0) this.#engine.seal(ops);
    for (let op = 0; op < ops.count; op++) {
      if (ops.ok[op] !== 1) batch.verdict[this.#packet[op]!] = Verdict.ENGINE_ERROR;
      ops.keys[op] = undefined;
    }
  }

  /** Count every packet of the batch by its verdict: with its SA, or with its tunnel when it met none. */
  settle(batch: OutboundBatch): void {
    let block = -1;
    let verdict = -1;
    let packets = 0;
    let bytes = 0;
    for (let n = 0; n < batch.count; n++) {
      const own = batch.sa[n] !== undefined ? this.#sad.outbound(batch.slot[n]!) : batch.tunnelBlock[n]!;
      batch.sa[n] = undefined;
      if (own !== block || batch.verdict[n] !== verdict) {
        if (packets > 0) this.#count(block, verdict, packets, bytes);
        block = own;
        verdict = batch.verdict[n]!;
        packets = 0;
        bytes = 0;
      }
      packets++;
      bytes += batch.length[n]!;
    }
    if (packets > 0) this.#count(block, verdict, packets, bytes);
  }

  #count(block: number, verdict: number, packets: number, bytes: number): void {
    if (verdict === Verdict.HANDOFF) return; // counted by whom it was handed to
    this.#counters.add(this.#block, verdict, packets, bytes);
    this.#counters.add(block, verdict, packets, bytes);
  }

  /** What lives in the slot, asked once for packets of one SA in a row. */
  #enter(slot: number): OwnedSa | undefined {
    this.#slot = slot;
    this.#record = this.#sad.outbound(slot);
    this.#sa = this.#owned.get(this.#record);
    return this.#sa;
  }

  /** PASS: it is an op now. */
  #prepare(batch: OutboundBatch, n: number): number {
    const { slab } = this.#ops;
    const at = batch.at[n]!;
    const length = batch.length[n]!;
    const slot = batch.slot[n]!;
    if (batch.refused[n] !== Verdict.PASS) return batch.refused[n]!;
    if (slot < 0) return Verdict.NO_SA;
    const sa = slot === this.#slot ? this.#sa : this.#enter(slot);
    if (sa === undefined) return Verdict.NO_SA;
    batch.sa[n] = sa;
    if (length > MAX_PACKET) return Verdict.TOO_BIG;
    const version = versionOf(slab, at, length);
    if (packetLength(slab, at, length, version) !== length) return Verdict.BAD_INNER;
    if (!this.#spd.passesAll(slot, version)) {
      readFields(slab, at, length, this.#fields);
      if (!this.#spd.matchesOutbound(slot, slab, this.#fields)) return Verdict.POLICY;
    }
    const seq = this.#sad.top(this.#record) + 1;
    if (seq > sa.lastSeq) return Verdict.SEQ_CYCLED; // never wraps (RFC 4303 §3.3.3)
    this.#sad.setTop(this.#record, seq);

    const headAt = at - sa.headLength;
    writeHeader(slab, headAt, sa.spi, seq);
    if (sa.aead) writeCounterIv(slab, at - sa.ivLength, seq);
    else this.#ivs.take(slab, at - sa.ivLength, sa.ivLength);
    const textLength = writeTrailer(slab, at, length, sa.alignment, version === 4 ? NEXT_IPV4 : NEXT_IPV6);
    batch.sealedAt[n] = headAt;
    batch.sealedLength[n] = sa.headLength + textLength + sa.icvLength;

    const ops = this.#ops;
    const op = ops.count++;
    ops.keys[op] = sa.key;
    ops.headAt[op] = headAt;
    ops.textAt[op] = at;
    ops.textLength[op] = textLength;
    ops.seqHigh[op] = highOf(seq);
    ops.ok[op] = 0;
    this.#packet[op] = n;
    return Verdict.PASS;
  }
}
