/** Any number of peers on one clock: whoever has something to do next does it. */
import type { Clock } from "./clock.ts";
import type { Peer } from "./two-peers.ts";

export interface PeersInTime {
  /** Let time pass; `look` is called after everything that happens. */
  readonly run: (ms: number, look?: () => void) => void;
  /** Let time pass until something holds, at most `ms`. Throws when it does not come to hold. */
  readonly until: (holds: () => boolean, ms?: number) => void;
}

export const inTime = (clock: Clock, peers: readonly Peer[]): PeersInTime => {
  const step = (end: number): boolean => {
    const wakes = peers.map((peer) => ({ peer, at: peer.manager.nextWake() ?? Number.POSITIVE_INFINITY }));
    const [first] = wakes.sort((x, y) => x.at - y.at);
    if (first !== undefined && first.at < clock.next && first.at <= end) {
      clock.now = Math.max(clock.now, first.at);
      first.peer.apply(first.peer.manager.tick(clock.now));
      return true;
    }
    return clock.next <= end && clock.step(clock.next);
  };

  const run = (ms: number, look?: () => void): void => {
    const end = clock.now + ms;
    while (step(end)) look?.();
    clock.now = end;
  };

  const until = (holds: () => boolean, ms = 120_000): void => {
    const end = clock.now + ms;
    while (!holds()) if (!step(end)) throw new Error("it did not come to hold");
  };

  return { run, until };
};
