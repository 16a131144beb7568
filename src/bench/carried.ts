/** What came of traffic between the sites. */
import type { ProcessorTime } from "./processor-time.ts";

export interface Carried {
  /** That were measured. */
  readonly seconds: number;
  /** Octets of payload that the receiver got. */
  readonly bytes: number;
  /** UDP: datagrams that the receiver got. TCP: its octets in segments of the greatest size. */
  readonly packets: number;
  /** UDP datagrams that the sender sent. */
  readonly offered: number | null;
  /** Of UDP datagrams. */
  readonly lossPercent: number | null;
  /** Of TCP segments. */
  readonly retransmits: number | null;
  /** Datagrams or segments that came after a later one; null: not known. */
  readonly outOfOrder: number | null;
  /** Gbit/s of payload in parts of the time. */
  readonly samples: readonly number[];
}

export interface Measured extends Carried {
  /** Seconds of the gateways' processor time. */
  readonly cpu: number;
  /** Whose the processors' time was. */
  readonly spent: ProcessorTime;
}
