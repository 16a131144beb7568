/** The only doors by which the sans-I/O core asks the world for something. None of them throws. */
import type { Path } from "./child-sa-params.ts";

export interface IkeEnvironment {
  /** Unpredictable octets for SPIs, nonces, IVs and jitter. */
  random(length: number): Uint8Array;
  /**
   * An SPI for an inbound SA of this child and its resource (0: the fallback), which the data plane names
   * (RFC 4301 §4.1); 0 when it has no room.
   */
  reserveSpi(connection: string, child: string, resource: number): number;
  /** Give back an SPI that was reserved and never installed. */
  releaseSpi(spi: number): void;
  /** What the system knows of the MTU of the way to a peer, octets of IP; undefined when there is no way. */
  pathMtu(path: Path): number | undefined;
  /** What a pair has carried, by its inbound SPI; undefined when it is not known. Needed for liveness and lifetimes. */
  usage(spiIn: number): Usage | undefined;
}

export interface Usage {
  readonly packetsIn: number;
  readonly packetsOut: number;
  /** Octets of inner packets. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Sequence numbers, last sent and highest received: of fragments, dummies and what was not sent after all, too. */
  readonly seqIn: number;
  readonly seqOut: number;
}
