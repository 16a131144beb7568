/**
 * Does a worker's loop leave garbage, or lose its compiled code? Packets are sealed and opened in a process of its own with
 * --trace-gc and --trace-deopt: first by the passes over packets alone, then by whole workers, from a queue in place of a TUN
 * device through sockets back into it; then by two workers that hand each packet over to one another. After the warm-up there
 * must be no deoptimisation, no collection, and no more new objects than the clock and the calls of a batch leave: a number for
 * each packet would be four times as much.
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
import { type Suite, suiteByName } from "../src/crypto/suites.ts";
import { BATCH, DEFAULT_BATCH } from "../src/dataplane/arena.ts";
import { Rehearsal } from "../src/dataplane/rehearsal.ts";
import { rehearsalPackets, SUPER_SEGMENTS } from "../src/dataplane/rehearsal-packets.ts";
import { WorkerTools } from "../src/dataplane/worker-tools.ts";
import { openEventfd } from "../src/linux/eventfd.ts";
import { close } from "../src/linux/libc.ts";
import { PlaneLoad, WAYS, type WayName } from "./plane-load.ts";

/**
 * Packets that are counted, packets that warm up before, and octets of new objects a packet that are let pass: of the passes, and
 * of whole workers by what they carry. A single packet is a batch of its own, with two sleeps, and the clock gives a number
 * for each. A long packet that is handed over is copied by four calls on its way, whose addresses are objects
 * (src/dataplane/copy-words.ts): so few that none needs a collection here.
 */
const COUNTS = {
  passes: { packets: 1_000_000, warmUp: 200_000, most: 4 },
  single: { packets: 8_000, warmUp: 20_000, most: 100 },
  burst: { packets: 200_000, warmUp: 80_000, most: 4 },
  super: { packets: 1_000_000, warmUp: 200_000, most: 4 },
  handed: { packets: 100_000, warmUp: 60_000, most: 4 },
  long: { packets: 20_000, warmUp: 30_000, most: 140 },
} as const;
type Kind = keyof typeof COUNTS;
const LONG: WayName = "handoff, long packets";
const KINDS = ["single", "burst", "super"] as const satisfies readonly Kind[];
const BURST = 16;
const BEGIN = "=== begin";
const END = "=== end";
/** Suite, and SAs that take turns. */
const ROWS = [
  ["passes", "aes256gcm16", 1],
  ["passes", "aes256gcm16", 1000],
  ["passes", "aes256-sha256", 1],
  ["passes", "chacha20poly1305", 1],
] as const;

/** In the child. */
const run = async (kind: Kind, { loop, dropped, close }: Load): Promise<void> => {
  const { packets, warmUp } = COUNTS[kind];
  loop(warmUp);
  globalThis.gc?.(); // what was made until here is not what is counted
  loop(warmUp);
  process.stdout.write(`${BEGIN}\n`);
  const before = getHeapStatistics().used_heap_size;
  loop(packets);
  const after = getHeapStatistics().used_heap_size;
  process.stdout.write(`${END}\n`);
  process.stdout.write(`${after - before} ${dropped()}\n`);
  await close();
};

interface Load {
  /** Carry so many packets. */
  readonly loop: (packets: number) => void;
  readonly dropped: () => number;
  readonly close: () => void | Promise<void>;
}

const passes = (engine: EngineName, suite: Suite, sas: number): Load => {
  const { shared: memory } = tablesOf({ suite, esn: true, window: 1024, pairs: sas });
  const load = new EspLoad({ memory, worker: 0, workers: 1, sas, engine, suite, esn: true, size: 300, batch: BATCH });
  load.check();
  load.meetAll();
  const loop = (packets: number): void => {
    for (let done = 0; done < packets; done += BATCH) load.open(); // seals what it opens
  };
  return { loop, dropped: () => load.opened().drops, close: () => load.close() };
};

/** Two whole workers, and each packet handed over twice. */
const handed = async (engine: EngineName, suite: Suite, way: WayName): Promise<Load> => {
  const load = await PlaneLoad.start(way, engine, suite);
  return { loop: (packets) => load.loop(packets), dropped: () => load.dropped(), close: () => load.close() };
};

/** A whole worker that carries packets of one kind: what does not come back was dropped. */
const worker = (engine: EngineName, suite: Suite, kind: (typeof KINDS)[number]): Load => {
  const tools = new WorkerTools(engine);
  const eventfd = openEventfd();
  const rehearsal = new Rehearsal({ poll: "adaptive", batch: DEFAULT_BATCH, wakeFds: [eventfd] }, tools, suite);
  const { echo, super: large } = rehearsalPackets;
  const packet = kind === "super" ? large : echo;
  const packetsAtOnce = { single: 1, burst: BURST, super: SUPER_SEGMENTS }[kind];
  const times = kind === "burst" ? BURST : 1;
  // Less the octets that came back: what is late comes with the next ones.
  let missing = 0;
  const loop = (packets: number): void => {
    for (let done = 0; done < packets; done += packetsAtOnce)
      missing = Math.max(0, missing + packet.length * times - rehearsal.carry(packet, times));
  };
  const end = (): void => {
    rehearsal.close();
    tools.close();
    close(eventfd);
  };
  return { loop, dropped: () => Math.ceil(missing / packet.length), close: end };
};

interface Row {
  readonly collections: readonly string[];
  readonly deoptimised: readonly string[];
  readonly octets: number;
  readonly drops: number;
}

const measure = (kind: Kind, engine: EngineName, suite: string, sas: number | WayName): Row => {
  const flags = ["--expose-gc", "--trace-gc", "--trace-deopt"];
  const words = [...flags, fileURLToPath(import.meta.url), engine, kind, suite, `${sas}`];
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
    octets: octets / COUNTS[kind].packets,
    drops,
  };
};

const whatOf = (kind: Kind, sas: number | WayName): string => {
  if (kind === "passes") return `${sas} SAs`;
  return kind === "handed" || kind === "long" ? `two workers, ${sas}` : `a whole worker, ${kind}`;
};

const main = (engine: EngineName): boolean => {
  const missing = driverByName(engine).unavailable();
  if (missing !== undefined) {
    process.stdout.write(`${engine} is left out: ${missing}\n`);
    return true;
  }
  const complaints: string[] = [];
  const isRoot = process.geteuid?.() === 0;
  const ways = isRoot ? (Object.keys(WAYS) as WayName[]) : [];
  if (!isRoot) process.stdout.write("two workers are left out: their raw sockets are root's\n");
  const rows = [
    ...ROWS,
    ...KINDS.map((kind) => [kind, "aes256gcm16", 1] as const),
    ...ways.map((way) => [way === LONG ? "long" : "handed", "aes256gcm16", way] as const),
  ];
  for (const [kind, suite, sas] of rows) {
    const name = `${engine}, ${suite}, ${whatOf(kind, sas)}`;
    const { collections, deoptimised, octets, drops } = measure(kind, engine, suite, sas);
    const found = `${octets.toFixed(2)} octets a packet, ${collections.length} collections, ${deoptimised.length} deoptimised`;
    process.stdout.write(`${name}: ${found}, ${drops} drops\n`);
    complaints.push(...collections, ...deoptimised);
    const { most } = COUNTS[kind];
    if (!(octets <= most)) complaints.push(`${name}: more than ${most} octets a packet`);
    if (drops !== 0) complaints.push(`${name}: packets did not pass`);
  }
  for (const complaint of complaints) process.stdout.write(`${complaint}\n`);
  return complaints.length === 0;
};

const loadOf = (kind: Kind, engine: EngineName, suite: Suite, sas: string): Load | Promise<Load> => {
  if (kind === "passes") return passes(engine, suite, Number(sas));
  return kind === "handed" || kind === "long" ? handed(engine, suite, sas as WayName) : worker(engine, suite, kind);
};

const [, , engine = "ipsec-mb", kind, suiteName, sas] = process.argv;
if (kind !== undefined) {
  const suite = suiteByName(suiteName!)!;
  await run(kind as Kind, await loadOf(kind as Kind, engine as EngineName, suite, sas!));
} else process.exitCode = main(engine as EngineName) ? 0 : 1;
