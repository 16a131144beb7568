import fc from "fast-check";
import { expect, test } from "vitest";
import { Wakes } from "../../src/ike/wakes.ts";

interface Sleeper {
  at: number | undefined;
}

const dueOf = ({ at }: Sleeper) => (at === undefined ? undefined : { at });

test("what is due next is what a walk over all would find, whoever comes closer, moves away or ends", () => {
  const moves = fc.array(fc.tuple(fc.nat(15), fc.option(fc.nat(100), { nil: undefined })), { maxLength: 200 });
  fc.assert(
    fc.property(moves, (changes) => {
      const sleepers: Sleeper[] = Array.from({ length: 16 }, () => ({ at: undefined }));
      const wakes = new Wakes<Sleeper>();
      for (const [which, at] of changes) {
        const sleeper = sleepers[which]!;
        const isCloser = at !== undefined && at < (sleeper.at ?? Number.POSITIVE_INFINITY);
        sleeper.at = at;
        if (isCloser) wakes.touch(sleeper); // of what moves away nothing is said
        const times = sleepers.flatMap(({ at: time }) => time ?? []);
        expect(wakes.first(dueOf)?.at).toBe(times.length === 0 ? undefined : Math.min(...times));
      }
    }),
  );
});

test("one that has nothing to do any more is forgotten once that is said", () => {
  const wakes = new Wakes<Sleeper>();
  const sleepers = Array.from({ length: 100 }, (_, at): Sleeper => ({ at }));
  for (const sleeper of sleepers) wakes.touch(sleeper);
  expect(wakes.first(dueOf)).toEqual({ at: 0 });
  for (const sleeper of sleepers.slice(1)) {
    sleeper.at = undefined;
    wakes.touch(sleeper);
  }
  expect(wakes.first(dueOf)).toEqual({ at: 0 });
  expect(wakes.size).toBe(1);
});
