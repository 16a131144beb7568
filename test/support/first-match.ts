/** The first policy that selects a packet, asked one after the other (RFC 4301 §4.4.1): the slow model of the policy table. */
import type { Policy } from "../../src/ipsec/policy.ts";
import { containsPacket } from "../../src/ipsec/selector.ts";

export interface End {
  readonly address: Uint8Array;
  /** Undefined when the packet shows none. */
  readonly port: number | undefined;
}

export const firstMatch = (policies: readonly Policy[], protocol: number, local: End, remote: End): number =>
  policies.findIndex((policy) =>
    policy.local.some(
      (here) =>
        containsPacket(here, { protocol, ...local }) &&
        policy.remote.some((there) => containsPacket(there, { protocol, ...remote })),
    ),
  );
