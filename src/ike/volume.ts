/**
 * Lifetimes of Child SAs by volume: octets and packets as configured, and 32-bit sequence numbers, which must not come round
 * (RFC 4303 §3.3.3). The data plane counts; it is asked so often that the soft limit is seen before the hard one is reached.
 */
import { type ChildSa, spiText } from "./child-sa.ts";
import type { ChildConfig } from "./connection.ts";
import { expireChild, rekeyChild } from "./create-child-sa.ts";
import type { Usage } from "./environment.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Turn } from "./turn.ts";

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

/** How often at least: sequence numbers take minutes to end at any speed, a limit may be low; and how often at most, ms. */
const SELDOM = { sequence: 10_000, configured: 1_000 } as const;
const OFTEN = 200;
/** A look before this share of the way to the soft limit is done. */
const AHEAD = 0.5;

const ENDLESS = Number.POSITIVE_INFINITY;

export const volumeLimits = (turn: Turn, { lifepackets, lifebytes }: ChildConfig, esn: boolean): VolumeLimits => {
  const sequence = esn ? { soft: ENDLESS, hard: ENDLESS } : { soft: REKEY_AT, hard: LAST_SEQUENCE };
  const soft = (limit: number | undefined): number => (limit === undefined ? ENDLESS : turn.jittered(limit, 0.1));
  const hard = (limit: number | undefined): number => (limit === undefined ? ENDLESS : limit * 1.1);
  return {
    soft: { packets: soft(lifepackets), bytes: soft(lifebytes), sequence: sequence.soft },
    hard: { packets: hard(lifepackets), bytes: hard(lifebytes), sequence: sequence.hard },
  };
};

export const hasVolumeLimit = ({ limits: { soft } }: ChildSa): boolean =>
  soft.packets !== ENDLESS || soft.bytes !== ENDLESS || soft.sequence !== ENDLESS;

/** Look at all pairs of an IKE SA, and say when to look again. */
export const watchVolume = (turn: Turn, sa: IkeSa): void => {
  let next: number = SELDOM.sequence;
  for (const child of [...sa.children.values()]) {
    const usage = hasVolumeLimit(child) && child.isLive ? turn.core.env.usage(child.spiIn) : undefined;
    if (usage === undefined) continue;
    const carried = volumeOf(usage);
    if (child.isWornOut && reaches(carried, child.limits.hard)) {
      expireChild(turn, sa, child, "it has carried as much as it may");
      continue;
    }
    if (reaches(carried, child.limits.soft)) wearOut(turn, sa, child, carried);
    next = Math.min(next, seldom(child), AHEAD * timeLeft(turn, child, carried));
    child.carried = { ...carried, at: turn.now };
  }
  sa.usageAt = turn.now + Math.max(OFTEN, next);
};

/** When the volume of a new pair is looked at first. */
export const watchSoon = (turn: Turn, sa: IkeSa, child: ChildSa): void => {
  if (hasVolumeLimit(child)) sa.usageAt = Math.min(sa.usageAt, turn.now + seldom(child));
};

const seldom = ({ config: { lifebytes, lifepackets } }: ChildSa): number =>
  lifebytes === undefined && lifepackets === undefined ? SELDOM.sequence : SELDOM.configured;

const volumeOf = ({ packetsIn, packetsOut, bytesIn, bytesOut, seqIn, seqOut }: Usage): Volume => ({
  packets: Math.max(packetsIn, packetsOut),
  bytes: Math.max(bytesIn, bytesOut),
  sequence: Math.max(seqIn, seqOut),
});

const reaches = (carried: Volume, limit: Volume): boolean =>
  carried.packets >= limit.packets || carried.bytes >= limit.bytes || carried.sequence >= limit.sequence;

/** Rekey it once; where that is refused, it is tried again as after any refusal. */
const wearOut = (turn: Turn, sa: IkeSa, child: ChildSa, carried: Volume): void => {
  if (child.isWornOut) return;
  child.isWornOut = true;
  const { name } = child.config;
  const isSequence = carried.sequence >= child.limits.soft.sequence;
  const text = isSequence ? "before its sequence numbers end" : "since it has carried its share";
  turn.log("info", isSequence ? "sequence-numbers-low" : "volume-used", sa, `child ${name}: rekeyed ${text}`, {
    child: name,
    spiIn: spiText(child.spiIn),
  });
  rekeyChild(turn, sa, child);
};

/** Until the next limit at the speed since the last look, ms. */
const timeLeft = (turn: Turn, { carried: last, limits, isWornOut }: ChildSa, carried: Volume): number => {
  const limit = isWornOut ? limits.hard : limits.soft;
  const past = Math.max(1, turn.now - last.at);
  const left = (now: number, before: number, end: number): number =>
    now <= before || end === ENDLESS ? ENDLESS : ((end - now) * past) / (now - before);
  return Math.min(
    left(carried.packets, last.packets, limit.packets),
    left(carried.bytes, last.bytes, limit.bytes),
    left(carried.sequence, last.sequence, limit.sequence),
  );
};
