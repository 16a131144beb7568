/**
 * OSSL_PARAM (openssl/core.h) in native memory: how libcrypto is told names and values, and asked for them.
 *
 *   key: char * | data_type: unsigned int | data: void * | data_size: size_t | return_size: size_t      8 octets each
 */
import type { Address } from "./addresses.ts";
import { highHalf, lowHalf, NativeMemory } from "./ffi.ts";

const PARAMETER = { KEY: 0, TYPE: 8, DATA: 16, SIZE: 24, LENGTH: 40 } as const;
const UNSIGNED_INTEGER = 2;
const UTF8_STRING = 4;
const OCTET_STRING = 5;

/** One parameter and the terminator, whose key is NULL. */
class Parameter {
  readonly address: number;
  protected readonly memory: NativeMemory;

  constructor(name: string, type: number, room: number) {
    this.memory = new NativeMemory(VALUE_AT + room);
    this.address = this.memory.address;
    this.memory.bytes.set(new TextEncoder().encode(name), NAME_AT);
    this.memory.view.setUint32(PARAMETER.TYPE, type, true);
    this.putAddress(PARAMETER.KEY, this.address + NAME_AT);
  }

  protected putAddress(at: number, address: number): void {
    this.memory.view.setInt32(at, lowHalf(address), true);
    this.memory.view.setInt32(at + 4, highHalf(address), true);
  }
}

const NAME_AT = 2 * PARAMETER.LENGTH;
const VALUE_AT = NAME_AT + 16; // the longest name used here, and its NUL

/** `{ name: text }`. */
export class TextParameter extends Parameter {
  constructor(name: string, text: string) {
    const octets = new TextEncoder().encode(text);
    super(name, UTF8_STRING, octets.length + 1);
    this.memory.bytes.set(octets, VALUE_AT);
    this.putAddress(PARAMETER.DATA, this.address + VALUE_AT);
    this.memory.view.setUint32(PARAMETER.SIZE, octets.length, true);
  }
}

/** `{ name: whole number below 2^32 }`, as a size_t. */
export class NumberParameter extends Parameter {
  constructor(name: string, value: number) {
    super(name, UNSIGNED_INTEGER, 8);
    this.memory.view.setUint32(VALUE_AT, value, true);
    this.putAddress(PARAMETER.DATA, this.address + VALUE_AT);
    this.memory.view.setUint32(PARAMETER.SIZE, 8, true);
  }
}

/** `{ "tag": octets of a slab }`: an ICV where it is, or is to be, in its packet. */
export class TagParameter extends Parameter {
  readonly #slabAddress: number;
  readonly #own: Address = null;

  constructor(slabAddress: number) {
    super("tag", OCTET_STRING, 0);
    this.#slabAddress = slabAddress;
    this.#own = this.address;
  }

  /** HOT PATH. The ICV is the `length` octets at `offset` of the slab. Returns the parameter's own address. */
  at(offset: number, length: number): Address {
    this.putAddress(PARAMETER.DATA, this.#slabAddress + offset);
    this.memory.view.setUint32(PARAMETER.SIZE, length, true);
    return this.#own;
  }

  /** Its length alone. */
  length(length: number): Address {
    this.putAddress(PARAMETER.DATA, 0);
    this.memory.view.setUint32(PARAMETER.SIZE, length, true);
    return this.#own;
  }
}
