/** A TUN queue without a TUN: a socket pair that keeps packet boundaries. One end is the plane's, the other the test's. */
import koffi from "koffi";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { enlargeBuffers } from "../../src/linux/socket.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;

const socketpair = koffi.load("libc.so.6").func("socketpair", "int", ["int", "int", "int", "int64_t"]) as (
  ...args: readonly number[]
) => number;

export class MemoryTun {
  /** What the plane reads and writes. */
  readonly planeFd: number;
  readonly #fd: number;
  readonly #memory = Memory.allocate(65536 + 64);

  constructor() {
    const pair = Memory.allocate(8);
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.at(0, 8)) !== 0)
      throw new Error("no socket pair");
    this.planeFd = pair.view.getInt32(0, true);
    this.#fd = pair.view.getInt32(4, true);
    enlargeBuffers(this.planeFd);
    enlargeBuffers(this.#fd);
  }

  /** As if the host had routed a packet into the interface. */
  inject(packet: Uint8Array): void {
    this.#memory.bytes.set(packet);
    const written = libc.write(this.#fd, this.#memory, 0, packet.length);
    if (written !== packet.length) throw new Error(`inject: ${written}`);
  }

  /** The same with what is delivered as long as `visit` runs, without a copy. */
  drain(visit: (packet: Uint8Array) => void): void {
    for (;;) {
      const length = libc.read(this.#fd, this.#memory, 0, this.#memory.size);
      if (length < 0) return;
      visit(this.#memory.bytes.subarray(0, length));
    }
  }

  /** All that the plane has delivered to the host. */
  delivered(): Uint8Array[] {
    const packets: Uint8Array[] = [];
    for (;;) {
      const length = libc.read(this.#fd, this.#memory, 0, this.#memory.size);
      if (length < 0) return packets;
      packets.push(this.#memory.bytes.slice(0, length));
    }
  }

  close(): void {
    libc.close(this.planeFd);
    libc.close(this.#fd);
  }
}
