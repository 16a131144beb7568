/**
 * CREATE_CHILD_SA as its initiator: another Child SA (RFC 7296 §1.3.1) or the rekey of one (§1.3.3, §2.8)
 *
 *   HDR, SK {[N(REKEY_SA),] SA, Ni, [KEi,] TSi, TSr} -->
 *                                                    <-- HDR, SK {SA, Nr, [KEr,] TSi, TSr}
 *
 * Make before break: the old pair is deleted once traffic has moved to the new one.
 */
import { generateKeyPair, type KeyPair, kexById } from "../crypto/kex.ts";
import { childFailed } from "./child-failure.ts";
import {
  type AgreedChild,
  type ChildOffer,
  firstGroup,
  groupsOf,
  offerChild,
  offeredPayloads,
  readChildAnswer,
} from "./child-offer.ts";
import { type ChildSa, spiText } from "./child-sa.ts";
import { hasChild, installChild, isChildUp, removeChild, replacedBy } from "./children.ts";
import type { ChildConfig } from "./connection.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import type { IkeSa } from "./ike-sa.ts";
import { DeleteUninstalled, deleteChild } from "./informational.ts";
import { losesTo, lowest } from "./lowest-nonce.ts";
import { Exchange, find, type Payload } from "./message.ts";
import { Notify } from "./notify.ts";
import { errorNotify, groupOf, kePayload, NONCE_LENGTH, noncePayload, notifyAboutSpi } from "./payloads.ts";
import { Protocol, spiBytes } from "./proposal.ts";
import type { Task } from "./task.ts";
import type { Turn } from "./turn.ts";

interface Sent {
  readonly offer: ChildOffer;
  readonly ni: Uint8Array;
  readonly keyPair: KeyPair | undefined;
}

/** After a refusal a rekey is tried again within this time; TEMPORARY_FAILURE is for soon (RFC 7296 §2.25). */
const RETRY = { refused: 60_000, temporary: 5_000 } as const;
/** How long a responder leaves it to the initiator to ask for the other children, ms. */
const CHILDREN_LATER = 5_000;
const MOST_GROUPS = 3;

export class CreateChild implements Task {
  readonly kind: "create-child-sa" | "rekey-child-sa";
  readonly exchange = Exchange.CREATE_CHILD_SA;
  readonly childName: string;
  readonly #config: ChildConfig;
  readonly #old: ChildSa | undefined;
  readonly #group: number | undefined;
  readonly #tries: number;
  #sent: Sent | undefined;
  /** What the peer made of the same child while our request was on its way (RFC 7296 §2.8.1). */
  rival: ChildSa | undefined;

  constructor(config: ChildConfig, old?: ChildSa, again: { readonly group?: number; readonly tries?: number } = {}) {
    this.kind = old === undefined ? "create-child-sa" : "rekey-child-sa";
    this.childName = config.name;
    this.#config = config;
    this.#old = old;
    this.#group = again.group ?? firstGroup(config.proposals);
    this.#tries = again.tries ?? 1;
  }

  request(turn: Turn, sa: IkeSa): readonly Payload[] | undefined {
    const config = this.#config;
    const old = this.#old;
    // Meanwhile the peer may have done it, or deleted the pair.
    if (old === undefined ? isChildUp(sa, config.name) : !this.#owns(old)) return undefined;
    const offer = offerChild(turn, sa.connection ?? "", config, { resource: old?.resource ?? 0, withKe: true });
    if (offer === undefined) {
      turn.log("error", "no-spi", sa, `no room for child ${config.name}: too many Child SAs`, { child: config.name });
      this.#giveUp(turn, sa, RETRY.refused);
      return undefined;
    }
    const method = this.#group === undefined ? undefined : kexById(this.#group);
    const keyPair = method && generateKeyPair(method);
    const ni = turn.random(NONCE_LENGTH);
    this.#sent = { offer, ni, keyPair };
    const { sa: proposals, selectors } = offeredPayloads(offer);
    return [
      ...(old === undefined ? [] : [notifyAboutSpi(Notify.REKEY_SA, Protocol.ESP, spiBytes(old.spiIn))]),
      proposals,
      noncePayload(ni),
      ...(keyPair === undefined ? [] : [kePayload(keyPair.method.id, keyPair.publicValue)]),
      ...selectors,
    ];
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
      this.#giveUp(turn, sa, RETRY.refused);
    } finally {
      sent.keyPair?.destroy();
    }
  }

  abandon(turn: Turn, _sa: IkeSa): void {
    if (this.#sent !== undefined) release(turn, this.#sent);
    this.#sent = undefined;
    const old = this.#old;
    if (old !== undefined && this.#owns(old)) old.become({ name: "installed", rekeyAt: turn.now + RETRY.temporary });
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
    const loses = this.rival !== undefined && rival !== undefined && losesTo(lowest(ni, nr), this.rival.lowestNonce);
    const use = loses ? "when-told" : "now";
    const child = installChild(turn, sa, { agreed, keys, ni, nr, shared, weInitiated: true, use, replaces: old });
    if (loses) {
      turn.log("debug", "rekey-collision-lost", sa, `child ${child.config.name}: the peer's new pair stays`);
      if (old !== undefined && this.#owns(old)) replacedBy(turn, old, rival);
      deleteChild(turn, sa, child);
      return;
    }
    if (old !== undefined) {
      if (rival !== undefined) replacedBy(turn, rival, child); // the peer deletes it; the guard does where it does not
      deleteChild(turn, sa, old);
    } else if (rival !== undefined) deleteChild(turn, sa, rival); // the peer may not have seen that they crossed
  }

  /** The peer said no. */
  #refused(turn: Turn, sa: IkeSa, { offer }: Sent, error: { type: number; data: Uint8Array }): void {
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
        this.#giveUp(turn, sa, RETRY.temporary);
        return;
      case Notify.CHILD_SA_NOT_FOUND:
        if (old === undefined || old.state.name === "removed") break;
        removeChild(turn, sa, old, "the peer does not know it"); // RFC 7296 §2.25.1
        wantChild(turn, sa, offer.config);
        return;
    }
    childFailed(turn, sa, offer, new IkeError(error.type, `the peer refused ${this.#what}`));
    this.#giveUp(turn, sa, RETRY.refused);
  }

  /** The rival, or what the peer has rekeyed it to since. */
  get #liveRival(): ChildSa | undefined {
    let { rival } = this;
    while (rival?.state.name === "replaced") rival = rival.state.by;
    return rival?.isLive ? rival : undefined;
  }

  get #what(): string {
    return this.#old === undefined ? "the child" : `the rekey of ${spiText(this.#old.spiIn)}`;
  }

  #tryGroup(turn: Turn, sa: IkeSa, group: number): boolean {
    if (this.#tries >= MOST_GROUPS || group === this.#group || !groupsOf(this.#config.proposals).includes(group))
      return false;
    const again = new CreateChild(this.#config, this.#old, { group, tries: this.#tries + 1 });
    if (this.#old !== undefined && this.#owns(this.#old)) this.#old.become({ name: "rekeying", task: again });
    sa.requests.addFirst(turn, sa, again);
    return true;
  }

  /** Nothing came of it: the old pair goes on, or the child is asked for again later. */
  #giveUp(turn: Turn, sa: IkeSa, within: number): void {
    const old = this.#old;
    if (old === undefined || old.state.name === "removed") {
      const isComing = sa.peering?.childRetries.get(this.childName)?.at !== undefined;
      if (!isComing) wantChild(turn, sa, this.#config, within === RETRY.temporary ? within : undefined);
    } else if (this.#owns(old)) old.become({ name: "installed", rekeyAt: turn.now + turn.jittered(within, 0.5) });
  }

  /** Whether the old pair still waits for this very task. */
  #owns({ state }: ChildSa): boolean {
    return state.name === "rekeying" && state.task === this;
  }
}

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

/** Rekey a pair: it carries traffic until the new one does. */
export const rekeyChild = (turn: Turn, sa: IkeSa, child: ChildSa): void => {
  if (child.state.name !== "installed") return;
  const task = new CreateChild(child.config, child);
  child.become({ name: "rekeying", task });
  sa.requests.add(turn, sa, task);
};

/** Ask for all children of the connection that are not there. */
export const wantChildren = (turn: Turn, sa: IkeSa): void => {
  const { peering } = sa;
  if (peering === undefined || peering.wish === "no") return;
  for (const config of peering.config.children)
    if (!hasChild(sa, config.name) && !peering.childRetries.has(config.name))
      sa.requests.add(turn, sa, new CreateChild(config));
};

/** As responder: the initiator asks for what it wants, we for what is left. */
export const wantChildrenLater = (turn: Turn, sa: IkeSa): void => {
  for (const config of sa.peering?.config.children ?? [])
    if (!hasChild(sa, config.name)) wantChild(turn, sa, config, CHILDREN_LATER);
};

/** Ask for a child again: within some time, or with back-off. */
export const wantChild = (turn: Turn, sa: IkeSa, { name }: ChildConfig, within?: number): void =>
  sa.peering?.retryChild(turn, name, within === undefined ? undefined : turn.jittered(within, 0.5));
