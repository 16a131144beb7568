/** CPUs of threads: read, checked, and set for the thread that asks. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { checkCpus, MAX_CPUS, pinThread, usableCpus } from "../../src/linux/affinity.ts";
import { libcUnavailable } from "../../src/linux/libc.ts";

const skip = libcUnavailable() !== undefined;
const before = skip ? [] : usableCpus();
/** `0-3,8` as the kernel writes it. */
const kernelSays = (): number[] =>
  /^Cpus_allowed_list:\s*(.+)$/m
    .exec(readFileSync("/proc/thread-self/status", "utf8"))![1]!
    .split(",")
    .flatMap((range) => {
      const [first, last = first] = range.split("-").map(Number);
      return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i);
    });

test.skipIf(skip)("usable CPUs are those that the kernel lists", () => {
  expect(before.length).toBeGreaterThan(0);
  expect(before).toEqual(kernelSays());
});

test.skipIf(skip)("a CPU that may not be used is refused with those that may", () => {
  checkCpus([]);
  checkCpus(before);
  const unusable = Array.from({ length: MAX_CPUS }, (_, cpu) => cpu).find((cpu) => !before.includes(cpu))!;
  expect(() => checkCpus([before[0]!, unusable])).toThrow(
    expect.objectContaining({
      code: "ESPALIER_CONFIG",
      message: `affinity: CPU ${unusable} is none that this process may use`,
      remedy: expect.stringContaining(before.join(", ")),
    }),
  );
  expect(() => pinThread(unusable)).toThrow(expect.objectContaining({ code: "ESPALIER_CONFIG" }));
  expect(() => pinThread(-1)).toThrow(RangeError);
  expect(usableCpus()).toEqual(before);
});
