// HOT PATH
/**
 * Asks a compiled list of policies which one selects a packet first (RFC 4301 §5.1, §5.2). What it costs hardly depends on how
 * many there are: five searches in sorted bounds, then five rows of bits that are compared 1,024 rules at a time. Nothing is
 * allocated. How the table lies in memory: `policy-layout.ts`.
 */
import { readU32 } from "./checksum.ts";
import type { Fields } from "./ip.ts";
import { NO_POLICY } from "./policy.ts";
import { AXES, AXIS, Axis, BOUNDS, COUNT, FAMILY, GROUPS, ROWS, Row, RULE_LIST, RULES } from "./policy-layout.ts";

const AXIS_COUNT = 5;

export class PolicyTable {
  readonly #words: Uint32Array;
  /** Rows that hold some of the rules and not all, and how many there are. */
  readonly #rows = new Int32Array(AXIS_COUNT);
  #count = 0;

  /** `words`: what `compilePolicies` made, in shared memory or not. */
  constructor(words: Uint32Array) {
    this.#words = words;
  }

  /** Index of the first policy that selects a packet on its way out, or NO_POLICY. `fields` as `readFields` filled them. */
  findOutbound(slab: Uint8Array, fields: Fields): number {
    const { sourceAt, destinationAt, sourcePort, destinationPort } = fields;
    return this.#find(slab, fields, sourceAt, destinationAt, sourcePort, destinationPort);
  }

  /** The same of a packet on its way in: its destination is local. */
  findInbound(slab: Uint8Array, fields: Fields): number {
    const { sourceAt, destinationAt, sourcePort, destinationPort } = fields;
    return this.#find(slab, fields, destinationAt, sourceAt, destinationPort, sourcePort);
  }

  #find(
    slab: Uint8Array,
    fields: Fields,
    localAt: number,
    remoteAt: number,
    localPort: number,
    remotePort: number,
  ): number {
    const family = fields.addressLength === 4 ? 0 : FAMILY;
    this.#count = 0;
    if (
      this.#words[family + RULES] === 0 ||
      !this.#enter(this.#addressRow(family, Axis.LOCAL, slab, localAt)) ||
      !this.#enter(this.#addressRow(family, Axis.REMOTE, slab, remoteAt)) ||
      !this.#enter(this.#row(family, Axis.PROTOCOL, fields.protocol)) ||
      !this.#enter(this.#row(family, Axis.LOCAL_PORT, localPort + 1)) ||
      !this.#enter(this.#row(family, Axis.REMOTE_PORT, remotePort + 1))
    )
      return NO_POLICY;
    const rule = this.#firstRule(this.#words[family + GROUPS]!);
    return rule < 0 ? NO_POLICY : this.#words[this.#words[family + RULE_LIST]! + rule]!;
  }

  /** Take up a row. False: no rule is left. */
  #enter(row: number): boolean {
    if (row === Row.EMPTY) return false;
    if (row !== Row.FULL) this.#rows[this.#count++] = row;
    return true;
  }

  /** First rule that is in all the rows taken up, or -1. */
  #firstRule(groups: number): number {
    const words = this.#words;
    const rows = this.#rows;
    const count = this.#count;
    if (count === 0) return 0;
    for (let group = 0; group < groups; group++) {
      let present = words[rows[0]! + group * 2]! | 0;
      for (let k = 1; k < count; k++) present &= words[rows[k]! + group * 2]!;
      while (present !== 0) {
        const bit = present & -present;
        let rules = -1;
        for (let k = 0; k < count; k++) {
          const at = rows[k]! + group * 2;
          rules &= words[words[at + 1]! + bitsOf(words[at]! & (bit - 1))]!;
        }
        if (rules !== 0) return group * 1024 + lowest(bit) * 32 + lowest(rules & -rules);
        present ^= bit;
      }
    }
    return -1;
  }

  /** Row of the interval that holds `value`. */
  #row(family: number, axis: number, value: number): number {
    const words = this.#words;
    const header = family + AXES + axis * AXIS;
    const bounds = words[header + BOUNDS]!;
    let low = 0;
    let high = words[header + COUNT]!;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (words[bounds + middle]! <= value) low = middle;
      else high = middle;
    }
    return words[words[header + ROWS]! + low]!;
  }

  #addressRow(family: number, axis: number, slab: Uint8Array, at: number): number {
    if (family === 0) return this.#row(family, axis, readU32(slab, at));
    const words = this.#words;
    const header = FAMILY + AXES + axis * AXIS;
    const bounds = words[header + BOUNDS]!;
    const a = readU32(slab, at);
    const b = readU32(slab, at + 4);
    const c = readU32(slab, at + 8);
    const d = readU32(slab, at + 12);
    let low = 0;
    let high = words[header + COUNT]!;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (isNotAbove(words, bounds + middle * 4, a, b, c, d)) low = middle;
      else high = middle;
    }
    return words[words[header + ROWS]! + low]!;
  }
}

/** Whether the bound of four words is at most this address. */
const isNotAbove = (words: Uint32Array, at: number, a: number, b: number, c: number, d: number): boolean => {
  if (words[at]! !== a) return words[at]! < a;
  if (words[at + 1]! !== b) return words[at + 1]! < b;
  if (words[at + 2]! !== c) return words[at + 2]! < c;
  return words[at + 3]! <= d;
};

/** Position of the only bit that is set. */
const lowest = (bit: number): number => 31 - Math.clz32(bit);

/** How many bits are set. */
const bitsOf = (word: number): number => {
  const pairs = word - ((word >>> 1) & 0x5555_5555);
  const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
};
