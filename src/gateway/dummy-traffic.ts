/** When dummy packets are due on which tunnel, and how long they are (RFC 4303 §2.6): as long as packets there may be. */
import { DummyClock, paddedLength } from "../ipsec/tfc.ts";

/** A tunnel that wants them. */
interface Wanting {
  /** The data plane's number for it. */
  readonly id: number;
  readonly tunnel: Sending;
  readonly clock: DummyClock;
}

interface Sending {
  /** Undefined while nothing can be sent there. */
  readonly lengths: Lengths | undefined;
}

/** What packets of a tunnel look like: octets of the largest, and what they are padded to. */
export interface Lengths {
  readonly mtu: number;
  readonly tfc: number;
}

/** No IP packet is shorter. */
const SHORTEST = 20;

export class DummyTraffic {
  readonly #wanting: Wanting[] = [];
  readonly #random: (below: number) => number;

  /** `random`: a whole number from 0 and below another, which nobody can foresee. */
  constructor(random: (below: number) => number) {
    this.#random = random;
  }

  /** One dummy each `interval` ms, from now on. */
  add(id: number, tunnel: Sending, interval: number, now: number): void {
    this.#wanting.push({ id, tunnel, clock: new DummyClock(interval, now) });
  }

  /** Those that are due: `send` gets the tunnel's number and octets. */
  run(now: number, send: (id: number, length: number) => void): void {
    for (const { id, tunnel, clock } of this.#wanting) {
      if (!clock.take(now)) continue;
      const { lengths } = tunnel;
      if (lengths === undefined || lengths.mtu < SHORTEST) continue;
      const length = SHORTEST + this.#random(lengths.mtu - SHORTEST + 1);
      send(id, paddedLength(length, lengths.tfc, lengths.mtu));
    }
  }
}
