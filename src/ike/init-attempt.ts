/** An IKE_SA_INIT of ours that waits for its answer. */
import type { KeyPair } from "../crypto/kex.ts";
import type { Proposal } from "./proposal.ts";

export interface InitAttempt {
  readonly ni: Uint8Array;
  readonly keyPair: KeyPair;
  readonly proposals: readonly Proposal[];
  readonly cookie: Uint8Array | undefined;
  /** How often a peer made us begin again. */
  readonly restarts: number;
  /** The request as it was sent last: AUTH covers this one (RFC 7296 §2.15). */
  readonly request: Uint8Array;
}
