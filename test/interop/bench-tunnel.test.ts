/** `espalier bench tunnel` as its users run it. How fast it is does not matter here. */
import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TunnelBenchResult } from "../../src/index.ts";
import { MAIN } from "./support/requirements.ts";
import { Background, type Outcome, run, runAsync, sleep, until } from "./support/run.ts";
import { testBed } from "./support/test-bed.ts";

const lab = testBed(["build", "namespaces", "tun", "iperf", "ethtool"], () => ({}));

const BENCH = [process.execPath, MAIN, "bench", "tunnel"];

const leftBehind = (): string[] => [
  ...run(["ip", "netns", "list"])
    .stdout.split("\n")
    .filter((name) => name.startsWith("esb")),
  ...readdirSync(tmpdir()).filter((name) => name.startsWith("espalier-bench-")),
];

const bench = (...words: readonly string[]): Promise<Outcome> =>
  runAsync([...BENCH, ...words], { mayFail: true, timeout: 60_000 });

const resultOf = ({ status, stdout, stderr }: Outcome): TunnelBenchResult => {
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout) as TunnelBenchResult;
};

const TCP = {
  peer: "self",
  streams: 1,
  udp: null,
  gbps: expect.any(Number),
  pps: expect.any(Number),
  offeredPps: null,
  lossPercent: null,
  gatewayCores: expect.any(Number),
  ping: { averageMs: expect.any(Number) },
  retransmits: expect.any(Number),
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
  const before = leftBehind();
  const result = resultOf(await bench("--seconds", "3", "--json"));
  expect(result).toEqual(TCP);
  expect(result.gbps).toBeGreaterThan(0);
  expect(result.gatewayCores).toBeGreaterThan(0);
  expect(result.seconds).toBeGreaterThan(2.5);
  expect(leftBehind()).toEqual(before);
});

test("UDP at a rate, in UDP, with two workers, another engine and suite, without offloads", async () => {
  const before = leftBehind();
  const words = "--udp 200 --rate 2000 --streams 2 --workers 2 --engine node --suite aes128-sha256 --encap force";
  const result = resultOf(await bench(...words.split(" "), "--offloads", "off", "--seconds", "3", "--json"));
  expect(result).toEqual({
    ...TCP,
    streams: 2,
    udp: 200,
    offeredPps: expect.any(Number),
    lossPercent: expect.any(Number),
    retransmits: null,
    suite: "aes128-sha256",
    engine: "node",
    workers: 2,
    encap: "force",
    offloads: "off",
  });
  expect(result.offeredPps).toBeGreaterThan(1500);
  expect(result.lossPercent).toBeLessThan(50);
  expect(result.pps).toBeGreaterThan(1000);
  expect(result.gbps).toBeCloseTo((result.pps * 200 * 8) / 1e9, 9);
  expect(leftBehind()).toEqual(before);
});

test("plain forwarding", async () => {
  const before = leftBehind();
  const result = resultOf(await bench("--peer", "plain", "--seconds", "1", "--json"));
  const none = { suite: null, engine: null, workers: null, encap: null };
  expect(result).toEqual({ ...TCP, ...none, peer: "plain", gatewayCores: 0 });
  expect(leftBehind()).toEqual(before);
});

test("a person gets a table", async () => {
  const { status, stdout } = await bench("--seconds", "1");
  expect(status).toBe(0);
  for (const word of ["aes256gcm16", "TCP, 1 stream", "Gbit/s", "retransmits", "ping", "load"])
    expect(stdout).toContain(word);
});

test.each([
  ["SIGINT", 0.5],
  ["SIGTERM", 2],
  ["SIGINT", 5],
] as const)("%s after %f s leaves nothing behind", async (signal, seconds) => {
  const { bed } = lab();
  const before = leftBehind();
  const command = new Background([...BENCH, "--seconds", "60"], join(bed.directory, `bench-${seconds}`));
  await until("it has begun", () => (leftBehind().length > before.length ? true : undefined), 20_000, 20);
  await sleep(seconds * 1000);
  const started = leftBehind()
    .filter((name) => name.startsWith("esb"))
    .flatMap((name) => run(["ip", "netns", "pids", name.split(" ")[0]!], { mayFail: true }).stdout.match(/\d+/g) ?? []);
  expect(await command.end(signal), "ended by the signal, once all was removed").toBeNull();
  expect(leftBehind()).toEqual(before);
  expect(started.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
});

test("a gateway that cannot start says why, and leaves nothing behind", async () => {
  const before = leftBehind();
  const withoutRaw = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", "--"];
  const outcome = await runAsync([...withoutRaw, ...BENCH, "--json"], { mayFail: true, timeout: 60_000 });
  expect({ status: outcome.status, stdout: outcome.stdout }).toEqual({ status: 1, stdout: "" });
  expect(outcome.stderr).toMatch(/^espalier: a gateway ended: /);
  expect(outcome.stderr).toContain("raw ESP sockets need CAP_NET_RAW");
  expect(leftBehind()).toEqual(before);
});

test("without root it says so", async (context) => {
  const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
  if (run([...nobody, "test", "-r", MAIN], { mayFail: true }).status !== 0) {
    context.task.meta.skipped = "others may not read dist";
    context.skip(context.task.meta.skipped);
  }
  const { status, stdout, stderr } = await runAsync([...nobody, ...BENCH], { mayFail: true });
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(/^espalier: bench tunnel makes network namespaces, which takes root\n {2}Run it as root/);
});
