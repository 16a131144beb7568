/**
 * Rekeying the IKE SA as the initiator of the exchange, RFC 7296 §1.3.2, §2.8, §2.18
 *
 *   HDR, SK {SA, Ni, KEi} -->
 *                         <-- HDR, SK {SA, Nr, KEr}
 *   HDR, SK {D} -->               on the old IKE SA; its children belong to the new one now
 */
import { toHex } from "../bytes.ts";
import { generateKeyPair, type KexMethod, type KeyPair, kexById } from "../crypto/kex.ts";
import { firstGroup, groupsOf } from "./child-offer.ts";
import { DELETE_GUARD } from "./child-sa.ts";
import { samePeer } from "./children.ts";
import { IkeError, invalidSyntax } from "./ike-error.ts";
import { IkeSa } from "./ike-sa.ts";
import { deleteIkeSa } from "./ike-sa-end.ts";
import { establishedState, startTimers } from "./ike-sa-established.ts";
import { deriveRekeyedIkeKeys, type IkeKeys } from "./keymat.ts";
import { losesTo, lowest } from "./lowest-nonce.ts";
import { Exchange, find, type Payload } from "./message.ts";
import { Notify, notifyName } from "./notify.ts";
import { errorNotify, groupOf, kePayload, NONCE_LENGTH, noncePayload } from "./payloads.ts";
import type { Peering } from "./peering.ts";
import { acceptIke, describeProposals, type IkeSuite, offerIke, type Proposal } from "./proposal.ts";
import type { Task } from "./task.ts";
import type { Turn } from "./turn.ts";

interface Sent {
  readonly spi: Uint8Array;
  readonly ni: Uint8Array;
  readonly keyPair: KeyPair;
  readonly proposals: readonly Proposal[];
}

/** After a refusal it is tried again within this time, ms. */
const REFUSED = 60_000;
const MOST_GROUPS = 3;

export class RekeyIkeSa implements Task {
  readonly kind = "rekey-ike-sa";
  readonly exchange = Exchange.CREATE_CHILD_SA;
  readonly #group: number | undefined;
  readonly #tries: number;
  #sent: Sent | undefined;
  /** The IKE SA of the peer's rekey that we answered while ours was on its way (RFC 7296 §2.8.1). */
  rival: IkeSa | undefined;
  keyPair: KeyPair | undefined;

  constructor(group?: number, tries = 1) {
    this.#group = group;
    this.#tries = tries;
  }

  keyMethod({ state, peering }: IkeSa): KexMethod | undefined {
    if (state.name !== "established" || peering === undefined) return undefined;
    // The group of the IKE SA itself: the peer takes that one for certain.
    const { proposals } = peering.config;
    const current = groupsOf(proposals).includes(state.suite.ke) ? state.suite.ke : firstGroup(proposals);
    return kexById(this.#group ?? current ?? 0);
  }

  request(turn: Turn, sa: IkeSa): readonly Payload[] | undefined {
    const { peering } = sa;
    const method = this.keyMethod(sa);
    if (peering === undefined || method === undefined) return undefined;
    const spi = turn.core.newSpi();
    const ni = turn.random(NONCE_LENGTH);
    const keyPair = this.keyPair ?? generateKeyPair(method);
    this.keyPair = undefined;
    this.#sent = { spi, ni, keyPair, proposals: offerIke(peering.config.proposals, spi) };
    turn.core.offeredSpis.add(toHex(spi));
    return [
      { kind: "SA", value: this.#sent.proposals },
      noncePayload(ni),
      kePayload(keyPair.method.id, keyPair.publicValue),
    ];
  }

  agreement(payloads: readonly Payload[]): { readonly keyPair: KeyPair; readonly peer: Uint8Array } | undefined {
    const ke = find(payloads, "KE");
    return ke === undefined || this.#sent === undefined ? undefined : { keyPair: this.#sent.keyPair, peer: ke.data };
  }

  answer(turn: Turn, sa: IkeSa, payloads: readonly Payload[]): void {
    const sent = this.#takeSent(turn);
    if (sent === undefined) return;
    try {
      const error = errorNotify(payloads);
      if (error !== undefined) this.#refused(turn, sa, sent, error);
      else this.#settle(turn, sa, makeRekeyed(turn, sa, sent, payloads));
    } catch (problem) {
      if (!(problem instanceof IkeError)) throw problem;
      this.#failed(turn, sa, sent, problem);
    } finally {
      sent.keyPair.destroy();
    }
  }

  /** The old IKE SA ended first: what the peer rekeyed it to is the heir. */
  abandon(turn: Turn, sa: IkeSa): void {
    this.#takeSent(turn)?.keyPair.destroy();
    this.keyPair?.destroy();
    this.keyPair = undefined;
    if (this.rival?.state.name === "established") replaceBy(turn, sa, this.rival);
  }

  /** What was sent: the exchange is over. */
  #takeSent(turn: Turn): Sent | undefined {
    const sent = this.#sent;
    this.#sent = undefined;
    if (sent !== undefined) turn.core.offeredSpis.delete(toHex(sent.spi));
    return sent;
  }

  /** The new IKE SA is up. Which one of two stays, the nonces say. */
  #settle(turn: Turn, sa: IkeSa, fresh: IkeSa): void {
    if (sa.state.name !== "established") {
      deleteIkeSa(turn, fresh, "no longer wanted");
      return;
    }
    const rival = this.rival?.state.name === "established" ? this.rival : undefined;
    if (rival?.state.name === "established" && fresh.state.name === "established") {
      if (losesTo(fresh.state.lowestNonce, rival.state.lowestNonce)) {
        turn.log("debug", "rekey-collision-lost", sa, "both rekeyed the IKE SA: the peer's stays");
        replaceBy(turn, sa, rival);
        deleteIkeSa(turn, fresh, "both rekeyed");
        return;
      }
      const { keys, suite } = rival.state; // the peer deletes it; the guard does where it does not
      rival.become({ name: "replaced", keys, suite, by: fresh, guardAt: turn.now + DELETE_GUARD });
      turn.touch(rival);
    }
    replaceBy(turn, sa, fresh);
    deleteIkeSa(turn, sa, "rekeyed");
  }

  #refused(turn: Turn, sa: IkeSa, sent: Sent, error: { type: number; data: Uint8Array }): void {
    if (sa.state.name !== "established") return;
    if (this.rival?.state.name === "established") {
      replaceBy(turn, sa, this.rival); // the peer's rekey has won
      return;
    }
    const group = error.type === Notify.INVALID_KE_PAYLOAD ? groupOf(error.data) : undefined;
    if (group !== undefined && this.#tries < MOST_GROUPS && group !== sent.keyPair.method.id) {
      if (groupsOf(sent.proposals).includes(group)) {
        sa.requests.addFirst(turn, sa, new RekeyIkeSa(group, this.#tries + 1));
        return;
      }
    }
    this.#failed(turn, sa, sent, new IkeError(error.type, "the peer refused to rekey the IKE SA"));
  }

  /** The old IKE SA goes on; it is tried again before its hard end. */
  #failed(turn: Turn, sa: IkeSa, { proposals }: Sent, { notify, message, context }: IkeError): void {
    if (sa.state.name !== "established") return;
    const isSoon = notify === Notify.TEMPORARY_FAILURE;
    const left = sa.state.expiresAt - turn.now;
    const wait = isSoon ? sa.postponed.next(turn, left) : turn.jittered(REFUSED, 0.5);
    const rekeyAt = wait === undefined ? Number.POSITIVE_INFINITY : turn.now + wait; // never: its hard end deletes it
    sa.become({ ...sa.state, rekeyAt });
    const text = `${message} (${context ?? `offered ${describeProposals(proposals)}`})`;
    turn.log(isSoon ? "debug" : "error", isSoon ? "ike-sa-rekey-postponed" : "ike-sa-rekey-failed", sa, text);
    if (!isSoon && sa.peering !== undefined) sa.peering.lastError = `${notifyName(notify)}: ${text}`;
  }
}

const makeRekeyed = (turn: Turn, sa: IkeSa, sent: Sent, payloads: readonly Payload[]): IkeSa => {
  const [answer, ke, nonce] = [find(payloads, "SA"), find(payloads, "KE"), find(payloads, "Nonce")];
  const suite = answer && acceptIke(answer, sent.proposals);
  const spiR = answer?.[0]?.spi;
  if (suite === undefined || spiR?.length !== 8 || nonce === undefined)
    throw new IkeError(Notify.NO_PROPOSAL_CHOSEN, "the peer's choice is none of what we offered", {
      context: `offered ${describeProposals(sent.proposals)}; peer chose ${describeProposals(answer ?? [])}`,
    });
  const { method } = sent.keyPair;
  const shared = ke?.method === method.id && suite.ke === method.id ? sent.keyPair.agree(ke.data) : undefined;
  if (shared === undefined) throw invalidSyntax(`the peer's ${method.name} value is invalid`);
  return addRekeyed(turn, sa, {
    role: "initiator",
    spiI: sent.spi,
    spiR,
    suite,
    shared,
    ni: sent.ni,
    nr: nonce.data,
  });
};

interface Rekeyed {
  readonly role: "initiator" | "responder";
  readonly spiI: Uint8Array;
  readonly spiR: Uint8Array;
  readonly suite: IkeSuite;
  readonly shared: Uint8Array;
  readonly ni: Uint8Array;
  readonly nr: Uint8Array;
}

/** An IKE SA with new keys and SPIs, message IDs from 0 (RFC 7296 §2.18); peer, path and NAT are those of the old one. */
export const addRekeyed = (turn: Turn, old: IkeSa, rekeyed: Rekeyed): IkeSa => {
  const { role, spiI, spiR, suite, shared, ni, nr } = rekeyed;
  const { peering, path } = old;
  const oldKeys: IkeKeys | undefined = old.keys;
  if (peering === undefined || oldKeys === undefined) throw new RangeError("only an IKE SA that is up is rekeyed");
  const keys = deriveRekeyedIkeKeys({
    oldPrf: oldKeys.prf,
    oldSkD: oldKeys.skD,
    suite,
    shared,
    ni,
    nr,
    spiI,
    spiR,
  });
  shared.fill(0);
  const state = establishedState(turn, peering, { keys, suite, lowestNonce: lowest(ni, nr) });
  const sa = new IkeSa({ role, spiI, spiR, path, peering, state, now: turn.now, resources: old.resources });
  if (old.peerId !== undefined) turn.core.recognize(sa, old.peerId);
  sa.origin = old.origin;
  sa.nat = old.nat;
  sa.fragments = old.fragments; // RFC 7383 §2.3
  sa.refusedChildLogs = old.refusedChildLogs;
  sa.rekeys = old.rekeys; // a chain of rekeys is no way around their limit
  turn.core.add(sa);
  startTimers(turn, sa);
  turn.log("info", "ike-sa-rekeyed", sa, `IKE SA with ${sa.remoteText} has new keys`, {
    suite: suite.name,
    spiI: toHex(spiI),
    spiR: toHex(spiR),
    role,
  });
  return sa;
};

/** The heir takes over: children outlive the IKE SA that made them (RFC 7296 §2.8). The old one waits for its Delete. */
export const replaceBy = (turn: Turn, sa: IkeSa, heir: IkeSa): void => {
  if (sa.state.name !== "established") return;
  for (const child of [...sa.children.values()]) turn.core.hold(heir, child);
  heir.usageAt = Math.min(heir.usageAt, sa.usageAt);
  turn.touch(heir);
  turn.touch(sa);
  if (sa.peering !== undefined) sa.peering.lastError = undefined;
  const { keys, suite } = sa.state;
  sa.become({ name: "replaced", keys, suite, by: heir, guardAt: turn.now + DELETE_GUARD });
  for (const task of sa.requests.takeQueue(turn)) {
    if (task.kind === "rekey-ike-sa") task.abandon(turn, sa);
    else heir.requests.add(turn, heir, task);
  }
};

/**
 * The peer handles children on `sa`, which it made by rekeying while our own rekey is on its way: so for the peer the
 * matter is settled, and ours will be refused or lose.
 */
export const inheritByUse = (turn: Turn, sa: IkeSa): void => {
  for (const old of samePeer(sa)) if (rivalOf(old) === sa) replaceBy(turn, old, sa);
};

const rivalOf = ({ requests: { task } }: IkeSa): IkeSa | undefined =>
  task instanceof RekeyIkeSa ? task.rival : undefined;

/** IKE SAs that are up and that we ask things on: not one which may yet lose against a rekey of ours. */
export const currentSas = (peering: Peering): IkeSa[] => {
  const established = peering.established();
  const rivals = new Set(established.map(rivalOf));
  return established.filter((sa) => !rivals.has(sa));
};
