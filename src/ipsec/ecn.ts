// HOT PATH
/**
 * Explicit Congestion Notification through the tunnel (RFC 6040, which updates RFC 4301 §5.1.2): what the outer header
 * says of congestion on its way reaches the inner one, and the ends of a flow that does not know ECN never see a mark.
 *
 *   out   normal mode          outer ECN = inner ECN                      (§4.1)
 *         compatibility mode   outer ECN = Not-ECT                        (§4.3; for peers that would lose the mark)
 *   in    by inner and outer ECN, for either mode                         (§4.2, Figure 4)
 */
import { readU16, updated, writeU16 } from "./checksum.ts";

/** The field, the two low bits of the IPv4 TOS and of the IPv6 traffic class. */
export const Ecn = { NOT_ECT: 0, ECT_1: 1, ECT_0: 2, CE: 3 } as const;

export const ECN_MASK = 3;

const { NOT_ECT, ECT_1, ECT_0, CE } = Ecn;
/** The sender does not react to marks: the packet has to go, as if the router had dropped it. */
const DROP = 4;
/** Also: a combination that no ingress makes (!!!) in Figure 4. Worth counting, and nothing else. */
const ODD = 8;

/** By inner << 2 | outer; the columns are Not-ECT, ECT(1), ECT(0), CE. */
const EGRESS = Uint8Array.of(
  ...[NOT_ECT, NOT_ECT | ODD, NOT_ECT | ODD, DROP | ODD], // cold: inner Not-ECT
  ...[ECT_1, ECT_1, ECT_1, CE], // cold: inner ECT(1)
  ...[ECT_0, ECT_1, ECT_0, CE], // cold: inner ECT(0)
  ...[CE, CE | ODD, CE, CE], // cold: inner CE
);

/** The ECN field of the packet to be forwarded, or -1 when it must be dropped. */
export const ecnInward = (inner: number, outer: number): number => {
  const result = EGRESS[((inner & ECN_MASK) << 2) | (outer & ECN_MASK)]!;
  return (result & DROP) !== 0 ? -1 : result & ECN_MASK;
};

/** Whether RFC 6040 §4.2 knows no reason for this combination: a peer or a box on the way is at fault. */
export const isOddEcn = (inner: number, outer: number): boolean =>
  (EGRESS[((inner & ECN_MASK) << 2) | (outer & ECN_MASK)]! & ODD) !== 0;

/** The TOS (IPv4) or traffic class (IPv6) of a whole packet. */
export const tosOf = (slab: Uint8Array, at: number): number =>
  slab[at]! >> 4 === 4 ? slab[at + 1]! : ((slab[at]! & 15) << 4) | (slab[at + 1]! >> 4);

/** Write it; the IPv4 checksum stays right. */
export const setTos = (slab: Uint8Array, at: number, tos: number): void => {
  if (slab[at]! >> 4 === 4) {
    const before = readU16(slab, at);
    slab[at + 1] = tos;
    writeU16(slab, at + 10, updated(readU16(slab, at + 10), before, readU16(slab, at)));
    return;
  }
  slab[at] = 0x60 | (tos >>> 4);
  slab[at + 1] = ((tos & 15) << 4) | (slab[at + 1]! & 15);
};

/** Take over what the outer header says, given as its TOS, into a decrypted packet. False: drop the packet. */
export const takeCongestion = (slab: Uint8Array, at: number, outerTos: number): boolean => {
  if ((outerTos & ECN_MASK) === NOT_ECT) return true; // says nothing: the whole first column is the inner field
  const tos = tosOf(slab, at);
  const ecn = ecnInward(tos, outerTos);
  if (ecn < 0) return false;
  if (ecn !== (tos & ECN_MASK)) setTos(slab, at, (tos & ~ECN_MASK) | ecn);
  return true;
};
