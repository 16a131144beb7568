// HOT PATH
/**
 * Dummy packets (RFC 4303 §2.6), which hide when there is traffic: to an observer they are packets like any other. Control
 * gives them to the worker of an SA, each as so many octets that are no packet; here they become text.
 *
 * They are counted as dummies of their SA alone: they never came in.
 */
import type { Engine, Ops } from "../crypto/engine.ts";
import type { Counters } from "../ipsec/counters.ts";
import { highOf, writeCounterIv, writeHeader } from "../ipsec/esp.ts";
import { Df, MARK_DF } from "../ipsec/outer-header.ts";
import type { Sad } from "../ipsec/sad.ts";
import { writeDummy } from "../ipsec/tfc.ts";
import { Verdict } from "../ipsec/verdict.ts";
import type { IvPool } from "./iv-pool.ts";
import { COUNTER_IV, type OutboundBatch } from "./outbound.ts";
import type { OwnedSas } from "./owned-sas.ts";
import type { PlaneMemory } from "./plane-memory.ts";

/** Of a row that meets no SA: nobody counts it. */
const NO_BLOCK = -1;

export interface DummyParts {
  readonly owned: OwnedSas;
  readonly engine: Engine;
  readonly ops: Ops;
  readonly ivs: IvPool;
}

export class Dummies {
  readonly #tables: PlaneMemory;
  readonly #sad: Sad;
  readonly #counters: Counters;
  readonly #owned: OwnedSas;
  readonly #engine: Engine;
  readonly #ops: Ops;
  readonly #view: DataView;
  readonly #ivs: IvPool;
  /** By op: its row in the batch. */
  readonly #row: Int32Array;

  constructor(tables: PlaneMemory, { owned, engine, ops, ivs }: DummyParts) {
    this.#tables = tables;
    this.#sad = tables.sad;
    this.#counters = tables.counters;
    this.#owned = owned;
    this.#engine = engine;
    this.#ops = ops;
    this.#view = new DataView(ops.slab.buffer, ops.slab.byteOffset, ops.slab.byteLength);
    this.#ivs = ivs;
    this.#row = new Int32Array(ops.capacity);
  }

  /** Make dummies of the rows of `batch`, as long as these are, and seal them; the caller sends those that pass. */
  seal(batch: OutboundBatch): void {
    const ops = this.#ops;
    ops.count = 0;
    for (let n = 0; n < batch.count; n++) batch.verdict[n] = this.#make(batch, n);
    if (ops.count > 0) this.#engine.seal(ops);
    for (let op = 0; op < ops.count; op++) if (ops.ok[op] !== 1) batch.verdict[this.#row[op]!] = Verdict.ENGINE_ERROR;
  }

  /** After they were sent. */
  settle(batch: OutboundBatch): void {
    for (let n = 0; n < batch.count; n++) {
      if (batch.block[n]! < 0) continue;
      const verdict = batch.verdict[n] === Verdict.PASS ? Verdict.DUMMY : batch.verdict[n]!;
      this.#counters.count(batch.block[n]!, verdict, 0);
    }
  }

  #make(batch: OutboundBatch, n: number): number {
    const slot = batch.slot[n]!;
    const sad = this.#sad;
    batch.block[n] = NO_BLOCK;
    if (slot < 0 || batch.refused[n] !== Verdict.PASS) return Verdict.NO_SA;
    const record = sad.outbound(slot);
    const key = this.#owned.key(record);
    if (key === 0) return Verdict.NO_SA;
    batch.block[n] = record; // an outbound SA's block is its record
    const shape = this.#owned.shape(record);
    const seq = sad.top(record) + 1;
    if (seq > shape.lastSeq) return Verdict.SEQ_CYCLED;
    sad.setTop(record, seq);
    const view = this.#view;
    const at = batch.at[n]!;
    const { headLength, ivLength } = shape;
    const head = at - headLength;
    writeHeader(view, head, sad.spi(record), seq);
    if (ivLength === COUNTER_IV) writeCounterIv(view, at - ivLength, highOf(seq), seq);
    else if (ivLength !== 0) this.#ivs.take(view, at - ivLength);
    const text = writeDummy(view, at, batch.length[n]!, shape.alignment);
    batch.sealedAt[n] = head;
    batch.sealedLength[n] = headLength + text + shape.icvLength;
    batch.mark[n] = this.#mark(batch.tunnelBlock[n]!);
    const ops = this.#ops;
    const op = ops.count++;
    ops.keys[op] = key;
    ops.headAt[op] = head;
    ops.textAt[op] = at;
    ops.textLength[op] = text;
    ops.seqHigh[op] = highOf(seq);
    this.#row[op] = n;
    return Verdict.PASS;
  }

  /** As of most packets: of no class, and with DF where that is not cleared. */
  #mark(block: number): number {
    const { tunnels, blocks } = this.#tables;
    const tunnel = blocks.tunnelOf(block);
    const tos = tunnels.outerTos(tunnel, 0);
    return tunnels.df(tunnel) === Df.clear ? tos : tos | MARK_DF;
  }
}
