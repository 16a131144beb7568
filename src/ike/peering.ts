/**
 * One configured connection as it stands: its IKE SAs, whether somebody wants it up, and when to try again.
 */
import { backoff } from "./backoff.ts";
import type { ConnectionConfig } from "./connection.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Turn } from "./turn.ts";

/** `always`: for ever, with back-off. `once`: until it fails or ends. `no`: only when the peer asks. */
export type Wish = "always" | "once" | "no";

interface Retry {
  readonly failures: number;
  /** Undefined while it is being tried. */
  readonly at: number | undefined;
}

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
  /** Children that are wanted and could not be had, by name. */
  readonly childRetries = new Map<string, Retry>();

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
    this.childRetries.clear();
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

  /** Try for this child again, later each time. */
  retryChild(turn: Turn, name: string, wait?: number): void {
    if (this.wish === "no") return;
    const failures = this.childRetries.get(name)?.failures ?? 0;
    this.childRetries.set(name, { failures: failures + 1, at: turn.now + (wait ?? backoff(turn, failures)) });
  }

  /** A try is on its way. */
  tryingChild(name: string): void {
    const failures = this.childRetries.get(name)?.failures ?? 0;
    this.childRetries.set(name, { failures, at: undefined });
  }
}
