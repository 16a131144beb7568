/**
 * All that happens by itself: when, and what. What an IKE SA or a connection has to do is one list, made anew when it is
 * looked at; whose is next, `Core.wakes` knows. Whoever gives one of them something to do sooner says `touch`.
 */
import { attempt, unresolved } from "./attempt.ts";
import { expireChild, rekeyChild } from "./child-life.ts";
import type { ChildSa } from "./child-sa.ts";
import { hasChild, startUsing } from "./children.ts";
import { childOf } from "./connection.ts";
import type { Core } from "./core.ts";
import { CreateChild } from "./create-child-sa.ts";
import { deleteChild } from "./delete-child-sa.ts";
import type { IkeSa } from "./ike-sa.ts";
import { closeIkeSa, deleteIkeSa, deleteOverdue } from "./ike-sa-end.ts";
import { KEEPALIVE, startListening } from "./ike-sa-established.ts";
import { Liveness } from "./liveness.ts";
import { Peering, type Retry } from "./peering.ts";
import type { Reassembly } from "./reassembly.ts";
import { currentSas, RekeyIkeSa } from "./rekey-ike-sa.ts";
import type { Turn } from "./turn.ts";
import { hasVolumeLimit } from "./volume.ts";
import { watchVolume } from "./volume-watch.ts";

export interface Timer {
  readonly at: number;
  readonly run: (turn: Turn) => void;
}

/** What is due next of all; undefined: nothing before a message or a command comes. */
export const nextTimer = ({ wakes }: Core): Timer | undefined =>
  wakes.first((subject) => {
    const next = firstOf(timersOf(subject));
    return next && { at: next.at, run: (turn) => runFor(turn, subject, next) };
  });

/** All that one has to do, some of it never. */
export const timersOf = (subject: IkeSa | Peering): readonly Timer[] => {
  const timers: Timer[] = [];
  if (subject instanceof Peering) ofPeering(timers, subject);
  else ofIkeSa(timers, subject);
  return timers;
};

const firstOf = (timers: readonly Timer[]): Timer | undefined => {
  let first: Timer | undefined;
  for (const timer of timers) if (timer.at < (first?.at ?? Number.POSITIVE_INFINITY)) first = timer;
  return first;
};

const runFor = (turn: Turn, subject: IkeSa | Peering, { run }: Timer): void => {
  turn.touch(subject);
  run(turn);
};

const ofPeering = (timers: Timer[], peering: Peering): void => {
  const { resolving } = peering;
  if (resolving !== undefined)
    timers.push({ at: resolving.until, run: (turn) => unresolved(turn, peering, resolving.host) });
  if (peering.retryAt !== undefined) timers.push({ at: peering.retryAt, run: (turn) => retry(turn, peering) });
  for (const due of peering.childRetries)
    if (due.at !== undefined) timers.push({ at: due.at, run: (turn) => retryChild(turn, peering, due) });
};

const ofIkeSa = (timers: Timer[], sa: IkeSa): void => {
  const { state } = sa;
  const { pending } = sa.requests;
  if (pending !== undefined) timers.push({ at: pending.resendAt, run: (turn) => resend(turn, sa) });
  for (const pieces of [sa.arriving.requests, sa.arriving.answers])
    if (pieces.until !== undefined) timers.push({ at: pieces.until, run: (turn) => forgetPieces(turn, pieces) });
  if (state.name === "init-answered")
    timers.push({ at: state.expiresAt, run: (turn) => closeIkeSa(turn, sa, "never authenticated") });
  if (state.name === "replaced") timers.push({ at: state.guardAt, run: (turn) => deleteOverdue(turn, sa) });
  if (state.name !== "established") return;
  timers.push({ at: state.rekeyAt, run: (turn) => rekeyIkeSa(turn, sa) });
  timers.push({ at: state.expiresAt, run: (turn) => expire(turn, sa) });
  timers.push({ at: sa.livenessAt, run: (turn) => askWhetherAlive(turn, sa) });
  timers.push({ at: sa.keepaliveAt, run: (turn) => keepAlive(turn, sa) });
  if ([...sa.children.values()].some(({ limits }) => hasVolumeLimit(limits)))
    timers.push({ at: sa.usageAt, run: (turn) => watchVolume(turn, sa) });
  for (const child of sa.children.values()) ofChild(timers, sa, child);
};

const ofChild = (timers: Timer[], sa: IkeSa, child: ChildSa): void => {
  const { state } = child;
  if (state.name === "installed") timers.push({ at: state.rekeyAt, run: (turn) => rekeyChild(turn, sa, child) });
  if (child.isLive) timers.push({ at: child.useAt, run: (turn) => startUsing(turn, sa, child) });
  if (child.isLive)
    timers.push({ at: child.expiresAt, run: (turn) => expireChild(turn, sa, child, "its lifetime is over") });
  if (state.name === "replaced")
    timers.push({
      at: state.guardAt,
      run: (turn) => {
        startUsing(turn, sa, state.by);
        deleteChild(turn, sa, child, "rekeyed, and the peer did not delete it");
      },
    });
};

/** The rest never came: the peer sends all of them again, or has cut the message anew (RFC 7383 §2.6). */
const forgetPieces = (turn: Turn, pieces: Reassembly): void => {
  turn.count("fragments-timed-out");
  pieces.forget();
};

const resend = (turn: Turn, sa: IkeSa): void => {
  if (sa.requests.retry(turn, sa)) return;
  if (sa.requests.task?.kind === "liveness" && espSince(turn, sa).hasReceived) {
    sa.requests.renew(turn, sa); // ESP says that the peer lives, though its answers are lost
    return;
  }
  const why = `${sa.remoteText} does not answer`;
  const { peering, state } = sa;
  if (state.name === "init-sent" || state.name === "auth-sent" || state.name === "established") {
    // What an IKE_SA_INIT answer said may well be the reason: keep it (RFC 7296 §2.21.1).
    if (peering !== undefined && (state.name !== "init-sent" || peering.lastError === undefined))
      peering.lastError = why;
    turn.log("warn", "peer-silent", sa, why, { remote: sa.remoteText, state: state.name });
  }
  closeIkeSa(turn, sa, why);
};

const rekeyIkeSa = (turn: Turn, sa: IkeSa): void => {
  if (sa.state.name !== "established") return;
  sa.become({ ...sa.state, rekeyAt: Number.POSITIVE_INFINITY });
  if (!sa.requests.has(({ kind }) => kind === "rekey-ike-sa")) sa.requests.add(turn, sa, new RekeyIkeSa());
};

const expire = (turn: Turn, sa: IkeSa): void => {
  const why = "the lifetime of the IKE SA is over";
  if (sa.peering !== undefined) sa.peering.lastError = why;
  turn.log("warn", "ike-sa-expired", sa, `${sa.remoteText}: ${why}`);
  deleteIkeSa(turn, sa, why);
};

/** RFC 7296 §2.4. ESP from the peer says that it lives, unless it is to be asked periodically. */
const askWhetherAlive = (turn: Turn, sa: IkeSa): void => {
  const liveness = sa.peering?.config.liveness;
  startListening(turn, sa); // whatever comes of it, look again after another interval
  const { hasReceived, hasSent } = espSince(turn, sa);
  if (liveness === undefined || (hasReceived && liveness.mode !== "periodic")) return;
  if (liveness.mode === "on-demand" && !hasSent) return; // nobody waits for it
  if (sa.requests.pending !== undefined) return; // a request on its way asks the same
  sa.requests.add(turn, sa, new Liveness(liveness));
};

/** Whether ESP has come, and gone, since this was asked last. */
const espSince = (turn: Turn, sa: IkeSa): { readonly hasReceived: boolean; readonly hasSent: boolean } => {
  let [hasReceived, hasSent] = [false, false];
  for (const child of sa.children.values()) {
    const { packetsIn = 0, packetsOut = 0 } = turn.core.env.usage(child.spiIn) ?? {};
    if (packetsIn > child.packetsIn) hasReceived = true;
    if (packetsOut > child.packetsOut) hasSent = true;
    child.packetsIn = packetsIn;
    child.packetsOut = packetsOut;
  }
  return { hasReceived, hasSent };
};

/** A mapping that packets have kept needs nothing (RFC 3948 §4): then it is looked at again sooner. */
const keepAlive = (turn: Turn, sa: IkeSa): void => {
  let sent = 0;
  for (const { spiIn } of sa.children.values()) sent += turn.core.env.usage(spiIn)?.packetsOut ?? 0;
  const wasIdle = sent === sa.sentAtKeepalive;
  sa.sentAtKeepalive = sent;
  sa.keepaliveAt = turn.now + (wasIdle ? KEEPALIVE : KEEPALIVE / 2);
  if (wasIdle) turn.effects.push({ kind: "keepalive", path: sa.path });
};

const retry = (turn: Turn, peering: Peering): void => {
  peering.retryAt = undefined;
  if (!peering.isAlive && peering.wish !== "no") attempt(turn, peering);
};

const retryChild = (turn: Turn, peering: Peering, due: Retry): void => {
  peering.triedChild(due);
  const sa = currentSas(peering).at(-1);
  if (sa === undefined || hasChild(sa, due.child, due.resource)) return;
  sa.requests.add(turn, sa, new CreateChild(childOf(peering.config, due.child), { resource: due.resource }));
};
