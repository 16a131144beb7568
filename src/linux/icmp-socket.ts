/**
 * Raw sockets that get the ICMP errors which say that something could not be delivered: Destination Unreachable, and Packet
 * Too Big (ICMPv6). They come for UDP and for IP protocol 50 alike, and quote the packet as it was.
 *
 * The error queue of the sending socket (IP_RECVERR) was weighed: in a SO_REUSEPORT group the kernel queues an error at any
 * member, it makes the next call on that socket fail, and for raw sockets it asks for one queue a worker.
 */
import type { Family } from "../ip-address.ts";
import { systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";
import { openSocket, SOCK_RAW } from "./socket.ts";

const WHAT = "raw ICMP socket";
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const ICMPV6_FILTER = 1;

const UNREACHABLE = 3;
const UNREACHABLE_V6 = 1;
const PACKET_TOO_BIG = 2;

/** Octets of a message that matter: an IP header with options, an ICMP header, and what it quotes to the sequence number. */
const ROOM = 256 + 1280;

/** All types are blocked but these; a bit that is set blocks. */
const filterOf = (words: number, passed: readonly number[]): Memory => {
  const memory = Memory.allocate(words * 4);
  memory.bytes.fill(0xff);
  for (const type of passed) {
    const at = (type >> 5) * 4;
    memory.view.setUint32(at, memory.view.getUint32(at, true) & ~(1 << (type & 31)), true);
  }
  return memory;
};

export class IcmpSocket {
  readonly family: Family;
  readonly #fd: number;
  readonly #memory = Memory.allocate(ROOM);

  /** Throws ESPALIER_PRIVILEGE without CAP_NET_RAW. */
  constructor(family: Family) {
    this.family = family;
    const v4 = family === 4;
    this.#fd = openSocket(v4 ? "0.0.0.0" : "::", SOCK_RAW, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, WHAT);
    const filter = v4 ? filterOf(1, [UNREACHABLE]) : filterOf(8, [UNREACHABLE_V6, PACKET_TOO_BIG]);
    const [level, option] = v4 ? [SOL_RAW, ICMP_FILTER] : [IPPROTO_ICMPV6, ICMPV6_FILTER];
    const result = libc.setsockopt(this.#fd, level, option, filter, 0, filter.size);
    if (result < 0) {
      libc.close(this.#fd);
      throw systemError(result, `${WHAT}: filter`, { code: "ESPALIER_PLATFORM" });
    }
  }

  /**
   * The next message that waits, a copy, or undefined: from the IPv4 header on, or from the ICMPv6 header. What is longer than
   * an error may be is cut.
   */
  read(): Uint8Array | undefined {
    const length = libc.read(this.#fd, this.#memory, 0, ROOM);
    return length < 0 ? undefined : this.#memory.bytes.slice(0, length);
  }

  close(): void {
    libc.close(this.#fd);
  }
}
