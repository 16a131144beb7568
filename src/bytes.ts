/**
 * Reading and writing of octets, big-endian, for the control plane.
 * Bounds are the reader's job, meaning is the codec's: a Reader cannot run past its end and names the field that would.
 */
import { timingSafeEqual } from "node:crypto";

/** Octets that do not follow their format. Whoever parses a peer's message turns it into that protocol's own answer. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Octets already read. */
  get at(): number {
    return this.#at;
  }

  /** Octets not yet read. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(field: string): number {
    return this.#need(1, field)[0]!;
  }

  u16(field: string): number {
    const b = this.#need(2, field);
    return (b[0]! << 8) | b[1]!;
  }

  u32(field: string): number {
    const b = this.#need(4, field);
    return ((b[0]! << 24) | (b[1]! << 16) | (b[2]! << 8) | b[3]!) >>> 0;
  }

  /** A view of the next `length` octets: not a copy. */
  take(length: number, field: string): Uint8Array {
    return this.#need(length, field);
  }

  /** A view of all that is left: may be empty. */
  rest(): Uint8Array {
    return this.#need(this.left, "rest");
  }

  /** Octets whose value a receiver must ignore. */
  reserved(length: number): void {
    this.#need(length, "reserved octets");
  }

  #need(length: number, field: string): Uint8Array {
    if (length > this.left)
      throw new MalformedError(`${field}: ${length} octets wanted at ${this.#at}, ${this.left} left`);
    const view = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return view;
  }
}

/** Grows as it is written to. */
export class Writer {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#room(1);
    this.#bytes[this.#length++] = value;
  }

  u16(value: number): void {
    this.u8(value >>> 8);
    this.u8(value);
  }

  u32(value: number): void {
    this.u16(value >>> 16);
    this.u16(value & 0xffff);
  }

  put(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  reserved(length: number): void {
    this.#room(length);
    this.#bytes.fill(0, this.#length, this.#length + length);
    this.#length += length;
  }

  /** Overwrite two octets that were written before, such as a length that is known only now. */
  patch16(at: number, value: number): void {
    this.#bytes[at] = value >>> 8;
    this.#bytes[at + 1] = value;
  }

  patch32(at: number, value: number): void {
    this.patch16(at, value >>> 16);
    this.patch16(at + 2, value & 0xffff);
  }

  /** What was written, as a copy of its exact size. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #room(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + length));
    grown.set(this.#bytes);
    this.#bytes.fill(0); // may hold keys
    this.#bytes = grown;
  }
}

export const concat = (...parts: readonly Uint8Array[]): Uint8Array => {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

/** Equality in time that depends on the length alone: for secrets, ICVs and hashes. */
export const equalSecret = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

/** Equality of public octets: addresses, SPIs. */
export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Overwrite key material that is no longer needed. */
export const wipe = (...secrets: readonly (Uint8Array | undefined)[]): void => {
  for (const secret of secrets) secret?.fill(0);
};

export const toHex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");

export const fromHex = (text: string): Uint8Array => {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new MalformedError("not an even number of hex digits");
  return new Uint8Array(Buffer.from(text, "hex"));
};
