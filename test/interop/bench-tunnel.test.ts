/** `espalier bench tunnel` as its users run it. How fast it is does not matter here. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROW_SHAPES } from "../../src/bench/result.ts";
import { strongswanUnavailable } from "../../src/bench/strongswan-gateways.ts";
import { wireguardUnavailable } from "../../src/bench/wireguard-gateways.ts";
import type { BenchResult, TunnelBenchResult } from "../../src/index.ts";
import { complaintAbout } from "../support/result-schema.ts";
import { MAIN } from "./support/requirements.ts";
import { Background, PATIENCE, run, until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";

const lab = testBed(["build", "namespaces", "tun", "iperf", "ethtool"], () => ({}));

const BENCH = [process.execPath, MAIN, "bench", "tunnel"];

/** Namespaces and folders of the command with this pid: others may measure at the same time. */
const spacesOf = (pid: number): string[] =>
  run(["ip", "netns", "list"])
    .stdout.split("\n")
    .map((line) => line.split(" ")[0]!)
    .filter((name) => name.startsWith(`esb${pid}-`));

const madeBy = (pid: number): string[] => [
  ...spacesOf(pid),
  ...readdirSync(tmpdir()).filter((name) => name.startsWith(`espalier-bench-${pid}-`)),
];

let count = 0;

const start = (words: readonly string[], before: readonly string[] = []): Background =>
  new Background([...before, ...BENCH, ...words], join(lab().bed.directory, `bench-${count++}`));

/** Runs it to its end: what it printed, and that nothing is left of it. */
const bench = async (words: readonly string[], before: readonly string[] = []) => {
  const command = start(words, before);
  const timer = setTimeout(() => void command.end(), 150_000);
  const status = await command.ended();
  clearTimeout(timer);
  expect(madeBy(command.pid)).toEqual([]);
  return { status, said: command.log };
};

const resultOf = async (words: string, before: readonly string[] = []): Promise<TunnelBenchResult> => {
  const { status, said } = await bench([...words.split(" "), "--json"], before);
  expect(status, said).toBe(0);
  return JSON.parse(said) as TunnelBenchResult;
};

/** The path without iperf3, which TCP alone needs. */
const withoutIperf = (): string[] => {
  const folder = join(lab().bed.directory, "programs");
  mkdirSync(folder, { recursive: true });
  for (const program of ["ip", "nsenter", "ping", "ethtool", "cat", "sh"])
    if (!existsSync(join(folder, program)))
      symlinkSync(run(["sh", "-c", `command -v ${program}`]).stdout.trim(), join(folder, program));
  return ["env", `PATH=${folder}`];
};

const TCP = {
  peer: "self",
  streams: 1,
  udp: null,
  rate: null,
  search: "none",
  maxLossPercent: null,
  gbps: expect.any(Number),
  pps: expect.any(Number),
  offeredPps: null,
  lossPercent: null,
  gatewayCores: expect.any(Number),
  kernelCores: expect.any(Number),
  otherCores: expect.any(Number),
  cpuPerGbit: expect.any(Number),
  ping: { averageMs: expect.any(Number) },
  loadedP50Ms: expect.any(Number),
  loadedP99Ms: expect.toBeOneOf([expect.any(Number), null]),
  loadedLossPercent: expect.any(Number),
  outOfOrder: expect.any(Number),
  retransmits: expect.any(Number),
  ndrPps: null,
  pdrPps: null,
  atLeast: [],
  trials: [],
  curves: { latencyMs: expect.any(Array) },
  samples: expect.any(Array),
  poll: "adaptive",
  batch: 128,
  sas: "auto",
  suite: "aes256gcm16",
  engine: expect.stringMatching(/^(ipsec-mb|openssl|node|noble)$/),
  workers: 1,
  encap: "auto",
  offloads: "on",
  seconds: expect.any(Number),
  load: [expect.any(Number), expect.any(Number)],
  machine: expect.stringMatching(/processors, Linux .*, Node v/),
};

test("TCP through a tunnel", async () => {
  const result = await resultOf("--seconds 2");
  expect(result).toEqual(TCP);
  expect(result.gbps).toBeGreaterThan(0);
  expect(result.gatewayCores).toBeGreaterThan(0);
  expect(result.seconds).toBeGreaterThan(1.5);
  expect(result.samples).toHaveLength(2);
  expect(result.loadedP99Ms ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(result.loadedP50Ms!);
  expect(result.curves.latencyMs.at(-1)![0]).toBeCloseTo(1 - result.loadedLossPercent! / 100, 1);
});

test("UDP at a rate, in UDP, with two workers, another engine and suite, without offloads", async () => {
  const words = [
    ...["--udp 200 --rate 2000 --streams 2 --workers 2 --sas 1 --engine node --suite aes128-sha256 --encap force"],
    ...["--offloads off --seconds 2 --poll sleep --batch 32"],
  ];
  const result = await resultOf(words.join(" "), withoutIperf());
  expect(result).toEqual({
    ...TCP,
    streams: 2,
    udp: 200,
    rate: 2000,
    offeredPps: expect.any(Number),
    lossPercent: expect.any(Number),
    retransmits: null,
    suite: "aes128-sha256",
    engine: "node",
    workers: 2,
    encap: "force",
    offloads: "off",
    poll: "sleep",
    batch: 32,
    sas: 1,
  });
  expect(result.outOfOrder).toBeLessThan(4000);
  expect(result.samples.length).toBeGreaterThan(0);
  expect(result.offeredPps).toBeGreaterThan(0);
  expect(result.lossPercent).toBeLessThan(100);
  expect(result.pps).toBeGreaterThan(0);
  expect(result.gbps).toBeCloseTo((result.pps * 200 * 8) / 1e9, 9);
});

test("plain forwarding", async () => {
  const none = {
    suite: null,
    engine: null,
    workers: null,
    encap: null,
    poll: null,
    batch: null,
    sas: null,
    cpuPerGbit: 0,
  };
  const result = await resultOf("--peer plain --seconds 1");
  expect(result).toEqual({ ...TCP, ...none, peer: "plain", gatewayCores: 0 });
});

const PEERS = [
  ["strongswan", "aes256gcm16", /^strongSwan [\d.]+ kernel-libipsec$/, strongswanUnavailable()],
  ["wireguard-go", "chacha20poly1305", /^wireguard-go /, wireguardUnavailable()],
] as const;

test.each(PEERS)("the same work by %s", async (peer, suite, engine, lacking) => {
  const { status, said } = await bench(["--peer", peer, "--seconds", "1", "--json"]);
  if (lacking !== undefined) {
    expect(said).toBe(`espalier: the peer ${peer} cannot run here: ${lacking}\n`);
    return;
  }
  expect(status, said).toBe(0);
  const result = JSON.parse(said) as TunnelBenchResult;
  const none = { workers: null, encap: null, poll: null, batch: null, sas: null };
  expect(result).toEqual({ ...TCP, ...none, peer, suite, engine: expect.stringMatching(engine) });
  expect(result.gbps).toBeGreaterThan(0);
});

test("rates without loss and with 0.5 % are searched; a person gets a table, the file holds every trial", async () => {
  const file = join(lab().bed.directory, "searched.json");
  const words = "--udp 64 --ndr --seconds 1 --encap force --runs 1 --out";
  const { status, said } = await bench([...words.split(" "), file]);
  expect(status, said).toBe(0);
  for (const word of [
    "aes256gcm16",
    "UDP of 64 octets, 1 stream",
    "Gbit/s",
    "(NDR)",
    "(PDR)",
    "trials",
    "ping",
    "load",
  ])
    expect(said).toContain(word);
  const result = JSON.parse(readFileSync(file, "utf8")) as BenchResult;
  expect(complaintAbout(result)).toBeUndefined();
  const [{ what, figures, trials = [] }] = result.rows as [BenchResult["rows"][0]];
  expect(Object.keys(what)).toEqual(expect.arrayContaining([...ROW_SHAPES.tunnel.what]));
  expect(what).toMatchObject({ udp: 64, search: "ndr", rate: null, maxLossPercent: null, sas: "auto" });
  expect(figures["pdrPps"] ?? 0).toBeGreaterThanOrEqual(figures["ndrPps"] ?? 0);
  expect(trials.length).toBeGreaterThan(2);
  for (const { goal, offered, lossPercent } of trials) {
    expect(["NDR", "PDR"]).toContain(goal);
    expect(offered).toBeGreaterThan(0);
    expect(lossPercent).toBeGreaterThanOrEqual(0);
  }
});

/** What runs in the namespaces of the command with this pid. */
const pidsOf = (pid: number): string[] =>
  spacesOf(pid).flatMap((name) => run(["ip", "netns", "pids", name], { mayFail: true }).stdout.match(/\d+/g) ?? []);

test.each([
  ["SIGINT", "as soon as it has begun", 0],
  ["SIGTERM", "with the first gateway", 1],
  ["SIGINT", "with gateways and iperf3", 3],
] as const)("%s %s leaves nothing behind", async (signal, _, processes) => {
  const command = start(["--seconds", "60"]);
  await until("it has begun", () => spacesOf(command.pid).length > 0, PATIENCE, 20);
  await until(`${processes} processes run`, () => pidsOf(command.pid).length >= processes);
  const pids = pidsOf(command.pid);
  expect(await command.end(signal, PATIENCE), "ended by the signal, once all was removed").toBeNull();
  expect(madeBy(command.pid)).toEqual([]);
  expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
});

test("a gateway that cannot start says why, and leaves nothing behind", async () => {
  const { status, said } = await bench(["--json"], "setpriv --bounding-set -net_raw --inh-caps -net_raw --".split(" "));
  expect(status).toBe(1);
  expect(said).toMatch(/^espalier: a gateway ended: /);
  expect(said).toContain("raw ESP sockets need CAP_NET_RAW");
});

test("a gateway that dies while it is measured is the end of it, and leaves nothing behind", async () => {
  const command = start(["--seconds", "60"]);
  await until("gateways and iperf3 run", () => pidsOf(command.pid).length >= 4);
  const [gateway] = run(["ip", "netns", "pids", `esb${command.pid}-gw-b`]).stdout.match(/\d+/g)!;
  process.kill(Number(gateway), "SIGKILL");
  expect(await command.ended()).toBe(1);
  expect(command.log).toMatch(/^espalier: a gateway ended: nsenter .*b\.yaml/);
  expect(madeBy(command.pid)).toEqual([]);
});

test("a link that goes down under datagrams is no result", async () => {
  const command = start("--udp 64 --rate 1000 --seconds 1 --json".split(" "));
  await until("datagrams are sent", () => pidsOf(command.pid).length >= 4);
  run(["ip", "-n", `esb${command.pid}-gw-a`, "link", "set", "wan", "down"]);
  expect(await command.ended()).toBe(1);
  expect(command.log).toMatch(/^espalier: none of \d+ datagrams arrived\n {2}nsenter /);
  expect(madeBy(command.pid)).toEqual([]);
});

test("without iperf3 it says so", async () => {
  const { status, said } = await bench([], withoutIperf());
  expect(status).toBe(1);
  expect(said).toBe("espalier: not installed: iperf3\n  Install what is missing (Debian: apt-get install iperf3).\n");
});

test("without root it says so", async (context) => {
  const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
  if (run([...nobody, "test", "-r", MAIN], { mayFail: true }).status !== 0) {
    context.task.meta.skipped = "others may not read dist";
    context.skip(context.task.meta.skipped);
  }
  const { status, said } = await bench([], nobody);
  expect(status).toBe(1);
  expect(said).toMatch(/^espalier: bench tunnel makes network namespaces, which takes root\n {2}Run it as root/);
});
