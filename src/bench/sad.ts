/**
 * `espalier bench sad`: what it costs to find the SA of a packet by its SPI, to judge and move a replay window, and to
 * install and withdraw a pair, with few SAs and with many: the tables alone. And what a worker does for a pair that is new to
 * it, in the middle of a batch: it expands the keys and writes its rows. No packets, one thread.
 *
 * Before anything is timed every SPI must be found, none that is not there, and a window must judge as a set of all that
 * it has seen.
 */
import { suiteByName } from "../crypto/suites.ts";
import { saPath } from "../dataplane/child-sa.ts";
import { openEngineFor } from "../dataplane/open-engine.ts";
import { OwnedSas } from "../dataplane/owned-sas.ts";
import { EspalierError } from "../errors.ts";
import { accept, DEFAULT_WINDOW, inferSeq, isFresh, ringWordsFor } from "../ipsec/replay.ts";
import { Sad } from "../ipsec/sad.ts";
import { Spd } from "../ipsec/spd.ts";
import { median, seeded } from "./statistics.ts";

export type SadWork = "find" | "replay" | "install" | "meet";

export interface SadBenchOptions {
  /** Pairs of SAs in the table, 1 to 65536; default 1, 100, 10000. */
  readonly sas?: readonly number[];
  /** That are timed for each row, 0.01 to 600; default 0.3. */
  readonly seconds?: number;
}

export interface SadBenchRow {
  /** `find`: by SPI. `replay`: infer, judge, accept a number in the window of another SA each time. `install`: publish and withdraw a pair. `meet`: the same, and its worker takes it up and forgets it (aes256gcm16). */
  readonly work: SadWork;
  readonly sas: number;
  readonly perSecond: number;
  readonly ns: number;
  /** Octets of shared memory for each pair, rings included. */
  readonly bytesPerPair: number;
  /** Of that work a second, one after the other. */
  readonly samples: readonly number[];
}

const MOST = 65_536;
const SAMPLES = 10;
const WARM_MS = 60; // until the compiler has done what it will do
const STEPS = 1024;
const SPIS = 0x4000_0000; // an SPI's low bits are its slot

/** Throws ESPALIER_USAGE for an option out of its range. `onRow` hears of each row as it is there. */
export const benchSad = async (
  { sas = [1, 100, 10_000], seconds = 0.3 }: SadBenchOptions = {},
  onRow: (row: SadBenchRow, of: number) => void = () => {},
): Promise<SadBenchRow[]> => {
  for (const count of sas)
    if (!Number.isInteger(count) || count < 1 || count > MOST)
      throw new EspalierError("ESPALIER_USAGE", `sas: expected whole numbers from 1 to ${MOST}, not ${count}`);
  if (!(seconds >= 0.01 && seconds <= 600))
    throw new EspalierError("ESPALIER_USAGE", `seconds: expected 0.01 to 600, not ${seconds}`);
  const rows: SadBenchRow[] = [];
  for (const count of sas) {
    const table = makeTable(count);
    for (const [work, step] of worksOf(table)) {
      const samples = timed(step, seconds * 1000);
      const perSecond = median(samples);
      const row = {
        work,
        sas: count,
        perSecond,
        ns: 1e9 / perSecond,
        bytesPerPair: table.bytes / table.capacity,
        samples,
      };
      rows.push(row);
      onRow(row, sas.length * 4);
      await new Promise((next) => setImmediate(next)); // who waits wants to see it
    }
    table.close();
  }
  return rows;
};

interface Table {
  readonly sad: Sad;
  readonly capacity: number;
  readonly bytes: number;
  /** SPIs in no order. */
  readonly spis: Int32Array;
  readonly install: (slot: number) => void;
  readonly owned: OwnedSas;
  readonly close: () => void;
}

const makeTable = (count: number): Table => {
  const capacity = 2 ** Math.ceil(Math.log2(count + 1)); // one slot is free, to install in
  const sad = Sad.create(capacity);
  const suite = suiteByName("aes256gcm16")!;
  const engine = openEngineFor(suite, "auto", new Uint8Array(new SharedArrayBuffer(64)), 1);
  const owned = new OwnedSas(sad, Spd.create(capacity), engine);
  const path = saPath({ local: { address: "192.0.2.1", port: 0 }, remote: { address: "192.0.2.2", port: 0 } }, -1);
  const key = new Uint8Array(suite.keyLength);
  const install = (slot: number): void => {
    const sa = { spi: SPIS + slot, suite, esn: true, encap: false, tunnel: 0, window: DEFAULT_WINDOW, key, path };
    sad.publish(slot, sa);
    sad.publish(sad.outbound(slot), sa);
  };
  for (let slot = 0; slot < count; slot++) install(slot);
  const random = seeded(count);
  const spis = Int32Array.from({ length: STEPS }, () => SPIS + Math.floor(random() * count));
  for (const spi of spis)
    if (sad.find(spi) !== spi - SPIS) throw new Error(`SPI ${spi.toString(16)} is not found where it is`);
  for (const spi of [SPIS + count, SPIS - 1, 5])
    if (sad.find(spi) !== -1) throw new Error("an SPI is found that nobody has");
  const close = (): void => {
    owned.close();
    engine.close();
  };
  return { sad, capacity, bytes: sad.memory.byteLength, spis, install, owned, close };
};

/** Each does its work `STEPS` times. */
const worksOf = ({ sad, spis, install, owned, capacity }: Table): (readonly [SadWork, () => number])[] => {
  const words = ringWordsFor(DEFAULT_WINDOW);
  const places = Math.min(STEPS, capacity);
  const newest = words * places; // behind the rings, a word each
  const rings = new Uint32Array(newest + places);
  const tops = new Float64Array(STEPS);
  const judge = (place: number, low: number): boolean => {
    const top = tops[place]!;
    const seq = inferSeq(top, DEFAULT_WINDOW, low);
    const at = place * words;
    if (!isFresh(rings, newest + place, at, words, DEFAULT_WINDOW, top, seq)) return false;
    tops[place] = accept(rings, newest + place, at, words, top, seq);
    return true;
  };
  checkWindow(judge);
  let number = tops[0]!;
  const free = capacity - 1;
  const withdraw = (): void => {
    sad.withdraw(free);
    sad.withdraw(sad.outbound(free));
  };
  return [
    [
      "find",
      () => {
        let found = 0;
        for (let i = 0; i < STEPS; i++) found += sad.find(spis[i]!);
        return found;
      },
    ],
    [
      "replay",
      () => {
        let fresh = 0;
        for (let i = 0; i < STEPS; i++) {
          if (i % places === 0) number++;
          if (judge(i % places, number >>> 0)) fresh++;
        }
        return fresh;
      },
    ],
    [
      "install",
      () => {
        for (let i = 0; i < STEPS; i++) {
          install(free);
          withdraw();
        }
        return free;
      },
    ],
    [
      "meet",
      () => {
        for (let i = 0; i < STEPS; i++) {
          install(free);
          if (owned.key(free) === 0 || owned.key(sad.outbound(free)) === 0) throw new Error("a worker found no SA");
          withdraw();
          owned.forget(free);
          owned.forget(sad.outbound(free));
        }
        return free;
      },
    ],
  ];
};

/** Against a set of all that was seen. */
const checkWindow = (judge: (place: number, low: number) => boolean): void => {
  const random = seeded(5);
  const seen = new Set<number>();
  let top = 0;
  for (let i = 0; i < 4000; i++) {
    // Left of the window lies what is inferred to be of the next 2^32: not asked for here.
    const seq = Math.max(1, top + 100 - Math.floor(random() * (DEFAULT_WINDOW + 99)));
    const expected = !seen.has(seq);
    if (judge(0, seq) !== expected) throw new Error(`the window judges ${seq} otherwise than a set does, top ${top}`);
    if (!expected) continue;
    seen.add(seq);
    top = Math.max(top, seq);
  }
};

const kept = new Int32Array(1); // what nobody wants would not be computed

/** Works a second, of so many parts of the time. */
const timed = (step: () => number, ms: number): number[] => {
  for (const begin = performance.now(); performance.now() - begin < Math.min(WARM_MS, ms); ) kept[0]! ^= step();
  return Array.from({ length: SAMPLES }, () => {
    const begin = performance.now();
    let spent = 0;
    let steps = 0;
    for (; spent < ms / SAMPLES; spent = performance.now() - begin) {
      kept[0]! ^= step();
      steps += STEPS;
    }
    return (steps * 1000) / spent;
  });
};
