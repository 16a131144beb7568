// HOT PATH
/**
 * Tells the sender of a packet that is too big for its tunnel so, through the interface that it came from: ICMP
 * Destination Unreachable with code 4, or ICMPv6 Packet Too Big (RFC 4301 §8.2), not more often than RFC 1812 §4.3.2.8 and
 * RFC 4443 §2.4(f) want.
 *
 * The answer comes from the address that the packet was for. A router would name its own, but the kernel drops what
 * arrives with an address of this machine, and what a reverse-path filter does not expect on this interface.
 */
import { MAX_ICMPV6, mayAnswer, writeTooBig } from "../ipsec/icmp.ts";
import { VIRTIO_NET_HDR } from "../linux/abi.ts";
import * as libc from "../linux/libc.ts";
import { Memory } from "../linux/memory.ts";
import { RateLimit } from "../rate-limit.ts";
import type { OutboundBatch } from "./outbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";

/** Answers a second of one worker in the long run, and at once: a sender that listens needs one. */
const PER_SECOND = 100;
const BURST = 50;
/** Room for a virtio_net_hdr, for the longest answer, and for as much of the packet as that may quote. */
const HEADER = 16;
const QUOTED_AT = HEADER + MAX_ICMPV6;
const ROOM = QUOTED_AT + MAX_ICMPV6;
/** Where an IPv4 and an IPv6 header have their destination. */
const DESTINATION_IPV4 = 16;
const DESTINATION_IPV6 = 24;

export class TooBigAnswers {
  readonly #slab: Uint8Array;
  readonly #view: DataView;
  readonly #tables: PlaneMemory;
  readonly #memory = Memory.allocate(ROOM);
  readonly #limit = new RateLimit(PER_SECOND, BURST);

  constructor(slab: Memory, tables: PlaneMemory) {
    this.#slab = slab.bytes;
    this.#view = slab.view;
    this.#tables = tables;
  }

  /** Packet `n` of `batch`, of which `length` octets are there, is larger than `mtu`. */
  answer(batch: OutboundBatch, n: number, length: number, mtu: number): void {
    const slab = this.#slab;
    const at = batch.at[n]!;
    if (!mayAnswer(slab, this.#view, at, length) || !this.#limit.take(performance.now())) return;
    const { tunnels, blocks } = this.#tables;
    const tunnel = blocks.tunnelOf(batch.tunnelBlock[n]!);
    const to = this.#memory;
    const destination = QUOTED_AT + (slab[at]! >> 4 === 4 ? DESTINATION_IPV4 : DESTINATION_IPV6);
    const quotable = Math.min(length, MAX_ICMPV6);
    for (let i = 0; i < quotable; i++) to.bytes[QUOTED_AT + i] = slab[at + i]!;
    const octets = writeTooBig(to.bytes, QUOTED_AT, quotable, mtu, to.bytes, destination, HEADER);
    const header = tunnels.vnetHdr(tunnel) ? VIRTIO_NET_HDR.size : 0;
    libc.write(tunnels.fd(tunnel), to, HEADER - header, header + octets); // one that is lost is asked for again
  }
}
