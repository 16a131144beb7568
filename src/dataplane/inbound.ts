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
import { packetLength } from "../ipsec/ip.ts";
import { accept, inferSeq, isFresh, MAX_RING_WORDS } from "../ipsec/replay.ts";
import { LIVE_NEWEST, LIVE_STATE, type Sad, SaEvent, SaFlag } from "../ipsec/sad.ts";
import { passesFrontIn, type Spd } from "../ipsec/spd.ts";
import { writePlainHeader } from "../ipsec/transport.ts";
import { Verdict } from "../ipsec/verdict.ts";
import { OwnedRow, type OwnedSas } from "./owned-sas.ts";
import { SHAPES } from "./sa-shape.ts";
import { settleBatch } from "./settle.ts";
import type { TunnelTable } from "./tunnel-table.ts";

// What a module keeps to itself is a constant to V8; what it imports is looked up and checked for every packet.
const { PASS } = Verdict;
const HEADER = ESP_HEADER;
const IPV4 = NEXT_IPV4;
const IPV6 = NEXT_IPV6;
const OF_SHAPE = SHAPES;
const { WORDS: ROW, GENERATION, KEY, SHAPE, SPI, WINDOW, RING_WORDS, FLAGS, MET, FRONT } = OwnedRow;
const STATE = LIVE_STATE;
const NEWEST = LIVE_NEWEST;
const RING = MAX_RING_WORDS;
const { ENCAP, TRANSPORT } = SaFlag;

/** Columns of received packets. The worker fills the first group, `Inbound` the second. */
export class InboundBatch {
  readonly capacity: number;
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
    this.capacity = capacity;
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
  readonly tunnels?: TunnelTable;
  readonly engine: Engine;
  readonly ops: Ops;
  readonly worker: number;
  readonly workers: number;
  /** Counter block of all that this worker receives. */
  readonly block: number;
}

export class Inbound {
  /**
   * Of the batch opened last: a packet that came for no SA or was outside of its selectors, or -1; and where that one's
   * inner packet lies, of no length in the first case.
   */
  stray = -1;
  strayAt = 0;
  strayLength = 0;
  readonly #sad: Sad;
  readonly #spd: Spd;
  readonly #counters: Counters;
  readonly #owned: OwnedSas;
  readonly #tunnels: TunnelTable | undefined;
  readonly #engine: Engine;
  readonly #ops: Ops;
  readonly #view: DataView;
  readonly #worker: number;
  readonly #workers: number;
  readonly #block: number;
  /** By op: its packet in the batch, its whole sequence number. */
  readonly #packet: Int32Array;
  readonly #seq: Float64Array;
  /** Where the source lies that was compared last in this batch, and for which slot. */
  #seenAt = -1;
  #seenFor = -1;

  constructor(parts: InboundParts) {
    this.#sad = parts.sad;
    this.#spd = parts.spd;
    this.#counters = parts.counters;
    this.#owned = parts.owned;
    this.#tunnels = parts.tunnels;
    this.#engine = parts.engine;
    this.#ops = parts.ops;
    const { slab } = parts.ops;
    this.#view = new DataView(slab.buffer, slab.byteOffset, slab.byteLength);
    this.#worker = parts.worker;
    this.#workers = parts.workers;
    this.#block = parts.block;
    this.#packet = new Int32Array(parts.ops.capacity);
    this.#seq = new Float64Array(parts.ops.capacity);
  }

  /** The first authentic packet of an SA: its peer has the pair. */
  #meet(slot: number): void {
    this.#owned.meet(slot);
    this.#sad.raise(slot, SaEvent.FIRST_PACKET);
    this.#tunnels?.prove(this.#sad.tunnel(slot), slot);
  }

  /** Judge `batch[0..count)`. Those that pass are decrypted in place; the caller delivers them and then calls `settle`. */
  open(batch: InboundBatch): void {
    const ops = this.#ops;
    ops.count = 0;
    this.#seenAt = -1;
    this.stray = -1;
    this.#prepare(batch);
    if (ops.count > 0) {
      this.#engine.open(ops);
      this.#finish(batch);
    }
  }

  /** Count every packet of the batch by its verdict. */
  settle(batch: InboundBatch): void {
    settleBatch(this.#counters, this.#block, batch, batch.slot, batch.innerLength); // an inbound SA's block is its slot
  }

  /**
   * A verdict for each packet; PASS: it is an op now. Packets of one SA in a row look at it once. UDP-encapsulated or raw,
   * an SA takes both (RFC 7296 §2.23).
   */
  #prepare(batch: InboundBatch): void {
    const sad = this.#sad;
    const { words, doubles } = sad;
    const owned = this.#owned;
    const { rows, fronts } = owned;
    const mask = sad.capacity - 1;
    const rings = sad.ringAt(0);
    const ops = this.#ops;
    const view = this.#view;
    const { keys, headAt, textAt, textLength, seqHigh } = ops;
    const { at: ats, length: lengths, truncated, verdict: verdicts, slot: slots, count } = batch;
    let current = -1; // an SPI
    let slot = -1;
    let key = 0;
    let shape = 0;
    let { esn, headLength, icvLength, alignment } = OF_SHAPE[shape]!;
    let top = 0;
    let window = 0;
    let newestAt = 0;
    let ringAt = 0;
    let ringWords = 0;
    let op = 0;
    for (let n = 0; n < count; n++) {
      const at = ats[n]!;
      const length = lengths[n]!;
      slots[n] = -1;
      if (length < HEADER) {
        verdicts[n] = length === 1 && view.getUint8(at) === 0xff ? Verdict.KEEPALIVE : Verdict.RUNT;
        continue;
      }
      const spi = spiOf(view, at);
      if (spi !== current) {
        current = spi;
        slot = spi & mask;
        const row = slot * ROW;
        // Ours, and known already: where no generation is known there is no handle either.
        const live = sad.liveAt(slot);
        const known = rows[row + SPI] === (spi | 0) && fronts[row + GENERATION] === words[live + STATE];
        key = known ? rows[row + KEY]! : 0;
        if (key === 0) {
          slot = sad.find(spi);
          const ours = slot >= 0 && (this.#workers === 1 || slot % this.#workers === this.#worker);
          key = ours ? owned.key(slot) : 0;
          if (ours && key === 0) slot = -1;
        }
        if (key !== 0) {
          if (rows[row + SHAPE] !== shape) {
            shape = rows[row + SHAPE]!;
            ({ esn, headLength, icvLength, alignment } = OF_SHAPE[shape]!);
          }
          top = doubles[live >> 1]!;
          window = rows[row + WINDOW]!;
          newestAt = live + NEWEST;
          ringAt = rings + slot * RING;
          ringWords = rows[row + RING_WORDS]!;
        }
      }
      if (key === 0) {
        verdicts[n] = slot < 0 ? this.#note(n, 0, 0, Verdict.NO_SA) : Verdict.HANDOFF;
        continue;
      }
      slots[n] = slot;
      if (truncated[n] === 1) {
        verdicts[n] = Verdict.TOO_BIG;
        continue;
      }
      const text = length - headLength - icvLength;
      if (text < alignment || (text & (alignment - 1)) !== 0) {
        verdicts[n] = Verdict.RUNT;
        continue;
      }
      const low = lowSeqOf(view, at);
      const seq = esn ? inferSeq(top, window, low) : low;
      if (!isFresh(words, newestAt, ringAt, ringWords, window, top, seq)) {
        verdicts[n] = Verdict.REPLAY;
        continue;
      }
      verdicts[n] = PASS;

      keys[op] = key;
      headAt[op] = at;
      textAt[op] = at + headLength;
      textLength[op] = text;
      seqHigh[op] = highOf(seq);
      this.#packet[op] = n;
      this.#seq[op] = seq;
      op++;
    }
    ops.count = op;
  }

  /** What is authentic moves the window, now and not before; what is not changes nothing. */
  #finish(batch: InboundBatch): void {
    const sad = this.#sad;
    const { words, doubles } = sad;
    const rings = sad.ringAt(0);
    const spd = this.#spd;
    const { rows, fronts } = this.#owned;
    const ops = this.#ops;
    const view = this.#view;
    const { textAt, textLength, ok, count } = ops;
    const { verdict: verdicts, slot: slots, sourceLength, innerAt, innerLength } = batch;
    let slot = -1;
    let live = 0;
    let row = 0;
    let top = 0;
    let window = 0;
    let newestAt = 0;
    let ringAt = 0;
    let ringWords = 0;
    let encap = false;
    let transport = false;
    for (let op = 0; op < count; op++) {
      const n = this.#packet[op]!;
      if (ok[op] !== 1) {
        verdicts[n] = Verdict.INTEG_ERROR;
        continue;
      }
      if (slots[n] !== slot) {
        if (slot >= 0) doubles[live >> 1] = top;
        slot = slots[n]!;
        live = sad.liveAt(slot);
        row = slot * ROW;
        top = doubles[live >> 1]!;
        window = rows[row + WINDOW]!;
        newestAt = live + NEWEST;
        ringAt = rings + slot * RING;
        ringWords = rows[row + RING_WORDS]!;
        const flags = rows[row + FLAGS]!;
        encap = (flags & ENCAP) !== 0;
        transport = (flags & TRANSPORT) !== 0;
        if (rows[row + MET] === 0) this.#meet(slot);
      }
      const seq = this.#seq[op]!;
      // Ask again, as the batch may hold a duplicate.
      if (!isFresh(words, newestAt, ringAt, ringWords, window, top, seq)) {
        verdicts[n] = Verdict.REPLAY;
        continue;
      }
      // Only the newest packet tells where the peer is: a late one may still come from where it was before.
      const newest = seq > top;
      top = accept(words, newestAt, ringAt, ringWords, top, seq);
      if (encap && newest && sourceLength[n]! > 0) this.#watchPeer(batch, n, slot);

      const at = textAt[op]!;
      const text = textLength[op]!;
      const payload = payloadLength(view, at, text);
      if (payload < 0) {
        verdicts[n] = Verdict.BAD_TRAILER;
        continue;
      }
      const next = nextHeaderOf(view, at, text);
      if (transport || (next !== IPV4 && next !== IPV6)) {
        if (next === NEXT_DUMMY) verdicts[n] = Verdict.DUMMY;
        else verdicts[n] = transport ? this.#rebuild(batch, n, slot, at, payload, next) : Verdict.UNSUP_PAYLOAD;
        continue;
      }
      const version = next === IPV4 ? 4 : 6;
      const inner = packetLength(view, at, payload, version);
      if (inner < 0) {
        verdicts[n] = Verdict.BAD_INNER;
        continue;
      }
      const passes =
        passesFrontIn(fronts, row + FRONT, view, at, version) || spd.passesInbound(slot, view, at, inner, version);
      if (!passes) {
        verdicts[n] = this.#note(n, at, inner, Verdict.POLICY); // RFC 4301 §5.2 step 4
        continue;
      }
      innerAt[n] = at;
      innerLength[n] = inner;
    }
    if (slot >= 0) doubles[live >> 1] = top;
  }

  #note(n: number, at: number, length: number, verdict: number): number {
    this.stray = n;
    this.strayAt = at;
    this.strayLength = length;
    return verdict;
  }

  /** A packet of transport mode has no header but the outer one: the SA says what is in that (RFC 4301 §5.2). */
  #rebuild(batch: InboundBatch, n: number, slot: number, at: number, payload: number, next: number): number {
    if (batch.sourceLength[n]! > 0) return Verdict.UNSUP_TRANSPORT; // a train has no room before each packet
    const sa = this.#owned.get(slot);
    if (sa === undefined) return Verdict.NO_SA; // withdrawn since
    const { local, remote, family } = this.#owned.path(slot, sa);
    const header = writePlainHeader(this.#view, at, payload, next, batch.outerTos[n]!, remote, local);
    batch.innerAt[n] = at - header;
    batch.innerLength[n] = header + payload;
    const passes = this.#spd.passesInbound(slot, this.#view, at - header, header + payload, family);
    return passes ? Verdict.PASS : this.#note(n, at - header, header + payload, Verdict.POLICY);
  }

  /** A NAT may give the peer another address or port at any time; authentic packets tell (RFC 7296 §2.23). */
  #watchPeer(batch: InboundBatch, n: number, slot: number): void {
    const { sources } = batch;
    if (batch.sourceAt[n] === this.#seenAt && slot === this.#seenFor) return; // of one train
    this.#seenAt = batch.sourceAt[n]!;
    this.#seenFor = slot;
    const sa = this.#owned.get(slot);
    if (sa === undefined) return; // withdrawn since
    const { remote, remotePort } = this.#owned.path(slot, sa);
    const length = batch.sourceLength[n]!;
    const at = batch.sourceAt[n]!;
    let same = remotePort === batch.sourcePort[n] && remote.length === length;
    for (let i = 0; same && i < length; i++) same = sources[at + i] === remote[i];
    if (!same) this.#sad.sawPeer(slot, sources, at, length, batch.sourcePort[n]!);
  }
}
