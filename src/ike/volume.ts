/**
 * Lifetimes of Child SAs by volume: octets and packets as configured, and 32-bit sequence numbers, which must not come round
 * (RFC 4303 §3.3.3). The data plane counts; it is asked so often that the soft limit is seen before the hard one is reached.
 */
import type { ChildConfig } from "./connection.ts";

/** Where a pair is rekeyed, and where it ends; infinite without a limit. Of the SA of the pair that has carried more. */
export interface Volume {
  readonly packets: number;
  readonly bytes: number;
  /** Sequence numbers used. */
  readonly sequence: number;
}

export interface VolumeLimits {
  readonly soft: Volume;
  readonly hard: Volume;
}

/** 32-bit sequence numbers are used up to 2^32 - 2^20; at nine tenths of that the pair is rekeyed. */
export const LAST_SEQUENCE = 0xfff00000;
export const REKEY_AT = 0.9 * LAST_SEQUENCE;

/** How often at least it is looked at, ms: sequence numbers take minutes to end at any speed, a limit may be low. */
export const SELDOM = { sequence: 10_000, configured: 1_000 } as const;

export const ENDLESS = Number.POSITIVE_INFINITY;

/** `jittered`: some time or amount made shorter by up to a share of itself. */
export const volumeLimits = (
  jittered: (amount: number, share: number) => number,
  { lifepackets, lifebytes }: ChildConfig,
  esn: boolean,
): VolumeLimits => {
  const sequence = esn ? { soft: ENDLESS, hard: ENDLESS } : { soft: REKEY_AT, hard: LAST_SEQUENCE };
  const soft = (limit: number | undefined): number => (limit === undefined ? ENDLESS : jittered(limit, 0.1));
  const hard = (limit: number | undefined): number => (limit === undefined ? ENDLESS : limit * 1.1);
  return {
    soft: { packets: soft(lifepackets), bytes: soft(lifebytes), sequence: sequence.soft },
    hard: { packets: hard(lifepackets), bytes: hard(lifebytes), sequence: sequence.hard },
  };
};

export const hasVolumeLimit = ({ soft }: VolumeLimits): boolean =>
  soft.packets !== ENDLESS || soft.bytes !== ENDLESS || soft.sequence !== ENDLESS;

/** How often at least a pair of this child is looked at, ms. */
export const seldom = ({ lifebytes, lifepackets }: ChildConfig): number =>
  lifebytes === undefined && lifepackets === undefined ? SELDOM.sequence : SELDOM.configured;
