/**
 * What became of a packet, as a small number: `PASS`, or the one reason for its drop (RFC 4301 §7.6 wants each auditable).
 * Number, name and text are written here alone; counters, status and tests derive theirs. The names are VPP's where VPP
 * has one; `linux` is the counter of /proc/net/xfrm_stat that a user of the kernel's ESP would look at.
 */

interface Row {
  readonly number: number;
  readonly name: string;
  readonly linux?: string;
  readonly text: string;
}

const ROWS = {
  PASS: { number: 0, name: "pass", text: "delivered" },
  NO_SA: { number: 1, name: "no-sa", linux: "XfrmInNoStates, XfrmOutNoStates", text: "no live SA for it" },
  RUNT: { number: 2, name: "runt", linux: "XfrmInHdrError", text: "too short for the SA's header, IV and ICV" },
  REPLAY: { number: 3, name: "replay", linux: "XfrmInStateSeqError", text: "seen before, or left of the window" },
  INTEG_ERROR: { number: 4, name: "integ-error", linux: "XfrmInStateProtoError", text: "the ICV does not verify" },
  BAD_TRAILER: { number: 5, name: "bad-trailer", linux: "XfrmInStateProtoError", text: "authentic, but badly padded" },
  UNSUP_PAYLOAD: {
    number: 6,
    name: "unsup-payload",
    linux: "XfrmInStateModeError",
    text: "next header not 4, 41 or 59",
  },
  DUMMY: { number: 7, name: "dummy", text: "a dummy packet, next header 59: no error" },
  BAD_INNER: {
    number: 8,
    name: "bad-inner",
    linux: "XfrmInHdrError",
    text: "the inner packet is not the IP it claims",
  },
  POLICY: { number: 9, name: "policy", linux: "XfrmInTmplMismatch, XfrmOutPolBlock", text: "outside the selectors" },
  TOO_BIG: { number: 10, name: "too-big", text: "longer than a packet buffer" },
  SEQ_CYCLED: { number: 11, name: "seq-cycled", linux: "XfrmOutStateSeqError", text: "sequence numbers are exhausted" },
  HANDOFF: { number: 12, name: "handoff", text: "handed to the worker of its SA, who counts it" },
  TUN_ERROR: { number: 13, name: "tun-error", text: "the TUN interface did not take it" },
  SOCKET_FULL: { number: 14, name: "socket-full", text: "the socket stayed full" },
  MESSAGE_TOO_LONG: { number: 15, name: "message-too-long", text: "longer than the path takes (EMSGSIZE)" },
  SEND_ERROR: { number: 16, name: "send-error", linux: "XfrmFwdHdrError", text: "the kernel refused to send it" },
  KEEPALIVE: { number: 17, name: "keepalive", text: "a NAT keepalive (RFC 3948 §2.3): no error" },
  ENGINE_ERROR: { number: 18, name: "crypto-engine-error", text: "the crypto engine did not seal it" },
  NO_SOCKET: { number: 19, name: "no-socket", text: "no socket is bound to the SA's local address" },
  OFFLOAD: { number: 20, name: "unsup-offload", text: "wants an offload that was not asked for, or is cut wrongly" },
  HANDOFF_FULL: { number: 21, name: "handoff-full", text: "the ring to the worker of its SA was full" },
  ECN_DROP: {
    number: 22,
    name: "ecn-drop",
    text: "marked on its way, and its sender does not know ECN (RFC 6040 §4.2)",
  },
  MTU_EXCEEDED: {
    number: 23,
    name: "mtu-exceeded",
    linux: "IpFragFails, Ip6InTooBigErrors",
    text: "larger than its path takes, and not to be fragmented: its sender is told",
  },
  PART: { number: 24, name: "part", text: "a fragment after the first: the packet that it is of is counted" },
  NO_POLICY: { number: 25, name: "no-policy", linux: "XfrmInNoPols", text: "no policy selects it" },
  POLICY_FRAGMENT: {
    number: 26,
    name: "policy-fragment",
    text: "no policy selects it, as a later fragment shows no ports (RFC 4301 §7)",
  },
  POLICY_DISCARD: {
    number: 27,
    name: "policy-discard",
    linux: "XfrmInPolBlock, XfrmOutPolBlock",
    text: "its policy says discard",
  },
  POLICY_MISMATCH: {
    number: 28,
    name: "policy-mismatch",
    linux: "XfrmInTmplMismatch",
    text: "came on another SA than those of its policy",
  },
  BYPASS: { number: 29, name: "bypass", text: "sent in the clear, as its policy says: no error" },
  UNSUP_TRANSPORT: {
    number: 30,
    name: "unsup-transport",
    text: "a fragment without its datagram, or with options or extension headers, or in UDP: not for transport mode",
  },
} as const satisfies Record<string, Row>;

type Rows = typeof ROWS;

/** `Verdict.REPLAY` is 3. */
export const Verdict = Object.fromEntries(Object.entries(ROWS).map(([key, { number }]) => [key, number])) as {
  readonly [K in keyof Rows]: Rows[K]["number"];
};
export type Verdict = Rows[keyof Rows]["number"];
export type VerdictName = Rows[keyof Rows]["name"];

export interface VerdictRow extends Row {
  readonly number: Verdict;
  readonly name: VerdictName;
}

/** All verdicts in the order of their numbers, which have no gaps. */
export const VERDICTS: readonly VerdictRow[] = Object.values(ROWS);

export const verdictName = (verdict: number): VerdictName => VERDICTS[verdict]!.name;
