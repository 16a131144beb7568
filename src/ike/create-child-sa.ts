/**
 * CREATE_CHILD_SA as its initiator: another Child SA (RFC 7296 §1.3.1), another pair for one (RFC 9611), or the rekey of one
 * (RFC 7296 §1.3.3, §2.8)
 *
 *   HDR, SK {[N(REKEY_SA),] [N(SA_RESOURCE_INFO),] SA, Ni, [KEi,] TSi, TSr} -->
 *                                                    <-- HDR, SK {[N(SA_RESOURCE_INFO),] SA, Nr, [KEr,] TSi, TSr}
 *
 * Make before break: the old pair is deleted once traffic has moved to the new one.
 */
import { toHex } from "../bytes.ts";
import { generateKeyPair, type KexMethod, type KeyPair, kexById } from "../crypto/kex.ts";
import type { AgreedChild, ChildOffer } from "./agreed-child.ts";
import { shortly } from "./backoff.ts";
import { childFailed, noteProblem } from "./child-failure.ts";
import { firstGroup, groupsOf, offerChild, offeredPayloads, readChildAnswer } from "./child-offer.ts";
import { type ChildSa, spiText } from "./child-sa.ts";
import { installChild, isChildUp, removeChild, replacedBy } from "./children.ts";
import type { ChildConfig } from "./connection.ts";
import { DeleteUninstalled, deleteChild } from "./delete-child-sa.ts";
import { deletedByPeer } from "./deleted-child.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import type { IkeSa } from "./ike-sa.ts";
import { beginAnew } from "./ike-sa-end.ts";
import { losesTo, lowest } from "./lowest-nonce.ts";
import { Exchange, find, type Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { errorNotify, groupOf, kePayload, NONCE_LENGTH, noncePayload, notifyAboutSpi } from "./payloads.ts";
import { Protocol, spiBytes } from "./proposal.ts";
import { countedPairs, livePairs, mayAskFor, noteResources, resourcePayloads } from "./resources.ts";
import type { Task } from "./task.ts";
import { transportProblem } from "./transport-mode.ts";
import type { Turn } from "./turn.ts";
import { missing, wantChild, wanted } from "./want-children.ts";

interface Sent {
  readonly offer: ChildOffer;
  readonly ni: Uint8Array;
  readonly keyPair: KeyPair | undefined;
  /** Pairs of the child that the peer could count then. */
  readonly pairs: number;
}

export interface Asking {
  /** Of a rekey: that of the old pair. */
  readonly resource: number;
  /** What is rekeyed. */
  readonly old?: ChildSa | undefined;
  readonly group?: number;
  readonly tries?: number;
}

/** After a refusal a rekey is tried again within this time, ms. */
const REFUSED = 60_000;
const MOST_GROUPS = 3;
/** SPIs of Deletes that are kept for an answer to come: an honest peer has one to name, and some that both have deleted. */
const MOST_DELETED = 64;

export class CreateChild implements Task {
  readonly kind: "create-child-sa" | "rekey-child-sa";
  readonly exchange = Exchange.CREATE_CHILD_SA;
  readonly childName: string;
  readonly resource: number;
  readonly #config: ChildConfig;
  readonly #old: ChildSa | undefined;
  readonly #group: number | undefined;
  readonly #tries: number;
  #sent: Sent | undefined;
  /** What the peer made of the same child while our request was on its way (RFC 7296 §2.8.1). */
  rival: ChildSa | undefined;
  keyPair: KeyPair | undefined;
  /** SPIs, in hex, that the peer has deleted since our request went out and that are those of no pair. */
  readonly #deleted = new Set<string>();

  constructor(config: ChildConfig, { resource, old, group, tries = 1 }: Asking) {
    this.kind = old === undefined ? "create-child-sa" : "rekey-child-sa";
    this.childName = config.name;
    this.resource = resource;
    this.#config = config;
    this.#old = old;
    this.#group = group ?? firstGroup(config.proposals);
    this.#tries = tries;
  }

  keyMethod(): KexMethod | undefined {
    return this.#group === undefined ? undefined : kexById(this.#group);
  }

  request(turn: Turn, sa: IkeSa): readonly Payload[] | undefined {
    const { resource } = this;
    const config = this.#config;
    const old = this.#old;
    // Meanwhile the peer may have done it, or deleted the pair.
    if (old === undefined ? !isMissing(sa, config, resource) : !this.#owns(old)) return undefined;
    const like = old === undefined ? livePairs(sa, config)[0]?.facts : undefined;
    const problem = transportProblem(config, sa.path, sa.encap);
    if (problem !== undefined) {
      noteProblem(turn, sa, config, problem);
      this.#giveUp(turn, sa);
      return undefined;
    }
    const { path } = sa;
    const offer = offerChild(turn, sa.connection ?? "", config, { resource, withKe: true, path, like });
    if (offer === undefined) {
      turn.log("error", "no-spi", sa, `no room for child ${config.name}: too many Child SAs`, { child: config.name });
      this.#giveUp(turn, sa);
      return undefined;
    }
    const method = this.keyMethod();
    const keyPair = this.keyPair ?? (method && generateKeyPair(method));
    this.keyPair = undefined;
    const ni = turn.random(NONCE_LENGTH);
    this.#sent = { offer, ni, keyPair, pairs: countedPairs(sa, config) };
    const { mode, sa: proposals, selectors } = offeredPayloads(offer);
    return [
      ...(old === undefined ? [] : [notifyAboutSpi(Notify.REKEY_SA, Protocol.ESP, spiBytes(old.spiIn))]),
      ...resourcePayloads(config, resource),
      ...mode,
      proposals,
      noncePayload(ni),
      ...(keyPair === undefined ? [] : [kePayload(keyPair.method.id, keyPair.publicValue)]),
      ...selectors,
    ];
  }

  agreement(payloads: readonly Payload[]): { readonly keyPair: KeyPair; readonly peer: Uint8Array } | undefined {
    const ke = find(payloads, "KE");
    const keyPair = this.#sent?.keyPair;
    return ke === undefined || keyPair === undefined ? undefined : { keyPair, peer: ke.data };
  }

  answer(turn: Turn, sa: IkeSa, payloads: readonly Payload[]): void {
    const sent = this.#sent;
    if (sent === undefined) return;
    this.#sent = undefined;
    const error = errorNotify(payloads);
    if (error !== undefined || sa.state.name !== "established") {
      release(turn, sent); // on a closing IKE SA, the peer's Delete takes its end of the child with it
      if (error !== undefined && sa.state.name === "established") this.#refused(turn, sa, sent, error);
      return;
    }
    try {
      this.#install(turn, sa, sent, readChildAnswer(sent.offer, payloads), payloads);
    } catch (problem) {
      if (!(problem instanceof IkeError)) throw problem;
      sa.requests.add(turn, sa, new DeleteUninstalled(sent.offer.spiIn)); // the peer has it: no half state
      childFailed(turn, sa, sent.offer, problem);
      this.#giveUp(turn, sa);
    } finally {
      sent.keyPair?.destroy();
    }
  }

  /**
   * The peer deletes a pair that we do not have. Our request on its way may be what made it: each side has a window of its own,
   * so the Delete may come before the answer (RFC 7296 §2.3).
   */
  deletedBefore(spi: Uint8Array): void {
    if (this.#deleted.size < MOST_DELETED) this.#deleted.add(toHex(spi));
  }

  abandon(turn: Turn, _sa: IkeSa): void {
    if (this.#sent !== undefined) release(turn, this.#sent);
    this.#sent = undefined;
    this.keyPair?.destroy();
    this.keyPair = undefined;
    const old = this.#old;
    if (old !== undefined && this.#owns(old)) postpone(turn, old, shortly(turn, old.expiresAt - turn.now));
  }

  putOff(turn: Turn, sa: IkeSa): void {
    this.abandon(turn, sa);
    if (this.#old === undefined) this.#giveUp(turn, sa);
  }

  #install(turn: Turn, sa: IkeSa, sent: Sent, agreed: AgreedChild, payloads: readonly Payload[]): void {
    const keys = sa.keys;
    const nonce = find(payloads, "Nonce");
    if (keys === undefined || nonce === undefined) throw invalidSyntax("CREATE_CHILD_SA answer without Nr");
    const shared = agree(sent, agreed, payloads);
    const { ni } = sent;
    const nr = nonce.data;
    const old = this.#old;
    const rival = this.#liveRival;
    noteResources(sa, agreed.config, payloads);
    const isDeleted = this.#deleted.has(toHex(spiBytes(agreed.spiOut)));
    const loses =
      this.rival !== undefined && rival !== undefined && (isDeleted || losesTo(lowest(ni, nr), this.rival.lowestNonce));
    const use = loses ? "when-told" : "now";
    const child = installChild(turn, sa, { agreed, keys, ni, nr, shared, weInitiated: true, use, replaces: old });
    if (loses) {
      turn.log("debug", "rekey-collision-lost", sa, `child ${child.config.name}: the peer's new pair stays`);
      if (old !== undefined && this.#owns(old)) replacedBy(turn, old, rival);
      if (isDeleted) deletedByPeer(turn, sa, child);
      else deleteChild(turn, sa, child);
      return;
    }
    if (old !== undefined) {
      old.successor = child;
      if (rival !== undefined) replacedBy(turn, rival, child); // the peer deletes it; the guard does where it does not
      deleteChild(turn, sa, old);
    } else if (rival !== undefined) deleteChild(turn, sa, rival); // the peer may not have seen that they crossed
    wantPairs(turn, sa, agreed.config);
    if (isDeleted) deletedByPeer(turn, sa, child); // as if the Delete had come after the answer
  }

  /** The peer said no. */
  #refused(turn: Turn, sa: IkeSa, { offer, pairs }: Sent, error: { type: number; data: Uint8Array }): void {
    const old = this.#old;
    const rival = this.#liveRival;
    if (rival !== undefined) {
      if (old !== undefined && this.#owns(old)) replacedBy(turn, old, rival); // the peer's rekey has won
      return;
    }
    switch (error.type) {
      case Notify.INVALID_KE_PAYLOAD: {
        const group = groupOf(error.data);
        if (group !== undefined && this.#tryGroup(turn, sa, group)) return;
        break;
      }
      case Notify.TEMPORARY_FAILURE:
        turn.log("debug", "child-sa-postponed", sa, `child ${offer.config.name}: the peer asks to wait`);
        if (old !== undefined && this.#owns(old))
          postpone(turn, old, old.postponed.next(turn, old.expiresAt - turn.now));
        else this.#giveUp(turn, sa);
        return;
      case Notify.CHILD_SA_NOT_FOUND:
        if (old === undefined) break;
        if (old.state.name === "removed") {
          this.#giveUp(turn, sa); // the peer's Delete said so before
          return;
        }
        removeChild(turn, sa, old, "the peer does not know it"); // without a word, RFC 7296 §2.25
        if (sa.children.size === 0) beginAnew(turn, sa, "the peer does not know its only Child SA");
        else wantChild(turn, sa, offer.config, old.resource);
        return;
      case Notify.TS_MAX_QUEUE:
      case Notify.NO_ADDITIONAL_SAS:
        if (old !== undefined || pairs === 0) break;
        sa.resources.refused(offer.config.name, pairs);
        turn.log(
          "info",
          "child-sa-limit",
          sa,
          `child ${offer.config.name}: the peer takes no more pairs than ${pairs}`,
        );
        return;
    }
    childFailed(turn, sa, offer, new IkeError(error.type, `the peer refused ${this.#what}`));
    this.#giveUp(turn, sa);
  }

  /** The rival, or what the peer has rekeyed it to since. */
  get #liveRival(): ChildSa | undefined {
    let { rival } = this;
    while (rival !== undefined && !rival.isLive) rival = rival.successor;
    return rival;
  }

  get #what(): string {
    if (this.#old === undefined) return this.resource === 0 ? "the child" : "another pair for the child";
    return `the rekey of ${spiText(this.#old.spiIn)}`;
  }

  #tryGroup(turn: Turn, sa: IkeSa, group: number): boolean {
    if (this.#tries >= MOST_GROUPS || group === this.#group || !groupsOf(this.#config.proposals).includes(group))
      return false;
    const { resource } = this;
    const again = new CreateChild(this.#config, { resource, old: this.#old, group, tries: this.#tries + 1 });
    if (this.#old !== undefined && this.#owns(this.#old)) this.#old.become({ name: "rekeying", task: again });
    sa.requests.addFirst(turn, sa, again);
    return true;
  }

  /** Nothing came of it: the old pair goes on, or the child is asked for again later. */
  #giveUp(turn: Turn, sa: IkeSa): void {
    const old = this.#old;
    if (old === undefined || old.state.name === "removed") {
      if (!sa.peering?.isChildDue(this.childName, this.resource)) wantChild(turn, sa, this.#config, this.resource);
    } else if (this.#owns(old)) old.become({ name: "installed", rekeyAt: turn.now + turn.jittered(REFUSED, 0.5) });
  }

  /** Whether the old pair still waits for this very task. */
  #owns({ state }: ChildSa): boolean {
    return state.name === "rekeying" && state.task === this;
  }
}

/** It goes on, and is rekeyed after `wait` ms; undefined: never, so that its hard end deletes it. */
const postpone = (turn: Turn, child: ChildSa, wait: number | undefined): void =>
  child.become({ name: "installed", rekeyAt: wait === undefined ? Number.POSITIVE_INFINITY : turn.now + wait });

const isMissing = (sa: IkeSa, config: ChildConfig, resource: number): boolean =>
  !isChildUp(sa, config.name, resource) && mayAskFor(sa, config, resource);

const release = (turn: Turn, { offer, keyPair }: Sent): void => {
  keyPair?.destroy();
  turn.core.env.releaseSpi(offer.spiIn);
};

/** The shared secret of a suite with a key exchange of its own. */
const agree = ({ keyPair }: Sent, { suite }: AgreedChild, payloads: readonly Payload[]): Uint8Array | undefined => {
  if (suite.ke === undefined) return undefined;
  const ke = find(payloads, "KE");
  if (keyPair === undefined || ke?.method !== suite.ke || keyPair.method.id !== suite.ke)
    throw new IkeError(Notify.INVALID_KE_PAYLOAD, "the answer has no key exchange of the method it chose");
  const shared = keyPair.agree(ke.data);
  if (shared === undefined) throw invalidSyntax(`the peer's ${keyPair.method.name} value is invalid`); // RFC 6989
  return shared;
};

/** Ask for all that the connection wants and has not. */
export const wantChildren = (turn: Turn, sa: IkeSa): void => {
  for (const config of wanted(sa)) wantPairs(turn, sa, config);
};

/** Ask for all pairs of a child that are not there. */
export const wantPairs = (turn: Turn, sa: IkeSa, config: ChildConfig): void => {
  if (sa.peering === undefined || sa.peering.wish === "no") return;
  for (const resource of missing(sa, config)) sa.requests.add(turn, sa, new CreateChild(config, { resource }));
};
