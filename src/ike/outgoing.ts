/**
 * A message of ours as it was sent: one datagram, or as many as it was cut into for its path (RFC 7383). Kept until it is
 * answered, or until the next one: the same octets go out again, but for a message that seems too long for the path,
 * which is cut smaller (RFC 7383 §2.5.2).
 */
import { sealDatagrams, wholeLength } from "./fragment.ts";
import type { IkeSa } from "./ike-sa.ts";
import type { HeaderFields, Payload } from "./message.ts";
import { leastMessage, usualMessage } from "./path-size.ts";
import type { Turn } from "./turn.ts";

export interface Outgoing {
  readonly datagrams: readonly Uint8Array[];
  /** What can be cut anew; undefined for a message in the clear (RFC 7383 §2.4). */
  readonly inside?: { readonly header: HeaderFields; readonly payloads: readonly Payload[] };
  readonly wasCutSmaller?: boolean;
}

/** Seal a message with the keys of `sa`, in pieces when its path asks for them and the peer takes them. */
export const seal = (turn: Turn, sa: IkeSa, header: HeaderFields, payloads: readonly Payload[]): Outgoing =>
  sealWithin(turn, sa, { header, payloads }, usualLimit(turn, sa, payloads));

/** As `seal`, in pieces no longer than `piece`, in which the peer's request came: its path has shown that it carries them. */
export const sealLike = (
  turn: Turn,
  sa: IkeSa,
  header: HeaderFields,
  payloads: readonly Payload[],
  piece: Uint8Array,
): Outgoing => {
  const limit = Math.min(usualLimit(turn, sa, payloads), limitLike(turn, sa, piece));
  return sealWithin(turn, sa, { header, payloads }, limit);
};

/** The same message in more pieces than before, or as it was when it cannot be cut smaller. */
export const cutSmaller = (turn: Turn, sa: IkeSa, sent: Outgoing): Outgoing =>
  cutTo(turn, sa, sent, leastLimit(turn, sa));

/** The same, in pieces no longer than `piece`. */
export const cutLike = (turn: Turn, sa: IkeSa, sent: Outgoing, piece: Uint8Array): Outgoing =>
  cutTo(turn, sa, sent, limitLike(turn, sa, piece));

/** A message that had to be cut smaller has come through: what follows is cut so from the beginning. */
export const learnPath = (sa: IkeSa, { wasCutSmaller }: Outgoing): void => {
  if (wasCutSmaller && sa.fragments !== undefined) sa.fragments = { ...sa.fragments, fragmentation: "force" };
};

const cutTo = (turn: Turn, sa: IkeSa, sent: Outgoing, limit: number): Outgoing => {
  if (sent.inside === undefined || sent.datagrams.every(({ length }) => length <= limit)) return sent;
  const smaller = sealWithin(turn, sa, sent.inside, limit);
  // Sets of pieces are told apart by Total Fragments alone: it must grow (RFC 7383 §2.5.2).
  return smaller.datagrams.length > sent.datagrams.length ? { ...smaller, wasCutSmaller: true } : sent;
};

const sealWithin = (turn: Turn, sa: IkeSa, inside: NonNullable<Outgoing["inside"]>, limit: number): Outgoing => {
  const datagrams = sealDatagrams(inside.header, inside.payloads, sa.outbound, turn.random, limit);
  if (datagrams.length > 1) {
    turn.count("messages-cut");
    turn.count("fragments-sent", datagrams.length);
  }
  return { datagrams, inside };
};

const leastLimit = (turn: Turn, sa: IkeSa): number =>
  sa.fragments === undefined ? Number.POSITIVE_INFINITY : leastMessage(sa.path, turn.core.options, sa.fragments);

const limitLike = (turn: Turn, sa: IkeSa, piece: Uint8Array): number => Math.max(piece.length, leastLimit(turn, sa));

/** The system is asked for the path's MTU only when it matters. */
const usualLimit = (turn: Turn, sa: IkeSa, payloads: readonly Payload[]): number => {
  const { fragments, path } = sa;
  if (fragments === undefined || wholeLength(payloads, sa.outbound) <= leastLimit(turn, sa))
    return Number.POSITIVE_INFINITY;
  return usualMessage(path, turn.core.options, fragments, turn.core.env.pathMtu(path));
};
