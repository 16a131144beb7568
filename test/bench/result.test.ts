import { expect, test } from "vitest";
import { compareResults } from "../../src/bench/compare.ts";
import { idleRows } from "../../src/bench/ike-idle.ts";
import { beginResult, floorOf, parseResult, resultJsonSchema, resultRows } from "../../src/bench/result.ts";
import type { TunnelBenchResult } from "../../src/bench/tunnel.ts";
import { complaintAbout, published } from "../support/result-schema.ts";

const ESP = (pps: number) => ({
  suite: "aes256gcm16",
  direction: "seal",
  size: 64,
  workers: 1,
  sas: 1,
  engine: "node",
  esn: false,
  window: 1024,
  seconds: 1,
  packets: 100,
  pps,
  gbps: 1,
  cpuNsPerPacket: null,
  drops: 0,
  ceiling: "a loop",
  ceilingPps: 200,
  share: 0.5,
  samples: [pps - 1, pps, pps + 1],
  ceilingSamples: [200, 200, 200],
});

test("the published schema is what the code says; after a change: npm run bench:schema", () => {
  expect(published).toEqual(resultJsonSchema());
});

test("tune leaves a result of the same shape", () => {
  const settings = { workers: 2, sas: "auto", batch: 128, poll: "spin", engine: "node" };
  const row = { ...settings, finalist: 1, score: 4.9, gbps: 5, lostShare: 0.002, samples: [4.8, 4.9, 5] };
  const tuned = beginResult("tune", { budget: 60 }).end([[row]], ["all was measured"]);
  expect(complaintAbout(tuned)).toBeUndefined();
  expect(tuned.rows[0]).toMatchObject({ what: settings, figures: { lostShare: 0.002 }, samples: { metric: "score" } });
});

test("a result holds against the published schema, and is read again as it was", () => {
  const result = beginResult("esp", { size: [64] }).end([[ESP(100)], [ESP(110)]], ["no cycles: none"]);
  expect(complaintAbout(result)).toBeUndefined();
  expect(parseResult(JSON.stringify(result), "a.json")).toEqual(result);
  expect(result.rows[0]).toMatchObject({
    what: { suite: "aes256gcm16", direction: "seal", size: 64, workers: 1, esn: false },
    figures: { pps: 110, drops: 0, cpuNsPerPacket: null },
    samples: {
      metric: "pps",
      unit: "packets/s",
      better: "more",
      runs: [
        [99, 100, 101],
        [109, 110, 111],
      ],
    },
    beside: {
      name: "a loop",
      runs: [
        [200, 200, 200],
        [200, 200, 200],
      ],
    },
  });
  expect(result.rows[0]!.floorPercent).toBeCloseTo(10, 9);
  expect(result.rows[0]!.what).not.toHaveProperty("ceiling");
});

test("rows of other commands keep their names, figures and the one sample that they have", () => {
  const what = { what: "handshake", keyExchange: "x25519", transport: "udp", clients: 8, rate: null };
  const [row] = resultRows("ike", [[{ ...what, count: 7, perSecond: 512.5 }]]);
  expect(row).toMatchObject({
    what,
    figures: { count: 7, perSecond: 512.5 },
    samples: { metric: "perSecond", runs: [[512.5]] },
    floorPercent: null,
  });
});

test("figures beside the first have their samples where a run has more than one", () => {
  const row = (alsoSamples: unknown) =>
    resultRows("esp", [[{ ...ESP(100), alsoSamples }], [{ ...ESP(100), alsoSamples }]])[0];
  const metric = { metric: "cpuNsPerPacket", unit: "ns/packet", better: "less" };
  expect(row({ cpuNsPerPacket: [7, 8, 9] })?.also).toEqual([
    {
      ...metric,
      runs: [
        [7, 8, 9],
        [7, 8, 9],
      ],
    },
  ]);
  for (const none of [undefined, {}, { cpuNsPerPacket: [] }, { cpuNsPerPacket: [7] }, { cpuNsPerPacket: [null, null] }])
    expect(row(none)).not.toHaveProperty("also");
});

test("idle tunnels have a row for each side, of which less is better", () => {
  const side = { residentBytes: 4e8, heapBytes: 1e8, longestStallMs: 20, tunnels: 100, samples: [7, 9, 11] };
  const both = { tunnels: 100, kex: "x25519", livenessSeconds: 30, setUpSeconds: 1, seconds: 60, retransmissions: 0 };
  const idle = { ...both, initiator: { ...side, cpuPercent: 8 }, responder: { ...side, cpuPercent: 9 } };
  const run = idleRows(idle).map((row) => ({ ...row }));
  expect(resultRows("idle", [run, run])).toMatchObject([
    { what: { side: "initiator", tunnels: 100, kex: "x25519", livenessSeconds: 30 }, figures: { residentBytes: 4e8 } },
    {
      what: { side: "responder" },
      samples: {
        metric: "cpuPercent",
        better: "less",
        runs: [
          [7, 9, 11],
          [7, 9, 11],
        ],
      },
    },
  ]);
});

test("curves, trials and what is a limit go along, and hold against the schema", () => {
  const curves = { latencyMs: [[0.5, 1.5]] };
  const trials = [{ rate: 10, offered: 9, seconds: 1, lossPercent: 0, goal: "0 %" }];
  const result = beginResult("tunnel", {}).end([
    [{ peer: "self", udp: null, gbps: 1, curves, trials, atLeast: ["ndrPps"] }],
  ]);
  expect(result.rows[0]).toMatchObject({ curves, trials, atLeast: ["ndrPps"], what: { peer: "self", udp: null } });
  expect(complaintAbout(result)).toBeUndefined();
});

const UDP = {
  peer: "self",
  streams: 1,
  udp: 64,
  rate: 1000,
  search: "none",
  maxLossPercent: null,
  sas: "auto",
} as const;

test.each<Partial<TunnelBenchResult>>([
  { rate: 5000 },
  { rate: null },
  { rate: null, search: "ndr" },
  { rate: null, search: "rate", maxLossPercent: 1 },
  { sas: 1 },
])("a tunnel asked for %j is another row than one at 1000 datagrams a second", (other) => {
  const of = (row: Partial<TunnelBenchResult>) =>
    beginResult("tunnel", {}).end([[{ ...UDP, gbps: 1, pps: 1, samples: [1, 1, 1], ...row }]]);
  expect(of(other).rows[0]!.what).toMatchObject(other);
  expect(compareResults(of({}), of({})).rows).toHaveLength(1);
  expect(() => compareResults(of({}), of(other))).toThrow(/no row in common/);
});

test("what is no result is refused, with the reason", () => {
  const refused = (text: string): unknown => {
    try {
      return parseResult(text, "x.json");
    } catch (error) {
      return error;
    }
  };
  expect(refused("{")).toMatchObject({ code: "ESPALIER_USAGE", message: expect.stringMatching(/^x\.json is no JSON/) });
  expect(refused("[]")).toMatchObject({ code: "ESPALIER_USAGE", message: expect.stringMatching(/is no result/) });
  expect(complaintAbout({ schema: "espalier-bench-2" })).toContain("must have required property");
});

test("the floor is by how much the runs' medians differ", () => {
  expect(floorOf([[1, 2, 3]])).toBeNull();
  expect(
    floorOf([
      [100, 100],
      [90, 130],
    ]),
  ).toBeCloseTo(10, 9);
});
