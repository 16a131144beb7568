/** Time as the control plane knows it: milliseconds that only go forward, and what they mean on the wall. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** ISO 8601 in UTC of a moment that `now` gave. */
  iso(at: number): string;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  // The offset is taken anew each time: a wall clock that was set is believed at once.
  iso: (at) => new Date(Date.now() - performance.now() + at).toISOString(),
};
