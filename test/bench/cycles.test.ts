import { expect, test } from "vitest";
import { readPerf } from "../../src/bench/cycles.ts";

const COUNTED = `# started on Sat Nov 21

3000000,,cycles,1000000,100.00,,
1.00,msec,task-clock,1000000,100.00,0.5,CPUs utilized
`;

test("cycles and time of perf stat", () => {
  expect(readPerf(COUNTED)).toEqual({ cycles: 3_000_000, ns: 1_000_000 });
  expect(readPerf(COUNTED.replace("cycles", "cycles:u"))).toEqual({ cycles: 3_000_000, ns: 1_000_000 });
});

test.each(["<not supported>", "<not counted>"])("%s is no count", (word) => {
  expect(readPerf(COUNTED.replace("3000000", word))).toBeUndefined();
});

test("nothing said is no count", () => {
  expect(readPerf("")).toBeUndefined();
});
