// HOT PATH
/**
 * Sends sealed packets, as UDP datagrams (RFC 3948) or as IP protocol 50: one sendmmsg(2) for each run of packets that leave by the
 * same socket with the same DF, which is the socket's. Encapsulated packets of one length and one TOS that follow one another to
 * the same peer are one message of the run, a train that the kernel takes apart (UDP_SEGMENT); the last of it may be shorter:
 *
 *   | ESP | ESP | ESP | ESP | ES |
 *
 * Where the kernel refuses a train as such its packets are sent one by one, and so are the next ones of that SA for a while.
 * A full socket is waited for once a run and briefly; then what is left of the run is dropped.
 */

import { MARK_DF } from "../ipsec/outer-header.ts";
import type { SaPath } from "../ipsec/sad.ts";
import { Verdict } from "../ipsec/verdict.ts";
import { DontFragment } from "../linux/dont-fragment.ts";
import { ERRNO } from "../linux/errno.ts";
import type { Memory } from "../linux/memory.ts";
import { MsgBatch } from "../linux/msg-batch.ts";
import { POLLOUT, PollSet } from "../linux/poll.ts";
import { AF_INET, AF_INET6 } from "../linux/sockaddr.ts";
import { SOL_UDP, UDP_SEGMENT } from "../linux/socket.ts";
import { addTos, TOS_CONTROL_ROOM } from "../linux/tos.ts";
import { MAX_BATCH } from "./arena.ts";
import type { OutboundBatch } from "./outbound.ts";
import type { OwnedSa, OwnedSas } from "./owned-sas.ts";
import type { PlaneMemory } from "./plane-memory.ts";

/** How long a full socket is waited for, in ms. */
const PATIENCE = 5;
/** What the kernel takes in one train: UDP_MAX_SEGMENTS of its older versions, and the payload of the longest datagram. */
const TRAIN_PACKETS = 64;
const TRAIN_OCTETS = 65_507;
/** Batches that are sent one by one after a train was refused. */
const CAUTION = 1000;
const SEGMENT_CONTROL_ROOM = 24;
/** Of a mark. */
const TOS = 0xff;

export class Sender {
  readonly #tables: PlaneMemory;
  readonly #owned: OwnedSas;
  readonly #worker: number;
  readonly #messages: MsgBatch;
  /** For the packets of a refused train. */
  readonly #singles: MsgBatch;
  readonly #writable = new PollSet(1);
  readonly #df = new DontFragment();
  /** By buffer of `#messages`: its packet in the batch. */
  readonly #packet = new Int32Array(MAX_BATCH);
  /** By message: its first buffer, how many, and the record of its SA. */
  readonly #first = new Int32Array(MAX_BATCH);
  readonly #of = new Int32Array(MAX_BATCH);
  readonly #record = new Int32Array(MAX_BATCH);

  /** Messages that are complete. */
  #count = 0;
  // The one behind them, which may still grow: packets and octets it has, and octets of each packet but the last.
  #path: SaPath | undefined;
  #open = false;
  #pieces = 0;
  #octets = 0;
  #segment = 0;
  #mark = 0;

  constructor(slab: Memory, tables: PlaneMemory, owned: OwnedSas, worker: number) {
    this.#tables = tables;
    this.#owned = owned;
    this.#worker = worker;
    this.#messages = new MsgBatch({
      slab,
      capacity: MAX_BATCH,
      controlRoom: SEGMENT_CONTROL_ROOM + TOS_CONTROL_ROOM,
    });
    this.#singles = new MsgBatch({ slab, capacity: MAX_BATCH, controlRoom: TOS_CONTROL_ROOM });
    this.#writable.add(-1, POLLOUT);
  }

  /** Send what passed; a packet that cannot be sent gets the reason as its verdict. */
  send(batch: OutboundBatch): void {
    const messages = this.#messages;
    let sa: OwnedSa | undefined;
    let record = -1; // its counter block
    let path = this.#path;
    let to = -1;
    let fd = -1;
    let said = TOS;
    let mark = 0;
    let buffers = 0;
    for (let n = 0; n < batch.count; n++) {
      if (batch.verdict[n] !== Verdict.PASS) continue;
      if (batch.block[n] !== record) {
        record = batch.block[n]!;
        sa = this.#owned.found(record);
        path = sa === undefined ? undefined : this.#owned.path(record, sa);
        to = sa === undefined || path === undefined ? -1 : this.#fd(path.socket, sa.encap);
        said = path?.family === 4 ? TOS | MARK_DF : TOS;
        if (sa !== undefined && sa.cautious > 0) sa.cautious--;
      }
      if (to < 0 || path === undefined) {
        batch.verdict[n] = Verdict.NO_SOCKET;
        continue;
      }
      const next = batch.mark[n]! & said;
      if (buffers > 0 && (to !== fd || ((next ^ mark) & MARK_DF) !== 0)) {
        this.#run(batch, fd);
        buffers = 0;
      }
      fd = to;
      mark = next;
      const length = batch.sealedLength[n]!;
      messages.setBuffer(buffers, batch.sealedAt[n]!, length);
      this.#packet[buffers] = n;
      if (buffers > 0 && path === this.#path && mark === this.#mark && this.#fits(length)) this.#grow(length);
      else {
        this.#begin(buffers, path, sa!, length, mark);
        this.#record[this.#count] = record;
      }
      buffers++;
    }
    if (buffers > 0) this.#run(batch, fd);
    this.#path = undefined;
  }

  #fd(row: number, encap: boolean): number {
    if (row < 0) return -1;
    return encap ? this.#tables.sockets.udp(row, this.#worker) : this.#tables.sockets.raw(row, this.#worker);
  }

  /** The last message takes a packet of `length` octets more. */
  #fits(length: number): boolean {
    return (
      this.#open && length <= this.#segment && this.#pieces < TRAIN_PACKETS && this.#octets + length <= TRAIN_OCTETS
    );
  }

  #grow(length: number): void {
    this.#pieces++;
    this.#octets += length;
    if (length < this.#segment) this.#open = false; // only the last may be shorter
  }

  #begin(buffer: number, path: SaPath, { encap, cautious }: OwnedSa, length: number, mark: number): void {
    if (this.#pieces > 0) this.#end();
    const family = path.family === 4 ? AF_INET : AF_INET6;
    this.#messages.setPeer(this.#count, family, path.remote, 0, encap ? path.remotePort : 0);
    this.#first[this.#count] = buffer;
    this.#path = path;
    this.#open = encap && cautious === 0;
    this.#segment = length;
    this.#pieces = 1;
    this.#octets = length;
    this.#mark = mark;
  }

  /** The last message is complete. */
  #end(): void {
    const message = this.#count++;
    this.#of[message] = this.#pieces;
    this.#messages.setPieces(message, this.#first[message]!, this.#pieces);
    if (this.#pieces > 1) this.#messages.setControl16(message, SOL_UDP, UDP_SEGMENT, this.#segment);
    else this.#messages.setControlLength(message, 0);
    const tos = this.#mark & TOS;
    if (tos !== 0) addTos(this.#messages, message, this.#path!.family, tos);
    this.#pieces = 0;
  }

  /** Send all messages. */
  #run(batch: OutboundBatch, fd: number): void {
    this.#end();
    if (this.#path!.family === 4) this.#df.set(fd, (this.#mark & MARK_DF) !== 0);
    const messages = this.#count;
    this.#count = 0;
    let at = 0;
    let waited = false;
    while (at < messages) {
      const sent = this.#messages.send(fd, at, messages - at);
      if (sent > 0) {
        at += sent;
        continue;
      }
      if (sent === -ERRNO.EINTR) continue;
      if (sent === -ERRNO.EAGAIN) {
        if (!waited) {
          waited = true;
          this.#awaitRoom(fd);
          continue;
        }
        while (at < messages) this.#judge(batch, at++, Verdict.SOCKET_FULL);
        return;
      }
      if (this.#of[at] === 1 || !isOfTrain(sent)) this.#judge(batch, at, verdictOf(sent));
      else {
        const sa = this.#owned.found(this.#record[at]!);
        if (sa !== undefined) sa.cautious = CAUTION;
        this.#split(batch, fd, at);
      }
      at++;
    }
  }

  #awaitRoom(fd: number): void {
    this.#writable.set(0, fd, POLLOUT);
    this.#writable.wait(PATIENCE);
  }

  /** All packets of a message share its fate. */
  #judge(batch: OutboundBatch, message: number, verdict: number): void {
    const first = this.#first[message]!;
    for (let i = first; i < first + this.#of[message]!; i++) batch.verdict[this.#packet[i]!] = verdict;
  }

  /** Send the packets of a refused train one by one. */
  #split(batch: OutboundBatch, fd: number, message: number): void {
    const singles = this.#singles;
    const first = this.#first[message]!;
    const count = this.#of[message]!;
    const peerAt = this.#messages.peerAt(message);
    for (let i = 0; i < count; i++) {
      const n = this.#packet[first + i]!;
      singles.setBuffer(i, batch.sealedAt[n]!, batch.sealedLength[n]!);
      singles.copyPeer(i, this.#messages.bytes, peerAt, this.#messages.peerLength(message));
      singles.setControlLength(i, 0);
      const tos = batch.mark[n]! & TOS;
      if (tos !== 0) addTos(singles, i, this.#path!.family, tos);
    }
    let at = 0;
    let waited = false;
    while (at < count) {
      const sent = singles.send(fd, at, count - at);
      if (sent > 0) at += sent;
      else if (sent === -ERRNO.EAGAIN) {
        if (!waited) this.#awaitRoom(fd);
        else while (at < count) batch.verdict[this.#packet[first + at++]!] = Verdict.SOCKET_FULL;
        waited = true;
      } else if (sent !== -ERRNO.EINTR) batch.verdict[this.#packet[first + at++]!] = verdictOf(sent);
    }
  }
}

/** Packets may pass one by one where a train was refused with this -errno: they would not where there is no route, say. */
const isOfTrain = (errno: number): boolean =>
  errno === -ERRNO.EINVAL || errno === -ERRNO.EMSGSIZE || errno === -ERRNO.EIO || errno === -ERRNO.EOPNOTSUPP;

/** Of a packet that the kernel refused with -errno. */
export const verdictOf = (errno: number): number =>
  errno === -ERRNO.EMSGSIZE ? Verdict.MESSAGE_TOO_LONG : Verdict.SEND_ERROR;
