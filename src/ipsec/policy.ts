/**
 * An ordered Security Policy Database (RFC 4301 §4.4.1): what becomes of a packet that crosses an interface is said by the first
 * entry that selects it, and no entry means discard. `policy-compiler.ts` makes a table of the list, `policy-table.ts` asks it.
 *
 * An entry selects a packet when one of its local selectors selects the local end and one of its remote selectors the remote
 * end. Local is the source on the way out and the destination on the way in, so that one list serves both directions.
 *
 * Packets that do not show their ports (a later fragment, a transport that has none, a packet cut short) are selected by
 * entries with any port and by entries with OPAQUE ports, never by a range (RFC 4301 §4.4.1.1, §7). So a fragmented flow
 * that an entry with ports protects loses its later fragments unless an entry with any or OPAQUE ports takes them: nothing
 * leaves in the clear because of a fragment.
 */
import type { TrafficSelector } from "./selector.ts";

export const PolicyAction = { DISCARD: 0, BYPASS: 1, PROTECT: 2 } as const;
export type PolicyAction = (typeof PolicyAction)[keyof typeof PolicyAction];

export interface Policy {
  readonly action: PolicyAction;
  /** What protects: a number of the caller's, 0 to 2^24 - 1; 0 for the other actions. */
  readonly child: number;
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
}

/** The answer when no entry selects a packet: it is discarded. */
export const NO_POLICY = -1;
