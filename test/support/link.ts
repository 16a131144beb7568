/**
 * A network between IKE peers: takes time, and where a test wants it loses, doubles and reorders datagrams, or lets somebody
 * in the middle read and change them. Keeps what was sent.
 */
import type { Path } from "../../src/ike/child-sa-params.ts";
import type { Endpoint } from "../../src/ip-address.ts";
import type { Clock } from "./clock.ts";
import type { SeededRandom } from "./seeded-random.ts";

export interface Weather {
  /** Probabilities. */
  readonly loss: number;
  readonly duplication: number;
  /** One way, ms: from `delay` to `delay + spread`; a spread reorders. */
  readonly delay: number;
  readonly spread: number;
}

export const CLEAR: Weather = { loss: 0, duplication: 0, delay: 10, spread: 0 };

export interface Datagram {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly bytes: Uint8Array;
  readonly at: number;
}

export type Receiver = (bytes: Uint8Array, path: Path) => void;

/** What becomes of a datagram on its way: others in its place, possibly none. */
export type Meddler = (datagram: Datagram) => readonly Datagram[];

export class Link {
  weather: Weather = CLEAR;
  /** Somebody in the middle: a NAT, a forger, a cut cable. */
  meddler: Meddler = (datagram) => [datagram];
  readonly sent: Datagram[] = [];
  /** Octets of IP of the longest packet that passes. */
  mtu = Number.POSITIVE_INFINITY;
  readonly #clock: Clock;
  readonly #random: SeededRandom;
  readonly #receivers = new Map<string, Receiver>();

  constructor(clock: Clock, random: SeededRandom) {
    this.#clock = clock;
    this.#random = random;
  }

  attach(address: string, receiver: Receiver): void {
    this.#receivers.set(address, receiver);
  }

  send(path: Path, bytes: Uint8Array): void {
    const datagram = { from: path.local, to: path.remote, bytes: bytes.slice(), at: this.#clock.now };
    this.sent.push(datagram);
    if (packetLength(datagram) > this.mtu) return;
    for (const changed of this.meddler(datagram)) this.#carry(changed);
  }

  /** Bring a datagram to where it goes at once, as somebody who is not on the way could. */
  inject({ from, to, bytes }: Pick<Datagram, "from" | "to" | "bytes">): void {
    this.#receivers.get(to.address)?.(bytes.slice(), { local: to, remote: from });
  }

  #carry(datagram: Datagram): void {
    const { loss, duplication, delay, spread } = this.weather;
    for (const _copy of this.#random.chance(duplication) ? [1, 2] : [1]) {
      if (this.#random.chance(loss)) continue;
      this.#clock.at(this.#clock.now + delay + spread * this.#random.fraction(), () => this.inject(datagram));
    }
  }
}

/** Octets of IP: headers of IP and UDP, and the non-ESP marker where it is sent. */
export const packetLength = ({ from, bytes }: Pick<Datagram, "from" | "bytes">): number =>
  (from.address.includes(":") ? 40 : 20) + 8 + (from.port === 500 ? 0 : 4) + bytes.length;
