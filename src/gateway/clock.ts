/** Time as the control plane knows it: milliseconds that only go forward, and what they mean on the wall. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** ISO 8601 in UTC of a moment that `now` gave. */
  iso(at: number): string;
}

/** A wall clock that was set by more than this is believed, ms; less is how two clocks are read one after the other. */
const JUMP = 500;

const offsetNow = (): number => Date.now() - performance.now();

let offset = offsetNow();

export const systemClock: Clock = {
  now: () => performance.now(),
  iso: (at) => {
    const fresh = offsetNow();
    if (Math.abs(fresh - offset) > JUMP) offset = fresh;
    return new Date(offset + at).toISOString();
  },
};
