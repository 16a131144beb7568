/**
 * Sockets in shared memory: a row for each local address, in it a UDP socket (ESP in UDP, RFC 3948) and a raw socket
 * (protocol 50) for each worker. Control writes rows before it publishes them; they stay until the plane ends.
 */
import { MAX_WORKERS } from "./worker-board.ts";

export const MAX_ADDRESSES = 64;

const ROW = 16 + MAX_WORKERS * 2;
const STATE = 0;
const FAMILY = 1;
const MIXED = 2;
const FDS = 16;

export class SocketTable {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  static create(): SocketTable {
    return new SocketTable(new SharedArrayBuffer(MAX_ADDRESSES * ROW * 4));
  }

  /** One descriptor a worker in each list; an empty list when there is none of the kind. */
  publish(row: number, family: 4 | 6, udp: readonly number[], raw: readonly number[]): void {
    const at = row * ROW;
    this.#words.fill(-1, at + FDS, at + ROW);
    udp.forEach((fd, worker) => {
      this.#words[at + FDS + worker * 2] = fd;
    });
    raw.forEach((fd, worker) => {
      this.#words[at + FDS + worker * 2 + 1] = fd;
    });
    this.#words[at + FAMILY] = family;
    Atomics.store(this.#words, at + STATE, 1);
  }

  isLive(row: number): boolean {
    return Atomics.load(this.#words, row * ROW + STATE) === 1;
  }

  family(row: number): 4 | 6 {
    return this.#words[row * ROW + FAMILY] === 6 ? 6 : 4;
  }

  /** A worker tells control that the sockets of this address got trains of several workers' SAs. */
  reportMixed(row: number): void {
    Atomics.store(this.#words, row * ROW + MIXED, 1);
  }

  /** Whether that was reported since the last call. */
  takeMixed(row: number): boolean {
    return Atomics.exchange(this.#words, row * ROW + MIXED, 0) === 1;
  }

  /** A descriptor, or -1. */
  udp(row: number, worker: number): number {
    return this.#words[row * ROW + FDS + worker * 2]!;
  }

  raw(row: number, worker: number): number {
    return this.#words[row * ROW + FDS + worker * 2 + 1]!;
  }
}
