/**
 * Does a worker's loop leave garbage, or lose its compiled code? Packets are sealed and opened in a process of its own with
 * --trace-gc and --trace-deopt. After the warm-up there must be no deoptimisation, no collection, and no more new objects than
 * the clock and the calls of a batch leave: a number for each packet would be four times as much.
 *
 *   npm run bench:garbage [engine]
 *
 * The engine is ipsec-mb unless another is named. Ends with status 1 when a row fails.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { getHeapStatistics } from "node:v8";
import { EspLoad } from "../src/bench/esp-load.ts";
import { tablesOf } from "../src/bench/esp-tables.ts";
import type { EngineName } from "../src/crypto/engine.ts";
import { driverByName } from "../src/crypto/select-engine.ts";
import { suiteByName } from "../src/crypto/suites.ts";
import { BATCH } from "../src/dataplane/arena.ts";

const PACKETS = 1_000_000;
const WARM_UP = 200_000; // packets
const OCTETS = 4; // of new objects a packet that are let pass
const BEGIN = "=== begin";
const END = "=== end";
/** Suite, and SAs that take turns. */
const ROWS = [
  ["aes256gcm16", 1],
  ["aes256gcm16", 1000],
  ["aes256-sha256", 1],
  ["chacha20poly1305", 1],
] as const;

/** In the child. */
const run = (engine: EngineName, suiteName: string, sas: number): void => {
  const suite = suiteByName(suiteName)!;
  const { shared: memory } = tablesOf({ suite, esn: true, window: 1024, pairs: sas });
  const load = new EspLoad({ memory, worker: 0, workers: 1, sas, engine, suite, esn: true, size: 300, batch: BATCH });
  load.check();
  load.meetAll();
  const loop = (packets: number): void => {
    for (let done = 0; done < packets; done += BATCH) load.open(); // seals what it opens
  };
  loop(WARM_UP);
  globalThis.gc?.(); // what was made until here is not what is counted
  loop(WARM_UP);
  process.stdout.write(`${BEGIN}\n`);
  const before = getHeapStatistics().used_heap_size;
  loop(PACKETS);
  const after = getHeapStatistics().used_heap_size;
  process.stdout.write(`${END}\n`);
  process.stdout.write(`${after - before} ${load.opened().drops}\n`);
  load.close();
};

interface Row {
  readonly collections: readonly string[];
  readonly deoptimised: readonly string[];
  readonly octets: number;
  readonly drops: number;
}

const measure = (engine: EngineName, suite: string, sas: number): Row => {
  const words = ["--expose-gc", "--trace-gc", "--trace-deopt", fileURLToPath(import.meta.url), engine, suite, `${sas}`];
  const out = execFileSync(process.execPath, words, { encoding: "utf8", maxBuffer: 1 << 28 });
  const lines = out.split("\n");
  const timed = lines.slice(lines.indexOf(BEGIN) + 1);
  const end = timed.indexOf(END);
  const result = timed.slice(end).find((line) => /^-?\d+ \d+$/.test(line)) ?? "";
  const [octets = Number.NaN, drops = Number.NaN] = result.split(" ").map(Number);
  const during = timed.slice(0, end);
  return {
    collections: during.filter((line) => /\b(Scavenge|Mark-Compact|Mark-sweep)\b/.test(line)),
    deoptimised: during.filter((line) => line.startsWith("[bailout")),
    octets: octets / PACKETS,
    drops,
  };
};

const main = (engine: EngineName): boolean => {
  const missing = driverByName(engine).unavailable();
  if (missing !== undefined) {
    process.stdout.write(`${engine} is left out: ${missing}\n`);
    return true;
  }
  const complaints: string[] = [];
  for (const [suite, sas] of ROWS) {
    const name = `${engine}, ${suite}, ${sas} SAs`;
    const { collections, deoptimised, octets, drops } = measure(engine, suite, sas);
    const found = `${octets.toFixed(2)} octets a packet, ${collections.length} collections, ${deoptimised.length} deoptimised`;
    process.stdout.write(`${name}: ${found}, ${drops} drops\n`);
    complaints.push(...collections, ...deoptimised);
    if (!(octets <= OCTETS)) complaints.push(`${name}: more than ${OCTETS} octets a packet`);
    if (drops !== 0) complaints.push(`${name}: packets did not pass`);
  }
  for (const complaint of complaints) process.stdout.write(`${complaint}\n`);
  return complaints.length === 0;
};

const [, , engine = "ipsec-mb", suite, sas] = process.argv;
if (suite !== undefined) run(engine as EngineName, suite, Number(sas));
else process.exitCode = main(engine as EngineName) ? 0 : 1;
