/**
 * What does it cost to find the policy of a packet (RFC 4301 §5.1), and does that depend on how many there are? Packets lie in
 * memory as a worker has read them; a lookup is reading their headers and asking the table. Before anything is timed, every
 * packet is asked of the list one policy after the other, and the answers must be the same.
 */
import { EspalierError } from "../errors.ts";
import { Fields, readFields } from "../ipsec/ip.ts";
import type { Policy } from "../ipsec/policy.ts";
import { compilePolicies } from "../ipsec/policy-compiler.ts";
import { PolicyTable } from "../ipsec/policy-table.ts";
import { containsPacket } from "../ipsec/selector.ts";
import { type Family, LISTS, type ListName, MOST_POLICIES, packetsFor, policiesOf } from "./spd-lists.ts";
import { median } from "./statistics.ts";

export interface SpdBenchOptions {
  /** Entries of the list, 1 to 10000; default 10, 100, 1000, 10000. */
  readonly policies?: readonly number[];
  /** Default all: see `spd-lists.ts`. */
  readonly lists?: readonly string[];
  /** Default IPv4 and IPv6. */
  readonly families?: readonly string[];
  /** That are timed for each row, 0.01 to 600; default 0.3. */
  readonly seconds?: number;
}

export interface SpdBenchRow {
  readonly list: ListName;
  readonly family: Family;
  readonly policies: number;
  /** Of processor time, so that who shares the processor does not count: the median of the samples. */
  readonly nsPerLookup: number;
  readonly lookupsPerSecond: number;
  /** To make the table. */
  readonly compileMs: number;
  readonly tableBytes: number;
  /** Packets whose policy was found both ways before, and how many had one. */
  readonly checked: number;
  readonly selected: number;
  /** Lookups a second, one of some milliseconds after the other. */
  readonly samples: readonly number[];
}

const PACKETS = 1000;
const STRIDE = 64;
/** Until the compiler has done what it will do. */
const WARM_MS = 60;
const SAMPLE_MS = 5;
const SIZES = [10, 100, 1000, 10_000];
const FAMILIES = ["IPv4", "IPv6"] as const;

/** Throws ESPALIER_USAGE for an option out of range. `onRow` hears of each row as it is there, and how many there will be. */
export const benchSpd = async (
  { policies = SIZES, lists = LISTS, families = FAMILIES, seconds = 0.3 }: SpdBenchOptions = {},
  onRow: (row: SpdBenchRow, of: number) => void = () => {},
): Promise<SpdBenchRow[]> => {
  for (const count of policies)
    if (!Number.isInteger(count) || count < 1 || count > MOST_POLICIES)
      throw usage(`policies: expected whole numbers from 1 to ${MOST_POLICIES}, not ${count}`);
  if (!(seconds >= 0.01 && seconds <= 600)) throw usage(`seconds: expected 0.01 to 600, not ${seconds}`);
  const tasks = lists
    .map(nameOf)
    .flatMap((list) => families.map(familyOf).flatMap((family) => policies.map((count) => ({ list, family, count }))));
  const rows: SpdBenchRow[] = [];
  for (const { list, family, count } of tasks) {
    const row = measure(list, family, count, seconds);
    rows.push(row);
    onRow(row, tasks.length);
    await new Promise((next) => setImmediate(next)); // who waits wants to see it
  }
  return rows;
};

const usage = (message: string): EspalierError => new EspalierError("ESPALIER_USAGE", message);

const nameOf = (text: string): ListName => {
  const list = LISTS.find((name) => name === text);
  if (list === undefined) throw usage(`lists: expected some of ${LISTS.join(", ")}, not ${text}`);
  return list;
};

const familyOf = (text: string): Family => {
  const family = FAMILIES.find((name) => name.toLowerCase() === text.toLowerCase());
  if (family === undefined) throw usage(`families: expected IPv4 or IPv6, not ${text}`);
  return family;
};

const measure = (list: ListName, family: Family, count: number, seconds: number): SpdBenchRow => {
  const policies = policiesOf(list, family, count);
  const began = performance.now();
  const words = compilePolicies(policies);
  const compileMs = performance.now() - began;
  const table = new PolicyTable(words);
  const slab = new Uint8Array(PACKETS * STRIDE);
  packetsFor(list, family, count, PACKETS).forEach((packet, n) => {
    slab.set(packet, n * STRIDE);
  });
  const length = family === "IPv4" ? 28 : 48;
  const selected = check(policies, table, slab, length);
  const samples = time(table, slab, length, seconds);
  const lookupsPerSecond = median(samples);
  return {
    list,
    family,
    policies: count,
    nsPerLookup: 1e9 / lookupsPerSecond,
    lookupsPerSecond,
    compileMs,
    tableBytes: words.byteLength,
    checked: PACKETS,
    selected,
    samples,
  };
};

/** Every packet, also asked one policy after the other; how many were selected. A difference is a bug. */
const check = (policies: readonly Policy[], table: PolicyTable, slab: Uint8Array, length: number): number => {
  const view = new DataView(slab.buffer);
  const fields = new Fields();
  let selected = 0;
  for (let n = 0; n < PACKETS; n++) {
    readFields(view, n * STRIDE, length, fields);
    const expected = oneAfterTheOther(policies, slab, fields);
    const found = table.findOutbound(slab, fields);
    if (found !== expected) throw new RangeError(`packet ${n}: policy ${found} of ${policies.length}, not ${expected}`);
    if (found >= 0) selected++;
  }
  return selected;
};

const oneAfterTheOther = (policies: readonly Policy[], slab: Uint8Array, fields: Fields): number => {
  const { protocol, sourceAt, destinationAt, addressLength } = fields;
  const end = (at: number, port: number) => ({ protocol, address: slab.subarray(at, at + addressLength), port });
  const source = end(sourceAt, fields.sourcePort);
  const destination = end(destinationAt, fields.destinationPort);
  return policies.findIndex(
    ({ local, remote }) =>
      local.some((selector) => containsPacket(selector, source)) &&
      remote.some((selector) => containsPacket(selector, destination)),
  );
};

/** Where what was found goes: a lookup whose answer nobody wants would not be made. */
const sink = new Int32Array(1);

const pass = (table: PolicyTable, slab: Uint8Array, view: DataView, length: number, fields: Fields): void => {
  let all = 0;
  for (let n = 0; n < PACKETS; n++) {
    readFields(view, n * STRIDE, length, fields);
    all ^= table.findOutbound(slab, fields);
  }
  sink[0] = all;
};

const time = (table: PolicyTable, slab: Uint8Array, length: number, seconds: number): number[] => {
  const view = new DataView(slab.buffer);
  const fields = new Fields();
  const warmUntil = performance.now() + WARM_MS;
  while (performance.now() < warmUntil) pass(table, slab, view, length, fields);
  const samples: number[] = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const began = processorMs();
    let lookups = 0;
    let spent = 0;
    do {
      pass(table, slab, view, length, fields);
      lookups += PACKETS;
      spent = processorMs() - began;
    } while (spent < SAMPLE_MS);
    samples.push((lookups * 1000) / spent);
  }
  return samples;
};

const processorMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
