// HOT PATH
/**
 * ESP on its way in (RFC 4303 §3.4, RFC 4301 §5.2), a batch at a time:
 *
 *   prepare every packet -> open all with one engine call -> finish every packet -> (worker: write to the TUN) -> settle
 *
 * A packet gets a verdict and is counted by it; nothing here throws, logs or allocates for a packet.
 */
import type { Engine, Ops } from "../crypto/engine.ts";
import type { Counters } from "../ipsec/counters.ts";
import {
  ESP_HEADER,
  highOf,
  lowSeqOf,
  NEXT_DUMMY,
  NEXT_IPV4,
  NEXT_IPV6,
  nextHeaderOf,
  payloadLength,
  spiOf,
} from "../ipsec/esp.ts";
import { Fields, packetLength, readFields } from "../ipsec/ip.ts";
import { accept, inferSeq, isFresh } from "../ipsec/replay.ts";
import { type Sad, SaEvent } from "../ipsec/sad.ts";
import type { Spd } from "../ipsec/spd.ts";
import { Verdict } from "../ipsec/verdict.ts";
import type { OwnedSa, OwnedSas } from "./owned-sas.ts";

/** Columns of received packets. The worker fills the first group, `Inbound` the second. */
export class InboundBatch {
  count = 0;
  /** The SPI's first octet, and octets from there. */
  readonly at: Int32Array;
  readonly length: Int32Array;
  /** Where the source address of a UDP-encapsulated packet lies in `sources`; length 0 when the packet came raw. */
  readonly sources: Uint8Array;
  readonly sourceAt: Int32Array;
  readonly sourceLength: Uint8Array;
  readonly sourcePort: Uint16Array;
  /** TOS or traffic class of the outer header. */
  readonly outerTos: Uint8Array;
  /** The packet did not fit its buffer. */
  readonly truncated: Uint8Array;

  readonly verdict: Uint8Array;
  /** Slot of its SA, or -1. */
  readonly slot: Int32Array;
  /** The inner packet, when the verdict is PASS. */
  readonly innerAt: Int32Array;
  readonly innerLength: Int32Array;

  constructor(capacity: number, sources: Uint8Array) {
    this.at = new Int32Array(capacity);
    this.length = new Int32Array(capacity);
    this.sources = sources;
    this.sourceAt = new Int32Array(capacity);
    this.sourceLength = new Uint8Array(capacity);
    this.sourcePort = new Uint16Array(capacity);
    this.outerTos = new Uint8Array(capacity);
    this.truncated = new Uint8Array(capacity);
    this.verdict = new Uint8Array(capacity);
    this.slot = new Int32Array(capacity);
    this.innerAt = new Int32Array(capacity);
    this.innerLength = new Int32Array(capacity);
  }
}

export interface InboundParts {
  readonly sad: Sad;
  readonly spd: Spd;
  readonly counters: Counters;
  readonly owned: OwnedSas;
  readonly engine: Engine;
  readonly ops: Ops;
  readonly worker: number;
  readonly workers: number;
  /** Counter block of all that this worker receives. */
  readonly block: number;
}

export class Inbound {
  readonly #sad: Sad;
  readonly #spd: Spd;
  readonly #counters: Counters;
  readonly #owned: OwnedSas;
  readonly #engine: Engine;
  readonly #ops: Ops;
  readonly #worker: number;
  readonly #workers: number;
  readonly #block: number;
  readonly #fields = new Fields();
  /** By op: its packet in the batch, its SA, its whole sequence number. */
  readonly #packet: Int32Array;
  readonly #sa: (OwnedSa | undefined)[];
  readonly #seq: Float64Array;
  /** The SPI looked up last in this batch, -1 for none, and what it names. */
  #spi = -1;
  #slot = -1;
  #named: OwnedSa | undefined;
  /** Where the source lies that was compared last in this batch, and for which slot. */
  #seenAt = -1;
  #seenFor = -1;

  constructor(parts: InboundParts) {
    this.#sad = parts.sad;
    this.#spd = parts.spd;
    this.#counters = parts.counters;
    this.#owned = parts.owned;
    this.#engine = parts.engine;
    this.#ops = parts.ops;
    this.#worker = parts.worker;
    this.#workers = parts.workers;
    this.#block = parts.block;
    this.#packet = new Int32Array(parts.ops.capacity);
    this.#sa = new Array<OwnedSa | undefined>(parts.ops.capacity).fill(undefined);
    this.#seq = new Float64Array(parts.ops.capacity);
  }

  /** Judge `batch[0..count)`. Those that pass are decrypted in place; the caller delivers them and then calls `settle`. */
  open(batch: InboundBatch): void {
    const ops = this.#ops;
    ops.count = 0;
    this.#spi = -1;
    this.#seenAt = -1;
    for (let n = 0; n < batch.count; n++) {
      batch.slot[n] = -1;
      batch.verdict[n] = this.#prepare(batch, n);
    }
    if (ops.count > 0) this.#engine.open(ops);
    for (let op = 0; op < ops.count; op++) {
      const n = this.#packet[op]!;
      batch.verdict[n] = ops.ok[op] === 1 ? this.#finish(batch, n, op) : Verdict.INTEG_ERROR;
      this.#sa[op] = undefined;
      ops.keys[op] = undefined;
    }
    this.#named = undefined;
  }

  /** Count every packet of the batch by its verdict. */
  settle(batch: InboundBatch): void {
    let slot = -1;
    let verdict = -1;
    let packets = 0;
    let bytes = 0;
    for (let n = 0; n < batch.count; n++) {
      if (batch.slot[n] !== slot || batch.verdict[n] !== verdict) {
        if (packets > 0) this.#count(slot, verdict, packets, bytes);
        slot = batch.slot[n]!;
        verdict = batch.verdict[n]!;
        packets = 0;
        bytes = 0;
      }
      packets++;
      bytes += batch.innerLength[n]!;
    }
    if (packets > 0) this.#count(slot, verdict, packets, bytes);
  }

  #count(slot: number, verdict: number, packets: number, bytes: number): void {
    if (verdict === Verdict.HANDOFF) return; // counted by whom it was handed to
    this.#counters.add(this.#block, verdict, packets, bytes);
    if (slot >= 0) this.#counters.add(slot, verdict, packets, bytes);
  }

  /** PASS: it is an op now. UDP-encapsulated or raw, an SA takes both (RFC 7296 §2.23). */
  #prepare(batch: InboundBatch, n: number): number {
    const { slab } = this.#ops;
    const at = batch.at[n]!;
    const length = batch.length[n]!;
    if (length === 1 && slab[at] === 0xff) return Verdict.KEEPALIVE;
    if (length < ESP_HEADER) return Verdict.RUNT;
    const spi = spiOf(slab, at);
    if (spi !== this.#spi) {
      const refused = this.#lookUp(spi);
      if (refused !== Verdict.PASS) return refused;
    }
    const slot = this.#slot;
    const sa = this.#named!;
    batch.slot[n] = slot;
    if (batch.truncated[n] === 1) return Verdict.TOO_BIG;

    const textLength = length - sa.headLength - sa.icvLength;
    if (textLength < sa.alignment || (textLength & (sa.alignment - 1)) !== 0) return Verdict.RUNT;
    const low = lowSeqOf(slab, at);
    const top = this.#sad.top(slot);
    const seq = sa.esn ? inferSeq(top, sa.window, low) : low;
    if (!isFresh(this.#sad.words, sa.ringAt, sa.ringWords, sa.window, top, seq)) return Verdict.REPLAY;

    const ops = this.#ops;
    const op = ops.count++;
    ops.keys[op] = sa.key;
    ops.headAt[op] = at;
    ops.textAt[op] = at + sa.headLength;
    ops.textLength[op] = textLength;
    ops.seqHigh[op] = highOf(seq);
    ops.ok[op] = 0;
    this.#packet[op] = n;
    this.#sa[op] = sa;
    this.#seq[op] = seq;
    return Verdict.PASS;
  }

  /** Find the SA of `spi` among ours. Packets that follow one another mostly have the same. */
  #lookUp(spi: number): number {
    this.#spi = -1;
    const slot = this.#sad.find(spi);
    if (slot < 0) return Verdict.NO_SA;
    if (slot % this.#workers !== this.#worker) return Verdict.HANDOFF;
    const sa = this.#owned.get(slot);
    if (sa === undefined) return Verdict.NO_SA;
    this.#spi = spi;
    this.#slot = slot;
    this.#named = sa;
    return Verdict.PASS;
  }

  /** Authenticated: now, and only now, the window may move. Ask it again, as the batch may hold a duplicate. */
  #finish(batch: InboundBatch, n: number, op: number): number {
    const { words } = this.#sad;
    const { slab } = this.#ops;
    const sa = this.#sa[op]!;
    const slot = batch.slot[n]!;
    const seq = this.#seq[op]!;
    const top = this.#sad.top(slot);
    if (!isFresh(words, sa.ringAt, sa.ringWords, sa.window, top, seq)) return Verdict.REPLAY;
    this.#sad.setTop(slot, accept(words, sa.ringAt, sa.ringWords, top, seq));
    if (!sa.met) {
      sa.met = true;
      this.#sad.raise(slot, SaEvent.FIRST_PACKET);
    }
    // Only the newest packet tells: a late one may still come from where the peer was before.
    if (sa.encap && seq > top && batch.sourceLength[n]! > 0) this.#watchPeer(batch, n, slot, sa);

    const textAt = this.#ops.textAt[op]!;
    const textLength = this.#ops.textLength[op]!;
    const payload = payloadLength(slab, textAt, textLength);
    if (payload < 0) return Verdict.BAD_TRAILER;
    const next = nextHeaderOf(slab, textAt, textLength);
    if (next === NEXT_DUMMY) return Verdict.DUMMY;
    if (next !== NEXT_IPV4 && next !== NEXT_IPV6) return Verdict.UNSUP_PAYLOAD;
    const version = next === NEXT_IPV4 ? 4 : 6;
    const inner = packetLength(slab, textAt, payload, version);
    if (inner < 0) return Verdict.BAD_INNER;
    if (!this.#spd.passesAll(slot, version)) {
      readFields(slab, textAt, inner, this.#fields);
      if (!this.#spd.matchesInbound(slot, slab, this.#fields)) return Verdict.POLICY; // RFC 4301 §5.2 step 4
    }
    batch.innerAt[n] = textAt;
    batch.innerLength[n] = inner;
    return Verdict.PASS;
  }

  /** A NAT may give the peer another address or port at any time; authentic packets tell (RFC 7296 §2.23). */
  #watchPeer(batch: InboundBatch, n: number, slot: number, sa: OwnedSa): void {
    const { sources } = batch;
    if (batch.sourceAt[n] === this.#seenAt && slot === this.#seenFor) return; // of one train
    this.#seenAt = batch.sourceAt[n]!;
    this.#seenFor = slot;
    const { remote, remotePort } = this.#owned.path(slot, sa);
    const length = batch.sourceLength[n]!;
    const at = batch.sourceAt[n]!;
    let same = remotePort === batch.sourcePort[n] && remote.length === length;
    for (let i = 0; same && i < length; i++) same = sources[at + i] === remote[i];
    if (!same) this.#sad.sawPeer(slot, sources, at, length, batch.sourcePort[n]!);
  }
}
