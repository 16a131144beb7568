/**
 * What a gateway says of itself: the shape of `espalier status --json`. Plain JSON: times are ISO 8601 in UTC, SPIs are
 * hex digits (8 for ESP, 16 for IKE), and what does not exist yet is null.
 */

export interface GatewayStatus {
  /** Of the package. */
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  /** Seconds since then. */
  readonly uptime: number;
  readonly engine: EngineReport;
  readonly connections: readonly ConnectionReport[];
  /** Those that several children share. */
  readonly interfaces: readonly InterfaceReport[];
  readonly workers: readonly WorkerReport[];
  /** Every packet that came in from the network, and from the interfaces: it passed or it was dropped. */
  readonly in: Traffic;
  readonly out: Traffic;
  /** Of both, all drops by reason: those of packets that belong to no SA, too. */
  readonly drops: Counters;
  /** Datagrams of IKE that were ignored, by reason. */
  readonly ikeDrops: Counters;
}

export type Counters = Readonly<Record<string, number>>;

/** Packets of one direction. What came in is `packets` and all `drops` together. */
export interface Traffic {
  /** Those that passed, and their inner octets. */
  readonly packets: number;
  readonly bytes: number;
  /** By reason. */
  readonly drops: Counters;
}

export interface EngineReport {
  /** Of several, the one of most suites first: `ipsec-mb, openssl`. */
  readonly name: string;
  /** Library and version. */
  readonly description: string;
  /** Who chose: the configuration `named` it, it was the `only` one, it was `measured` at the start, or before (`cache`). */
  readonly basis: "named" | "only" | "measured" | "cache";
  /** Engine by name of the suite. */
  readonly suites: Readonly<Record<string, string>>;
  /** Engines that were not chosen, and why. */
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
}

export interface ConnectionReport {
  readonly name: string;
  readonly state: "down" | "connecting" | "up" | "closing";
  /** Address and port of the peer, or `any`. */
  readonly remote: string;
  /** Why the last attempt failed, until one succeeds. */
  readonly lastError: string | null;
  readonly ikeSa: IkeSaReport | null;
  readonly childSas: readonly ChildSaReport[];
  /** Its children as they are configured. */
  readonly children: readonly ChildReport[];
}

/** What a child has carried since the gateway started, over all its SAs: those that were replaced, too. */
export interface ChildReport {
  readonly name: string;
  readonly interface: string;
  readonly in: Traffic;
  readonly out: Traffic;
}

/** An interface that several children share. */
export interface InterfaceReport {
  readonly name: string;
  /** Octets of the inner packet. */
  readonly mtu: number;
  /** How many there are. */
  readonly policies: number;
  /** Packets from it that no policy gave to a child, by what was done with them: `policy-discard`, `no-policy`, `bypass`. */
  readonly drops: Counters;
}

export interface IkeSaReport {
  readonly spiI: string;
  readonly spiR: string;
  readonly role: "initiator" | "responder";
  /** `aes256gcm16-prfsha384-ecp384`. */
  readonly proposal: string;
  readonly establishedAt: string;
  readonly rekeyAt: string;
  readonly natDetected: boolean;
  /** Both ends take IKE messages in pieces (RFC 7383). */
  readonly fragmentation: boolean;
}

export interface ChildSaReport {
  readonly name: string;
  /** Which of the child's pairs: 0 is the fallback (RFC 9611). */
  readonly resource: number;
  readonly state: "installed" | "rekeying" | "closing";
  readonly spiIn: string;
  readonly spiOut: string;
  /** `aes256gcm16`. */
  readonly suite: string;
  readonly esn: boolean;
  /** ESP travels in UDP. */
  readonly encap: boolean;
  readonly mode: "tunnel" | "transport";
  /** Index of the worker that owns it. */
  readonly worker: number;
  readonly interface: string;
  /** Of the interface, octets of the inner packet. */
  readonly mtu: number;
  /** Traffic selectors as negotiated. */
  readonly local: readonly string[];
  readonly remote: readonly string[];
  readonly packetsIn: number;
  readonly packetsOut: number;
  /** Inner octets. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** By reason: of both its SAs, of the one to us, and of the one to the peer. */
  readonly drops: Counters;
  readonly dropsIn: Counters;
  readonly dropsOut: Counters;
  /** Null: never, its keys are in the configuration. */
  readonly rekeyAt: string | null;
}

export interface WorkerReport {
  readonly worker: number;
  readonly batches: number;
  readonly packets: number;
  readonly in: Traffic;
  readonly out: Traffic;
  readonly polls: number;
  /** Milliseconds of processor time of the thread. */
  readonly cpuTime: number;
  /** How often its thread died and another took over its SAs. */
  readonly replaced: number;
  /** What came for its sockets and was lost as they were full; of datagrams that the kernel merged, one for all. */
  readonly overruns: number;
  /** Why it reads and writes packets of interfaces one by one, or null: many in a call, by io_uring. */
  readonly ioUringRefused: string | null;
}

/** Four octets as 8 hex digits. */
export const espSpiText = (spi: number): string => (spi >>> 0).toString(16).padStart(8, "0");
