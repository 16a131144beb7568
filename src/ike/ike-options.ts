/** What can be set of IKE as a whole, and what it is where nobody does. */

export interface IkeOptions {
  /** Our UDP ports. */
  readonly ports: { readonly ike: number; readonly natt: number };
  /** IKE SAs that peers began and have not authenticated: more are not begun. */
  readonly halfOpenLimit: number;
  /** The same from one address. */
  readonly halfOpenPerSource: number;
  /** IKE SAs that we have begun and that are not up: more wait for their turn. */
  readonly halfOpenOutLimit: number;
  /** With as many half-open ones, a peer must first return a cookie (RFC 7296 §2.6); 0: always. */
  readonly cookieThreshold: number;
  /** How long an IKE SA may stay half-open, ms. */
  readonly halfOpenTimeout: number;
  /** IKE SAs of all peers, half-open ones too: more are neither begun nor taken; 0: no limit. */
  readonly sasLimit: number;
  /** IKE SAs of one connection with one identity: of a peer that makes more the oldest end; 0: no limit. */
  readonly sasPerPeer: number;
  /** Message IDs go up to this one; a test may want to see their end. */
  readonly lastMessageId: number;
  /** IKE_AUTH requests of one half-open IKE SA with a wrong ICV: after so many it is forgotten. */
  readonly decryptFailures: number;
  /**
   * Rekeys, and Child SAs with a key exchange of their own, that a peer may ask for on one IKE SA in a second; all its Child SAs, or
   * all that are configured, at once in any case.
   */
  readonly rekeyRate: number;
  /** Requests of ours that may wait for their turn on one IKE SA; deletions and a rekey of the IKE SA come beside them. */
  readonly queueLimit: number;
  /** Key exchange methods, by transform ID, that are not computed here but asked for as `key-work`. */
  readonly slowKeyExchanges: ReadonlySet<number>;
  /** Key exchanges that others have asked for and that are being computed: what needs more is dropped. */
  readonly keyWorkLimit: number;
}

export const DEFAULT_OPTIONS: IkeOptions = {
  ports: { ike: 500, natt: 4500 },
  halfOpenLimit: 40,
  halfOpenPerSource: 10,
  halfOpenOutLimit: 400,
  cookieThreshold: 10,
  halfOpenTimeout: 60_000,
  sasLimit: 0,
  sasPerPeer: 10,
  lastMessageId: 2 ** 32 - 1,
  decryptFailures: 30,
  rekeyRate: 5,
  queueLimit: 20,
  slowKeyExchanges: new Set(),
  keyWorkLimit: 128,
};
