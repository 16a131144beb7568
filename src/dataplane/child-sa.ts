/** What IKE negotiated for a Child SA, as the data plane takes it (RFC 4301 §4.4.2.1), and the checks on it. */
import type { Suite } from "../crypto/suites.ts";
import { EspalierError } from "../errors.ts";
import { addressBytes, type Endpoint, familyOf } from "../ip-address.ts";
import { MIN_SPI } from "../ipsec/esp.ts";
import { DEFAULT_WINDOW, MAX_WINDOW, MIN_WINDOW, NO_WINDOW } from "../ipsec/replay.ts";
import type { SaPath, SaSize } from "../ipsec/sad.ts";
import type { TrafficSelector } from "../ipsec/selector.ts";

/** Tunnel end points. The ports are those of UDP encapsulation. */
export interface EspPath {
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

/** A pair of SAs: ours to receive on, the peer's to send to. */
export interface ChildSa {
  /** From `reserveSpi`. */
  readonly spiIn: number;
  readonly spiOut: number;
  readonly suite: Suite;
  readonly esn: boolean;
  /** `suite.keyLength` octets each, order as in KEYMAT. Copied: the caller may wipe them. */
  readonly keyIn: Uint8Array;
  readonly keyOut: Uint8Array;
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
  /** Default tunnel. In transport mode the end points of `path` are the hosts, and `encap` is false. */
  readonly mode?: "tunnel" | "transport";
  readonly path: EspPath;
  /** ESP in UDP (RFC 3948); else IP protocol 50. */
  readonly encap: boolean;
  /** How many pairs the tunnel is to have, with this one: of resources from 0 on. Default 1. */
  readonly pairs?: number;
  /** Packets, 32 to 4096, or 0 for no protection against replay; default 1024. */
  readonly replayWindow?: number;
  /** Of the packets sent on it; default any. See `Plane.setSize`. */
  readonly size?: SaSize;
  /** Sequence numbers last sent and highest received: for tests and for SAs that go on elsewhere; default 0. */
  readonly sequence?: { readonly in: number; readonly out: number };
}

const wrong = (message: string): never => {
  throw new EspalierError("ESPALIER_USAGE", message);
};

export const checkSpi = (spi: number): void => {
  if (!Number.isInteger(spi) || spi < MIN_SPI || spi > 0xffff_ffff)
    wrong(`not an SPI (${MIN_SPI} to 2^32 - 1): ${spi}`);
};

export const checkKey = (suite: Suite, key: Uint8Array): void => {
  if (key.length !== suite.keyLength)
    wrong(`${suite.name} takes a key of ${suite.keyLength} octets, not ${key.length}`);
};

export const checkWindow = (window: number = DEFAULT_WINDOW): number => {
  if (window !== NO_WINDOW && (!Number.isInteger(window) || window < MIN_WINDOW || window > MAX_WINDOW))
    wrong(`a replay window is ${MIN_WINDOW} to ${MAX_WINDOW} packets, or 0 for none, not ${window}`);
  return window;
};

/** `socket`: row of the socket table that is bound to the local address, -1 for none. */
export const saPath = ({ local, remote }: EspPath, socket: number): SaPath => {
  if (familyOf(local.address) !== familyOf(remote.address))
    wrong(`tunnel end points of two IP versions: ${local.address} and ${remote.address}`);
  return {
    family: familyOf(local.address),
    local: addressBytes(local.address),
    remote: addressBytes(remote.address),
    localPort: local.port,
    remotePort: remote.port,
    socket,
  };
};
