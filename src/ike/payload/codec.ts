/**
 * What a payload codec is. It sees the payload's body alone, without the generic header (RFC 7296 §3.2).
 */
import type { Reader, Writer } from "../../bytes.ts";

export interface Codec<T> {
  /** Read a body to its last octet. Throws MalformedError, or IkeError where RFC 7296 names another notify. Keeps views. */
  parse(from: Reader): T;
  /** Octets that `emit` will write. */
  size(value: T): number;
  emit(value: T, to: Writer): void;
}
