/**
 * One own request on its way: the requester alone is responsible for retransmission and sends the same octets each time
 * (RFC 7296 §2.1, §2.4).
 */
import type { Retransmit } from "./connection.ts";
import type { Outgoing } from "./outgoing.ts";

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
  exchange: number,
  messageId: number,
  request: Outgoing,
  plan: Retransmit,
  now: number,
  patience = Number.POSITIVE_INFINITY,
): Pending => ({
  exchange,
  messageId,
  request,
  plan,
  sent: 1,
  resendAt: now + Math.min(plan.first, patience),
  giveUpAt: now + patience,
});

export const isExhausted = ({ sent, plan, giveUpAt }: Pending, now: number): boolean =>
  sent >= plan.tries || now >= giveUpAt;

export const resend = (pending: Pending, now: number): Pending => {
  const { plan, sent, giveUpAt } = pending;
  return { ...pending, sent: sent + 1, resendAt: Math.min(now + plan.first * plan.factor ** sent, giveUpAt) };
};
