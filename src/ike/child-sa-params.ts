/** What the data plane must know to carry the packets of a Child SA: the pair of SAs of RFC 7296 §2.17 as plain data. */
import type { Suite } from "../crypto/suites.ts";
import type { Endpoint } from "../ip-address.ts";
import type { TrafficSelector } from "../ipsec/selector.ts";

/** Both ends of an IKE SA and of its tunnels. */
export interface Path {
  /** Port 500 or 4500: with the latter, IKE messages bear the non-ESP marker, which the shell writes and strips. */
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

export interface ChildSaParams {
  readonly connection: string;
  readonly child: string;
  /**
   * Which of the child's pairs it is, from 0: whose packets it carries is the data plane's choice (RFC 9611). 0 is the
   * fallback, which serves every resource that has no pair of its own.
   */
  readonly resource: number;
  /** The SPI we named: of packets to us. */
  readonly spiIn: number;
  /** The SPI the peer named: of packets to it. */
  readonly spiOut: number;
  readonly suite: Suite;
  /** Extended sequence numbers, both ways. */
  readonly esn: boolean;
  /** `suite.keyLength` octets. Secret: wipe after installing. */
  readonly keyIn: Uint8Array;
  readonly keyOut: Uint8Array;
  readonly mode: "tunnel" | "transport";
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
  /** Tunnel end points; the ports are those of ESP in UDP. */
  readonly path: Path;
  /** The peer takes no padding for traffic flow confidentiality (RFC 7296 §1.3.1). */
  readonly tfcRefused: boolean;
  /** ESP in UDP. */
  readonly encap: boolean;
  /** How many pairs its child is to have, with this one: of resources from 0 on. 1 where the peer takes no more. */
  readonly pairs: number;
  /** The suite as proposals name it, with `-esn` or a key exchange when there is one. */
  readonly proposal: string;
  /** `spiIn` of the pair that this one rekeys. */
  readonly replaces: number | undefined;
}
