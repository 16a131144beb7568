/**
 * Certificate and Certificate Request payloads, RFC 7296 §3.6 and §3.7: the same shape, two payload types
 *
 *   | Cert Encoding |                                               |
 *   +-+-+-+-+-+-+-+-+                                               |
 *   ~          Certificate Data  /  Certification Authority         ~
 */
import type { Codec } from "./codec.ts";

export interface Certificate {
  readonly encoding: number;
  readonly data: Uint8Array;
}

export const certificate: Codec<Certificate> = {
  parse: (from) => ({ encoding: from.u8("certificate encoding"), data: from.rest() }),

  size: ({ data }) => 1 + data.length,

  emit({ encoding, data }, to) {
    to.u8(encoding);
    to.put(data);
  },
};
