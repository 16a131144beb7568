// HOT PATH
/**
 * The ordered policies of interfaces in shared memory (RFC 4301 §4.4.1): control writes a compiled list and publishes where
 * it lies, workers ask it. A list that was replaced stays where it is until every worker has begun a batch after that, so
 * nobody waits for anybody, and every packet is judged by one list or the other.
 *
 *   words      0 how many rows have a list; then two words a row: the list for packets out of its queues, and the one for
 *              packets that its SAs brought; then the lists
 *   a list     policies, rules, one word for each policy, and what `compilePolicies` made
 *   a policy   action << 24 | the tunnel that protects it
 */
import { PolicyTable } from "../ipsec/policy-table.ts";
import { MAX_TUNNELS } from "./tunnel-table.ts";

const ROWS = 16;
const OUTBOUND = 0;
const INBOUND = 1;
const ROW = 2;
const LISTS = ROWS + MAX_TUNNELS * ROW;
/** Lists begin at cache lines. */
const LINE = 16;

/** Octets for lists unless more are asked for: some thousand policies. */
export const DEFAULT_POLICY_OCTETS = 4 << 20;

/** A list as a worker asks it. */
export class PolicyList {
  readonly table: PolicyTable;
  readonly #entries: Uint32Array;

  constructor(words: Uint32Array) {
    const count = words[0]!;
    this.#entries = words.subarray(1, 1 + count);
    this.table = new PolicyTable(words.subarray(1 + count));
  }

  /** One of PolicyAction. */
  action(policy: number): number {
    return this.#entries[policy]! >>> 24;
  }

  tunnel(policy: number): number {
    return this.#entries[policy]! & 0xff_ffff;
  }
}

export class PolicyMemory {
  readonly memory: SharedArrayBuffer;
  readonly #words: Uint32Array;
  /** What this thread knows of each word that publishes a list: where it was, and the list. */
  readonly #known = new Int32Array(MAX_TUNNELS * ROW);
  readonly #lists: (PolicyList | undefined)[] = new Array<PolicyList | undefined>(MAX_TUNNELS * ROW).fill(undefined);

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Uint32Array(memory);
  }

  static create(octets = DEFAULT_POLICY_OCTETS): PolicyMemory {
    return new PolicyMemory(new SharedArrayBuffer(LISTS * 4 + ((octets + 63) & ~63)));
  }

  // Control

  /** Where the lists lie, in words: the first and the one behind the last. */
  get room(): readonly [number, number] {
    return [LISTS, this.#words.length];
  }

  /** Words of a list in memory. */
  static wordsFor(policies: number, compiled: number): number {
    return (1 + policies + compiled + LINE - 1) & ~(LINE - 1);
  }

  /** Write a list at `at`, which no worker reads. */
  write(at: number, entries: Uint32Array, compiled: Uint32Array): void {
    this.#words[at] = entries.length;
    this.#words.set(entries, at + 1);
    this.#words.set(compiled, at + 1 + entries.length);
  }

  /** `at` 0: none. */
  publishOutbound(tunnel: number, at: number): void {
    this.#publish(tunnel * ROW + OUTBOUND, at);
  }

  publishInbound(tunnel: number, at: number): void {
    this.#publish(tunnel * ROW + INBOUND, at);
  }

  #publish(row: number, at: number): void {
    const before = Atomics.exchange(this.#words, ROWS + row, at);
    if (before === 0 && at !== 0) Atomics.add(this.#words, 0, 1);
    if (before !== 0 && at === 0) Atomics.sub(this.#words, 0, 1);
  }

  // Workers

  /** Whether any interface has policies. */
  get any(): boolean {
    return Atomics.load(this.#words, 0) !== 0;
  }

  /** The list for what leaves the queues of a tunnel; undefined: all goes to its own SAs. */
  outbound(tunnel: number): PolicyList | undefined {
    return this.#list(tunnel * ROW + OUTBOUND);
  }

  /** The list for what the SAs of a tunnel brought. */
  inbound(tunnel: number): PolicyList | undefined {
    return this.#list(tunnel * ROW + INBOUND);
  }

  #list(row: number): PolicyList | undefined {
    const at = Atomics.load(this.#words, ROWS + row);
    if (at === this.#known[row]) return this.#lists[row];
    this.#known[row] = at;
    this.#lists[row] = at === 0 ? undefined : new PolicyList(this.#words.subarray(at)); // cold
    return this.#lists[row];
  }

  /** Between two batches: what lies in a place may be another list than before. */
  forget(): void {
    this.#known.fill(0);
    this.#lists.fill(undefined);
  }
}
