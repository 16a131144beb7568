/**
 * One configured connection as it stands: its IKE SAs, whether somebody wants it up, and when to try again.
 */
import { backoff } from "./backoff.ts";
import type { ConnectionConfig } from "./connection.ts";
import type { IkeSa } from "./ike-sa.ts";
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

export class Peering {
  readonly config: ConnectionConfig;
  readonly sas = new Set<IkeSa>();
  wish: Wish = "no";
  /** Taken down by its user and not to come up by the peer's wish either. */
  isHeldDown = false;
  lastError: string | undefined;
  /** When to begin again an IKE SA that is wanted. */
  retryAt: number | undefined;
  failures = 0;
  readonly #childRetries = new Map<string, Retry>();

  constructor(config: ConnectionConfig) {
    this.config = config;
  }

  /** SAs that are up, the newest last. */
  established(): IkeSa[] {
    return [...this.sas].filter((sa) => sa.state.name === "established");
  }

  /** Whether an IKE SA is up or on its way up. */
  get isAlive(): boolean {
    for (const { state } of this.sas)
      if (state.name === "established" || state.name === "auth-sent" || state.name === "init-sent") return true;
    return false;
  }

  /** An IKE SA ended: try again when it is wanted and was the last. */
  lost(turn: Turn): void {
    if (this.isAlive) return;
    this.forgetChildren();
    if (this.wish === "once") this.wish = "no";
    if (this.wish === "no") return;
    this.retryAt ??= turn.now + backoff(turn, this.failures++);
  }

  /** An IKE SA is up. */
  succeeded(): void {
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
