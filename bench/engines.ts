/**
 * How long does a packet take in each engine? ESP packets sealed and opened in bursts of 64, one thread.
 *
 *   npm run bench:engines [suite ...]
 *
 * Before anything is timed every engine must give the same octets. Engines take turns, so that a busy moment of the
 * machine hits all of them; the median of the rounds is printed, and the first engine's twice as the floor of the noise.
 */
import { arch, cpus, loadavg, release } from "node:os";
import Table from "cli-table3";
import { type Engine, type EngineDriver, OP_SCRATCH, Ops } from "../src/crypto/engine.ts";
import { ESP_HEADER } from "../src/crypto/esp-inputs.ts";
import { ENGINE_DRIVERS } from "../src/crypto/select-engine.ts";
import { type Suite, suiteByName } from "../src/crypto/suites.ts";

const BURST = 64;
const SIZES = [64, 1400]; // octets of payload
const ROUNDS = 15;
const ROUND = 10; // ms for each direction
const DEFAULT_SUITES = ["aes256gcm16", "aes128-sha256", "chacha20poly1305"];

class Contender {
  readonly name: string;
  readonly sealing: number[] = [];
  readonly opening: number[] = [];
  readonly #ops: Ops;
  readonly #engine: Engine;
  readonly #sealed: Uint8Array;

  constructor(driver: EngineDriver, suite: Suite, payload: number) {
    const text = Math.ceil((payload + 2) / suite.alignment) * suite.alignment;
    const stride = Math.ceil((ESP_HEADER + suite.ivLength + text + suite.icvLength + 64) / 64) * 64;
    const scratchAt = BURST * stride;
    const slab = new Uint8Array(new SharedArrayBuffer(scratchAt + BURST * OP_SCRATCH));
    for (let i = 0; i < scratchAt; i++) slab[i] = (i * 167) >>> 3;
    this.name = driver.name;
    this.#ops = new Ops(slab, scratchAt, BURST);
    this.#engine = driver.open(slab, BURST);
    const key = this.#engine.expand(
      suite,
      Uint8Array.from({ length: suite.keyLength }, (_, i) => i + 1),
      true,
    );
    for (let i = 0; i < BURST; i++) {
      this.#ops.keys[i] = key.handle;
      this.#ops.headAt[i] = i * stride;
      this.#ops.textAt[i] = i * stride + ESP_HEADER + suite.ivLength;
      this.#ops.textLength[i] = text;
      this.#ops.seqHigh[i] = i;
    }
    this.#ops.count = BURST;
    this.#engine.seal(this.#ops);
    this.#sealed = slab.slice(0, scratchAt);
  }

  get sealed(): Uint8Array {
    return this.#sealed;
  }

  /** Nanoseconds a packet, for some milliseconds. Sealing what is sealed already costs the same. */
  seal(): number {
    return this.#time(() => this.#engine.seal(this.#ops));
  }

  /** A burst opened in place must be sealed again: that part is timed apart and taken off. */
  open(sealing: number): number {
    this.#ops.slab.set(this.#sealed);
    this.#engine.open(this.#ops);
    if (this.#ops.ok.some((ok) => ok !== 1)) throw new Error(`${this.name} did not open what it sealed`);
    this.#engine.seal(this.#ops);
    const both = this.#time(() => {
      this.#engine.open(this.#ops);
      this.#engine.seal(this.#ops);
    });
    return both - sealing;
  }

  close(): void {
    this.#engine.close();
  }

  #time(burst: () => void): number {
    const begin = performance.now();
    let bursts = 0;
    let spent = 0;
    do {
      burst();
      bursts++;
      spent = performance.now() - begin;
    } while (spent < ROUND);
    return (spent * 1e6) / (bursts * BURST);
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

const compare = (suite: Suite, payload: number, drivers: readonly EngineDriver[]): string[][] => {
  const [first] = drivers;
  if (first === undefined) throw new Error("no engine can run here");
  const contenders = [...drivers, first].map((driver) => new Contender(driver, suite, payload));
  for (const contender of contenders)
    if (Buffer.compare(contender.sealed, contenders[0]!.sealed) !== 0)
      throw new Error(`${contender.name} and ${contenders[0]!.name} differ: ${suite.name}, ${payload} octets`);

  for (let round = -3; round < ROUNDS; round++) {
    for (const contender of contenders) {
      const sealing = contender.seal();
      const opening = contender.open(sealing);
      if (round < 0) continue; // warming up
      contender.sealing.push(sealing);
      contender.opening.push(opening);
    }
  }
  return contenders.map((contender, i) => {
    const sealing = median(contender.sealing);
    contender.close();
    return [
      suite.name,
      `${payload}`,
      contender.name + (i === drivers.length ? " (again)" : ""),
      sealing.toFixed(0),
      median(contender.opening).toFixed(0),
      ((payload * 8) / sealing).toFixed(2),
    ];
  });
};

const suites = (process.argv.length > 2 ? process.argv.slice(2) : DEFAULT_SUITES).map((name) => {
  const suite = suiteByName(name);
  if (suite === undefined) throw new Error(`no suite is called ${name}`);
  return suite;
});
const drivers = ENGINE_DRIVERS.filter((driver) => {
  const reason = driver.unavailable();
  if (reason !== undefined) console.log(`${driver.name} is left out: ${reason}`);
  return reason === undefined;
});

console.log(`${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} cores, ${arch()}, Linux ${release()}`);
console.log(`Node ${process.versions.node}; ${drivers.map((driver) => driver.describe()).join("; ")}`);
console.log(
  `load before: ${loadavg()
    .map((load) => load.toFixed(2))
    .join(" ")}; bursts of ${BURST}, ESN, one thread`,
);
const table = new Table({
  head: ["suite", "octets", "engine", "seal ns", "open ns", "seal Gbit/s"],
  colAligns: ["left", "right", "left", "right", "right", "right"],
  style: { head: [], border: [] },
});
for (const suite of suites) for (const size of SIZES) table.push(...compare(suite, size, drivers));
console.log(table.toString());
console.log(
  `load after: ${loadavg()
    .map((load) => load.toFixed(2))
    .join(" ")}`,
);
