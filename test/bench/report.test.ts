/** The page holds everything that it shows; a browser, where there is one, shows it. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BenchKind } from "../../src/bench/bench-kind.ts";
import { hasProgram } from "../../src/bench/processes.ts";
import { makeReport, type Report } from "../../src/bench/report.ts";
import type { NamedResult } from "../../src/bench/report-figures.ts";
import { beginResult, type FlatRow } from "../../src/bench/result.ts";

const esp = (what: FlatRow, pps: number): FlatRow => ({
  ...{ suite: "aes256gcm16", direction: "seal", size: 1400, workers: 1, sas: 1, engine: "ipsec-mb" },
  ...{ esn: false, window: 1024, seconds: 1, packets: pps, pps, gbps: (pps * 1400 * 8) / 1e9 },
  ...{ cpuNsPerPacket: 1e9 / pps, drops: 0, ceiling: "a <loop>", ceilingPps: 2 * pps, share: 0.5, engineShare: 0.8 },
  samples: [pps * 0.97, pps, pps * 1.02],
  ceilingSamples: [2 * pps, 2 * pps, 2 * pps],
  ...what,
});

const tunnel = (peer: string, streams: number, udp: number | null, gbps: number): FlatRow => ({
  ...{
    peer,
    streams,
    udp,
    gbps,
    pps: gbps * 1e5,
    offloads: "on",
    workers: peer === "self" ? 1 : null,
    suite: "aes256gcm16",
    engine: "ipsec-mb",
    gatewayCores: 1.2,
    kernelCores: 0.1,
  },
  ...{ cpuPerGbit: 0.3, loadedP50Ms: 1, loadedP99Ms: 4, ping: { averageMs: 0.5 }, ndrPps: null, pdrPps: null },
  samples: [gbps * 0.9, gbps, gbps * 1.1],
  curves: {
    latencyMs: [
      [0, 0.2],
      [0.5, 1],
      [1, 9],
    ],
  },
  trials:
    udp === null
      ? []
      : [
          { rate: 1000, seconds: 1, lossPercent: 0, goal: "NDR" },
          { rate: 2000, seconds: 1, lossPercent: 3, goal: "PDR" },
        ],
});

const result = (name: string, kind: BenchKind, rows: readonly FlatRow[], notes: string[] = []): NamedResult => ({
  name,
  result: { ...beginResult(kind, {}).end([rows, rows], notes), load: { before: 0, after: 0, others: 0 } },
});

const RESULTS: readonly NamedResult[] = [
  result(
    "sizes",
    "esp",
    [64, 512, 1400, "imix"].flatMap((size, i) =>
      ["seal", "open"].map((direction) => esp({ size, direction }, 9e6 / (i + 1))),
    ),
    ["no cycles: <none>"],
  ),
  result(
    "workers",
    "esp",
    [1, 2, 4].map((workers) => esp({ workers, sas: 7 }, 4e6 * Math.min(2, workers))),
  ),
  result(
    "engines",
    "esp",
    ["ipsec-mb", "openssl"].map((engine) => esp({ engine, size: 100 }, 1e6)),
  ),
  result("tunnels", "tunnel", [
    tunnel("self", 1, null, 5),
    tunnel("self", 4, null, 5.5),
    tunnel("plain", 1, null, 19),
    tunnel("self", 1, 64, 0.1),
  ]),
  result("ike", "ike", [
    { work: "handshake", kex: "x25519", perSecond: 500 },
    { work: "handshake", kex: "modp2048", perSecond: 90 },
  ]),
];

let report: Report;
let directory: string;

beforeAll(async () => {
  report = await makeReport(RESULTS);
  directory = mkdtempSync(join(tmpdir(), "espalier-report-"));
  writeFileSync(join(directory, "report.html"), report.html);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const FIGURES = [
  ...["throughput-by-size", "gbps-by-size", "share-of-limit", "throughput-by-workers", "cost-by-workers"],
  ...[
    "throughput-by-engine",
    "peers",
    "peers-udp",
    "cost-of-a-gbit",
    "latency",
    "latency-udp",
    "loss-search",
    "ike",
    "model-check",
    "model",
    "model-gateway",
  ],
];

test("every figure has its chart, its numbers and its place in the page", () => {
  expect([...report.svg.keys()].map((name) => name.replace(".svg", "")).sort()).toEqual([...FIGURES].sort());
  for (const id of FIGURES) {
    expect(report.html).toContain(`<section id="${id}"`);
    expect(report.html).toContain(`href="#${id}"`);
  }
  expect(report.html.match(/<svg /g)).toHaveLength(FIGURES.length);
  expect(report.html.match(/<table>/g)).toHaveLength(FIGURES.length + 1);
});

test("the page needs nothing from elsewhere, and runs nothing", () => {
  expect(report.html).not.toMatch(/<script|<link|<img|@import|url\((?!#)/);
  expect(report.html.match(/(?:src|href)="(?!#)[^"]*"/g)).toBeNull();
});

test("names from files are text, not markup", () => {
  expect(report.html).toContain("no cycles: &lt;none&gt;");
  expect(report.html).not.toContain("<none>");
});

test("charts are SVG files of their own: text stays text", () => {
  for (const svg of report.svg.values()) {
    expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    expect(svg).toContain("</text>");
    expect(svg).not.toMatch(/NaN|undefined/);
  }
});

test("Markdown has the same tables", () => {
  expect(report.markdown).toContain("## Packets a second by size");
  expect(report.markdown).toMatch(
    /\| octets \| seal \| open \|\n\| --- \| ---: \| ---: \|\n\| 64 \| 9,000,000 \| 9,000,000 \|/,
  );
  expect(report.markdown).toContain("- sizes: no cycles: <none>");
});

test("a rate that was the sender's limit is at least so much", async () => {
  const row = { ...tunnel("self", 1, 64, 0.1), ndrPps: 90_000, pdrPps: 95_000, atLeast: ["pps", "pdrPps"] };
  const { markdown } = await makeReport([result("udp", "tunnel", [row])]);
  expect(markdown).toMatch(/\| 90,000 \| ≥ 95,000 \| 2 \|/);
});

test("the model is fed by one run, and not by rows of several", async () => {
  const alone = result("alone", "esp", [esp({ workers: 1 }, 1e6)]);
  const several = [1, 2].map((workers) => esp({ workers, cpuNsPerPacket: 240 + 10 * workers }, 4e6 * workers));
  const { markdown } = await makeReport([alone, result("several", "esp", several)]);
  expect(markdown).toContain("Fed with 250 ns a packet");
  expect(markdown).toContain("4.0 % more for each further worker");
  expect(markdown).toContain("as 1 and 2 workers have it (seal, 1400 octets, in memory)");
});

test("the model says what it is fed with, where the knee is and why, and how far off it is here", async () => {
  const both = ["seal", "open"].flatMap((direction) =>
    [1, 2, 4].map((workers) =>
      esp({ workers, direction, cpuNsPerPacket: 200 + 20 * workers }, 4e6 * Math.min(2, workers)),
    ),
  );
  const esps = result("workers", "esp", both);
  const results = [esps, result("tunnel", "tunnel", [tunnel("self", 1, null, 5)])];
  const machine = { ...esps.result.machine, processors: 2 };
  const { markdown } = await makeReport(results.map((each) => ({ ...each, result: { ...each.result, machine } })));
  // 1.2 and 0.1 processors for 500,000 packets a second through two gateways.
  expect(markdown).toContain(
    "Fed with 1200 ns a packet, the mean of both gateways (ns of both: sealing 220, opening 220, reading and writing 1960); and 100 ns of the kernel",
  );
  expect(markdown).toContain("| 64 tunnels, even | 2 | 2 | 1,436,464 | the processors are all busy |");
  expect(markdown).toMatch(/\| seal \| 2 \| 8,000,000 \| [^|]* \| 8,333,333 \| \+4\.2 % \| known \|/);
  expect(markdown).toMatch(/\| open \| 4 \| 8,000,000 \| [^|]* \| 8,333,333 \| \+4\.2 % \| not known \|/);
});

test("no tunnel is left out: rows of the same peer are told apart by what they differ in, else by their file", async () => {
  const tcp = (gbps: number, what: FlatRow = {}): FlatRow => ({ ...tunnel("self", 1, null, gbps), ...what });
  const udp = (gbps: number, what: FlatRow): FlatRow => ({ ...tunnel("self", 1, 64, gbps), trials: [], ...what });
  const { markdown } = await makeReport([
    result("before", "tunnel", [
      tcp(5),
      tcp(4, { suite: "aes128-sha256" }),
      tunnel("plain", 1, null, 19),
      udp(0.1, { search: "none", rate: 1000 }),
      udp(0.2, { search: "none", rate: 5000 }),
      udp(0.3, { search: "rate", rate: null, maxLossPercent: 0.5 }),
    ]),
    result("after", "tunnel", [tcp(6), tcp(7)]),
  ]);
  expect(markdown).toContain(
    "| traffic | self, aes256gcm16, before | self, aes128-sha256, before | plain | self, aes256gcm16, after | self, aes256gcm16, after (2) |",
  );
  expect(markdown).toContain("| TCP | 5 | 4 | 19 | 6 | 7 |");
  for (const line of ["UDP 64, 1000/s | 10,000", "UDP 64, 5000/s | 20,000", "UDP 64, at most 0.5 % lost | 30,000"])
    expect(markdown).toContain(`| ${line} |`);
});

test("a busy machine is said", async () => {
  const [first] = RESULTS;
  const busy = { ...first!, result: { ...first!.result, load: { before: 99, after: 99, others: 97 } } };
  const { markdown } = await makeReport([busy]);
  expect(markdown).toContain("- the machine was busy when sizes was measured: others used 97.00 processors");
});

test("what is not there makes no figure", async () => {
  const { svg } = await makeReport([result("one", "esp", [esp({ cpuNsPerPacket: null }, 1000)])]);
  expect([...svg.keys()]).toEqual([]);
});

const BROWSER = ["chromium", "chromium-browser", "google-chrome"].find(hasProgram);

const browse = (...words: readonly string[]): string => {
  const common = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    `--user-data-dir=${directory}/profile`,
  ];
  const page = `file://${directory}/report.html`;
  const { status, stdout, stderr } = spawnSync(BROWSER!, [...common, ...words, page], {
    encoding: "utf8",
    timeout: 60_000,
  });
  expect(status, stderr).toBe(0);
  return stdout;
};

test.skipIf(BROWSER === undefined)(
  `a browser shows it, on the screen and on paper${BROWSER === undefined ? " (skipped: Chromium is not installed)" : ""}`,
  () => {
    const shot = join(directory, "shot.png");
    browse("--window-size=1000,2000", `--screenshot=${shot}`);
    const png = readFileSync(shot);
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1000, 2000]);
    expect(png.length, "an empty page would be far smaller").toBeGreaterThan(60_000);
    const paper = join(directory, "report.pdf");
    browse("--no-pdf-header-footer", `--print-to-pdf=${paper}`);
    expect(readFileSync(paper).subarray(0, 5).toString()).toBe("%PDF-");
    expect(statSync(paper).size).toBeGreaterThan(20_000);
  },
  120_000,
);
