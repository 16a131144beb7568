// HOT PATH
/**
 * Sends sealed packets, as UDP datagrams (RFC 3948) or as IP protocol 50: one sendmmsg(2) for each run of packets that
 * leave by the same socket. A full socket is waited for once a run and briefly; then what is left of the run is dropped.
 */

import { Verdict } from "../ipsec/verdict.ts";
import { ERRNO } from "../linux/errno.ts";
import type { Memory } from "../linux/memory.ts";
import { MsgBatch } from "../linux/msg-batch.ts";
import { POLLOUT, PollSet } from "../linux/poll.ts";
import { AF_INET, AF_INET6 } from "../linux/sockaddr.ts";
import { BATCH } from "./arena.ts";
import type { OutboundBatch } from "./outbound.ts";
import type { OwnedSas } from "./owned-sas.ts";
import type { PlaneMemory } from "./plane-memory.ts";

/** How long a full socket is waited for, in ms. */
const PATIENCE = 5;

export class Sender {
  readonly #tables: PlaneMemory;
  readonly #owned: OwnedSas;
  readonly #worker: number;
  readonly #datagrams: MsgBatch;
  readonly #writable = new PollSet(1);
  /** By datagram: its packet in the batch. */
  readonly #packet = new Int32Array(BATCH);

  constructor(slab: Memory, tables: PlaneMemory, owned: OwnedSas, worker: number) {
    this.#tables = tables;
    this.#owned = owned;
    this.#worker = worker;
    this.#datagrams = new MsgBatch({ slab, capacity: BATCH });
    this.#writable.add(-1, POLLOUT);
  }

  /** Send what passed; a packet that cannot be sent gets the reason as its verdict. */
  send(batch: OutboundBatch): void {
    const datagrams = this.#datagrams;
    let fd = -1;
    let first = 0;
    let next = 0;
    for (let n = 0; n < batch.count; n++) {
      if (batch.verdict[n] !== Verdict.PASS) continue;
      const sa = batch.sa[n]!;
      const path = this.#owned.path(this.#tables.sad.outbound(batch.slot[n]!), sa);
      const to = this.#fd(path.socket, sa.encap);
      if (to < 0) {
        batch.verdict[n] = Verdict.NO_SOCKET;
        continue;
      }
      if (to !== fd && next > first) {
        this.#run(batch, fd, first, next);
        first = next;
      }
      fd = to;
      datagrams.setBuffer(next, batch.sealedAt[n]!, batch.sealedLength[n]!);
      const family = path.family === 4 ? AF_INET : AF_INET6;
      datagrams.setPeer(next, family, path.remote, 0, sa.encap ? path.remotePort : 0);
      this.#packet[next++] = n;
    }
    if (next > first) this.#run(batch, fd, first, next);
  }

  #fd(row: number, encap: boolean): number {
    if (row < 0) return -1;
    return encap ? this.#tables.sockets.udp(row, this.#worker) : this.#tables.sockets.raw(row, this.#worker);
  }

  #run(batch: OutboundBatch, fd: number, first: number, end: number): void {
    let at = first;
    let waited = false;
    while (at < end) {
      const sent = this.#datagrams.send(fd, at, end - at);
      if (sent > 0) {
        at += sent;
        continue;
      }
      if (sent === -ERRNO.EINTR) continue;
      if (sent === -ERRNO.EAGAIN) {
        if (!waited) {
          waited = true;
          this.#writable.set(0, fd, POLLOUT);
          this.#writable.wait(PATIENCE);
          continue;
        }
        while (at < end) batch.verdict[this.#packet[at++]!] = Verdict.SOCKET_FULL;
        return;
      }
      batch.verdict[this.#packet[at++]!] = sent === -ERRNO.EMSGSIZE ? Verdict.MESSAGE_TOO_LONG : Verdict.SEND_ERROR;
    }
  }
}
