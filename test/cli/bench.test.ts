/** `espalier bench`: options, and what is printed. The measuring itself needs the build. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { espBenchTable, machineLine, tunnelBenchTable } from "../../src/cli/bench-table.ts";
import { runCommand } from "../../src/cli/program.ts";
import { suitesDoneBy } from "../../src/crypto/select-engine.ts";
import type { EspBenchRow, TunnelBenchResult } from "../../src/index.ts";

const PROGRAM = resolve(import.meta.dirname, "../../dist/cli/program.js");
const isBuilt = existsSync(PROGRAM);
const reason = isBuilt ? "" : " (skipped: dist/ is not built)";

const espalier = async (words: readonly string[], run = runCommand) => {
  let out = "";
  let err = "";
  const status = await run(["bench", ...words], {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    columns: undefined,
    colour: false,
    environment: {},
  });
  return { status, out, err };
};

describe("wrong options end with status 2 and say what is right", () => {
  test.each([
    [[], /^Usage: espalier bench/],
    [["speed"], /^espalier: unknown command 'speed'/],
    [["esp", "--suite", "aes"], /^espalier: no suite is called aes\n {2}Suites: aes128gcm16, /],
    [["esp", "--suite", "aes256gcm16,,aes128gcm16"], /commas between them/],
    [["esp", "--engine", "quantum"], /^espalier: no engine is called quantum\n {2}Engines: ipsec-mb, /],
    [["esp", "--direction", "up"], /^espalier: a direction is seal or open, not up\n/],
    [["esp", "--size", "1x"], /^espalier: option '--size <list>' argument '1x' is invalid\. Expected whole numbers/],
    [["esp", "--size", "1e3"], /Expected whole numbers/],
    [["esp", "--size", "10"], /^espalier: size: expected a whole number from 28 to 9000, not 10\n/],
    [["esp", "--workers", "0"], /^espalier: workers: expected a whole number from 1 to 64/],
    [["esp", "--window", "16"], /^espalier: window: expected a whole number from 32 to 4096/],
    [["esp", "--seconds", ""], /Expected a number/],
    [["esp", "--seconds", "0"], /^espalier: seconds: expected 0\.01 to 600/],
    [["esp", "--sizes", "64"], /^espalier: unknown option '--sizes'\n\(Did you mean --size\?\)/],
    [["tunnel", "--streams", "0"], /^espalier: streams: expected a whole number from 1 to 128, not 0\n/],
    [["tunnel", "--udp", "1373"], /^espalier: udp: expected a whole number from 16 to 1372/],
    [["tunnel", "--rate", "1000"], /^espalier: a rate is for UDP\n {2}Give --udp as well\.\n/],
    [["tunnel", "--max-loss", "1"], /^espalier: a greatest loss is for UDP\n/],
    [["tunnel", "--udp", "64", "--max-loss", "100"], /^espalier: max-loss: expected 0 to 99 percent, not 100\n/],
    [["tunnel", "--udp", "64", "--max-loss", "1", "--rate", "9"], /^espalier: the rate is either given or searched\n/],
    [["tunnel", "--seconds", "0.5"], /^espalier: seconds: expected a whole number/],
    [["tunnel", "--offloads", "maybe"], /Expected on or off/],
    [["tunnel", "--encap", "yes"], /^espalier: encap: expected auto, force, never, not yes\n/],
    [
      ["tunnel", "--peer", "wireguard"],
      /^espalier: peer: expected self, plain, strongswan, wireguard-go, not wireguard\n/,
    ],
    [["tunnel", "--engine", "quantum"], /^espalier: engine: expected auto, /],
    [["tunnel", "--suite", "aes"], /^espalier: no suite is called aes\n/],
  ])("bench %j", async (words, message) => {
    const { status, out, err } = await espalier(words);
    expect({ status, out }).toEqual({ status: 2, out: "" });
    expect(err).toMatch(message);
  });
});

const KEYS =
  "suite direction size workers sas train engine esn window batch seconds packets pps gbps cpuNsPerPacket cyclesPerPacket drops ceiling ceilingPps share enginePps engineShare samples ceilingSamples alsoSamples".split(
    " ",
  );

const built = async () => ((await import(PROGRAM)) as { runCommand: typeof runCommand }).runCommand;
const QUICK = ["--suite", "aes256gcm16,chacha20poly1305", "--size", "64", "--seconds", "0.02", "--no-ceiling"];

test.skipIf(!isBuilt)(`--json prints an array of rows and nothing else${reason}`, async () => {
  const { status, out, err } = await espalier(["esp", ...QUICK, "--esn", "--json"], await built());
  expect({ status, err }).toEqual({ status: 0, err: expect.stringMatching(/^(no cycles: .*\n)?$/) });
  const rows = JSON.parse(out) as EspBenchRow[];
  expect(rows).toHaveLength(4);
  for (const row of rows) expect(Object.keys(row)).toEqual(KEYS);
  expect(rows[3]).toMatchObject({ suite: "chacha20poly1305", direction: "open", size: 64, esn: true, drops: 0 });
});

test.skipIf(!isBuilt)(
  `all suites have a name${reason}`,
  async () => {
    const words = [
      "esp",
      "--suite",
      "all",
      "--direction",
      "seal",
      "--engine",
      "node",
      "--size",
      "64",
      "--seconds",
      "0.01",
    ];
    const { out } = await espalier([...words, "--json"], await built());
    const rows = JSON.parse(out) as { suite: string }[];
    expect(new Set(rows.map(({ suite }) => suite))).toEqual(new Set(suitesDoneBy("node").map(({ name }) => name)));
  },
  120_000,
);

test.skipIf(!isBuilt)(`without it a table, the load and the machine are shown${reason}`, async () => {
  const { status, out } = await espalier(["esp", ...QUICK], await built());
  expect(status).toBe(0);
  const lines = out.trimEnd().split("\n");
  expect(lines.filter((line) => !line.startsWith("beware: "))).toHaveLength(7);
  expect(lines[0]).toMatch(/^suite +direction +engine +size +workers +SAs +ESN +window +batch +packets\/s +Gbit\/s/);
  expect(lines[1]).toMatch(/^aes256gcm16 +seal/);
  expect(lines[6]).toMatch(/^load \d+\.\d\d, then \d+\.\d\d, others used \d+\.\d\d processors; .*, Node v/);
});

const ROW: EspBenchRow = {
  suite: "aes256gcm16",
  direction: "open",
  size: 1400,
  workers: 2,
  sas: 10,
  train: 1,
  engine: "node",
  esn: true,
  window: 64,
  batch: 128,
  seconds: 1.001,
  packets: 1_001_000,
  pps: 1_000_000,
  gbps: 11.2,
  cpuNsPerPacket: 998.7,
  drops: 0,
  ceiling: null,
  ceilingPps: null,
  share: null,
  cyclesPerPacket: null,
  enginePps: null,
  engineShare: null,
  samples: [],
  ceilingSamples: [],
  alsoSamples: { cpuNsPerPacket: [] },
};

test("a table of rows", () => {
  const rows = [ROW, { ...ROW, direction: "seal", esn: false, cpuNsPerPacket: null, drops: 64 } as const];
  expect(espBenchTable(rows, { colour: false })).toBe(
    [
      "suite        direction  engine  size  workers  SAs  ESN  window  batch  packets/s  Gbit/s  CPU ns/packet  drops  of the engine  of the ceiling",
      "aes256gcm16  open       node    1400        2   10  yes      64    128     1.00 M   11.20            999      0              -               -",
      "aes256gcm16  seal       node    1400        2   10  no       64    128     1.00 M   11.20              -     64              -               -",
    ].join("\n"),
  );
  const counted = espBenchTable([{ ...ROW, cyclesPerPacket: 2995.6 }, ROW], { colour: false }).split("\n");
  expect(counted[0]).toMatch(/CPU ns\/packet +cycles\/packet +drops/);
  expect(counted[1]).toMatch(/ 999 +2996 +0 /);
  expect(counted[2]).toMatch(/ 999 +- +0 /);
  const inTrains = espBenchTable([{ ...ROW, train: 16 }, ROW], { colour: false }).split("\n");
  expect(inTrains[0]).toMatch(/SAs +train +ESN/);
  expect(inTrains[1]).toMatch(/ 10 +16 +yes/);
  expect(inTrains[2]).toMatch(/ 10 +1 +yes/);
  const beside = { ...ROW, ceiling: "a loop", ceilingPps: 4_000_000, share: 0.25 };
  expect(espBenchTable([beside], { colour: false })).toMatch(/25 % of 4\.00 M\n\nthe ceiling: a loop$/);
});

const TUNNEL: TunnelBenchResult = {
  peer: "self",
  streams: 4,
  udp: null,
  rate: null,
  search: "none",
  maxLossPercent: null,
  gbps: 2.345,
  pps: 217_000,
  offeredPps: null,
  lossPercent: null,
  gatewayCores: 1.5,
  kernelCores: 0.1,
  otherCores: 0,
  cpuPerGbit: 0.64,
  loadedP50Ms: null,
  loadedP99Ms: null,
  loadedLossPercent: null,
  outOfOrder: null,
  ndrPps: null,
  pdrPps: null,
  atLeast: [],
  trials: [],
  curves: { latencyMs: [] },
  samples: [2.345],
  poll: "adaptive",
  batch: 128,
  sas: "auto",
  ping: { averageMs: 0.6 },
  retransmits: 3,
  suite: "aes256gcm16",
  engine: "ipsec-mb",
  workers: 2,
  encap: "force",
  offloads: "on",
  seconds: 5.003,
  load: [0.5, 1.25],
  machine: "a machine",
};

test("a tunnel over TCP", () => {
  expect(tunnelBenchTable(TUNNEL, { colour: false })).toBe(
    [
      "tunnel                 aes256gcm16, ipsec-mb, encap force",
      "workers                2 each, 1.50 processors busy in both gateways",
      "offloads of the links  on",
      "traffic                TCP, 4 streams, 5.0 s",
      "arrived                2.35 Gbit/s, 217 k packets/s",
      "cost                   0.640 s of processor time a Gbit",
      "retransmits            3",
      "ping                   0.600 ms",
    ].join("\n"),
  );
  expect(machineLine(TUNNEL.load, TUNNEL.machine)).toBe("load 0.50, then 1.25; a machine");
});

test("a busy machine is one whose processors others used; where that is not known, one with a load before", () => {
  const line = (load: [number, number], others?: number): string => machineLine(load, "a machine", 4, others);
  expect(line([0.5, 4], 0.1)).toBe("load 0.50, then 4.00, others used 0.10 processors; a machine");
  expect(line([0.5, 4], 1.5)).toMatch(/\nbeware: the machine was busy: others used 1\.50 processors$/);
  expect(line([3.9, 4], 0.1), "one's own last work").not.toContain("beware");
  expect(line([3.9, 4])).toMatch(/\nbeware: the machine was busy: load 3\.90 before$/);
  expect(line([1.9, 4])).not.toContain("beware");
});

test("no tunnel, UDP", () => {
  const none = { suite: null, engine: null, workers: null, encap: null, gatewayCores: 0, retransmits: null };
  const plain: TunnelBenchResult = {
    ...TUNNEL,
    ...none,
    peer: "plain",
    streams: 1,
    udp: 64,
    offeredPps: 90_000,
    lossPercent: 12.3,
  };
  expect(tunnelBenchTable(plain, { colour: false })).toMatch(/^tunnel +none: plain forwarding\nworkers +none\n/);
  expect(tunnelBenchTable(plain, { colour: false })).toMatch(/\ntraffic +UDP of 64 octets, 1 stream, /);
  expect(tunnelBenchTable(plain, { colour: false })).toMatch(/\nlost +12\.30 % of 90\.0 k packets\/s\nping/);
});

test("a search shows what it found, what was the sender's limit, and every trial", () => {
  const trial = { goal: "PDR", rate: 200_000, offered: 199_000, seconds: 1, lossPercent: 0.25 };
  const searched: TunnelBenchResult = {
    ...TUNNEL,
    udp: 64,
    search: "ndr",
    ndrPps: null,
    pdrPps: 190_000,
    atLeast: ["pps", "pdrPps"],
    trials: [trial, { ...trial, goal: "NDR", seconds: 5, lossPercent: 0 }],
  };
  expect(tunnelBenchTable(searched, { colour: false })).toContain(
    [
      "without loss (NDR)     not found in the time of the search",
      "at most 0.5 % (PDR)    ≥ 190 k packets/s",
      "≥                      the sender could do no more: the tunnel may",
      "trials                 PDR, 1 s: 200 k packets/s asked for, 199 k sent, 0.250 % lost",
      "                       NDR, 5 s: 200 k packets/s asked for, 199 k sent, 0.000 % lost",
    ].join("\n"),
  );
  const allowed = { ...searched, search: "rate", maxLossPercent: 1, pdrPps: null, atLeast: [] } as const;
  expect(tunnelBenchTable(allowed, { colour: false })).toMatch(
    /\nsearched +the highest rate with at most 1 % lost\ntrials/,
  );
  expect(tunnelBenchTable({ ...TUNNEL, udp: 64, rate: 2000 }, { colour: false })).toContain(
    "2.00 k packets/s asked for",
  );
});

test("pings under load: what was lost is said, and a share that did not come back has no time", () => {
  const loaded = (p50: number | null, p99: number | null, lossPercent: number): string =>
    tunnelBenchTable(
      { ...TUNNEL, loadedP50Ms: p50, loadedP99Ms: p99, loadedLossPercent: lossPercent },
      { colour: false },
    );
  expect(loaded(1, 4, 0)).toContain("ping under load        1.00 ms, 99 % within 4.00 ms\n");
  expect(loaded(1, 4, 0.5)).toContain("ping under load        1.00 ms, 99 % within 4.00 ms, 0.5 % lost\n");
  expect(loaded(1, null, 30)).toContain("ping under load        1.00 ms, 30.0 % lost\n");
  expect(loaded(null, null, 100)).toContain("ping under load        100.0 % lost\n");
});
