// HOT PATH
/**
 * Tunnel interfaces in shared memory: control writes a row, publishes it by its state and withdraws it by its state.
 * A tunnel has one queue, read and written by its worker alone.
 */

export const MAX_TUNNELS = 1024;

const ROW = 16; // one cache line
const STATE = 0;
const WORKER = 1;
const FD = 2;
const CURRENT = 3;
const VNET_HDR = 4;

export class TunnelTable {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  static create(): TunnelTable {
    return new TunnelTable(new SharedArrayBuffer(MAX_TUNNELS * ROW * 4));
  }

  /** `vnetHdr`: a virtio_net_hdr of 10 octets stands before each packet that `fd` gives and takes. */
  publish(tunnel: number, worker: number, fd: number, vnetHdr: boolean): void {
    const at = tunnel * ROW;
    this.#words[at + WORKER] = worker;
    this.#words[at + FD] = fd;
    this.#words[at + VNET_HDR] = vnetHdr ? 1 : 0;
    Atomics.store(this.#words, at + CURRENT, -1);
    Atomics.store(this.#words, at + STATE, 1);
  }

  withdraw(tunnel: number): void {
    Atomics.store(this.#words, tunnel * ROW + STATE, 0);
  }

  isLive(tunnel: number): boolean {
    return Atomics.load(this.#words, tunnel * ROW + STATE) === 1;
  }

  worker(tunnel: number): number {
    return this.#words[tunnel * ROW + WORKER]!;
  }

  fd(tunnel: number): number {
    return this.#words[tunnel * ROW + FD]!;
  }

  vnetHdr(tunnel: number): boolean {
    return this.#words[tunnel * ROW + VNET_HDR] === 1;
  }

  /** Slot of the pair that carries what leaves the tunnel, or -1: then nothing leaves. */
  current(tunnel: number): number {
    return Atomics.load(this.#words, tunnel * ROW + CURRENT);
  }

  setCurrent(tunnel: number, slot: number): void {
    Atomics.store(this.#words, tunnel * ROW + CURRENT, slot);
  }
}
