/**
 * One own request on its way: the requester alone is responsible for retransmission and sends the same octets each time
 * (RFC 7296 §2.1, §2.4).
 */
import type { Retransmit } from "./connection.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Turn } from "./turn.ts";

export interface Pending {
  readonly exchange: number;
  readonly messageId: number;
  readonly request: Outgoing;
  readonly plan: Retransmit;
  readonly sent: number;
  readonly resendAt: number;
  /** When to stop waiting even if tries are left. */
  readonly giveUpAt: number;
}

export const begin = (
  turn: Turn,
  { exchange, messageId, request, plan }: Pick<Pending, "exchange" | "messageId" | "request" | "plan">,
  patience = Number.POSITIVE_INFINITY,
): Pending => ({
  exchange,
  messageId,
  request,
  plan,
  sent: 1,
  resendAt: turn.now + Math.min(waitAfter(turn, plan, 1), patience),
  giveUpAt: turn.now + patience,
});

/** Exponential, and never in step with others (RFC 7296 §2.4). */
const waitAfter = (turn: Turn, { first, factor, jitter = 0 }: Retransmit, sent: number): number =>
  turn.jittered(first * factor ** (sent - 1), jitter);

export const isExhausted = ({ sent, plan, giveUpAt }: Pending, now: number): boolean =>
  sent >= plan.tries || now >= giveUpAt;

export const resend = (turn: Turn, pending: Pending): Pending => {
  const { plan, giveUpAt } = pending;
  const sent = pending.sent + 1;
  return { ...pending, sent, resendAt: Math.min(turn.now + waitAfter(turn, plan, sent), giveUpAt) };
};
