/**
 * A configuration as the gateway uses it: checked, defaults applied, addresses and prefixes in canonical text, times in
 * milliseconds. Plain data but for the secrets, so it may be logged as it is.
 */
import type { EngineName } from "../crypto/engine.ts";
import type { DscpPolicy, EcnMode } from "../ipsec/dscp.ts";
import type { DfPolicy } from "../ipsec/outer-header.ts";
import type { TfcPadding } from "../ipsec/tfc.ts";
import type { Secret } from "./secret.ts";

export const DEFAULT_CONTROL = "/run/espalier/control.sock";

export interface Config {
  /** Where it was read from; `psk_file` is relative to its folder. */
  readonly file: string;
  /** Worker threads, 1..64. */
  readonly workers: number;
  /** CPU of worker i mod length; empty: where the kernel likes. */
  readonly affinity: readonly number[];
  /** How workers wait for packets. */
  readonly poll: "sleep" | "spin" | "adaptive";
  /** Packets that a worker takes at a time, at most, 1..256. */
  readonly batch: number;
  readonly engine: EngineName | "auto";
  /** Path of the control socket. */
  readonly control: string;
  readonly log: LogSettings;
  /** UDP ports of IKE, and of IKE and ESP behind a NAT (RFC 7296 §2.23). */
  readonly ports: { readonly ike: number; readonly natt: number };
  readonly ike: IkeSettings;
  readonly keyrings: readonly KeyringSettings[];
  /** Mark of what the gateway sends itself, and its routing table for all other packets; undefined: neither. */
  readonly mark: number | undefined;
  /** Those that several children share. */
  readonly interfaces: readonly SharedInterface[];
  readonly connections: readonly Connection[];
  /** What is allowed but unwise, sorted by line. */
  readonly warnings: readonly Complaint[];
}

/** What holds for all IKE SAs: see `IkeOptions`. */
export interface IkeSettings {
  /** 0..63. */
  readonly dscp: number;
  /** 0..1000. */
  readonly cookieThreshold: number;
  readonly halfOpenLimit: number;
  readonly halfOpenPerSource: number;
  readonly halfOpenOutLimit: number;
  /** Milliseconds. */
  readonly halfOpenTimeout: number;
  /** 1..9999; 0: no limit. */
  readonly sasLimit: number;
  readonly sasPerPeer: number;
  readonly decryptFailures: number;
  readonly rekeyRate: number;
  /** 1..50. */
  readonly queueLimit: number;
}

export interface Psk {
  readonly local: Secret;
  readonly remote: Secret;
}

/** Keys by peer. */
export interface KeyringSettings {
  readonly name: string;
  /** `id` as it was written: an identity or a pattern. */
  readonly entries: readonly { readonly id: string; readonly psk: Psk }[];
}

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogSettings {
  readonly level: LogLevel;
  readonly format: "text" | "json";
}

/** One peer: an IKE SA and its Child SAs. */
export interface Connection {
  readonly name: string;
  /** Undefined address: the one that the route to the peer gives. Undefined identity: the address. */
  readonly local: { readonly address: string | undefined; readonly id: string | undefined };
  readonly remote: {
    /** An address, or a domain name; undefined: any (responder only). */
    readonly address: string | undefined;
    /** Addresses or names that are tried in turn when the first one fails. */
    readonly backups: readonly string[];
    readonly port: number;
    /** Undefined: the address, or any where that is any. */
    readonly id: string | undefined;
  };
  /** `local` proves us to the peer, `remote` is what the peer must prove; often the same. */
  readonly psk: Psk | undefined;
  /** Name of the keyring that has them, where `psk` is undefined. */
  readonly keyring: string | undefined;
  readonly start: "initiate" | "trap" | "none";
  readonly encap: "auto" | "force" | "never";
  /** RFC 7383: when needed, never, or to the smallest size from the beginning. */
  readonly fragmentation: "yes" | "no" | "force";
  /** Octets of the longest IP packet that IKE is sent in; undefined: 1384 on IPv4, 1280 on IPv6. */
  readonly fragmentSize: number | undefined;
  /** As users write them: `aes256gcm16-prfsha384-ecp384`. */
  readonly proposals: readonly string[];
  /** Until the IKE SA is rekeyed, ms. */
  readonly lifetime: number;
  /** Undefined: the peer is never asked whether it lives. */
  readonly liveness: LivenessSettings | undefined;
  /** How requests are sent again: milliseconds, and a share from 0 to 1. */
  readonly retransmit: {
    readonly first: number;
    readonly factor: number;
    readonly tries: number;
    readonly jitter: number;
  };
  readonly childless: "allow" | "prefer" | "never";
  readonly duplicates: "contact" | "replace" | "keep" | "never";
  readonly children: readonly Child[];
}

export interface LivenessSettings {
  /** Silence after which the peer is asked, or with `periodic` time after which it is anyway, ms. */
  readonly interval: number;
  readonly mode: "silence" | "on-demand" | "periodic";
  /** How soon it is asked again, ms; undefined: as for every request. */
  readonly retry: number | undefined;
}

/** What one Child SA protects, and the interface it has. */
export interface Child {
  readonly name: string;
  readonly proposals: readonly string[];
  readonly esn: "yes" | "no" | "either";
  /** Traffic selectors as text. */
  readonly local: readonly string[];
  readonly remote: readonly string[];
  /** Until the Child SA is rekeyed, ms. */
  readonly lifetime: number;
  /** Octets and packets, one way, until it is rekeyed; undefined: as many as there may be. */
  readonly lifebytes: number | undefined;
  readonly lifepackets: number | undefined;
  /** Packets, 32..4096; 0: replayed packets are taken. */
  readonly replayWindow: number;
  /** Of the outer header, by the inner one. */
  readonly dscp: DscpPolicy;
  readonly ecn: EcnMode;
  readonly df: DfPolicy;
  /** Whether a packet that is larger than its path is fragmented before it is sealed, or after. */
  readonly fragment: "before" | "after";
  readonly tfc: TfcPadding;
  /** From one dummy packet to the next, ms; undefined: none are sent. */
  readonly dummies: number | undefined;
  /** The peer is asked for no padding. */
  readonly refuseTfc: boolean;
  /** ICMP errors pass when what they quote came by these SAs. */
  readonly icmpErrors: boolean;
  /** Pairs of SAs with these selectors; auto: one a worker. */
  readonly sas: number | "auto";
  readonly mode: "tunnel" | "transport";
  /** `trap`: made when the first packet for it comes. */
  readonly start: "connection" | "trap";
  /** Its own, or the name of the one of `interfaces` that it shares. */
  readonly interface: InterfaceSettings | string;
  /** Its SAs, where no IKE makes them: then those of all children of its connection are such. */
  readonly manual: ManualSas | undefined;
}

/** An interface of several children; its policies say which packet is whose. */
export interface SharedInterface extends InterfaceSettings {
  /** In order: the first that selects a packet counts, none discards it. */
  readonly policies: readonly PolicySettings[];
}

export interface PolicySettings {
  readonly action: "protect" | "bypass" | "discard";
  /** Connection and child that protects. */
  readonly child: { readonly connection: string; readonly name: string } | undefined;
  /** Traffic selectors as text. */
  readonly local: readonly string[];
  readonly remote: readonly string[];
}

/** A pair of SAs that nobody negotiates. */
export interface ManualSas {
  /** Name of the suite. */
  readonly suite: string;
  readonly in: ManualSa;
  readonly out: ManualSa;
}

export interface ManualSa {
  readonly spi: number;
  readonly key: Secret;
  /** Sequence numbers that are used up. */
  readonly sequence: number;
}

export interface InterfaceSettings {
  /** At most 15 octets (IFNAMSIZ). */
  readonly name: string;
  /** `address/length`, host bits kept. */
  readonly addresses: readonly string[];
  /** Octets of the inner packet; `auto`: from path, suite and encapsulation. */
  readonly mtu: number | "auto";
  /** The largest TCP segment, octets, that a SYN may announce through the tunnel; `auto`: what fits the MTU. */
  readonly mss: number | "auto" | "off";
  /** Prefixes that lead into the interface, host bits cleared. */
  readonly routes: readonly string[];
}

/** Something said about one place of a configuration file. */
export interface Complaint {
  /** From 1. */
  readonly line: number;
  /** `connections.branch.local.address`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}
