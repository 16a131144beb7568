/**
 * What IKE knows of the configuration: one connection is one peer, with the proof of identity asked of it (an entry of
 * the Peer Authorization Database, RFC 4301 §4.4.3) and the Child SAs wanted with it. All times in milliseconds.
 */
import type { TrafficSelector } from "../ipsec/selector.ts";
import { type Identity, parseIdentity } from "./identity.ts";
import type { Keyring, Psk } from "./keyring.ts";
import type { PeerId } from "./peer-id.ts";
import type { EspProposal, IkeProposal } from "./proposal.ts";

export interface ConnectionConfig {
  readonly name: string;
  readonly local: { readonly address: string; readonly id: Identity };
  readonly remote: {
    /**
     * Canonical text, or a domain name that is resolved for each attempt, and whose addresses are tried in turn; undefined: any,
     * and then we only answer.
     */
    readonly address: string | undefined;
    /** Tried in turn when `address` fails: addresses or names, like it. */
    readonly backups?: readonly string[];
    /** UDP port we send to first; any but the IKE port is taken as one that expects the non-ESP marker. */
    readonly port: number;
    /** One identity or a pattern. Undefined: its address when that is given, else any. */
    readonly id: PeerId | undefined;
  };
  /** The keys of this peer; undefined: the keyring has them. */
  readonly psk: Psk | undefined;
  readonly keyring?: Keyring;
  /** `trap`: when the first packet for it comes. */
  readonly start: "initiate" | "trap" | "none";
  /**
   * `auto`: ESP in UDP when a NAT is found. `force`: make both ends believe in a NAT. `never`: send no NAT detection and
   * ignore the peer's (RFC 7296 §2.23).
   */
  readonly encap: "auto" | "force" | "never";
  /**
   * RFC 7383. `yes`: messages that are too long for their path are cut when the peer takes that. `force`: cut to what any
   * path carries from the beginning. `no`: neither cut nor taken.
   */
  readonly fragmentation: "yes" | "no" | "force";
  /** Octets of the longest IP packet to send IKE in, 460..1932; undefined: 1384 on IPv4, 1280 on IPv6. */
  readonly fragmentSize: number | undefined;
  readonly proposals: readonly IkeProposal[];
  /** Until the IKE SA is rekeyed; up to 10 % earlier by jitter, closed when 10 % older. */
  readonly lifetime: number;
  readonly liveness: Liveness | undefined;
  readonly retransmit: Retransmit;
  /**
   * IKE SAs without a Child SA in IKE_AUTH (RFC 6023). `allow`: those that a peer begins. `prefer`: ours too, when the peer
   * can, so that the first Child SA has a key exchange of its own.
   */
  readonly childless: "allow" | "prefer" | "never";
  /**
   * What becomes of the IKE SAs that a peer has when it authenticates another. `contact`: INITIAL_CONTACT ends them
   * (RFC 7296 §2.4). `replace`: they end in any case. `keep`: without INITIAL_CONTACT the new one is refused. `never`: they
   * live side by side, as many as `IkeOptions.sasPerPeer`.
   */
  readonly duplicates: "contact" | "replace" | "keep" | "never";
  readonly children: readonly ChildConfig[];
}

export interface ChildConfig {
  readonly name: string;
  /** Pairs of SAs with these selectors, one for each resource (a worker) that is to carry them: 1 or more (RFC 9611). */
  readonly sas: number;
  readonly proposals: readonly EspProposal[];
  /** Default `tunnel`. In transport mode selectors are narrowed to the hosts at both ends. */
  readonly mode?: "tunnel" | "transport";
  /** It is asked for when the first packet for it comes, not with its connection; default false. */
  readonly trap?: boolean;
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
  /** Until the Child SA is rekeyed; up to 10 % earlier by jitter, deleted when 10 % older. */
  readonly lifetime: number;
  /** The same in octets and in packets, of whichever of its SAs has more; undefined: no such limit. */
  readonly lifebytes?: number | undefined;
  readonly lifepackets?: number | undefined;
  /** Tell the peer that it is to pad no packets beyond what ESP needs (RFC 7296 §1.3.1); default no. */
  readonly refuseTfc?: boolean;
}

export interface Liveness {
  readonly interval: number;
  /**
   * Default `silence`: a peer that was heard from within `interval`, by IKE or by ESP, is not asked. `on-demand`: nor is one to
   * whom no ESP was sent since. `periodic`: it is asked in any case.
   */
  readonly mode?: "silence" | "on-demand" | "periodic";
  /** An unanswered question is sent again so often, five times in all; undefined: as all requests are. */
  readonly retry?: number;
  /** How long an unanswered question may stay so; undefined: until it was sent often enough. */
  readonly timeout?: number;
}

/** How often a question whether the peer lives is sent, where `retry` says how fast. */
export const LIVENESS_TRIES = 5;

/** A request is sent `tries` times, after waits of `first`, `first * factor`, ...; the last wait ends the IKE SA. */
export interface Retransmit {
  readonly first: number;
  readonly factor: number;
  readonly tries: number;
  /** Share by which each wait is made shorter at most, 0 to 1; default 0. */
  readonly jitter?: number;
}

/** 0.5, 1, 2, ... 32 s, each up to a tenth less: a silent peer is given up after 57 to 63.5 s. */
export const DEFAULT_RETRANSMIT: Retransmit = { first: 500, factor: 2, tries: 7, jitter: 0.1 };

/** Where the peer may be, in the order in which that is tried; empty: anywhere. */
export const hostsOf = ({ remote }: ConnectionConfig): readonly string[] =>
  remote.address === undefined ? [] : [remote.address, ...(remote.backups ?? [])];

/** Who the peer must say that it is; undefined: anyone who has the key. */
export const expectedPeer = ({ remote }: ConnectionConfig): PeerId | undefined => {
  if (remote.id !== undefined || remote.address === undefined) return remote.id;
  return parseIdentity(remote.address);
};

/** The keys for a peer that says it is `identity`, or that is at `address`; undefined when there are none. */
export const keysFor = (
  { psk, keyring }: ConnectionConfig,
  identity: Identity | undefined,
  address: string,
): Psk | undefined => psk ?? keyring?.find(identity, address);

/** The child of this name. Configurations are checked before they get here: a name unknown is a bug. */
export const childOf = (connection: ConnectionConfig, name: string): ChildConfig => {
  const child = connection.children.find((candidate) => candidate.name === name);
  if (child === undefined) throw new RangeError(`connection ${connection.name} has no child ${name}`);
  return child;
};
