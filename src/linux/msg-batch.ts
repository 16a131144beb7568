// HOT PATH
/**
 * Many datagrams in one system call: recvmmsg(2) and sendmmsg(2) over headers that are prepared once.
 *
 * Payloads lie in the caller's slab, at offsets; peers and control messages lie in the batch's own memory, at fixed
 * offsets that can be read and written without making an object:
 *
 *   peerAt(i)     sockaddr_in or sockaddr_in6: family (2, host order), port (2, network order), address at +4 or +8
 *   controlAt(i)  cmsgs, `controlRoom` octets
 *
 * The system calls return -errno; a RangeError is a bug of the caller, never of a packet.
 */
import { CMSGHDR, IOVEC, MMSGHDR, MSGHDR, SOCKADDR_IN, SOCKADDR_IN6 } from "./abi.ts";
import * as libc from "./libc.ts";
import { Memory, outOfRange } from "./memory.ts";
import { AF_INET, AF_INET6, SOCKADDR_ROOM } from "./sockaddr.ts";

const MSG_TRUNC = 0x20;
const MSG_CTRUNC = 0x08;
const MSG_DONTWAIT = 0x40;

/** Offsets in words of 32 bits. */
const HEADER_WORDS = MMSGHDR.size / 4;
const NAME_LENGTH = MSGHDR.nameLength / 4;
const IOV = MSGHDR.iov / 4; // and iovLength behind it
const CONTROL_LENGTH = MSGHDR.controlLength / 4;
const FLAGS = MSGHDR.flags / 4;
const LENGTH = MMSGHDR.length / 4;
const IOVEC_WORDS = IOVEC.size / 4;
const IOVEC_LENGTH = IOVEC.length / 4;

export interface MsgBatchOptions {
  /** Where payloads lie. */
  readonly slab: Memory;
  /** Datagrams a call at most: 1..1024, as the kernel allows. */
  readonly capacity: number;
  /** Octets for control messages of each datagram, a multiple of 8; 0 for none. */
  readonly controlRoom?: number;
}

export class MsgBatch {
  readonly slab: Memory;
  readonly capacity: number;
  readonly controlRoom: number;
  /** Headers, peers and control messages. */
  readonly memory: Memory;
  /** The octets of `memory`: what peerAt and controlAt count in. */
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #iovecs: number;
  readonly #peers: number;
  readonly #controls: number;

  constructor({ slab, capacity, controlRoom = 0 }: MsgBatchOptions) {
    if (capacity >>> 0 !== capacity || capacity < 1 || capacity > 1024) outOfRange("batch", 0, capacity, 1024);
    if (controlRoom >>> 0 !== controlRoom || controlRoom % 8 !== 0) outOfRange("control room", 0, controlRoom, 0);
    this.slab = slab;
    this.capacity = capacity;
    this.controlRoom = controlRoom;
    const iovecs = capacity * MMSGHDR.size;
    const peers = iovecs + capacity * IOVEC.size;
    const controls = peers + capacity * SOCKADDR_ROOM;
    this.memory = Memory.allocate(controls + capacity * controlRoom);
    this.bytes = this.memory.bytes;
    this.#words = new Uint32Array(this.bytes.buffer);
    this.#iovecs = iovecs;
    this.#peers = peers;
    this.#controls = controls;
    for (let i = 0; i < capacity; i++) {
      const header = i * MMSGHDR.size;
      const iovec = this.memory.at(iovecs + i * IOVEC.size, IOVEC.size);
      const peer = this.memory.at(peers + i * SOCKADDR_ROOM, SOCKADDR_ROOM);
      this.memory.setWord64(header + MSGHDR.name, peer);
      this.memory.setWord64(header + MSGHDR.iov, iovec);
      this.memory.setWord64(header + MSGHDR.iovLength, 1);
      if (controlRoom > 0)
        this.memory.setWord64(header + MSGHDR.control, this.memory.at(controls + i * controlRoom, controlRoom));
      this.setBuffer(i, 0, 0);
    }
  }

  /** Where datagram `i` is received to, or sent from: `length` octets at `at` of the slab. */
  setBuffer(i: number, at: number, length: number): void {
    this.#check(i);
    const address = this.slab.at(at, length);
    const word = (this.#iovecs >>> 2) + i * IOVEC_WORDS;
    this.#words[word] = address >>> 0;
    this.#words[word + 1] = (address / 0x1_0000_0000) >>> 0;
    this.#words[word + IOVEC_LENGTH] = length;
  }

  /**
   * Datagram `i` is sent from the buffers `first` to `first + count - 1`, one behind the other, instead of from buffer `i`:
   * so it may be a train of datagrams for the kernel to take apart (UDP_SEGMENT).
   */
  setPieces(i: number, first: number, count: number): void {
    this.#check(i);
    this.#checkRange(first, count);
    const address = this.memory.at(this.#iovecs + first * IOVEC.size, count * IOVEC.size);
    const word = i * HEADER_WORDS + IOV;
    this.#words[word] = address >>> 0;
    this.#words[word + 1] = (address / 0x1_0000_0000) >>> 0;
    this.#words[word + 2] = count;
  }

  /**
   * Receive into datagrams `first` to `first + count - 1`, without waiting. Returns how many came, or -errno (-EAGAIN:
   * none). Their `length`, peer, `isTruncated` and control messages are then set.
   */
  receive(fd: number, first: number, count: number): number {
    this.#checkRange(first, count);
    const words = this.#words;
    for (let i = first; i < first + count; i++) {
      const header = i * HEADER_WORDS;
      words[header + NAME_LENGTH] = SOCKADDR_IN6.size;
      words[header + CONTROL_LENGTH] = this.controlRoom;
      words[header + FLAGS] = 0;
      words[header + LENGTH] = 0;
    }
    return libc.recvmmsg(fd, this.memory, first * MMSGHDR.size, count, MSG_DONTWAIT);
  }

  /**
   * Send datagrams `first` to `first + count - 1`, each to its peer, without waiting. Returns how many went; -errno is
   * the reason why the first of them did not. After a smaller number call again for the rest to learn its reason.
   */
  send(fd: number, first: number, count: number): number {
    this.#checkRange(first, count);
    return libc.sendmmsg(fd, this.memory, first * MMSGHDR.size, count, MSG_DONTWAIT);
  }

  /** Octets of datagram `i` as received. On a raw IPv4 socket they begin with the IPv4 header. */
  length(i: number): number {
    return this.#words[i * HEADER_WORDS + LENGTH]!;
  }

  /** The datagram was longer than its buffer, or its control messages than theirs. */
  isTruncated(i: number): boolean {
    return (this.#words[i * HEADER_WORDS + FLAGS]! & (MSG_TRUNC | MSG_CTRUNC)) !== 0;
  }

  /** Offset in `bytes` of the socket address of datagram `i`. */
  peerAt(i: number): number {
    return this.#peers + i * SOCKADDR_ROOM;
  }

  /** Octets of that socket address. */
  peerLength(i: number): number {
    return this.#words[i * HEADER_WORDS + NAME_LENGTH]!;
  }

  /** AF_INET or AF_INET6. */
  peerFamily(i: number): number {
    return this.bytes[this.#peers + i * SOCKADDR_ROOM]!;
  }

  /** Host order. */
  peerPort(i: number): number {
    const at = this.#peers + i * SOCKADDR_ROOM + SOCKADDR_IN.port;
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  /** Offset in `bytes` of the 4 or 16 octets of the peer's address. */
  peerAddressAt(i: number): number {
    const at = this.#peers + i * SOCKADDR_ROOM;
    return at + (this.bytes[at] === AF_INET6 ? SOCKADDR_IN6.address : SOCKADDR_IN.address);
  }

  /**
   * Send datagram `i` to the address of 4 or 16 octets (`family`) at `from` of `source`, and `port` (0 on a raw socket).
   */
  setPeer(i: number, family: number, source: Uint8Array, from: number, port: number): void {
    this.#check(i);
    const v6 = family === AF_INET6;
    const octets = v6 ? 16 : 4;
    if (from >>> 0 !== from || from + octets > source.length) outOfRange("peer address", from, octets, source.length);
    const at = this.#peers + i * SOCKADDR_ROOM;
    const bytes = this.bytes;
    this.#words.fill(0, at >>> 2, (at + SOCKADDR_ROOM) >>> 2);
    bytes[at] = v6 ? AF_INET6 : AF_INET;
    bytes[at + SOCKADDR_IN.port] = port >>> 8;
    bytes[at + SOCKADDR_IN.port + 1] = port;
    const to = at + (v6 ? SOCKADDR_IN6.address : SOCKADDR_IN.address);
    for (let k = 0; k < octets; k++) bytes[to + k] = source[from + k]!;
    this.#words[i * HEADER_WORDS + NAME_LENGTH] = v6 ? SOCKADDR_IN6.size : SOCKADDR_IN.size;
  }

  /** Send datagram `i` to a socket address that was prepared (writeSockaddr): `length` octets at `from` of `source`. */
  copyPeer(i: number, source: Uint8Array, from: number, length: number): void {
    this.#check(i);
    if (length >>> 0 !== length || length > SOCKADDR_ROOM) outOfRange("peer", 0, length, SOCKADDR_ROOM);
    if (from >>> 0 !== from || from + length > source.length) outOfRange("peer", from, length, source.length);
    const at = this.#peers + i * SOCKADDR_ROOM;
    for (let k = 0; k < length; k++) this.bytes[at + k] = source[from + k]!;
    this.#words[i * HEADER_WORDS + NAME_LENGTH] = length;
  }

  /** Offset in `bytes` of the control messages of datagram `i`. */
  controlAt(i: number): number {
    return this.#controls + i * this.controlRoom;
  }

  /** Octets of control messages that came with datagram `i`. */
  controlLength(i: number): number {
    return this.#words[i * HEADER_WORDS + CONTROL_LENGTH]!;
  }

  /** Octets of control messages to send with datagram `i`: 0 for none. */
  setControlLength(i: number, length: number): void {
    this.#check(i);
    if (length >>> 0 !== length || length > this.controlRoom) outOfRange("control", 0, length, this.controlRoom);
    this.#words[i * HEADER_WORDS + CONTROL_LENGTH] = length;
  }

  /**
   * Offset in `bytes` of the value of the first control message of this kind that came with datagram `i`, with at least
   * `size` octets of value; -1 when there is none.
   */
  findControl(i: number, level: number, type: number, size: number): number {
    const words = this.#words;
    const length = this.controlLength(i);
    const end = this.controlAt(i) + Math.min(length, this.controlRoom);
    let at = this.controlAt(i);
    while (at + CMSGHDR.size <= end) {
      const word = at >>> 2;
      const octets = words[word]!; // a size_t whose high half is 0
      if (octets < CMSGHDR.size || at + octets > end) return -1;
      if (words[word + 2] === level && words[word + 3] === type && octets >= CMSGHDR.size + size)
        return at + CMSGHDR.size;
      at += (octets + 7) & ~7;
    }
    return -1;
  }

  /** Send a control message of two octets (UDP_SEGMENT) with datagram `i`, and no other. Needs a room of 24. */
  setControl16(i: number, level: number, type: number, value: number): void {
    this.#setControl(i, level, type, value & 0xffff, 2);
  }

  /** Send a control message of four octets (IP_TOS, IPV6_TCLASS) with datagram `i`, and no other. Needs a room of 24. */
  setControl32(i: number, level: number, type: number, value: number): void {
    this.#setControl(i, level, type, value, 4);
  }

  /** Send a control message of four octets with datagram `i`, behind those that it has. */
  addControl32(i: number, level: number, type: number, value: number): void {
    const at = this.controlLength(i);
    this.setControlLength(i, at + CMSGHDR.size + 8);
    this.#putControl((this.controlAt(i) + at) >>> 2, level, type, value, 4);
  }

  #setControl(i: number, level: number, type: number, value: number, octets: number): void {
    this.setControlLength(i, CMSGHDR.size + 8);
    this.#putControl(this.controlAt(i) >>> 2, level, type, value, octets);
  }

  #putControl(word: number, level: number, type: number, value: number, octets: number): void {
    this.#words[word] = CMSGHDR.size + octets;
    this.#words[word + 1] = 0;
    this.#words[word + 2] = level;
    this.#words[word + 3] = type;
    this.#words[word + 4] = value;
    this.#words[word + 5] = 0;
  }

  #check(i: number): void {
    if (i >>> 0 !== i || i >= this.capacity) outOfRange("batch", i, 1, this.capacity);
  }

  #checkRange(first: number, count: number): void {
    if (first >>> 0 !== first || count >>> 0 !== count || first + count > this.capacity)
      outOfRange("batch", first, count, this.capacity);
  }
}
