/**
 * Nonce payload, RFC 7296 §3.9
 *
 *   ~                            Nonce Data                         ~
 */
import { MalformedError } from "../../bytes.ts";
import type { Codec } from "./codec.ts";

/** Octets of a nonce, both included. */
const LENGTH = { least: 16, most: 256 } as const;

export interface NonceValue {
  readonly data: Uint8Array;
}

export const nonce: Codec<NonceValue> = {
  parse(from) {
    const data = from.rest();
    if (data.length < LENGTH.least || data.length > LENGTH.most)
      throw new MalformedError(`nonce: ${data.length} octets, must be ${LENGTH.least} to ${LENGTH.most}`);
    return { data };
  },

  size: ({ data }) => data.length,

  emit({ data }, to) {
    to.put(data);
  },
};
