/**
 * A Child SA as IKE knows it: a pair of SAs and what is to become of it. Keys are not here, the data plane has them.
 *
 *   installed ──> rekeying ──> deleting ──> removed      we rekeyed it and delete it
 *       │            └──> installed                      the rekey was refused: try again later
 *       └──> replaced ──> (deleting) ──> removed         the peer rekeyed it and is to delete it; a guard does where not
 */
import { Postponed } from "./backoff.ts";
import type { ChildSaParams } from "./child-sa-params.ts";
import type { ChildConfig } from "./connection.ts";
import type { Task } from "./task.ts";
import type { Volume, VolumeLimits } from "./volume.ts";

export type ChildSaState =
  | { readonly name: "installed"; readonly rekeyAt: number }
  | { readonly name: "rekeying"; readonly task: Task }
  | { readonly name: "replaced"; readonly by: ChildSa; readonly guardAt: number }
  | { readonly name: "deleting" }
  | { readonly name: "removed" };

const MAY_BECOME: Readonly<Record<ChildSaState["name"], readonly ChildSaState["name"][]>> = {
  installed: ["installed", "rekeying", "replaced", "deleting", "removed"],
  rekeying: ["installed", "rekeying", "replaced", "deleting", "removed"],
  replaced: ["deleting", "removed"],
  deleting: ["removed"],
  removed: [],
};

/** How long the responder of a further pair waits for a sign that the initiator has it before sending on it, ms. */
export const USE_GUARD = 5_000;

/** How long the SA that a peer rekeyed waits for its Delete before we delete it ourselves, ms. */
export const DELETE_GUARD = 120_000;

export type ChildSaFacts = Omit<ChildSaParams, "keyIn" | "keyOut" | "path" | "connection" | "child">;

interface Beginning {
  readonly lowestNonce: Uint8Array;
  readonly inUse: boolean;
  readonly now: number;
  readonly rekeyAt: number;
  readonly expiresAt: number;
  readonly limits: VolumeLimits;
}

export class ChildSa {
  readonly config: ChildConfig;
  readonly facts: ChildSaFacts;
  /** The lower nonce of the exchange that made it: decides between twins (RFC 7296 §2.8.1). */
  readonly lowestNonce: Uint8Array;
  /** When it was made. */
  readonly since: number;
  /** Hard end of its life. */
  readonly expiresAt: number;
  /** Whether traffic of the policy is sent on it. */
  inUse: boolean;
  /** When to send on it though nothing has shown that the peer has it yet; never, where its use is told otherwise. */
  useAt = Number.POSITIVE_INFINITY;
  readonly limits: VolumeLimits;
  /** Its soft limit of volume is reached: a rekey was asked for. */
  isWornOut = false;
  /** What it had carried when its volume was last looked at. */
  carried: Volume & { readonly at: number };
  /** The pair that took its place, also when it is gone itself. */
  successor: ChildSa | undefined;
  /** Its rekey, as the peer puts it off. */
  readonly postponed = new Postponed();
  /** What the data plane had received and sent when we last asked. */
  packetsIn = 0;
  packetsOut = 0;
  #state: ChildSaState;

  constructor(config: ChildConfig, facts: ChildSaFacts, options: Beginning) {
    this.config = config;
    this.facts = facts;
    this.lowestNonce = options.lowestNonce;
    this.inUse = options.inUse;
    this.since = options.now;
    this.expiresAt = options.expiresAt;
    this.limits = options.limits;
    this.carried = { packets: 0, bytes: 0, sequence: 0, at: options.now };
    this.#state = { name: "installed", rekeyAt: options.rekeyAt };
  }

  /** 0: the fallback. */
  get resource(): number {
    return this.facts.resource;
  }

  get spiIn(): number {
    return this.facts.spiIn;
  }

  get spiOut(): number {
    return this.facts.spiOut;
  }

  get state(): ChildSaState {
    return this.#state;
  }

  /** It carries traffic and nothing is to replace it but a rekey of ours. */
  get isLive(): boolean {
    return this.#state.name === "installed" || this.#state.name === "rekeying";
  }

  /** The only way to change state. An impossible step is a bug and throws a RangeError. */
  become(next: ChildSaState): void {
    if (!MAY_BECOME[this.#state.name].includes(next.name))
      throw new RangeError(`a Child SA cannot go from ${this.#state.name} to ${next.name}`);
    this.#state = next;
  }
}

export const spiText = (spi: number): string => spi.toString(16).padStart(8, "0");
