// HOT PATH
/**
 * The part of the Security Policy Database that packets meet (RFC 4301 §4.4.1), in shared memory: the selectors that
 * were negotiated for each pair of SAs. Outbound, a packet must match the selectors of the SA that would carry it; inbound, the
 * decrypted packet must match those of the SA that carried it (RFC 4301 §5.2 step 4). What matches none is dropped.
 * Which SA is to carry it, and what bypasses, is said by a list of policies where there are several (`policy.ts`).
 * An ICMP error that matches by itself no selectors is judged by the packet that it quotes (RFC 4301 §6.2), unless the slot says not to.
 *
 * A slot has up to 32 local and 32 remote selectors. The first two of each side lie in the slot, the others in blocks of a
 * pool that all slots share, a chain for each slot that needs one. Addresses are kept as numbers, so that a comparison is one
 * of words. What decides about most packets is five words of it, which workers keep beside the rest of an SA: `copyFront`.
 *
 *   words of a slot    0 flags  1 counts  2 chain  3 -  4 local  8 remote  12 local  16 remote  20 tails of IPv6, 6 words each
 *   of a selector      protocol << 16 | side << 8 | octets of an address; ports; first address; last address
 */
import { EspalierError } from "../errors.ts";
import { Fields, readFields } from "./ip.ts";
import { isAnyPort, MAX_SELECTORS, type TrafficSelector } from "./selector.ts";
import { readTriggering } from "./triggering-packet.ts";

// Words of the memory: a head, the slots, the pool.
const HEAD = 16;
const SLOTS = 0;
const FREE = 1; // the first block that nobody has, in words; 0 for none
const SLOT = 48;

const FLAGS = 0;
const COUNTS = 1; // of the selectors in the slot
const CHAIN = 2; // the first block of further ones, in words; 0 for none
const INLINE = 2; // selectors of each side in the slot
const FRONT = 4; // words
const SHORT = 4;
const TAIL = 6;
const TAILS = FRONT + 2 * INLINE * SHORT;

// Of a selector: with its first octets beside it, and the rest of IPv6 apart.
const PORTS = 1;
const FIRST = 2;
const LAST = 3;

// Octets of an IPv4 header.
const IPV4_SOURCE = 12;
const IPV4_DESTINATION = 16;

// Words of a block of the pool: the next one, then selectors with their tails.
const BLOCK = 48;
const IN_BLOCK = 4;
const BLOCK_FRONT = 8;
const LONG = SHORT + TAIL;

const ANY_IPV4 = 1;
const ANY_IPV6 = 2;
/** Addresses alone decide. */
const ADDRESSES_ONLY = 4;
/** ICMP errors are judged by what they quote, too. */
const ICMP_ERRORS = 8;

const LOCAL = 0;
const REMOTE = 1;

/** Words that `copyFront` writes: flags, then first and last address of a local and a remote selector. */
export const SPD_FRONT = 5;
const FRONT_LOCAL = 1;
const FRONT_REMOTE = 3;

/** Blocks of the pool for so many slots: twenty selectors a slot on the average. */
const blocksFor = (slots: number): number => 4 * slots + 64;

export class Spd {
  readonly memory: SharedArrayBuffer;
  readonly #words: Uint32Array;
  readonly #fields = new Fields();

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Uint32Array(memory);
  }

  static create(slots: number): Spd {
    const blocks = blocksFor(slots);
    const spd = new Spd(new SharedArrayBuffer((HEAD + slots * SLOT + blocks * BLOCK) * 4));
    spd.#words[SLOTS] = slots;
    const first = HEAD + slots * SLOT;
    for (let i = blocks - 1; i >= 0; i--) spd.#giveBack(first + i * BLOCK);
    return spd;
  }

  // Control

  /**
   * Set the selectors of a slot that no worker uses yet. `icmpErrors`: an ICMP error passes when what it quotes came by this pair.
   * Throws ESPALIER_USAGE when the selectors are more than it can hold, or more than are left for all slots.
   */
  set(
    slot: number,
    local: readonly TrafficSelector[],
    remote: readonly TrafficSelector[],
    icmpErrors: boolean = true,
  ): void {
    if (local.length > MAX_SELECTORS || remote.length > MAX_SELECTORS)
      throw new EspalierError("ESPALIER_USAGE", `more than ${MAX_SELECTORS} traffic selectors on one side`); // cold
    this.clear(slot);
    const words = this.#words;
    const at = HEAD + slot * SLOT;
    words[at + FLAGS] =
      (coversAll(local) & coversAll(remote)) |
      (addressesOnly(local) & addressesOnly(remote)) |
      (icmpErrors ? ICMP_ERRORS : 0);
    words[at + COUNTS] = (Math.min(local.length, INLINE) << 16) | Math.min(remote.length, INLINE);
    [local, remote].forEach((selectors, side) => {
      selectors.forEach((selector, i) => {
        if (i >= INLINE) this.#append(at, side, selector);
        else {
          const place = 2 * i + side;
          this.#write(at + FRONT + place * SHORT, at + TAILS + place * TAIL, side, selector);
        }
      });
    });
  }

  /** No packet matches the slot any more: its blocks are for others. No worker may use it. */
  clear(slot: number): void {
    const words = this.#words;
    const at = HEAD + slot * SLOT;
    for (let block = words[at + CHAIN]!; block !== 0; ) {
      const next = words[block]!;
      this.#giveBack(block);
      block = next;
    }
    words.fill(0, at, at + SLOT);
  }

  #giveBack(block: number): void {
    this.#words.fill(0, block, block + BLOCK);
    this.#words[block] = this.#words[FREE]!;
    this.#words[FREE] = block;
  }

  /** A selector into the slot's chain: into its first block, or a new one when that is full. */
  #append(at: number, side: number, selector: TrafficSelector): void {
    const words = this.#words;
    let block = words[at + CHAIN]!;
    if (block === 0 || words[block + BLOCK_FRONT + (IN_BLOCK - 1) * LONG] !== 0) {
      const fresh = words[FREE]!;
      if (fresh === 0) {
        this.clear((at - HEAD) / SLOT);
        throw noRoom(); // cold
      }
      words[FREE] = words[fresh]!;
      words[fresh] = block;
      words[at + CHAIN] = fresh;
      block = fresh;
    }
    let place = block + BLOCK_FRONT;
    while (words[place] !== 0) place += LONG;
    this.#write(place, place + SHORT, side, selector);
  }

  #write(at: number, tail: number, side: number, selector: TrafficSelector): void {
    const words = this.#words;
    const { protocol, startPort, endPort, first, last } = selector;
    words[at] = (protocol << 16) | (side << 8) | first.length;
    words[at + PORTS] = (startPort << 16) | endPort;
    words[at + FIRST] = numberAt(first, 0);
    words[at + LAST] = numberAt(last, 0);
    for (let i = 4; i < first.length; i += 4) {
      words[tail + i / 4 - 1] = numberAt(first, i);
      words[tail + 3 + i / 4 - 1] = numberAt(last, i);
    }
  }

  // Workers

  /**
   * Write SPD_FRONT words to `to[at]`: those that `passesFront` asks. They are true as long as the slot is not set again.
   */
  copyFront(slot: number, to: Uint32Array, at: number): void {
    const words = this.#words;
    const from = HEAD + slot * SLOT;
    const local = from + FRONT;
    const remote = local + SHORT;
    const arePairOfIpv4 = (words[local]! & 0xff) === 4 && (words[remote]! & 0xff) === 4;
    to[at] = words[from + FLAGS]! & (arePairOfIpv4 ? ~0 : ~ADDRESSES_ONLY);
    to[at + FRONT_LOCAL] = words[local + FIRST]!;
    to[at + FRONT_LOCAL + 1] = words[local + LAST]!;
    to[at + FRONT_REMOTE] = words[remote + FIRST]!;
    to[at + FRONT_REMOTE + 1] = words[remote + LAST]!;
  }

  /** Whether the slot's selectors let out the packet of `version` that fills `length` octets: its source is local. */
  passesOutbound(slot: number, view: DataView, at: number, length: number, version: number): boolean {
    return this.#passes(slot, view, at, length, version, LOCAL);
  }

  /** Whether they let in a decrypted packet: its source is remote. */
  passesInbound(slot: number, view: DataView, at: number, length: number, version: number): boolean {
    return this.#passes(slot, view, at, length, version, REMOTE);
  }

  #passes(slot: number, view: DataView, at: number, length: number, version: number, sourceSide: number): boolean {
    const words = this.#words;
    const from = HEAD + slot * SLOT;
    const flags = words[from + FLAGS]!;
    if ((flags & (version === 4 ? ANY_IPV4 : ANY_IPV6)) !== 0) return true;
    const fields = this.#fields;
    readFields(view, at, length, fields);
    if (this.#matchBoth(from, view, fields, sourceSide)) return true;
    return (
      (this.#words[from + FLAGS]! & ICMP_ERRORS) !== 0 &&
      readTriggering(view, at, length, fields) &&
      this.#matchBoth(from, view, fields, sourceSide)
    );
  }

  #matchBoth(from: number, view: DataView, fields: Fields, sourceSide: number): boolean {
    return (
      this.#matches(from, sourceSide, view, fields, fields.sourceAt, fields.sourcePort) &&
      this.#matches(from, 1 - sourceSide, view, fields, fields.destinationAt, fields.destinationPort)
    );
  }

  #matches(from: number, side: number, view: DataView, fields: Fields, addressAt: number, port: number): boolean {
    const words = this.#words;
    const counts = words[from + COUNTS]!;
    const count = side === LOCAL ? counts >>> 16 : counts & 0xffff;
    for (let i = 0; i < count; i++) {
      const place = 2 * i + side;
      if (this.#selects(from + FRONT + place * SHORT, from + TAILS + place * TAIL, side, view, fields, addressAt, port))
        return true;
    }
    for (let block = words[from + CHAIN]!; block !== 0; block = words[block]!)
      for (let i = 0; i < IN_BLOCK; i++) {
        const at = block + BLOCK_FRONT + i * LONG;
        if (this.#selects(at, at + SHORT, side, view, fields, addressAt, port)) return true;
      }
    return false;
  }

  #selects(
    at: number,
    tail: number,
    side: number,
    view: DataView,
    fields: Fields,
    addressAt: number,
    port: number,
  ): boolean {
    const words = this.#words;
    const head = words[at]!;
    if ((head & 0xffff) !== ((side << 8) | fields.addressLength)) return false;
    const protocol = head >>> 16;
    if (protocol !== 0 && protocol !== fields.protocol) return false;
    if (!portMatches(words[at + PORTS]!, port)) return false;
    const number = view.getUint32(addressAt);
    const first = words[at + FIRST]!;
    const last = words[at + LAST]!;
    if (number < first || number > last) return false;
    if (fields.addressLength === 4) return true;
    return (
      (number > first || compare(view, addressAt + 4, words, tail) >= 0) &&
      (number < last || compare(view, addressAt + 4, words, tail + 3) <= 0)
    );
  }
}

/**
 * True when the words that `copyFront` wrote let the packet out whose header is at `at`; where they do not, the slot's other
 * selectors may.
 */
export const passesFrontOut = (
  front: Uint32Array,
  from: number,
  view: DataView,
  at: number,
  version: number,
): boolean => passesFront(front, from, view, version, at + IPV4_SOURCE, at + IPV4_DESTINATION);

/** The same of a decrypted packet, inbound. */
export const passesFrontIn = (front: Uint32Array, from: number, view: DataView, at: number, version: number): boolean =>
  passesFront(front, from, view, version, at + IPV4_DESTINATION, at + IPV4_SOURCE);

const passesFront = (
  front: Uint32Array,
  from: number,
  view: DataView,
  version: number,
  localAt: number,
  remoteAt: number,
): boolean => {
  const flags = front[from]!;
  if ((flags & (version === 4 ? ANY_IPV4 : ANY_IPV6)) !== 0) return true;
  if (version !== 4 || (flags & ADDRESSES_ONLY) === 0) return false;
  const local = view.getUint32(localAt);
  const remote = view.getUint32(remoteAt);
  return (
    local >= front[from + FRONT_LOCAL]! &&
    local <= front[from + FRONT_LOCAL + 1]! &&
    remote >= front[from + FRONT_REMOTE]! &&
    remote <= front[from + FRONT_REMOTE + 1]!
  );
};

const noRoom = (): EspalierError =>
  new EspalierError("ESPALIER_USAGE", "no room for more traffic selectors", {
    remedy: "Give the gateway more slots, or the connections fewer and wider selectors.",
  });

const ANY_PORTS = 0x0000ffff;
const OPAQUE = 0xffff0000;

/** `port` is -1 when the packet shows none: then only ANY and OPAQUE match (RFC 4301 §4.4.1.1, §7). */
const portMatches = (ports: number, port: number): boolean => {
  if (ports === ANY_PORTS) return true;
  if (ports === OPAQUE) return port < 0;
  return port >= ports >>> 16 && port <= (ports & 0xffff);
};

/** The last 12 octets of an IPv6 address against those of a selector. */
const compare = (view: DataView, at: number, words: Uint32Array, tail: number): number => {
  for (let i = 0; i < 3; i++) {
    const difference = view.getUint32(at + i * 4) - words[tail + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
};

const numberAt = (address: Uint8Array, at: number): number =>
  ((address[at]! << 24) | (address[at + 1]! << 16) | (address[at + 2]! << 8) | address[at + 3]!) >>> 0;

const addressesOnly = (selectors: readonly TrafficSelector[]): number =>
  selectors.every((selector) => selector.protocol === 0 && isAnyPort(selector)) ? ADDRESSES_ONLY : 0;

const coversAll = (selectors: readonly TrafficSelector[]): number =>
  selectors.reduce((covered, selector) => {
    const { protocol, first, last } = selector;
    const all = protocol === 0 && isAnyPort(selector);
    if (!all || first.some((octet) => octet !== 0) || last.some((octet) => octet !== 255)) return covered;
    return covered | (first.length === 4 ? ANY_IPV4 : ANY_IPV6);
  }, 0);
