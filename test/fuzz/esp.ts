/**
 * The fuzzer of the packet path for as long as you like:
 *
 *   npm run fuzz:esp -- --seed 7 --packets 100000000 --workers 3
 *
 * Seeds follow one another, a million packets each. Ends with status 1 at the first failure, and says which seed repeats it.
 */
import { parseArgs } from "node:util";
import { fuzzEsp } from "../support/esp-fuzz.ts";

const EACH = 1_000_000;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    packets: { type: "string", default: String(10 * EACH) },
    workers: { type: "string", default: "1" },
  },
});
const [first, packets, workers] = [Number(values.seed), Number(values.packets), Number(values.workers)];
const isWhole = (value: number, least: number): boolean => Number.isInteger(value) && value >= least;
if (!isWhole(first, 0) || !isWhole(packets, 1) || !isWhole(workers, 1) || workers > 64) {
  console.error("a seed is a whole number from 0, packets are a whole number from 1, workers are 1 to 64");
  process.exit(2);
}

let judged = 0;
for (let seed = first; judged < packets; seed++) {
  try {
    const {
      injected,
      sent,
      genuine,
      out,
      in: inbound,
    } = await fuzzEsp({ seed, packets: Math.min(EACH, packets - judged), workers });
    judged += injected + sent;
    const drops = (counts: Readonly<Record<string, number>>): string =>
      Object.entries(counts)
        .map(([reason, count]) => `${reason} ${count}`)
        .join(", ");
    console.log(
      `seed ${seed}: out ${out.packets} passed (${drops(out.drops)}); in ${inbound.packets} passed of ${genuine} genuine (${drops(inbound.drops)})`,
    );
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
    break;
  }
}
