/**
 * Payloads whose inside is not read here: Configuration (RFC 7296 §3.15) and Extensible Authentication (§3.16)
 *
 *   |   CFG Type    |                    RESERVED                   |
 *   ~                   Configuration Attributes                    ~
 *
 *   ~                          EAP Message                          ~
 */
import type { Codec } from "./codec.ts";

export interface Opaque {
  /** The whole body. */
  readonly raw: Uint8Array;
}

export const opaque: Codec<Opaque> = {
  parse: (from) => ({ raw: from.rest() }),

  size: ({ raw }) => raw.length,

  emit({ raw }, to) {
    to.put(raw);
  },
};
