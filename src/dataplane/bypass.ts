// HOT PATH
/**
 * Sends in the clear what a policy says may bypass (RFC 4301 §5.1): the packet as it was read, header included, through a raw
 * socket whose mark takes it past the routes into the interface. One sendmmsg(2) for each run of packets of one family.
 */
import { Verdict } from "../ipsec/verdict.ts";
import { ERRNO } from "../linux/errno.ts";
import type { Memory } from "../linux/memory.ts";
import { MsgBatch } from "../linux/msg-batch.ts";
import { AF_INET, AF_INET6 } from "../linux/sockaddr.ts";
import { MAX_BATCH } from "./arena.ts";
import type { OutboundBatch } from "./outbound.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import { verdictOf } from "./sender.ts";

const IPV4_DESTINATION = 16;
const IPV6_DESTINATION = 24;

export class Bypass {
  readonly #slab: Memory;
  readonly #tables: PlaneMemory;
  readonly #messages: MsgBatch;
  /** By message: its packet in the batch. */
  readonly #packet = new Int32Array(MAX_BATCH);

  constructor(slab: Memory, tables: PlaneMemory) {
    this.#slab = slab;
    this.#tables = tables;
    this.#messages = new MsgBatch({ slab, capacity: MAX_BATCH });
  }

  /** Send what bypasses; a packet that cannot be sent gets the reason as its verdict. */
  send(batch: OutboundBatch): void {
    const { blocks, tunnels } = this.#tables;
    const { bytes } = this.#slab;
    let block = -1;
    let tunnel = 0;
    let fd = -1;
    let count = 0;
    for (let n = 0; n < batch.count; n++) {
      if (batch.verdict[n] !== Verdict.BYPASS) continue;
      if (batch.tunnelBlock[n] !== block) {
        block = batch.tunnelBlock[n]!;
        tunnel = blocks.tunnelOf(block);
      }
      const at = batch.at[n]!;
      const version = bytes[at]! >> 4;
      const to = tunnels.bypassFd(tunnel, version);
      if (to < 0) {
        batch.verdict[n] = Verdict.NO_SOCKET;
        continue;
      }
      if (to !== fd && count > 0) {
        this.#run(batch, fd, count);
        count = 0;
      }
      fd = to;
      this.#messages.setBuffer(count, at, batch.length[n]!);
      if (version === 4) this.#messages.setPeer(count, AF_INET, bytes, at + IPV4_DESTINATION, 0);
      else this.#messages.setPeer(count, AF_INET6, bytes, at + IPV6_DESTINATION, 0);
      this.#packet[count++] = n;
    }
    if (count > 0) this.#run(batch, fd, count);
  }

  #run(batch: OutboundBatch, fd: number, count: number): void {
    let at = 0;
    while (at < count) {
      const sent = this.#messages.send(fd, at, count - at);
      if (sent > 0) at += sent;
      else if (sent === -ERRNO.EAGAIN) while (at < count) batch.verdict[this.#packet[at++]!] = Verdict.SOCKET_FULL;
      else if (sent !== -ERRNO.EINTR) batch.verdict[this.#packet[at++]!] = verdictOf(sent);
    }
  }
}
