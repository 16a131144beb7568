/**
 * The MTU of the path to a peer as ICMP errors tell it (RFC 4301 §8.2, RFC 1191 §3 and §6.3, RFC 8201 §4 and §5.3). Sans I/O:
 * errors and the time come in, the MTU goes out. One object for each SA or peer.
 *
 * An error is believed when it quotes a packet that we may have sent lately, which was longer than the MTU it names, and when
 * that MTU is lower than the one we know and not below a floor: a forger who has not seen our packets has to guess an SPI and
 * a sequence number, and one who has seen them gains little. Where an error quotes neither, it is anybody's guess: then no MTU
 * below that of the smallest IPv6 link is believed, which costs little.
 */
import type { Family } from "../ip-address.ts";
import { RateLimit } from "../rate-limit.ts";
import type { QuotedEsp } from "./icmp-quote.ts";
import { IPV6_MIN_MTU } from "./mtu.ts";

/** ms after the last decrease that a larger packet is tried again; never less than five minutes (RFC 1191 §6.3). */
export const DEFAULT_MAX_AGE = 600_000;
/** An IPv4 path takes less by the letter (68, RFC 791), but none has for decades. */
export const DEFAULT_IPV4_FLOOR = 576;

/** Packets back from the newest one that an error may quote: a second at a million packets per second. */
export const QUOTABLE = 1_000_000;

/** Errors believed in a second, and at once: a real path needs one at each bottleneck. */
const PER_SECOND = 1;
const BURST = 8;

export interface PathMtuOptions {
  /** MTU of the interface that the outer packets leave by. */
  readonly linkMtu: number;
  readonly family: Family;
  /** ms; default ten minutes. Infinity: for ever. */
  readonly maxAge?: number;
  /** The least MTU that is believed: 576 for IPv4, 1280 for IPv6 (RFC 8201 §4). */
  readonly floor?: number;
}

/** What became of an error. All but `lowered` change nothing. */
export type PathMtuNews = "lowered" | "not-lower" | "below-floor" | "implausible" | "rate-limited";

export class PathMtu {
  readonly #maxAge: number;
  readonly #floor: number;
  readonly #limit = new RateLimit(PER_SECOND, BURST);
  #linkMtu: number;
  #learned = Number.POSITIVE_INFINITY;
  #expiresAt = Number.POSITIVE_INFINITY;

  constructor({ linkMtu, family, maxAge = DEFAULT_MAX_AGE, floor }: PathMtuOptions) {
    this.#linkMtu = linkMtu;
    this.#maxAge = maxAge;
    this.#floor = floor ?? (family === 4 ? DEFAULT_IPV4_FLOOR : IPV6_MIN_MTU);
  }

  /** The largest outer packet at `now` (ms). */
  mtu(now: number): number {
    this.#age(now);
    return Math.min(this.#linkMtu, this.#learned);
  }

  /** When the MTU may change by itself; Infinity while nothing was learned. */
  get expiresAt(): number {
    return this.#expiresAt;
  }

  /** The route leads over another interface now, or its MTU was set anew: what was learned belongs to the old path. */
  setLinkMtu(linkMtu: number): void {
    if (linkMtu === this.#linkMtu) return;
    this.#linkMtu = linkMtu;
    this.#forget();
  }

  /**
   * Judge an error about a packet of the SA that has sent `top` packets so far. `isGuess`: it is known by its addresses and
   * ports alone.
   */
  learn(quoted: Pick<QuotedEsp, "mtu" | "length" | "lowSeq">, top: number, now: number, isGuess = false): PathMtuNews {
    const { mtu, length, lowSeq } = quoted;
    const wasSent = isGuess ? top > 0 : wasSentLately(lowSeq, top);
    if (length <= mtu || length > this.#linkMtu || !wasSent) return "implausible";
    if (mtu >= this.mtu(now)) return "not-lower";
    if (mtu < (isGuess ? Math.max(this.#floor, IPV6_MIN_MTU) : this.#floor)) return "below-floor";
    if (!this.#limit.take(now)) return "rate-limited";
    this.#learned = mtu;
    this.#expiresAt = now + this.#maxAge;
    return "lowered";
  }

  #age(now: number): void {
    if (now >= this.#expiresAt) this.#forget();
  }

  #forget(): void {
    this.#learned = Number.POSITIVE_INFINITY;
    this.#expiresAt = Number.POSITIVE_INFINITY;
  }
}

/** Whether the packet with this low half of a sequence number is one of the last that `top` counts. */
export const wasSentLately = (lowSeq: number, top: number): boolean => {
  const back = (top - lowSeq) % 0x1_0000_0000;
  const age = back < 0 ? back + 0x1_0000_0000 : back;
  return age < Math.min(QUOTABLE, top);
};
