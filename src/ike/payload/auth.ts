/**
 * Authentication payload, RFC 7296 §3.8
 *
 *   | Auth Method   |                RESERVED                       |
 *   ~                      Authentication Data                      ~
 */
import type { Codec } from "./codec.ts";

export const AuthMethod = { RSA_SIGNATURE: 1, SHARED_KEY_MIC: 2, DSS_SIGNATURE: 3, DIGITAL_SIGNATURE: 14 } as const;

export interface Authentication {
  readonly method: number;
  readonly data: Uint8Array;
}

export const authentication: Codec<Authentication> = {
  parse(from) {
    const method = from.u8("auth method");
    from.reserved(3);
    return { method, data: from.rest() };
  },

  size: ({ data }) => 4 + data.length,

  emit({ method, data }, to) {
    to.u8(method);
    to.reserved(3);
    to.put(data);
  },
};
