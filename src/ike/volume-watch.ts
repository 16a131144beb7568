/** Looking at what pairs have carried, so often that the soft limit of one is seen before its hard one is reached. */
import { expireChild, rekeyChild } from "./child-life.ts";
import { type ChildSa, spiText } from "./child-sa.ts";
import type { Usage } from "./environment.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Turn } from "./turn.ts";
import { ENDLESS, hasVolumeLimit, SELDOM, seldom, type Volume } from "./volume.ts";

/** How often at most, ms. */
const OFTEN = 200;
/** A look before this share of the way to the soft limit is done. */
const AHEAD = 0.5;

/** Look at all pairs of an IKE SA, and say when to look again. */
export const watchVolume = (turn: Turn, sa: IkeSa): void => {
  let next: number = SELDOM.sequence;
  for (const child of [...sa.children.values()]) {
    const usage = hasVolumeLimit(child.limits) && child.isLive ? turn.core.env.usage(child.spiIn) : undefined;
    if (usage === undefined) continue;
    const carried = volumeOf(usage);
    if (child.isWornOut && reaches(carried, child.limits.hard)) {
      expireChild(turn, sa, child, "it has carried as much as it may");
      continue;
    }
    if (reaches(carried, child.limits.soft)) wearOut(turn, sa, child, carried);
    next = Math.min(next, seldom(child.config), AHEAD * timeLeft(turn, child, carried));
    child.carried = { ...carried, at: turn.now };
  }
  sa.usageAt = turn.now + Math.max(OFTEN, next);
};

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
