/**
 * The whole of IKEv2 for one gateway, sans I/O: datagrams and the time come in, effects come out. Never throws for what
 * a peer sends; throws ESPALIER_USAGE for an unknown connection.
 */
import type { Endpoint } from "../ip-address.ts";
import type { Path } from "./child-sa-params.ts";
import type { ConnectionConfig } from "./connection.ts";
import type { Effect } from "./effect.ts";
import type { IkeEnvironment } from "./environment.ts";
import type { ConnectionStatus } from "./status.ts";

export interface IkeOptions {
  /** Our UDP ports. */
  readonly ports: { readonly ike: number; readonly natt: number };
  /** IKE SAs that a peer began and has not authenticated: more are not begun. */
  readonly halfOpenLimit: number;
  /** With as many half-open ones, a peer must first return a cookie (RFC 7296 §2.6). */
  readonly cookieThreshold: number;
  /** How long an IKE SA may stay half-open, ms. */
  readonly halfOpenTimeout: number;
}

export class IkeManager {
  /** Datagrams dropped, by reason, and other events worth a number. */
  readonly counters: Record<string, number> = {};

  constructor(_connections: readonly ConnectionConfig[], _env: IkeEnvironment, _options: Partial<IkeOptions> = {}) {}

  /** Begin the connections that are to be initiated. */
  start(_now: number): Effect[] {
    return [];
  }

  /** One datagram; the non-ESP marker is gone already, and `path.local.port` says on which socket it came. */
  receive(_bytes: Uint8Array, _path: Path, _now: number): Effect[] {
    return [];
  }

  tick(_now: number): Effect[] {
    return [];
  }

  /** When `tick` has work next; undefined: only a message or a command brings some. */
  nextWake(): number | undefined {
    return undefined;
  }

  initiate(_name: string, _now: number): Effect[] {
    return [];
  }

  terminate(_name: string, _now: number): Effect[] {
    return [];
  }

  rekey(_name: string, _what: { readonly ike: boolean }, _now: number): Effect[] {
    return [];
  }

  /** Delete every SA at the peers, best effort, and forget them all. */
  stop(_now: number): Effect[] {
    return [];
  }

  /** Authenticated ESP came from another address or port: a NAT has a new mapping (RFC 7296 §2.23). */
  espFrom(_spiIn: number, _remote: Endpoint, _now: number): Effect[] {
    return [];
  }

  /** The first authenticated packet on a `when-told` pair came: the peer sends on it, so may we. */
  peerUsed(_spiIn: number, _now: number): Effect[] {
    return [];
  }

  status(_now: number): ConnectionStatus[] {
    return [];
  }
}
