/** The Delete payload, RFC 7296 §3.11. */
import type { Payload } from "./message.ts";

/** SPIs are the sender's inbound ones; of an IKE SA there are none, they stand in the header. */
export const deletion = (protocol: number, spis: readonly Uint8Array[]): Payload => ({
  kind: "Delete",
  value: { protocol, spis },
});
