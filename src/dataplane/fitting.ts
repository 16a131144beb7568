// HOT PATH
/**
 * Before packets are sealed: those that are larger than the path of their SA takes (RFC 4301 §8.2), and those that are
 * padded to hide their length (RFC 4303 §2.7). Almost always there are none, and `fits` says so. Else the batch is made
 * anew, in order, in one or more batches of `made`:
 *
 *   fits, no padding     as it is
 *   padding              copied, with zeros behind it
 *   IPv4 without DF      its fragments (RFC 791 §2.3); the host that it is for puts them together
 *   IPv4 with DF         dropped, its sender told (`TooBigAnswers`)
 *   IPv6                 the same, but of up to 1280 octets, which is sealed whole: every link must carry it (RFC 8200 §5)
 *   transport mode       its fragments as the datagram that they are of (`Datagrams`), all else as it is
 *
 * Sealed whole, and fragmented as an ESP packet by the system, is what the settings of its SA want so (`Oversize`), and what
 * its selectors let pass as a whole only: those with ports do not see them in later fragments (RFC 4301 §7).
 *
 * A packet that is fragmented is one packet to the counters: with the verdict of its first fragment that did not pass.
 */
import { readU16 } from "../ipsec/checksum.ts";
import { Fragmenter } from "../ipsec/fragment.ts";
import { versionOfWhole } from "../ipsec/ip.ts";
import { IPV6_MIN_MTU } from "../ipsec/mtu.ts";
import { Oversize, SaFlag } from "../ipsec/sad.ts";
import { paddedLength, writeTfcPadding } from "../ipsec/tfc.ts";
import { Verdict } from "../ipsec/verdict.ts";
import { type Arena, MADE_AREA, MAX_BATCH, MAX_PACKET, outboundRoom } from "./arena.ts";
import { ASTRAY, Datagrams, isFragment } from "./datagrams.ts";
import { OutboundBatch } from "./outbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import type { TooBigAnswers } from "./too-big-answers.ts";

const DF = 0x4000;

export class Fitting {
  readonly made = new OutboundBatch(MAX_BATCH);
  readonly #arena: Arena;
  readonly #slab: Uint8Array;
  readonly #view: DataView;
  readonly #tables: PlaneMemory;
  readonly #answers: TooBigAnswers;
  readonly #fragmenter = new Fragmenter();
  readonly #datagrams: Datagrams;
  /** By row of `made`: octets of the packet that it is the first fragment of, else 0. */
  readonly #whole = new Int32Array(MAX_BATCH);
  /** Octets of the area for made packets that are taken. */
  #used = 0;
  #from: OutboundBatch | undefined;
  #next = 0;

  /** `block`: counter block of all that this worker reads. */
  constructor(arena: Arena, tables: PlaneMemory, answers: TooBigAnswers, block: number) {
    this.#datagrams = new Datagrams(arena.memory, tables.counters, block);
    this.#arena = arena;
    this.#slab = arena.slab;
    this.#view = arena.memory.view;
    this.#tables = tables;
    this.#answers = answers;
  }

  /** Whether all packets go as they are. */
  fits(batch: OutboundBatch): boolean {
    const { sad } = this.#tables;
    const { slot: slots, length: lengths, count } = batch;
    let slot = -1;
    let limit = 0xffff_ffff;
    for (let n = 0; n < count; n++) {
      if (slots[n] !== slot) {
        slot = slots[n]!;
        limit = slot < 0 ? 0xffff_ffff : sad.limit(sad.outbound(slot));
      }
      if (lengths[n]! > limit) return false;
    }
    return true;
  }

  /** Make this batch anew; then call `next` until it is false. */
  begin(batch: OutboundBatch): void {
    this.#from = batch;
    this.#next = 0;
  }

  /** Fill `made` with what comes next of the batch. False when there is nothing more. What was in it must be done with. */
  next(): boolean {
    const batch = this.#from;
    const made = this.made;
    made.count = 0;
    this.#used = 0;
    if (batch === undefined) return false;
    while (this.#next < batch.count && this.#take(batch, this.#next)) this.#next++;
    if (this.#next === batch.count) this.#from = undefined;
    return made.count > 0;
  }

  /** After `made` was sealed and sent, before it is counted: a packet is its fragments together. */
  join(): void {
    const { count, length, verdict } = this.made;
    for (let n = 0; n < count; n++) {
      const whole = this.#whole[n]!;
      if (whole === 0) continue;
      length[n] = whole;
      for (let k = n + 1; k < count && this.#whole[k] === -1; k++) {
        if (verdict[n] === Verdict.PASS) verdict[n] = verdict[k]!;
        verdict[k] = Verdict.PART;
      }
    }
  }

  /** Forget all packets. */
  close(): void {
    this.#datagrams.close();
  }

  /** False: there is no room for it in `made`. */
  #take(batch: OutboundBatch, n: number): boolean {
    const made = this.made;
    if (made.count === made.capacity) return false;
    const slot = batch.slot[n]!;
    const length = batch.length[n]!;
    if (batch.refused[n] !== Verdict.PASS || slot < 0) return this.#pass(batch, n);
    const { sad } = this.#tables;
    const record = sad.outbound(slot);
    if ((sad.flags(record) & SaFlag.TRANSPORT) !== 0) return this.#gather(batch, n, record);
    const mtu = sad.mtu(record);
    if (mtu > 0 && length > mtu) return this.#shrink(batch, n, record, mtu);
    const padded = paddedLength(length, sad.tfc(record), mtu > 0 ? mtu : MAX_PACKET);
    return padded > length && length > 0 ? this.#pad(batch, n, padded) : this.#pass(batch, n);
  }

  #pass(batch: OutboundBatch, n: number): boolean {
    this.#append(batch, n, batch.at[n]!, batch.length[n]!);
    return true;
  }

  #append(batch: OutboundBatch, n: number, at: number, length: number): number {
    const made = this.made;
    const row = made.count++;
    made.at[row] = at;
    made.length[row] = length;
    made.slot[row] = batch.slot[n]!;
    made.tunnelBlock[row] = batch.tunnelBlock[n]!;
    made.refused[row] = batch.refused[n]!;
    made.padding[row] = 0;
    this.#whole[row] = 0;
    return row;
  }

  #gather(batch: OutboundBatch, n: number, record: number): boolean {
    const at = batch.at[n]!;
    const length = batch.length[n]!;
    const slab = this.#slab;
    if (length > MAX_PACKET || versionOfWhole(this.#view, at, length) === 0 || !isFragment(slab, at, length))
      return this.#pass(batch, n);
    if (this.#used + outboundRoom(MAX_PACKET) > MADE_AREA) return false;
    const whole = this.#datagrams.take(at, length, batch.tunnelBlock[n]!);
    if (whole <= 0) {
      const row = this.#append(batch, n, at, length);
      this.made.refused[row] = whole === ASTRAY ? Verdict.UNSUP_TRANSPORT : Verdict.PART;
      this.made.tunnelBlock[row] = this.#tables.blocks.record(record); // it met an SA, and is counted with it
      return true;
    }
    const to = this.#arena.madeAt(this.#used);
    this.#datagrams.copyTo(to, whole);
    this.#append(batch, n, to, whole);
    this.#used += outboundRoom(whole);
    return true;
  }

  #pad(batch: OutboundBatch, n: number, padded: number): boolean {
    if (this.#used + outboundRoom(padded) > MADE_AREA) return false;
    const slab = this.#slab;
    const from = batch.at[n]!;
    const length = batch.length[n]!;
    const at = this.#arena.madeAt(this.#used);
    slab.copyWithin(at, from, from + length);
    writeTfcPadding(slab, at, length, padded);
    this.made.padding[this.#append(batch, n, at, length)] = padded - length;
    this.#used += outboundRoom(padded);
    return true;
  }

  #shrink(batch: OutboundBatch, n: number, record: number, mtu: number): boolean {
    const { sad, spd } = this.#tables;
    const slot = batch.slot[n]!;
    const at = batch.at[n]!;
    const length = batch.length[n]!;
    const oversize = sad.oversize(record);
    const version = length <= MAX_PACKET ? versionOfWhole(this.#view, at, length) : this.#slab[at]! >> 4;
    // What would not be sent anyway is neither answered nor fragmented; `Outbound` says why.
    const isIp = version === 4 || version === 6;
    if (!isIp || (length <= MAX_PACKET && !spd.passesOutbound(slot, this.#view, at, length, version)))
      return this.#pass(batch, n);
    const mayFragment = version === 4 && (readU16(this.#slab, at + 6) & DF) === 0;
    if (oversize === Oversize.AFTER || (oversize === Oversize.AFTER_DF && version === 4 && !mayFragment))
      return this.#pass(batch, n);
    if (mayFragment) return length > MAX_PACKET ? this.#pass(batch, n) : this.#fragment(batch, n, mtu);
    if (version === 6 && length <= IPV6_MIN_MTU) return this.#pass(batch, n);
    this.#answers.answer(batch, n, Math.min(length, MAX_PACKET), mtu);
    const row = this.#append(batch, n, at, length);
    this.made.refused[row] = Verdict.MTU_EXCEEDED;
    this.made.tunnelBlock[row] = this.#tables.blocks.record(record); // it met an SA, and is counted with it
    return true;
  }

  #fragment(batch: OutboundBatch, n: number, mtu: number): boolean {
    const { spd } = this.#tables;
    const made = this.made;
    const slab = this.#slab;
    const fragmenter = this.#fragmenter;
    const length = batch.length[n]!;
    if (!fragmenter.begin(slab, batch.at[n]!, length, mtu)) return this.#pass(batch, n);
    const { count } = fragmenter;
    let room = 0;
    for (let k = 0; k < count; k++) room += outboundRoom(fragmenter.length(k));
    if (made.count + count > made.capacity || this.#used + room > MADE_AREA) {
      if (made.count > 0) return false;
      return this.#pass(batch, n); // more than a whole batch takes: `Outbound` seals it as it is
    }
    const first = made.count;
    const used = this.#used;
    for (let k = 0; k < count; k++) {
      const at = this.#arena.madeAt(this.#used);
      const row = this.#append(batch, n, at, fragmenter.write(slab, k, at));
      this.#whole[row] = k === 0 ? length : -1;
      this.#used += outboundRoom(made.length[row]!);
    }
    const last = made.count - 1;
    if (spd.passesOutbound(batch.slot[n]!, this.#view, made.at[last]!, made.length[last]!, 4)) return true;
    made.count = first;
    this.#used = used;
    return this.#pass(batch, n);
  }
}
