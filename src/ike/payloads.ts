/** Making the payloads that several exchanges send. */
import type { ParsedMessage } from "./message.ts";
import { notifies, type Payload } from "./message.ts";
import { isErrorNotify } from "./notify.ts";

const NONE = new Uint8Array(0);

export const notifyPayload = (type: number, data: Uint8Array = NONE): Payload => ({
  kind: "Notify",
  value: { protocol: 0, spi: NONE, type, data },
});

/** A notification about a Child SA: REKEY_SA, CHILD_SA_NOT_FOUND. */
export const notifyAboutSpi = (type: number, protocol: number, spi: Uint8Array, data: Uint8Array = NONE): Payload => ({
  kind: "Notify",
  value: { protocol, spi, type, data },
});

export const noncePayload = (data: Uint8Array): Payload => ({ kind: "Nonce", value: { data } });

export const kePayload = (method: number, data: Uint8Array): Payload => ({ kind: "KE", value: { method, data } });

/** The first notification of an error, or undefined. */
export const errorNotify = (payloads: readonly Payload[]): { type: number; data: Uint8Array } | undefined => {
  for (const payload of payloads)
    if (payload.kind === "Notify" && isErrorNotify(payload.value.type)) return payload.value;
  return undefined;
};

export const hasNotify = (payloads: ParsedMessage["payloads"], type: number): boolean =>
  notifies(payloads, type).length > 0;

/** A key exchange method as notification data of INVALID_KE_PAYLOAD (RFC 7296 §3.10.1). */
export const groupData = (group: number): Uint8Array => Uint8Array.of(group >> 8, group);

export const groupOf = (data: Uint8Array): number | undefined =>
  data.length === 2 ? (data[0]! << 8) | data[1]! : undefined;

/** Octets of our nonces: at least half the key of any PRF we have, RFC 7296 §2.10. */
export const NONCE_LENGTH = 32;
