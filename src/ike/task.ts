/**
 * One own request to the peer and what to do with its answer. Tasks wait in a queue, since the window is one message
 * (RFC 7296 §2.3): what a task asks is made when its turn has come, and may be nothing by then.
 */
import type { KexMethod, KeyPair } from "../crypto/kex.ts";
import type { Retransmit } from "./connection.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { Payload } from "./message.ts";
import type { Turn } from "./turn.ts";

export type TaskKind =
  | "create-child-sa"
  | "rekey-child-sa"
  | "rekey-ike-sa"
  | "delete-child-sa"
  | "delete-ike-sa"
  | "liveness"
  | "report-error"
  | "report";

export interface Task {
  readonly kind: TaskKind;
  readonly exchange: number;
  /** Which child it is about, so that the same is not asked twice. */
  readonly childName?: string;
  /** Which of the child's pairs. */
  readonly resource?: number;
  /** Milliseconds after which an answer is no longer waited for, where it is sooner than retransmission gives up. */
  readonly patience?: number;
  /** How it is sent again, where that is not as for all requests. */
  readonly plan?: Retransmit;
  /** The key exchange that its request begins with; undefined: none. */
  keyMethod?(sa: IkeSa): KexMethod | undefined;
  /** A key pair that was made for it beforehand. */
  keyPair?: KeyPair | undefined;
  /** What its key pair is to be combined with before this answer can be read. */
  agreement?(payloads: readonly Payload[]): { readonly keyPair: KeyPair; readonly peer: Uint8Array } | undefined;
  /** The payloads inside SK, or undefined when there is nothing to ask any more. */
  request(turn: Turn, sa: IkeSa): readonly Payload[] | undefined;
  /** The answer, its contents checked. Throws IkeError when the peer broke the rules. */
  answer(turn: Turn, sa: IkeSa, payloads: readonly Payload[]): void;
  /** There will be no answer, or none is wanted: give back what the request took. May be called without a request. */
  abandon(turn: Turn, sa: IkeSa): void;
  /** Too much waits already: it is not asked now, and later where somebody wants it still. Else it is abandoned. */
  putOff?(turn: Turn, sa: IkeSa): void;
}

/** What is put off where too much waits already: all but what there is once for an IKE SA or for a pair that it has. */
export const mayBePutOff = ({ kind }: Task): boolean =>
  kind === "create-child-sa" || kind === "rekey-child-sa" || kind === "liveness" || kind === "report";

/** Kinds that RFC 7296 §2.25.2 names: while one is on its way, the peer may not rekey the IKE SA. */
export const concernsChild = ({ kind }: Task): boolean =>
  kind === "create-child-sa" || kind === "rekey-child-sa" || kind === "delete-child-sa";
