/**
 * Our side of an IKE SA's messages: one request on its way, the rest in a queue, since a window of one is all that a peer
 * must have (RFC 7296 §2.3).
 */

import { MadeKeyPair } from "../crypto/key-work.ts";
import { DEFAULT_RETRANSMIT } from "./connection.ts";
import { begin, isExhausted, type Pending, resend } from "./exchange.ts";
import type { IkeSa } from "./ike-sa.ts";
import { isSlow } from "./key-works.ts";
import { cutSmaller, type Outgoing, seal } from "./outgoing.ts";
import { mayBePutOff, type Task } from "./task.ts";
import type { Turn } from "./turn.ts";

/** A request is cut smaller once it has gone out so often without an answer (RFC 7383 §2.5.2). */
const TRIES_BEFORE_CUTTING = 2;

export class Requests {
  #nextId = 0;
  #pending: Pending | undefined;
  /** What the pending request is for; IKE_SA_INIT and IKE_AUTH have none. */
  #task: Task | undefined;
  #queue: Task[] = [];
  /** The first of the queue, while its key pair is made elsewhere. */
  #preparing: { readonly task: Task; readonly id: number } | undefined;

  get pending(): Pending | undefined {
    return this.#pending;
  }

  /** The task whose request is on its way. */
  get task(): Task | undefined {
    return this.#task;
  }

  /** Whether a task like this is on its way or in the queue. */
  has(matches: (task: Task) => boolean): boolean {
    return (this.#task !== undefined && matches(this.#task)) || this.#queue.some(matches);
  }

  get nextId(): number {
    return this.#nextId;
  }

  /** Send a request that was made already and wait for its answer. */
  sent(turn: Turn, sa: IkeSa, exchange: number, request: Outgoing, task?: Task): void {
    const plan = task?.plan ?? sa.peering?.config.retransmit ?? DEFAULT_RETRANSMIT;
    this.#pending = begin(turn, { exchange, messageId: this.#nextId, request, plan }, task?.patience);
    this.#task = task;
    turn.touch(sa);
    turn.sendAll(sa.path, request);
  }

  /** Put in place of the request that waits, with the same message ID: IKE_SA_INIT with a cookie or another group. */
  again(turn: Turn, sa: IkeSa, request: Outgoing): void {
    if (this.#pending !== undefined) this.sent(turn, sa, this.#pending.exchange, request);
  }

  /** It waits for its turn, unless as many wait as may. */
  add(turn: Turn, sa: IkeSa, task: Task): void {
    if (mayBePutOff(task) && this.#queue.length >= turn.core.options.queueLimit) {
      turn.count("queue-limit");
      if (task.putOff !== undefined) task.putOff(turn, sa);
      else task.abandon(turn, sa);
      return;
    }
    this.#queue.push(task);
    this.pump(turn, sa);
  }

  addFirst(turn: Turn, sa: IkeSa, task: Task): void {
    this.#queue.unshift(task);
    this.pump(turn, sa);
  }

  /** Send the next request when none is on its way and the SA is in a state to do so. */
  pump(turn: Turn, sa: IkeSa): void {
    while (this.#pending === undefined && (sa.state.name === "established" || sa.state.name === "closing")) {
      const [task] = this.#queue;
      if (task === undefined || this.#awaitsKeyPair(turn, sa, task)) return;
      this.#queue.shift();
      const payloads = task.request(turn, sa);
      if (payloads === undefined) {
        task.abandon(turn, sa);
        continue;
      }
      const header = sa.header(task.exchange, false, this.#nextId);
      this.sent(turn, sa, task.exchange, seal(turn, sa, header, payloads), task);
    }
  }

  /** Whether the request of this task cannot be made yet, since its key pair takes long: pumped again when it is there. */
  #awaitsKeyPair(turn: Turn, sa: IkeSa, task: Task): boolean {
    if (this.#preparing?.task === task) return true;
    const method = task.keyPair === undefined ? task.keyMethod?.(sa) : undefined;
    if (method === undefined || !isSlow(turn, method)) return false;
    this.#unprepare(turn);
    const id = turn.core.keyWorks.ask(turn, { what: "generate", method: method.id }, (later, result) => {
      this.#preparing = undefined;
      task.keyPair = new MadeKeyPair(method, result);
      later.touch(sa);
      this.pump(later, sa);
    });
    this.#preparing = { task, id };
    return true;
  }

  /** Another task comes first, or none. */
  #unprepare(turn: Turn): void {
    turn.core.keyWorks.forget(turn, this.#preparing?.id);
    this.#preparing = undefined;
  }

  /** The answer has come and is being worked on: do not ask again. */
  hold(): void {
    if (this.#pending !== undefined) this.#pending = { ...this.#pending, resendAt: Number.POSITIVE_INFINITY };
  }

  /** It was none: ask again. */
  resume(turn: Turn, sa: IkeSa): void {
    if (this.#pending === undefined) return;
    this.#pending = { ...this.#pending, resendAt: turn.now };
    turn.touch(sa);
  }

  /** The answer to the pending request is here: what it was for. The next message ID is free. */
  answered(): Task | undefined {
    const task = this.#task;
    this.#pending = undefined;
    this.#task = undefined;
    this.#nextId++;
    return task;
  }

  /** Send again what waits too long. False when it was sent often enough. */
  retry(turn: Turn, sa: IkeSa): boolean {
    const pending = this.#pending;
    if (pending === undefined || turn.now < pending.resendAt) return true;
    if (isExhausted(pending, turn.now)) return false;
    // What was sent in vain twice may be too long for the path.
    const request = pending.sent < TRIES_BEFORE_CUTTING ? pending.request : cutSmaller(turn, sa, pending.request);
    this.#pending = { ...resend(turn, pending), request };
    turn.count("retransmissions");
    turn.sendAll(sa.path, request);
    return true;
  }

  /** The peer has shown that it lives without answering: begin to wait anew for the answer, with the same octets. */
  renew(turn: Turn, sa: IkeSa): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#pending = begin(turn, pending, this.#task?.patience);
    turn.sendAll(sa.path, pending.request);
  }

  /** The tasks that have not been asked yet, no longer in the queue. */
  takeQueue(turn: Turn): Task[] {
    this.#unprepare(turn);
    const queue = this.#queue;
    this.#queue = [];
    return queue;
  }

  /** No answer will come and nothing more be asked. */
  abandon(turn: Turn, sa: IkeSa): void {
    const task = this.#task;
    this.#pending = undefined;
    this.#task = undefined;
    task?.abandon(turn, sa);
    for (const queued of this.takeQueue(turn)) queued.abandon(turn, sa);
  }
}
