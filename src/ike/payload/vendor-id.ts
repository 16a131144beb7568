/**
 * Vendor ID payload, RFC 7296 §3.12
 *
 *   ~                        Vendor ID (VID)                        ~
 */
import type { Codec } from "./codec.ts";

export interface VendorId {
  readonly data: Uint8Array;
}

export const vendorId: Codec<VendorId> = {
  parse: (from) => ({ data: from.rest() }),

  size: ({ data }) => data.length,

  emit({ data }, to) {
    to.put(data);
  },
};
