/**
 * Makes of an ordered list of policies the table that workers ask (control path; `policy-layout.ts` draws it). The method
 * is that of bit vectors with aggregation (Baboescu and Varghese, "Scalable packet classification", SIGCOMM 2001): a packet
 * has five values (two addresses, protocol, two ports), each value falls into one of the intervals that the bounds of all
 * rules cut its axis into, and each interval has a row of bits, one a rule, that says which rules it satisfies. The first
 * bit that is set in all five rows is the first rule that selects the packet.
 */
import { EspalierError } from "../errors.ts";
import { readU32 } from "./checksum.ts";
import type { Policy } from "./policy.ts";
import {
  AXES,
  AXIS,
  Axis,
  BOUNDS,
  COUNT,
  FAMILY,
  GROUPS,
  ROWS,
  Row,
  RULE_LIST,
  RULES,
  RULES_A_WORD,
  WORDS_A_GROUP,
} from "./policy-layout.ts";
import { isOpaque, type TrafficSelector } from "./selector.ts";

/** Rules of one family: pairs of a local and a remote selector, over all policies. */
export const MAX_RULES = 65_536;

const LAST_PROTOCOL = 255;
/** Ports count from 1 here: 0 is a packet that shows none. */
const LAST_PORT = 65_536;

type Bound = readonly number[];

/** First and last value, both included, on each axis. */
interface Interval {
  readonly first: Bound;
  readonly last: Bound;
}

interface Rule {
  readonly policy: number;
  readonly intervals: readonly Interval[];
}

/** Throws ESPALIER_USAGE for more rules than a table takes. */
export const compilePolicies = (policies: readonly Policy[]): Uint32Array => {
  const image = new Image();
  for (const [index, octets] of [4, 16].entries()) {
    const rules = policies.flatMap((policy, number) => rulesOf(policy, number, octets));
    if (rules.length > MAX_RULES)
      throw new EspalierError(
        "ESPALIER_USAGE",
        `more than ${MAX_RULES} pairs of selectors in the policies of an interface`,
        {
          remedy: "Join ranges of addresses or ports, or spread the policies over several interfaces.",
        },
      );
    writeFamily(image, index * FAMILY, rules);
  }
  return image.words();
};

/** The pairs of selectors of one policy and one family that any packet can satisfy. */
const rulesOf = ({ local, remote }: Policy, policy: number, octets: number): Rule[] => {
  const ofFamily = ({ first }: TrafficSelector): boolean => first.length === octets;
  const pairs = local
    .filter(ofFamily)
    .flatMap((here) => remote.filter(ofFamily).map((there) => [here, there] as const))
    .filter(([here, there]) => here.protocol === 0 || there.protocol === 0 || here.protocol === there.protocol);
  return pairs
    .map(([here, there]) => ({
      policy,
      intervals: [addresses(here), addresses(there), protocolOf(here, there), portsOf(here), portsOf(there)],
    }))
    .filter(({ intervals }) => intervals.every(({ first, last }) => compare(first, last) <= 0));
};

const addresses = ({ first, last }: TrafficSelector): Interval => ({ first: wordsOf(first), last: wordsOf(last) });

const wordsOf = (address: Uint8Array): Bound =>
  Array.from({ length: address.length / 4 }, (_, i) => readU32(address, i * 4));

const protocolOf = (here: TrafficSelector, there: TrafficSelector): Interval => {
  const protocol = here.protocol === 0 ? there.protocol : here.protocol;
  return protocol === 0 ? { first: [0], last: [LAST_PROTOCOL] } : { first: [protocol], last: [protocol] };
};

const portsOf = (selector: TrafficSelector): Interval => {
  if (isOpaque(selector)) return { first: [0], last: [0] };
  const any = selector.startPort === 0 && selector.endPort === LAST_PORT - 1;
  return { first: [any ? 0 : selector.startPort + 1], last: [selector.endPort + 1] };
};

/** The table in the making. */
class Image {
  #words = new Uint32Array(1 << 16);
  #length = 2 * FAMILY;
  /** By hash: where rows are. */
  readonly #rows = new Map<number, number[]>();

  set(at: number, value: number): void {
    this.#words[at] = value;
  }

  /** Returns where they are. */
  append(values: ArrayLike<number>): number {
    const at = this.#length;
    this.#length += values.length;
    while (this.#length > this.#words.length) {
      const larger = new Uint32Array(this.#words.length * 2);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words.set(values, at);
    return at;
  }

  words(): Uint32Array {
    return this.#words.slice(0, this.#length);
  }

  /** Where the row of these bits is: an equal one, or one that is made now. */
  row(bits: Uint32Array, rules: number): number {
    const groups = Math.ceil(rules / (RULES_A_WORD * WORDS_A_GROUP));
    const kept = bits.filter((word) => word !== 0);
    if (kept.length === 0) return Row.EMPTY;
    if (isFull(bits, rules)) return Row.FULL;
    const hash = hashOf(bits);
    const known = this.#rows.get(hash) ?? [];
    const same = known.find((at) => this.#holds(at, bits, groups));
    if (same !== undefined) return same;
    const row = new Uint32Array(groups * 2);
    let at = this.append(kept);
    for (let group = 0; group < groups; group++) {
      let present = 0;
      row[group * 2 + 1] = at;
      for (let i = 0; i < WORDS_A_GROUP; i++)
        if ((bits[group * WORDS_A_GROUP + i] ?? 0) !== 0) {
          present |= 1 << i;
          at++;
        }
      row[group * 2] = present;
    }
    const made = this.append(row);
    this.#rows.set(hash, [...known, made]);
    return made;
  }

  #holds(row: number, bits: Uint32Array, groups: number): boolean {
    for (let group = 0; group < groups; group++) {
      const present = this.#words[row + group * 2]!;
      let at = this.#words[row + group * 2 + 1]!;
      for (let i = 0; i < WORDS_A_GROUP; i++) {
        const expected = ((present >>> i) & 1) === 1 ? this.#words[at++]! : 0;
        if ((bits[group * WORDS_A_GROUP + i] ?? 0) !== expected) return false;
      }
    }
    return true;
  }

  /** Begin another family: its rows have another length. */
  forgetRows(): void {
    this.#rows.clear();
  }
}

const isFull = (bits: Uint32Array, rules: number): boolean => {
  const whole = Math.floor(rules / RULES_A_WORD);
  for (let i = 0; i < whole; i++) if (bits[i] !== 0xffff_ffff) return false;
  return rules % RULES_A_WORD === 0 || bits[whole] === (1 << (rules % RULES_A_WORD)) - 1;
};

const hashOf = (bits: Uint32Array): number => {
  let hash = 0x811c9dc5;
  for (const word of bits) hash = Math.imul(hash ^ word ^ (word >>> 15), 0x01000193);
  return hash;
};

const writeFamily = (image: Image, at: number, rules: readonly Rule[]): void => {
  image.forgetRows();
  image.set(at + RULES, rules.length);
  image.set(at + GROUPS, Math.ceil(rules.length / (RULES_A_WORD * WORDS_A_GROUP)));
  image.set(at + RULE_LIST, image.append(rules.map(({ policy }) => policy)));
  for (const axis of Object.values(Axis)) {
    const { bounds, rows } = cut(image, rules, axis);
    const words = at + AXES + axis * AXIS;
    image.set(words + BOUNDS, image.append(bounds.flat()));
    image.set(words + COUNT, bounds.length);
    image.set(words + ROWS, image.append(rows));
  }
};

/** Cut an axis at all bounds of the rules, and go along it: a rule's bit is set where it begins, cleared where it ended. */
const cut = (image: Image, rules: readonly Rule[], axis: number): { bounds: Bound[]; rows: number[] } => {
  const events = rules.flatMap(({ intervals }, rule) => {
    const { first, last } = intervals[axis]!;
    const end = successor(last);
    const begins = { at: first, rule, set: true };
    return end === undefined ? [begins] : [begins, { at: end, rule, set: false }];
  });
  events.sort((a, b) => compare(a.at, b.at));
  const bits = new Uint32Array(Math.ceil(rules.length / RULES_A_WORD));
  const bounds: Bound[] = [];
  const rows: number[] = [];
  const origin: Bound = (rules[0]?.intervals[axis]?.first ?? [0]).map(() => 0);
  for (let i = 0, from = origin; ; from = events[i]!.at) {
    for (; i < events.length && compare(events[i]!.at, from) === 0; i++) {
      const { rule, set } = events[i]!;
      const word = Math.floor(rule / RULES_A_WORD);
      const bit = 1 << (rule % RULES_A_WORD);
      bits[word] = set ? bits[word]! | bit : bits[word]! & ~bit;
    }
    const row = image.row(bits, rules.length);
    if (row !== rows.at(-1)) {
      bounds.push(from);
      rows.push(row);
    }
    if (i === events.length) return { bounds, rows };
  }
};

const compare = (a: Bound, b: Bound): number => {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
};

/** The next value, or undefined behind the last one that 32 bits a word can say. */
const successor = (value: Bound): Bound | undefined => {
  const next = [...value];
  for (let i = next.length - 1; i >= 0; i--) {
    if (next[i]! < 0xffff_ffff) {
      next[i]!++;
      return next;
    }
    next[i] = 0;
  }
  return undefined;
};
