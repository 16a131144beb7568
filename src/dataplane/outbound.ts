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
import { versionOfWhole } from "../ipsec/ip.ts";
import { LIVE_STATE, type Sad } from "../ipsec/sad.ts";
import { passesFrontOut, type Spd } from "../ipsec/spd.ts";
import { plainHeader, protocolOf } from "../ipsec/transport.ts";
import { Verdict } from "../ipsec/verdict.ts";
import { MAX_PACKET } from "./arena.ts";
import type { IvPool } from "./iv-pool.ts";
import { OwnedRow, type OwnedSas } from "./owned-sas.ts";
import { SHAPES } from "./sa-shape.ts";
import { settleBatch } from "./settle.ts";

// What a module keeps to itself is a constant to V8; what it imports is looked up and checked for every packet.
const { PASS } = Verdict;
const LONGEST = MAX_PACKET;
const IPV4 = NEXT_IPV4;
const IPV6 = NEXT_IPV6;
const OF_SHAPE = SHAPES;
const { WORDS: ROW, GENERATION, KEY, SHAPE, SPI, FRONT } = OwnedRow;
const STATE = LIVE_STATE;
const COUNTER = 8;

/** Octets of an IV that must differ from all others of its key, and nothing else (RFC 4106 §3.1, RFC 3686 §3.1). */
export const COUNTER_IV = COUNTER;

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
  /** Zeros behind it that are sealed with it (RFC 4303 §2.7). */
  readonly padding: Uint16Array;
  /** Of the outer header: see `outerMark`. */
  readonly mark: Uint16Array;

  readonly verdict: Uint8Array;
  /** Counter block that it is counted in, of its SA or its tunnel. */
  readonly block: Int32Array;
  /** The ESP packet, when the verdict is PASS. */
  readonly sealedAt: Int32Array;
  readonly sealedLength: Int32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.at = new Int32Array(capacity);
    this.length = new Int32Array(capacity);
    this.slot = new Int32Array(capacity);
    this.tunnelBlock = new Int32Array(capacity);
    this.refused = new Uint8Array(capacity);
    this.padding = new Uint16Array(capacity);
    this.mark = new Uint16Array(capacity);
    this.verdict = new Uint8Array(capacity);
    this.block = new Int32Array(capacity);
    this.sealedAt = new Int32Array(capacity);
    this.sealedLength = new Int32Array(capacity);
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
  readonly #view: DataView;
  readonly #ivs: IvPool;
  readonly #block: number;
  /** By op: its packet in the batch. */
  readonly #packet: Int32Array;

  constructor(parts: OutboundParts) {
    this.#sad = parts.sad;
    this.#spd = parts.spd;
    this.#counters = parts.counters;
    this.#owned = parts.owned;
    this.#engine = parts.engine;
    this.#ops = parts.ops;
    const { slab } = parts.ops;
    this.#view = new DataView(slab.buffer, slab.byteOffset, slab.byteLength);
    this.#ivs = parts.ivs;
    this.#block = parts.block;
    this.#packet = new Int32Array(parts.ops.capacity);
  }

  /** Judge and seal `batch[0..count)` in place; the caller sends those that pass and then calls `settle`. */
  seal(batch: OutboundBatch): void {
    const ops = this.#ops;
    ops.count = 0;
    this.#prepare(batch);
    if (ops.count > 0) this.#engine.seal(ops);
    for (let op = 0; op < ops.count; op++)
      if (ops.ok[op] !== 1) batch.verdict[this.#packet[op]!] = Verdict.ENGINE_ERROR;
  }

  /** Count every packet of the batch by its verdict: with its SA, or with its tunnel when it met none. */
  settle(batch: OutboundBatch): void {
    settleBatch(this.#counters, this.#block, batch, batch.block, batch.length);
  }

  /** A verdict for each packet; PASS: it is an op now. Packets of one SA in a row look at it once. */
  #prepare(batch: OutboundBatch): void {
    const sad = this.#sad;
    const spd = this.#spd;
    const owned = this.#owned;
    const { rows, fronts } = owned;
    const { words, doubles, capacity } = sad;
    const ops = this.#ops;
    const view = this.#view;
    const { keys, headAt, textAt, textLength, seqHigh } = ops;
    const {
      at: ats,
      length: lengths,
      slot: slots,
      refused,
      padding,
      verdict: verdicts,
      tunnelBlock,
      block: blocks,
      sealedAt,
      sealedLength,
    } = batch;
    const { count } = batch;
    let current = -1;
    let record = -1;
    let live = 0;
    let row = 0;
    let key = 0;
    let shape = 0;
    let { transport, lastSeq, headLength, ivLength, icvLength, alignment } = OF_SHAPE[shape]!;
    let spi = 0;
    let top = 0;
    let op = 0;
    for (let n = 0; n < count; n++) {
      const slot = slots[n]!;
      const why = refused[n]!;
      if (why !== PASS || slot < 0) {
        blocks[n] = tunnelBlock[n]!;
        verdicts[n] = why !== PASS ? why : Verdict.NO_SA;
        continue;
      }
      if (slot !== current) {
        if (key !== 0) doubles[live >> 1] = top;
        current = slot;
        record = capacity + slot;
        live = sad.liveAt(record);
        row = record * ROW;
        // What is known is a live generation, which no withdrawn record shows; or 0, and so is the handle.
        key = fronts[row + GENERATION] === words[live + STATE] ? rows[row + KEY]! : owned.lookUp(record);
        if (key !== 0) {
          if (rows[row + SHAPE] !== shape) {
            shape = rows[row + SHAPE]!;
            ({ transport, lastSeq, headLength, ivLength, icvLength, alignment } = OF_SHAPE[shape]!);
          }
          spi = rows[row + SPI]!;
          top = doubles[live >> 1]!;
        }
      }
      if (key === 0) {
        blocks[n] = tunnelBlock[n]!;
        verdicts[n] = Verdict.NO_SA;
        continue;
      }
      blocks[n] = record; // an outbound SA's block is its record
      const at = ats[n]!;
      const length = lengths[n]!;
      if (length > LONGEST) {
        verdicts[n] = Verdict.TOO_BIG;
        continue;
      }
      const version = versionOfWhole(view, at, length);
      if (version === 0) {
        verdicts[n] = Verdict.BAD_INNER;
        continue;
      }
      const passes =
        passesFrontOut(fronts, row + FRONT, view, at, version) || spd.passesOutbound(slot, view, at, length, version);
      if (!passes) {
        verdicts[n] = Verdict.POLICY;
        continue;
      }
      let text = at;
      let next = version === 4 ? IPV4 : IPV6;
      if (transport) {
        const header = plainHeader(view, at); // the kernel writes one like it
        if (header < 0) {
          verdicts[n] = Verdict.UNSUP_TRANSPORT;
          continue;
        }
        next = protocolOf(view, at);
        text += header;
      }
      if (top >= lastSeq) {
        verdicts[n] = Verdict.SEQ_CYCLED; // never wraps (RFC 4303 §3.3.3)
        continue;
      }
      top++;
      const high = highOf(top);
      const head = text - headLength;
      writeHeader(view, head, spi, top);
      if (ivLength === COUNTER) writeCounterIv(view, text - ivLength, high, top);
      else if (ivLength !== 0) this.#ivs.take(view, text - ivLength);
      const sealed = writeTrailer(view, text, at - text + length + padding[n]!, alignment, next);
      sealedAt[n] = head;
      sealedLength[n] = headLength + sealed + icvLength;
      verdicts[n] = PASS;

      keys[op] = key;
      headAt[op] = head;
      textAt[op] = text;
      textLength[op] = sealed;
      seqHigh[op] = high;
      this.#packet[op] = n;
      op++;
    }
    if (key !== 0) doubles[live >> 1] = top;
    ops.count = op;
  }
}
