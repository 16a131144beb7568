/**
 * Packets that came for no SA of ours, or were not what their SA carries, for control, which may tell the peer (RFC 7296 §1.5,
 * §3.10.1). A sample: a worker writes one where it has dropped it anyway, and no other until control has taken that.
 */
import { MAX_WORKERS } from "./worker-board.ts";

/** Octets of a packet that are kept: a header and what ICMP would quote of the rest. */
export const STRAY_START = 64;

const ROW = 32; // words: two cache lines
const KIND = 0;
const SPI = 1;
const SOURCE = 2; // octets of the address and the port, or octets of the packet
const DATA = 3; // an address, or the start of a packet

const NONE = 0;
const UNKNOWN_SPI = 1;
const MISMATCH = 2;

export type Stray =
  /** `port` is 0 when it came as IP protocol 50. */
  | { readonly kind: "unknown-spi"; readonly spi: number; readonly address: Uint8Array; readonly port: number }
  /** An authentic packet outside of the SA's selectors: how it begins. */
  | { readonly kind: "selector-mismatch"; readonly spi: number; readonly start: Uint8Array };

export class Strays {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
  }

  static create(): Strays {
    return new Strays(new SharedArrayBuffer(MAX_WORKERS * ROW * 4));
  }

  // Workers

  /** Control has not looked since the last one: there is no room. */
  isFull(worker: number): boolean {
    return Atomics.load(this.#words, worker * ROW + KIND) !== NONE;
  }

  /** `octets` of an address at `at` of `source`. Not while it is full. */
  reportUnknown(worker: number, spi: number, source: Uint8Array, at: number, octets: number, port: number): void {
    this.#write(worker, spi, source, at, octets);
    this.#words[worker * ROW + SOURCE] = (octets << 16) | port;
    Atomics.store(this.#words, worker * ROW + KIND, UNKNOWN_SPI);
  }

  /** A packet of `length` octets at `at` of `slab`. Not while it is full. */
  reportMismatch(worker: number, spi: number, slab: Uint8Array, at: number, length: number): void {
    const kept = Math.min(length, STRAY_START);
    this.#write(worker, spi, slab, at, kept);
    this.#words[worker * ROW + SOURCE] = kept << 16;
    Atomics.store(this.#words, worker * ROW + KIND, MISMATCH);
  }

  // Control

  /** What this worker has reported since the last call. */
  take(worker: number): Stray | undefined {
    const row = worker * ROW;
    const kind = Atomics.load(this.#words, row + KIND);
    if (kind === NONE) return undefined;
    const spi = this.#words[row + SPI]! >>> 0;
    const about = this.#words[row + SOURCE]!;
    const data = this.#bytes.slice((row + DATA) * 4, (row + DATA) * 4 + (about >>> 16));
    Atomics.store(this.#words, row + KIND, NONE);
    return kind === MISMATCH
      ? { kind: "selector-mismatch", spi, start: data }
      : { kind: "unknown-spi", spi, address: data, port: about & 0xffff };
  }

  #write(worker: number, spi: number, from: Uint8Array, at: number, octets: number): void {
    this.#words[worker * ROW + SPI] = spi;
    const to = (worker * ROW + DATA) * 4;
    for (let i = 0; i < octets; i++) this.#bytes[to + i] = from[at + i]!;
  }
}
