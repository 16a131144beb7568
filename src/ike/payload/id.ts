/**
 * Identification payloads, RFC 7296 §3.5: one format, two payload types (IDi, IDr)
 *
 *   |   ID Type     |                 RESERVED                      |
 *   ~                   Identification Data                         ~
 */
import type { Identity } from "../identity.ts";
import type { Codec } from "./codec.ts";

export const identification: Codec<Identity> = {
  parse(from) {
    const type = from.u8("ID type");
    const reserved = from.take(3, "reserved");
    const data = from.rest();
    // AUTH covers these octets as the peer sent them (RFC 7296 §2.15), so they are kept where they are not zero.
    return reserved.every((octet) => octet === 0) ? { type, data } : { type, data, reserved };
  },

  size: ({ data }) => 4 + data.length,

  emit({ type, data, reserved }, to) {
    to.u8(type);
    if (reserved === undefined) to.reserved(3);
    else to.put(reserved);
    to.put(data);
  },
};
