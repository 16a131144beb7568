/**
 * A Duplex of packets over a non-blocking descriptor, such as a queue of a TUN device: one chunk is one packet, both
 * ways. Each wake-up reads until nothing is left, up to a budget that lets the rest of the program live.
 */
import { Duplex } from "node:stream";
import { ERRNO, systemError } from "./errno.ts";
import * as libc from "./libc.ts";
import { Memory } from "./memory.ts";
import { Readiness } from "./readiness.ts";

/** The largest packet of IP, and room for a link-layer header. */
const ROOM = 65535 + 64;
const PACKETS_PER_TURN = 512;
const READ_AHEAD_PACKETS = 512;
const WRITE_BEHIND_OCTETS = 1024 * 1024;

type Done = (error?: Error | null) => void;

export class PacketStream extends Duplex {
  readonly #fd: number;
  readonly #readiness: Readiness;
  readonly #memory = Memory.allocate(ROOM);
  #reading = false;
  /** What the full queue did not take yet. */
  #blocked: { readonly packets: readonly Buffer[]; readonly from: number; readonly done: Done } | undefined;

  /** Takes over `fd`, and closes it in the end. */
  constructor(fd: number) {
    super({
      readableObjectMode: true, // a packet is never merged with its neighbour
      readableHighWaterMark: READ_AHEAD_PACKETS,
      writableHighWaterMark: WRITE_BEHIND_OCTETS,
      allowHalfOpen: false,
    });
    this.#fd = fd;
    this.#readiness = new Readiness(fd, () => this.#onReady());
  }

  /** Reading keeps the process alive, as it is at first. */
  ref(): this {
    this.#readiness.hold(true);
    return this;
  }

  /** Let the process end although packets may still come. */
  unref(): this {
    this.#readiness.hold(false);
    return this;
  }

  override _read(): void {
    this.#reading = true;
    this.#rearm();
  }

  override _write(packet: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#writeAll([packet], 0, done);
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: Done): void {
    const packets = chunks.map(({ chunk }) => chunk);
    this.#writeAll(packets, 0, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#readiness.close();
    libc.close(this.#fd);
    const blocked = this.#blocked;
    this.#blocked = undefined;
    done(error);
    blocked?.done(error ?? new Error("the stream was closed before the packet was written"));
  }

  #onReady(): void {
    const blocked = this.#blocked;
    if (blocked !== undefined) {
      this.#blocked = undefined;
      this.#writeAll(blocked.packets, blocked.from, blocked.done);
    }
    if (this.#reading) this.#readAll();
    this.#rearm();
  }

  #rearm(): void {
    if (!this.destroyed) this.#readiness.want(this.#reading, this.#blocked !== undefined);
  }

  #readAll(): void {
    for (let packets = 0; packets < PACKETS_PER_TURN && !this.destroyed; packets++) {
      const length = libc.read(this.#fd, this.#memory, 0, ROOM);
      if (length === -ERRNO.EAGAIN || length === -ERRNO.EINTR) return;
      if (length < 0) {
        this.destroy(systemError(length, "reading a packet", { code: "ESPALIER_PLATFORM" }));
        return;
      }
      const packet = Buffer.allocUnsafe(length);
      packet.set(this.#memory.bytes.subarray(0, length));
      if (!this.push(packet)) {
        this.#reading = false;
        return;
      }
    }
  }

  #writeAll(packets: readonly Buffer[], from: number, done: Done): void {
    for (let i = from; i < packets.length; i++) {
      const packet = packets[i]!;
      if (packet.length > ROOM) {
        done(new RangeError(`a packet of ${packet.length} octets is too long`));
        return;
      }
      this.#memory.bytes.set(packet);
      const result = libc.write(this.#fd, this.#memory, 0, packet.length);
      if (result === -ERRNO.EAGAIN || result === -ERRNO.ENOBUFS) {
        this.#blocked = { packets, from: i, done };
        this.#rearm();
        return;
      }
      if (result < 0) {
        done(systemError(result, "writing a packet", { code: "ESPALIER_PLATFORM" }));
        return;
      }
    }
    done();
  }
}
