/** `espalier bench spd`: what it measures is right, whatever it costs. */
import { expect, test } from "vitest";
import { benchSpd } from "../../src/bench/spd.ts";
import { packetsFor, policiesOf } from "../../src/bench/spd-lists.ts";

test("a row for every combination, each checked against asking one policy after the other", async () => {
  const seen: number[] = [];
  const rows = await benchSpd({ policies: [10, 300], seconds: 0.01 }, (_, of) => seen.push(of));
  expect(rows).toHaveLength(16);
  expect(seen).toEqual(new Array(16).fill(16));
  for (const row of rows) {
    expect(row).toMatchObject({ checked: 1000, selected: 900 });
    expect(row.nsPerLookup * row.lookupsPerSecond).toBeCloseTo(1e9, -3);
    expect(row.samples.length).toBeGreaterThan(0);
  }
  expect(new Set(rows.map(({ list, family, policies }) => `${list} ${family} ${policies}`)).size).toBe(16);
});

test("lists of IPv6 say the same as those of IPv4", () => {
  const [four, six] = (["IPv4", "IPv6"] as const).map((family) => policiesOf("mixed", family, 50));
  six!.forEach(({ local, remote }, i) => {
    const same = four![i]!;
    for (const [one, other] of [
      [local[0]!, same.local[0]!],
      [remote[0]!, same.remote[0]!],
    ] as const) {
      expect([...one.first.subarray(12)]).toEqual([...other.first]);
      expect([...one.last.subarray(12)]).toEqual([...other.last]);
      expect([one.protocol, one.startPort, one.endPort]).toEqual([other.protocol, other.startPort, other.endPort]);
    }
  });
  expect(packetsFor("hosts", "IPv6", 10, 3).map(({ length }) => length)).toEqual([48, 48, 48]);
});

test.each([
  [{ policies: [0] }, /policies: expected whole numbers from 1 to 10000, not 0/],
  [{ policies: [10_001] }, /not 10001/],
  [{ lists: ["random"] }, /lists: expected some of subnets, hosts, ports, mixed, not random/],
  [{ families: ["ipx"] }, /families: expected IPv4 or IPv6, not ipx/],
  [{ seconds: 0 }, /seconds: expected 0.01 to 600, not 0/],
])("refused: %o", async (options, message) => {
  await expect(benchSpd(options)).rejects.toThrow(message);
});
