// HOT PATH
/**
 * The part of the Security Policy Database that packets meet (RFC 4301 §4.4.1), in shared memory: the selectors that
 * were negotiated for each pair of SAs. Outbound, a packet must match the selectors of the SA that would carry it; inbound, the
 * decrypted packet must match those of the SA that carried it (RFC 4301 §5.2 step 4). What matches none is dropped: in
 * espalier no packet bypasses.
 *
 * A slot has up to 32 local and 32 remote selectors; most have one of each that covers everything, which two bits say.
 */
import { EspalierError } from "../errors.ts";
import type { Fields } from "./ip.ts";
import { isAnyPort, type TrafficSelector } from "./selector.ts";

/** Selectors a slot has room for, on each side. */
export const MAX_SELECTORS = 32;

// Words of a selector: protocol << 8 | octets of an address; ports; first address; last address
const SELECTOR = 10;
const PORTS = 1;
const FIRST = 2;
const LAST = 6;
// Words of a slot: counts, flags, then local and remote selectors
const HEADER = 4;
const COUNTS = 0;
const COVERS = 1;
const SIDE = MAX_SELECTORS * SELECTOR;
const SLOT = HEADER + 2 * SIDE;

const ANY_IPV4 = 1;
const ANY_IPV6 = 2;

export class Spd {
  readonly memory: SharedArrayBuffer;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Uint32Array(memory);
    this.#bytes = new Uint8Array(memory);
  }

  static create(slots: number): Spd {
    return new Spd(new SharedArrayBuffer(slots * SLOT * 4));
  }

  /** Set the selectors of a slot that no worker uses yet. Throws ESPALIER_USAGE when they are more than it can hold. */
  set(slot: number, local: readonly TrafficSelector[], remote: readonly TrafficSelector[]): void {
    const at = slot * SLOT;
    if (local.length > MAX_SELECTORS || remote.length > MAX_SELECTORS)
      throw new EspalierError("ESPALIER_USAGE", `more than ${MAX_SELECTORS} traffic selectors on one side`); // cold
    this.#words.fill(0, at, at + SLOT);
    this.#words[at + COUNTS] = (local.length << 16) | remote.length;
    this.#words[at + COVERS] = coversAll(local) & coversAll(remote);
    local.forEach((selector, i) => {
      this.#write(at + HEADER + i * SELECTOR, selector);
    });
    remote.forEach((selector, i) => {
      this.#write(at + HEADER + SIDE + i * SELECTOR, selector);
    });
  }

  #write(at: number, { protocol, startPort, endPort, first, last }: TrafficSelector): void {
    this.#words[at] = (protocol << 8) | first.length;
    this.#words[at + PORTS] = (startPort << 16) | endPort;
    this.#bytes.set(first, (at + FIRST) * 4);
    this.#bytes.set(last, (at + LAST) * 4);
  }

  /** True when no packet of this IP version can fail the slot's selectors: then its fields need not be read. */
  passesAll(slot: number, version: number): boolean {
    return (this.#words[slot * SLOT + COVERS]! & (version === 4 ? ANY_IPV4 : ANY_IPV6)) !== 0;
  }

  /** A packet on its way out: its source is local. */
  matchesOutbound(slot: number, slab: Uint8Array, fields: Fields): boolean {
    return (
      this.#matches(slot, 0, slab, fields, fields.sourceAt, fields.sourcePort) &&
      this.#matches(slot, 1, slab, fields, fields.destinationAt, fields.destinationPort)
    );
  }

  /** A decrypted packet: its source is remote. */
  matchesInbound(slot: number, slab: Uint8Array, fields: Fields): boolean {
    return (
      this.#matches(slot, 1, slab, fields, fields.sourceAt, fields.sourcePort) &&
      this.#matches(slot, 0, slab, fields, fields.destinationAt, fields.destinationPort)
    );
  }

  #matches(slot: number, side: 0 | 1, slab: Uint8Array, fields: Fields, addressAt: number, port: number): boolean {
    const words = this.#words;
    const at = slot * SLOT;
    const counts = words[at + COUNTS]!;
    const count = side === 0 ? counts >>> 16 : counts & 0xffff;
    for (let i = 0; i < count; i++) {
      const selector = at + HEADER + side * SIDE + i * SELECTOR;
      const head = words[selector]!;
      if ((head & 0xff) !== fields.addressLength) continue;
      const protocol = head >>> 8;
      if (protocol !== 0 && protocol !== fields.protocol) continue;
      if (!portMatches(words[selector + PORTS]!, port)) continue;
      if (compare(slab, addressAt, this.#bytes, (selector + FIRST) * 4, fields.addressLength) < 0) continue;
      if (compare(slab, addressAt, this.#bytes, (selector + LAST) * 4, fields.addressLength) > 0) continue;
      return true;
    }
    return false;
  }
}

const ANY_PORTS = 0x0000ffff;
const OPAQUE = 0xffff0000;

/** `port` is -1 when the packet shows none: then only ANY and OPAQUE match (RFC 4301 §4.4.1.1, §7). */
const portMatches = (ports: number, port: number): boolean => {
  if (ports === ANY_PORTS) return true;
  if (ports === OPAQUE) return port < 0;
  return port >= ports >>> 16 && port <= (ports & 0xffff);
};

const compare = (a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): number => {
  for (let i = 0; i < length; i++) {
    const difference = a[aAt + i]! - b[bAt + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
};

const coversAll = (selectors: readonly TrafficSelector[]): number =>
  selectors.reduce((covered, selector) => {
    const { protocol, first, last } = selector;
    const all = protocol === 0 && isAnyPort(selector);
    if (!all || first.some((octet) => octet !== 0) || last.some((octet) => octet !== 255)) return covered;
    return covered | (first.length === 4 ? ANY_IPV4 : ANY_IPV6);
  }, 0);
