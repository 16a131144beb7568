/** Every setting that has a range is refused outside of it, with the range, and taken at both of its ends. */
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { ConfigError } from "../../src/config/config-error.ts";
import { formatDuration, parseDuration } from "../../src/config/duration.ts";
import { parseConfig } from "../../src/config/load.ts";
import { keyRows } from "./key-table.ts";

interface Range {
  readonly key: string;
  readonly expected: string;
  readonly inside: readonly unknown[];
  readonly outside: readonly unknown[];
}

const rangeOf = (expected: string): Pick<Range, "inside" | "outside"> | undefined => {
  const duration = /a duration from (\S+) to (\S+)/.exec(expected);
  if (duration !== null) {
    const [least, most] = [parseDuration(duration[1]), parseDuration(duration[2])] as [number, number];
    return {
      inside: [least, most].map(formatDuration),
      outside: [...(least > 0 ? [formatDuration(least - 1)] : []), formatDuration(most + 1)],
    };
  }
  const number = /(whole number|number|DSCP) from (\d+) to (\d+)/.exec(expected);
  if (number !== null) {
    const [least, most] = [Number(number[2]), Number(number[3])];
    return { inside: [least, most], outside: [least - 1, most + 1, ...(number[1] === "number" ? [] : [least + 0.5])] };
  }
  const atLeast = /whole number of at least (\d+)/.exec(expected);
  if (atLeast !== null) return { inside: [Number(atLeast[1])], outside: [Number(atLeast[1]) - 1] };
  return undefined;
};

const RANGES: readonly Range[] = keyRows().flatMap(({ key, expected }) => {
  const range = rangeOf(expected);
  return range === undefined ? [] : [{ key, expected, ...range }];
});

/** A configuration in which this key has this value; of all else, as little as there may be. */
const withSetting = (key: string, value: unknown): string => {
  const root = {
    connections: {
      x: {
        local: { address: "192.0.2.1" },
        remote: { address: "192.0.2.2" },
        psk: "0123456789abcdefghijklmnopqrstuvwxyz",
        children: { x: { interface: { name: "esp0" } } },
      },
    },
  };
  const steps = key.replaceAll("NAME", "x").split(".");
  let at: Record<string, unknown> = root;
  for (const step of steps.slice(0, -1)) {
    at[step] ??= {};
    at = at[step] as Record<string, unknown>;
  }
  const last = steps.at(-1)!;
  at[last.replace("[]", "")] = last.endsWith("[]") ? [value] : value;
  return stringify(root);
};

/** What is said of this key. */
const complaintsOf = (key: string, value: unknown): string[] => {
  try {
    parseConfig(withSetting(key, value));
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const path = key.replaceAll("NAME", "x").replaceAll("[]", "[0]");
    return error.complaints.filter((complaint) => complaint.path === path).map(({ message }) => message);
  }
};

test("there are settings with ranges, of every kind", () => {
  expect(RANGES.length).toBeGreaterThan(35);
  const keys = RANGES.map(({ key }) => key);
  for (const name of ["workers", "replay_window", "dscp", "tfc", "dummies", "lifebytes", "mtu", "mss", "spi", "factor"])
    expect(keys.some((key) => key.endsWith(name))).toBe(true);
});

test.each(RANGES)("$key: $expected", ({ key, expected, inside, outside }) => {
  for (const value of outside)
    expect([value, complaintsOf(key, value)[0]]).toEqual([
      value,
      expect.stringContaining(`expected ${expected}, found`),
    ]);
  for (const value of inside) {
    const ofRange = complaintsOf(key, value).filter((message) => message.includes(expected));
    expect([value, ofRange]).toEqual([value, []]);
  }
});
