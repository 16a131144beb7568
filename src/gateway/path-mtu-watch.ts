/**
 * What the gateway knows of the MTU of the ways to its peers (RFC 4301 §8.2): it looks for the SA of each ICMP error by the
 * SPI that is quoted, and lets `ipsec/path-mtu.ts` judge. One MTU for each peer's address, whatever SAs lead there.
 */
import { addressText } from "../ip-address.ts";
import type { QuotedEsp } from "../ipsec/icmp-quote.ts";
import { readIcmpError } from "../ipsec/icmp-quote.ts";
import { PathMtu, type PathMtuNews } from "../ipsec/path-mtu.ts";

/** An outbound SA, as far as an error about one of its packets has to fit it. */
export interface SendingSa {
  readonly local: string;
  readonly remote: string;
  /** 0 when it is not UDP-encapsulated. */
  readonly remotePort: number;
  /** Packets sent so far. */
  readonly top: number;
}

/** An error about a packet of ours, and what became of it. */
export interface PathNews {
  readonly news: PathMtuNews | "unknown-sa";
  readonly remote: string;
  readonly mtu: number;
}

export class PathMtuWatch {
  /** By the peer's address. */
  readonly #paths = new Map<string, PathMtu>();

  /** The largest outer packet to `remote`. `linkMtu`: of the interface that leads there now. */
  mtu(remote: string, linkMtu: number, now: number): number {
    let path = this.#paths.get(remote);
    if (path === undefined) {
      path = new PathMtu({ linkMtu, family: remote.includes(":") ? 6 : 4 });
      this.#paths.set(remote, path);
    } else path.setLinkMtu(linkMtu);
    return path.mtu(now);
  }

  /**
   * Take an ICMP message as it came from a raw socket. `find`: the SA that sends to this address with this SPI, or where
   * that is 0, from UDP port to UDP port. Undefined: no error about ESP, or not about its length.
   */
  take(
    message: Uint8Array,
    family: 4 | 6,
    find: (spiOut: number, remote: string, remotePort: number) => SendingSa | undefined,
    now: number,
  ): PathNews | undefined {
    const quoted = readIcmpError(message, family);
    if (quoted === undefined || !quoted.tooBig) return undefined;
    const remote = addressText(quoted.destination);
    const sa = find(quoted.spi, remote, quoted.destinationPort);
    const path = sa !== undefined && isOf(quoted, sa) ? this.#paths.get(remote) : undefined;
    if (sa === undefined || path === undefined) return { news: "unknown-sa", remote, mtu: quoted.mtu };
    return { news: path.learn(quoted, sa.top, now, quoted.spi === 0), remote, mtu: quoted.mtu };
  }

  /** Peers whose learned MTU has become too old to be believed since the last call. */
  expired(now: number): string[] {
    const old = [...this.#paths].filter(([, path]) => path.expiresAt <= now);
    for (const [, path] of old) path.mtu(now); // forgets it
    return old.map(([remote]) => remote);
  }

  /** No SA leads there any more. */
  forget(remote: string): void {
    this.#paths.delete(remote);
  }
}

const isOf = (quoted: QuotedEsp, { local, remote, remotePort }: SendingSa): boolean =>
  addressText(quoted.source) === local &&
  addressText(quoted.destination) === remote &&
  quoted.udp === (remotePort !== 0) &&
  quoted.destinationPort === remotePort;
