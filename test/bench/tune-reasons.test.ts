import { expect, test } from "vitest";
import type { TuneMeasured } from "../../src/bench/tune-choice.ts";
import { reasonsOf } from "../../src/bench/tune-reasons.ts";

const measured = (candidate: TuneMeasured["candidate"], scores: readonly number[], score: number): TuneMeasured => ({
  candidate,
  samples: scores.map((gbps) => ({ gbps, lostShare: 0, lateShare: 0, cores: 1 })),
  scores,
  counted: scores.length > 1 ? scores.slice(1) : scores,
  score,
  typical: null,
  isFinalist: scores.length > 1,
  failed: scores.length === 0 ? "no memory" : null,
});

const BEST = measured({ workers: 2, batch: 64 }, [12, 10, 10], 10);

test("finalists are compared by the finals, others by their one sample beside the first of the chosen one", () => {
  const all = [BEST, measured({ workers: 1, batch: 64 }, [11, 9, 9], 9), measured({ workers: 2, batch: 32 }, [6], 6)];
  expect(reasonsOf({ best: BEST, measured: all, noise: 0.02 }, 2)).toEqual([
    "workers 2; the best with 1: -10 %",
    "batch 64; the best with 32: -50 %, one sample each",
  ]);
});

test("more workers than processors, and what failed, are said", () => {
  const all = [BEST, measured({ workers: 4, batch: 64 }, [6], 6), measured({ workers: 8, batch: 64 }, [], 0)];
  expect(reasonsOf({ best: BEST, measured: all, noise: null }, 2)).toEqual([
    "workers 2; the best with 4, more than the 2 processors: -50 %, one sample each; with 8, more than the 2 processors: failed",
  ]);
});

test.each([
  [0.05, "not told apart from it"],
  [0.001, "less than 1 % more"],
  [null, "less than 1 % more"],
])("what was chosen for its price is said, with a noise of %s", (noise, why) => {
  const more = measured({ workers: 4, batch: 64 }, [12, 10.05, 10.05], 10.05);
  expect(reasonsOf({ best: BEST, measured: [more, BEST], noise }, 4).at(-1)).toBe(
    `another came to +0.5 %, ${why}: the cheaper one was chosen`,
  );
});

test("without any score there is no best one, and no comparison", () => {
  const none = measured({ workers: 1, batch: 64 }, [0], 0);
  expect(reasonsOf({ best: none, measured: [none], noise: null }, 2)).toEqual([
    "no settings came to a score above 0: too much was lost or late to say which is the best",
  ]);
});
