/**
 * Memory that the kernel may read and write: always over a SharedArrayBuffer, which V8 neither moves nor detaches, and
 * which has one address in every thread of the process. `at` is the proof of bounds that comes before each call.
 */
import koffi from "koffi";

/** A bug of the caller, not of a peer: the call that would have left the memory is not made. */
export const outOfRange = (what: string, at: number, length: number, size: number): never => {
  throw new RangeError(`${what}: octets ${at}..${at + length} are not inside ${size}`);
};

/** Octets of a page of WebAssembly memory. */
const WASM_PAGE = 65_536;

/** What we use of it: the type library of Node does not speak of it. */
declare const WebAssembly: {
  Memory: new (pages: { initial: number; maximum: number; shared: true }) => { readonly buffer: SharedArrayBuffer };
};

export class Memory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The same by words. */
  readonly words: Int32Array;
  /** Octets. */
  readonly size: number;
  /** Address of the first octet. Below 2^53. */
  readonly base: number;

  /** `byteOffset`: a multiple of 4. */
  constructor(shared: SharedArrayBuffer, byteOffset = 0, size = shared.byteLength - byteOffset) {
    if (!(shared instanceof SharedArrayBuffer)) throw new TypeError("memory for the kernel is a SharedArrayBuffer");
    this.bytes = new Uint8Array(shared, byteOffset, size);
    this.view = new DataView(shared, byteOffset, size);
    this.words = new Int32Array(shared, byteOffset, size >>> 2);
    this.size = size;
    const base = Number(koffi.address(this.bytes));
    if (!Number.isSafeInteger(base + size)) throw new RangeError(`address ${base} is beyond 2^53`);
    this.base = base;
  }

  /** New memory, zeroed. */
  static allocate(size: number): Memory {
    return new Memory(new SharedArrayBuffer(size));
  }

  /**
   * The same for what the kernel may write to later than anybody can know. Other memory goes back to the C library's heap,
   * which gives it to somebody else; this is a mapping of its own, and goes back to the system: what the kernel still holds
   * of it is then nobody's. It takes address space, some 10 GB that cost nothing else.
   */
  static allocateMapping(size: number): Memory {
    const pages = Math.ceil(size / WASM_PAGE);
    return new Memory(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer);
  }

  /** The address of `length` octets at `offset`. Throws a RangeError unless all of them are inside. */
  at(offset: number, length: number): number {
    if (offset >>> 0 !== offset || length >>> 0 !== length || offset + length > this.size)
      outOfRange("memory", offset, length, this.size);
    return this.base + offset;
  }

  /** Write an address or a size_t. */
  setWord64(offset: number, value: number): void {
    this.view.setUint32(offset, value >>> 0, true);
    this.view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
  }

  getWord64(offset: number): number {
    return this.view.getUint32(offset, true) + this.view.getUint32(offset + 4, true) * 0x1_0000_0000;
  }
}
