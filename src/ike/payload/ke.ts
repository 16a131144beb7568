/**
 * Key Exchange payload, RFC 7296 §3.4
 *
 *   |   Key Exchange Method Num     |           RESERVED            |
 *   ~                       Key Exchange Data                       ~
 */
import { MalformedError } from "../../bytes.ts";
import type { Codec } from "./codec.ts";

export interface KeyExchange {
  readonly method: number;
  readonly data: Uint8Array;
}

export const keyExchange: Codec<KeyExchange> = {
  parse(from) {
    const method = from.u16("key exchange method");
    from.reserved(2);
    const data = from.rest();
    if (data.length === 0) throw new MalformedError("key exchange data: empty");
    return { method, data };
  },

  size: ({ data }) => 4 + data.length,

  emit({ method, data }, to) {
    to.u16(method);
    to.reserved(2);
    to.put(data);
  },
};
