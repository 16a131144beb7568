/** ESP packets in a slab, for tests of engines: a seeded source of octets, and batches laid out with room between. */
import { type Engine, type EngineDriver, type Key, OP_SCRATCH, Ops } from "../../../src/crypto/engine.ts";
import { ESP_HEADER } from "../../../src/crypto/esp-inputs.ts";
import { SUITES, type Suite } from "../../../src/crypto/suites.ts";

/** Octets that look random and are the same for the same seed (an xorshift of 32 bits). */
export const octets = (length: number, seed: number): Uint8Array => {
  let state = (seed * 2_654_435_761 + 1) | 0 || 1;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
};

/** Text of the least length that `payload` octets, padding, pad length and next header fit in (RFC 4303 §2.4). */
export const textLengthFor = (suite: Suite, payload: number): number =>
  Math.ceil((payload + 2) / suite.alignment) * suite.alignment;

export interface Packet {
  readonly suite: Suite;
  readonly rawKey: Uint8Array;
  readonly esn: boolean;
  readonly seqHigh: number;
  /** Header, IV and text, in the clear. */
  readonly clear: Uint8Array;
}

/** A packet that its seed says everything about. */
export const packetOf = (suite: Suite, payload: number, esn: boolean, seed: number): Packet => ({
  suite,
  rawKey: octets(suite.keyLength, seed + 1),
  esn,
  seqHigh: new DataView(octets(4, seed + 2).buffer).getUint32(0),
  clear: octets(ESP_HEADER + suite.ivLength + textLengthFor(suite, payload), seed + 3),
});

export const sealedLength = ({ suite, clear }: Packet): number => clear.length + suite.icvLength;

/** Every suite with and without ESN. */
export const EVERY_KIND: readonly { readonly suite: Suite; readonly esn: boolean; readonly kind: string }[] =
  SUITES.flatMap((suite) => [
    { suite, esn: false, kind: suite.name },
    { suite, esn: true, kind: `${suite.name} with ESN` },
  ]);

/** The suites that this engine does; none where it cannot run. */
export const suitesOf = (driver: EngineDriver): readonly Suite[] => {
  if (driver.unavailable() !== undefined) return [];
  const engine = driver.open(new Uint8Array(new SharedArrayBuffer(4096)), 1);
  const suites = SUITES.filter((suite) => engine.supports(suite));
  engine.close();
  return suites;
};

/** A slab, an Ops over it and an engine, for packets put anywhere. */
export class Bench {
  readonly ops: Ops;
  readonly engine: Engine;
  #end = 0;

  constructor(open: (slab: Uint8Array, capacity: number) => Engine, capacity = 1, octetsOfPackets = 512 * capacity) {
    const scratchAt = Math.ceil(octetsOfPackets / 64) * 64;
    const slab = new Uint8Array(new SharedArrayBuffer(scratchAt + capacity * OP_SCRATCH));
    this.ops = new Ops(slab, scratchAt, capacity);
    this.engine = open(slab, capacity);
  }

  /** Start a new batch. Keys stay expanded. */
  clear(): void {
    this.ops.count = 0;
    this.#end = 0;
  }

  /** Add a packet: `bytes` is the clear or the sealed form. `gap` octets stay free before it. */
  add({ suite, clear, seqHigh }: Packet, key: Key, bytes: Uint8Array, gap = 1): void {
    const { ops } = this;
    const i = ops.count++;
    const head = this.#end + gap;
    ops.slab.set(bytes, head);
    ops.keys[i] = key.handle;
    ops.headAt[i] = head;
    ops.textAt[i] = head + ESP_HEADER + suite.ivLength;
    ops.textLength[i] = clear.length - ESP_HEADER - suite.ivLength;
    ops.seqHigh[i] = seqHigh;
    this.#end = head + clear.length + suite.icvLength;
  }

  /** What lies in the place of packet `i` now. */
  at(i: number, length: number): Uint8Array {
    const head = this.ops.headAt[i]!;
    return this.ops.slab.slice(head, head + length);
  }

  sealOne(packet: Packet, key: Key): Uint8Array {
    this.clear();
    this.add(packet, key, packet.clear);
    this.engine.seal(this.ops);
    if (this.ops.ok[0] !== 1) throw new Error("not sealed");
    return this.at(0, sealedLength(packet));
  }

  /** The clear form, or undefined when the packet is not authentic. */
  openOne(packet: Packet, key: Key, sealed: Uint8Array): Uint8Array | undefined {
    this.clear();
    this.add(packet, key, sealed);
    this.engine.open(this.ops);
    return this.ops.ok[0] === 1 ? this.at(0, packet.clear.length) : undefined;
  }

  expand({ suite, rawKey, esn }: Packet): Key {
    return this.engine.expand(suite, rawKey, esn);
  }
}
