/** What can be shown of a connection: plain data, no secrets. Times are of the clock that the manager was given, in ms. */

export interface ConnectionStatus {
  readonly name: string;
  readonly state: "down" | "connecting" | "up" | "closing";
  /** Endpoint as text, or `any`. */
  readonly remote: string;
  /** Why it is down or what last went wrong; gone once all is well. */
  readonly lastError?: string;
  readonly ikeSa?: IkeSaStatus;
  readonly childSas: readonly ChildSaStatus[];
}

export interface IkeSaStatus {
  /** 16 hex digits. */
  readonly spiI: string;
  readonly spiR: string;
  readonly proposal: string;
  readonly role: "initiator" | "responder";
  readonly establishedAt: number;
  readonly rekeyAt: number;
  readonly natDetected: boolean;
  /** Requests that the peer takes at a time (RFC 7296 §2.3). */
  readonly peerWindow: number;
  /** Both ends take messages in pieces (RFC 7383). */
  readonly fragmentation: boolean;
}

export interface ChildSaStatus {
  readonly name: string;
  /** Which of the child's pairs: 0 is the fallback. */
  readonly resource: number;
  readonly state: "installed" | "rekeying" | "closing";
  readonly spiIn: number;
  readonly spiOut: number;
  readonly suite: string;
  readonly esn: boolean;
  readonly encap: boolean;
  readonly mode: "tunnel" | "transport";
  /** Undefined: never. */
  readonly rekeyAt: number | undefined;
  readonly local: readonly string[];
  readonly remote: readonly string[];
}
