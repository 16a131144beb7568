/** Whether two peers cut their messages: both say in IKE_SA_INIT that they take pieces, RFC 7383 §2.3. */
import type { ConnectionConfig } from "./connection.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { hasNotify, notifyPayload } from "./payloads.ts";

export const fragmentationPayloads = ({ fragmentation }: ConnectionConfig): Payload[] =>
  fragmentation === "no" ? [] : [notifyPayload(Notify.IKEV2_FRAGMENTATION_SUPPORTED)];

/** How messages are cut on an IKE SA whose peer sent these payloads in IKE_SA_INIT; undefined: they are not. */
export const agreedFragmentation = (payloads: readonly Payload[], config: ConnectionConfig): IkeSa["fragments"] => {
  const { fragmentation, fragmentSize } = config;
  const isWanted = fragmentation !== "no" && hasNotify(payloads, Notify.IKEV2_FRAGMENTATION_SUPPORTED);
  return isWanted ? { fragmentation, fragmentSize } : undefined;
};
