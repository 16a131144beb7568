/**
 * The DSCP of the outer header (RFC 4301 §5.1.2.1, RFC 2983 §4.1): copied from the inner one, the same for all, or mapped.
 * Inbound it is not copied back: the inner DSCP is the sender's, the outer one belongs to the networks in between.
 *
 * Copying shows an observer which class a packet is of, and packets of several classes in one SA may overtake one another:
 * then the replay window has to be wide (RFC 4301 §4.1).
 */
import { ECN_MASK } from "./ecn.ts";

/** 0 to 63 (RFC 2474 §3). */
export type Dscp = number;

export const MAX_DSCP: Dscp = 63;

export type DscpPolicy =
  | { readonly kind: "copy" }
  | { readonly kind: "set"; readonly dscp: Dscp }
  /** What the map does not name is copied. */
  | { readonly kind: "map"; readonly map: Readonly<Record<Dscp, Dscp>> };

/** Normal: the inner ECN field is copied. Compatibility: the outer one says Not-ECT (RFC 6040 §4.1, §4.3). */
export type EcnMode = "normal" | "compatibility";

const outerDscp = (policy: DscpPolicy, inner: Dscp): Dscp => {
  switch (policy.kind) {
    case "copy":
      return inner;
    case "set":
      return policy.dscp;
    case "map":
      return policy.map[inner] ?? inner;
  }
};

/** The outer TOS or traffic class by the inner one: 256 octets, so that a packet costs one look. */
export const outerTosTable = (policy: DscpPolicy, ecn: EcnMode): Uint8Array =>
  Uint8Array.from(
    { length: 256 },
    (_, tos) => (outerDscp(policy, tos >> 2) << 2) | (ecn === "normal" ? tos & ECN_MASK : 0),
  );
