/** What the packets of a pair of SAs may measure, by its suite, its path and the settings of its child (RFC 4301 §8.2). */
import type { Child } from "../config/config.ts";
import type { ChildSaParams } from "../ike/child-sa-params.ts";
import { familyOf } from "../ip-address.ts";
import { IPV6_MIN_MTU, innerMtu, transportMtu } from "../ipsec/mtu.ts";
import { Oversize, type SaSize } from "../ipsec/sad.ts";
import { tfcMultiple } from "../ipsec/tfc.ts";
import type { PairMtu } from "./tunnel-interface.ts";

export interface ChildSize {
  readonly size: SaSize;
  /** For its interface. */
  readonly mtu: Omit<PairMtu, "tfc">;
}

type Sa = Pick<ChildSaParams, "suite" | "encap" | "mode" | "path" | "local" | "tfcRefused">;

/** `outer`: octets of the largest packet that the path takes. */
export const childSize = (
  { suite, encap, mode, path, local, tfcRefused }: Sa,
  { fragment, df, tfc }: Pick<Child, "fragment" | "df" | "tfc">,
  outer: number,
): ChildSize => {
  const isTransport = mode === "transport";
  const fits = (isTransport ? transportMtu : innerMtu)(
    suite,
    { family: familyOf(path.remote.address), udp: encap },
    outer,
  );
  const oversize = oversizeOf(fragment, df);
  // Hosts may send as on the outer link where their packets pass whole.
  const wanted = oversize === Oversize.BEFORE ? fits : outer;
  const hasIpv6 = local.some(({ first }) => first.length === 16);
  return {
    // Transport mode carries whole packets (RFC 4301 §7), which say nothing of their length: no fragments, no padding.
    size: isTransport
      ? { mtu: fits, oversize: Oversize.AFTER, tfc: 0 }
      : { mtu: fits, oversize, tfc: tfcMultiple(tfc, tfcRefused) },
    // IPv6 needs 1280 octets: where its ESP packets do not fit the path then, the system fragments them (RFC 2473 §7.1).
    mtu: { fits, takes: hasIpv6 ? Math.max(IPV6_MIN_MTU, wanted) : wanted },
  };
};

const oversizeOf = (fragment: Child["fragment"], df: Child["df"]): SaSize["oversize"] => {
  if (fragment === "after") return Oversize.AFTER;
  return df === "clear" ? Oversize.AFTER_DF : Oversize.BEFORE;
};
