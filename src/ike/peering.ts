/**
 * One configured connection as it stands: its IKE SAs, whether somebody wants it up, and when to try again.
 */
import { canonicalAddress } from "../ip-address.ts";
import { backoff } from "./backoff.ts";
import { type ChildConfig, type ConnectionConfig, hostsOf } from "./connection.ts";
import { identityKey } from "./identity.ts";
import type { IkeSa } from "./ike-sa.ts";
import { describeProposals } from "./proposal.ts";
import type { Turn } from "./turn.ts";

/** `always`: for ever, with back-off. `once`: until it fails or ends. `no`: only when the peer asks. */
export type Wish = "always" | "once" | "no";

/** One pair of a child that is wanted and was not to be had, or did not stay. */
export interface Retry {
  readonly child: string;
  readonly resource: number;
  readonly failures: number;
  /** Undefined while it is being tried, and once it is there. */
  readonly at: number | undefined;
  /** When it came, if it did. */
  readonly upSince: number | undefined;
}

/** A pair that stays so long has had its failures forgiven, ms. */
const FORGIVEN = 300_000;

/** Of a name: each that does not answer takes a minute. */
const MOST_ADDRESSES = 8;

export class Peering {
  readonly config: ConnectionConfig;
  /** No address keeps the peer out: it may have any, or those of a name that has moved. */
  readonly mayBeAnywhere: boolean;
  /** Who we are in it: equal where the identities are. */
  readonly localKey: string;
  /** Its IKE proposals in words: equal where the lists are. */
  readonly proposals: string;
  readonly sas = new Set<IkeSa>();
  wish: Wish = "no";
  /** Taken down by its user and not to come up by the peer's wish either. */
  isHeldDown = false;
  lastError: string | undefined;
  /** When to begin again an IKE SA that is wanted. */
  retryAt: number | undefined;
  failures = 0;
  /** A name that is being resolved, and until when that is waited for. */
  resolving: { readonly host: string; readonly until: number } | undefined;
  /** The key pair to begin with is being made; its number in `KeyWorks`. */
  keyWork: number | undefined;
  readonly #hosts: readonly string[];
  /** Which of the hosts is tried now, or next. */
  #nextHost = 0;
  /** Addresses of that host that have not been tried since its name was resolved. */
  #untried: readonly string[] = [];
  /** Whether the attempt at it has succeeded. */
  #wasUp = false;
  /** What names were resolved to last. */
  #learned: readonly string[] = [];
  /** Packets for it are not to begin it before, since the last try failed. */
  #trapAt = Number.NEGATIVE_INFINITY;
  /** Children with `trap` for which a packet has come since the connection came up. */
  readonly #trapped = new Set<string>();
  readonly #childRetries = new Map<string, Retry>();

  constructor(config: ConnectionConfig) {
    this.config = config;
    this.#hosts = hostsOf(config);
    const isName = (host: string): boolean => canonicalAddress(host) === undefined;
    this.localKey = identityKey(config.local.id);
    this.proposals = describeProposals(config.proposals);
    this.mayBeAnywhere = this.#hosts.length === 0 || this.#hosts.some(isName);
  }

  /** Where the peer is looked for next: an address or a name; undefined: it must begin. */
  get host(): string | undefined {
    return this.#hosts[this.#nextHost];
  }

  /** Whether the peer is known to be at this address. */
  isAt(address: string): boolean {
    return this.#hosts.includes(address) || this.#learned.includes(address);
  }

  /** Where the peer is known to be; names among them are nowhere. */
  get places(): readonly string[] {
    return [...this.#hosts, ...this.#learned];
  }

  /** The name of `host` was resolved to these: the next of them is the one to begin with, the others are for when it fails. */
  tryAddresses(addresses: readonly string[]): void {
    this.#untried = addresses.slice(0, MOST_ADDRESSES);
  }

  /** The next address to try of a name that was resolved; undefined: it is to be resolved anew. */
  nextAddress(): string | undefined {
    const [address, ...others] = this.#untried;
    this.#untried = others;
    return address;
  }

  learnAddresses(addresses: readonly string[]): void {
    if (addresses.length > 0) this.#learned = addresses;
  }

  /** Whether a packet may begin it now. */
  isTrapped(now: number): boolean {
    return this.traps && !this.isHeldDown && !this.isAlive && now >= this.#trapAt;
  }

  /** Whether packets may begin it, or one of its children. */
  get traps(): boolean {
    return this.config.start === "trap" || this.config.children.some(({ trap }) => trap === true);
  }

  /** A packet for this child has come. */
  trap(child: string): void {
    this.#trapped.add(child);
  }

  /** Whether we ask for this child by ourselves. */
  wants({ name, trap }: ChildConfig): boolean {
    return trap !== true || this.#trapped.has(name);
  }

  /** SAs that are up, the newest last. */
  established(): IkeSa[] {
    return [...this.sas].filter((sa) => sa.state.name === "established");
  }

  /** Whether an IKE SA is up or on its way up. */
  get isAlive(): boolean {
    if (this.resolving !== undefined || this.keyWork !== undefined) return true;
    for (const { state } of this.sas)
      if (state.name === "established" || state.name === "auth-sent" || state.name === "init-sent") return true;
    return false;
  }

  /** An IKE SA ended: try again when it is wanted and was the last. */
  lost(turn: Turn): void {
    turn.touch(this);
    if (this.isAlive) return;
    this.forgetChildren();
    const trapped = [...this.#trapped];
    this.#trapped.clear();
    const hasFailed = !this.#wasUp;
    this.#wasUp = false;
    const hasOthers = this.#untried.length > 0;
    if (this.wish !== "no" && hasFailed && (hasOthers || this.#nextHost + 1 < this.#hosts.length)) {
      if (!hasOthers) this.#nextHost++; // another address of the peer, or a backup peer, at once
      for (const child of trapped) this.#trapped.add(child);
      this.retryAt ??= turn.now;
      return;
    }
    this.#nextHost = 0;
    this.#untried = [];
    if (this.wish === "no") return;
    const wait = backoff(turn, this.failures++);
    if (this.wish === "once") {
      this.wish = "no";
      this.#trapAt = turn.now + wait;
    } else this.retryAt ??= turn.now + wait;
  }

  /** An IKE SA is up. */
  succeeded(): void {
    this.#wasUp = true;
    this.#trapAt = Number.NEGATIVE_INFINITY;
    this.lastError = undefined;
    this.retryAt = undefined;
    this.failures = 0;
  }

  get childRetries(): readonly Retry[] {
    return [...this.#childRetries.values()];
  }

  /** Whether this pair of a child will be tried for. */
  isChildDue(child: string, resource: number): boolean {
    return this.#childRetries.get(keyOf(child, resource))?.at !== undefined;
  }

  /**
   * Try for this pair of a child again: after `wait`, or later each time, also where it comes and goes, so that two peers who
   * want different things do not keep each other busy (RFC 9611 §6).
   */
  retryChild(turn: Turn, child: string, resource: number, wait?: number): void {
    if (this.wish === "no") return;
    turn.touch(this);
    const last = this.#childRetries.get(keyOf(child, resource));
    const isForgiven = last?.upSince !== undefined && turn.now - last.upSince >= FORGIVEN;
    const failures = last === undefined || isForgiven ? 0 : last.failures;
    const at = turn.now + (wait ?? backoff(turn, failures));
    this.#keep({ child, resource, failures: wait === undefined ? failures + 1 : failures, at, upSince: undefined });
  }

  /** A try is on its way, or none is needed. */
  triedChild(retry: Retry): void {
    this.#keep({ ...retry, at: undefined });
  }

  /** The pair is there. */
  childIsUp(turn: Turn, child: string, resource: number): void {
    const last = this.#childRetries.get(keyOf(child, resource));
    if (last !== undefined) this.#keep({ ...last, at: undefined, upSince: turn.now });
  }

  forgetChildren(): void {
    this.#childRetries.clear();
  }

  #keep(retry: Retry): void {
    this.#childRetries.set(keyOf(retry.child, retry.resource), retry);
  }
}

const keyOf = (child: string, resource: number): string => `${resource} ${child}`;
