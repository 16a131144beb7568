/** Which rows feed the model, and what a tunnel's packet costs by stage. */
import { expect, test } from "vitest";
import { bestCosts, bothDirections, stagesOf } from "../../src/bench/pipeline-costs.ts";
import type { ReportRow, Scalar } from "../../src/bench/report-figures.ts";

const row = (
  what: Readonly<Record<string, Scalar>>,
  figures: Readonly<Record<string, number | null>>,
  file = "a",
): ReportRow => ({
  file,
  what,
  figures,
  samples: { metric: "pps", unit: "packets/s", better: "more", runs: [[figures["pps"] ?? 0]] },
  beside: null,
  floorPercent: null,
});

const esp = (what: Readonly<Record<string, Scalar>>, ns: number, file?: string): ReportRow =>
  row(
    { suite: "aes256gcm16", engine: "ipsec-mb", direction: "seal", size: 1400, workers: 1, sas: 1, ...what },
    { cpuNsPerPacket: ns, pps: (Number(what["workers"] ?? 1) * 1e9) / ns },
    file,
  );

const WORKERS = [1, 2, 4, 8];

test("packets of the usual size that are sealed, whatever comes first in the file", () => {
  const rows = [64, 1400, "imix"].flatMap((size) =>
    ["open", "seal"].flatMap((direction) => WORKERS.map((workers) => esp({ size, direction, workers }, 300 + workers))),
  );
  const best = bestCosts(rows, 2)!;
  expect(best.what).toMatchObject({ size: 1400, direction: "seal" });
  expect(bothDirections(rows, best, 2).map(({ what }) => what["direction"])).toEqual(["open", "seal"]);
});

test("several numbers of workers before one, one SA before many, and rows of one file alone", () => {
  const alone = esp({}, 100, "alone");
  const many = WORKERS.map((workers) => esp({ workers, sas: 10_000 }, 500, "many"));
  const one = WORKERS.map((workers) => esp({ workers, size: 1300 }, 300, "one"));
  const halves = [esp({ workers: 1, size: 1500 }, 200, "left"), esp({ workers: 2, size: 1500 }, 200, "right")];
  expect(bestCosts([alone, ...halves, ...one], 2)?.what["file"]).toBe("one");
  expect(bestCosts([alone, ...many, ...WORKERS.map((workers) => esp({ workers }, 300, "few"))], 2)?.cost.packetNs).toBe(
    300,
  );
  expect(bestCosts([esp({ workers: 2 }, 200)], 2)).toBeUndefined();
});

test("it is fitted to up to half of the processors: the rest is for the check", () => {
  const rows = WORKERS.map((workers) => esp({ workers }, 100 + 10 * workers));
  expect(bestCosts(rows, 2)?.fitted).toEqual([1, 2]);
  expect(bestCosts(rows, 8)?.fitted).toEqual([1, 2, 4]);
  expect(bestCosts(rows, 8)?.cost).toMatchObject({ packetNs: 110, interference: expect.closeTo(10 / 110, 9) });
});

test("stages of a tunnel: what sealing and opening leave of the gateways' time, and the kernel beside it", () => {
  const what = { peer: "self", udp: null, workers: 1, suite: "aes256gcm16", engine: "ipsec-mb" };
  const cores = { gatewayCores: 1.2, kernelCores: 0.3, pps: 300_000 };
  const both = [esp({}, 260), esp({ direction: "open" }, 270)];
  const stages = stagesOf(both, [row(what, cores)])!;
  expect(stages.gateways.map(({ ns }) => Math.round(ns))).toEqual([260, 270, 3470]);
  expect(stages.kernelNs).toBeCloseTo(1000, 6);
  expect(stagesOf(both, [row(what, { ...cores, kernelCores: null })])?.kernelNs).toBeNull();
  expect(stagesOf(both.slice(1), [row(what, cores)])).toBeUndefined();
  expect(stagesOf(both, [row({ ...what, suite: "other" }, cores)])).toBeUndefined();
});
