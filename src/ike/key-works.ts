/**
 * Key exchanges that would hold everybody else up are done elsewhere: what is to be computed goes out as an effect, and its
 * result comes in as an event in a later turn. Meanwhile the message that needs it waits, as if it were still on its way;
 * when the result is there it is looked at anew, with all that has happened since.
 */
import { equalBytes, wipe } from "../bytes.ts";
import { generateKeyPair, type KexMethod, type KeyPair } from "../crypto/kex.ts";
import { type KeyResult, type KeyWork, MadeKeyPair, wipeResult } from "../crypto/key-work.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Turn } from "./turn.ts";

type Then = (turn: Turn, result: KeyResult) => void;

/** A result that this turn has come with. */
export interface Exchanged {
  readonly work: KeyWork;
  readonly result: KeyResult;
}

export class KeyWorks {
  readonly #waiting = new Map<number, { readonly then: Then; readonly isOthers: boolean }>();
  #next = 1;
  #others = 0;

  /** How many are under way. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Of them those that peers and strangers have asked for. */
  get others(): number {
    return this.#others;
  }

  /** `then` is called in the turn of its result, unless it is forgotten first. Returns a number for `forget`. */
  ask(turn: Turn, work: KeyWork, then: Then, isOthers = false): number {
    const id = this.#next++;
    this.#waiting.set(id, { then, isOthers });
    if (isOthers) this.#others++;
    turn.effects.push({ kind: "key-work", id, work });
    return id;
  }

  /** Nobody wants the result any more. */
  forget(turn: Turn, id: number | undefined): void {
    if (id !== undefined && this.#take(id) !== undefined) turn.effects.push({ kind: "forget-key-work", id });
  }

  /** The result of one; wiped when nobody waits for it. */
  done(turn: Turn, id: number, result: KeyResult): void {
    const then = this.#take(id);
    if (then !== undefined) then(turn, result);
    else {
      turn.count("late-key-works");
      wipeResult(result);
    }
  }

  /** The gateway stops. */
  forgetAll(turn: Turn): void {
    for (const id of [...this.#waiting.keys()]) this.forget(turn, id);
  }

  #take(id: number): Then | undefined {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(id);
    if (waiting.isOthers) this.#others--;
    return waiting.then;
  }
}

/** Whether this method's work is done elsewhere. */
export const isSlow = (turn: Turn, { id }: KexMethod): boolean => turn.core.options.slowKeyExchanges.has(id);

/** A key pair of ours for the peer's value, and what both come to; undefined when that value is invalid. */
export interface AnsweredKeys {
  readonly publicValue: Uint8Array;
  readonly shared: Uint8Array | undefined;
}

const NOTHING: AnsweredKeys = { publicValue: new Uint8Array(0), shared: undefined };

/** What a responder computes: at once, or the work for it where that takes long and this turn has not come with its result. */
export const answerKeys = (turn: Turn, method: KexMethod, peer: Uint8Array): AnsweredKeys | KeyWork => {
  if (peer.length !== method.publicLength) return NOTHING; // not worth a key pair
  const { exchanged } = turn;
  if (exchanged?.work.what === "answer" && exchanged.work.method === method.id && equalBytes(exchanged.work.peer, peer))
    return exchanged.result;
  if (isSlow(turn, method)) return { what: "answer", method: method.id, peer };
  const keyPair = generateKeyPair(method);
  const shared = keyPair.agree(peer);
  keyPair.destroy();
  return { publicValue: keyPair.publicValue, shared };
};

export const isWork = (keys: AnsweredKeys | KeyWork): keys is KeyWork => "what" in keys;

/** No error: the answer to a request cannot be made before this is done. Unwinds to where the request is kept. */
export class KeysAwaited extends Error {
  readonly work: KeyWork;

  constructor(work: KeyWork) {
    super("the answer waits for a key exchange");
    this.work = work;
  }
}

/** As `answerKeys`, for a request on an IKE SA. Throws `KeysAwaited` before anything was changed. */
export const exchangeKeys = (turn: Turn, method: KexMethod, peer: Uint8Array): AnsweredKeys => {
  const keys = answerKeys(turn, method, peer);
  if (isWork(keys)) throw new KeysAwaited(keys);
  return keys;
};

/**
 * Have done what somebody else's request costs, then act in a turn that comes with the result. Undefined, and nothing is
 * done, when too much of it is under way: the request is lost, as on a busy wire, and comes again.
 */
export const askForOthers = (turn: Turn, work: KeyWork, act: (turn: Turn) => void): number | undefined => {
  const { keyWorks, options } = turn.core;
  if (keyWorks.others >= options.keyWorkLimit) {
    turn.count("key-work-limit");
    return undefined;
  }
  const then: Then = (later, result) => {
    later.exchanged = { work, result };
    act(later);
    later.exchanged = undefined;
    wipe(result.shared);
  };
  return keyWorks.ask(turn, work, then, true);
};

/** The answer to our request waits for this: it is asked for no more meanwhile, and none other is taken. */
export const awaitForAnswer = (turn: Turn, sa: IkeSa, work: KeyWork, then: Then): void => {
  sa.requests.hold();
  sa.awaited.answer = turn.core.keyWorks.ask(turn, work, (later, result) => {
    sa.awaited.answer = undefined;
    later.touch(sa);
    then(later, result);
  });
};

/** Whether an answer to our request waits for what its key exchange comes to; then `act` is called when that is known. */
export const awaitsAgreement = (
  turn: Turn,
  sa: IkeSa,
  { keyPair, peer }: { readonly keyPair: KeyPair; readonly peer: Uint8Array },
  act: (turn: Turn) => void,
): boolean => {
  const work = keyPair instanceof MadeKeyPair ? keyPair.workFor(peer) : undefined;
  if (work === undefined || !(keyPair instanceof MadeKeyPair)) return false;
  awaitForAnswer(turn, sa, work, (later, { shared }) => {
    keyPair.learn(peer, shared);
    act(later);
  });
  return true;
};
