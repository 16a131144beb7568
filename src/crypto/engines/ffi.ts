/**
 * koffi, loaded when the first native engine asks for it: a platform that has no koffi still has the other engines.
 * Addresses are plain numbers (user space ends below 2^53); whoever passes one has proved what lies there.
 */
import { createRequire } from "node:module";
import type * as Koffi from "koffi";

export type Library = Koffi.LibraryHandle;

let loaded: typeof Koffi | undefined;

/** Throws what `require` throws when koffi is missing or does not fit this platform. */
export const koffi = (): typeof Koffi => {
  loaded ??= createRequire(import.meta.url)("koffi") as typeof Koffi;
  return loaded;
};

/** Memory that native code reads and writes and JavaScript owns. It neither moves nor goes while the object is kept. */
export class NativeMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly address: number;

  /** `alignment` is a power of two, in octets. */
  constructor(length: number, alignment = 64) {
    const whole = new Uint8Array(length + alignment);
    const start = addressOf(whole);
    const skip = (alignment - (start % alignment)) % alignment;
    this.bytes = whole.subarray(skip, skip + length);
    this.view = new DataView(whole.buffer, skip, length);
    this.address = start + skip;
  }

  wipe(): void {
    this.bytes.fill(0);
  }
}

/** Where the octets of a view lie. Throws a RangeError when the address is no exact number. */
export const addressOf = (view: ArrayBufferView): number => {
  const address = Number(koffi().address(view));
  if (!Number.isSafeInteger(address) || address <= 0) throw new RangeError("memory at an address beyond 2^53");
  return address;
};

/** The halves of an address as whole numbers of 32 bits with a sign, which is how V8 likes them. */
export const lowHalf = (address: number): number => address | 0;
export const highHalf = (address: number): number => Math.floor(address / 2 ** 32) | 0;

/** One line of why something native could not be had. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
