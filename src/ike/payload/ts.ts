/**
 * Traffic Selector payloads, RFC 7296 §3.13: one format, two payload types (TSi, TSr)
 *
 *   | Number of TSs |                 RESERVED                      |
 *   ~                       <Traffic Selectors>                     ~
 *
 * Each selector, §3.13.1:
 *
 *   |   TS Type     |IP Protocol ID |       Selector Length         |
 *   |           Start Port          |           End Port            |
 *   ~                         Starting Address                      ~
 *   ~                         Ending Address                        ~
 */
import { MalformedError, Reader } from "../../bytes.ts";
import type { TrafficSelector } from "../../ipsec/selector.ts";
import type { Codec } from "./codec.ts";

const TS_IPV4_ADDR_RANGE = 7;
const TS_IPV6_ADDR_RANGE = 8;
/** Octets of a selector before its addresses. */
const FIXED = 8;

export interface TrafficSelectors {
  /** At most 255. Selectors of types that we do not know are not here. */
  readonly selectors: readonly TrafficSelector[];
}

const addressLength = (type: number): number | undefined =>
  type === TS_IPV4_ADDR_RANGE ? 4 : type === TS_IPV6_ADDR_RANGE ? 16 : undefined;

const sizeOf = ({ first }: TrafficSelector): number => FIXED + 2 * first.length;

export const trafficSelectors: Codec<TrafficSelectors> = {
  parse(from) {
    const count = from.u8("number of traffic selectors");
    from.reserved(3);
    const selectors: TrafficSelector[] = [];
    for (let n = 0; n < count; n++) {
      const type = from.u8("TS type");
      const protocol = from.u8("IP protocol ID");
      const length = from.u16("selector length");
      if (length < 4) throw new MalformedError(`selector length: ${length}`);
      const body = new Reader(from.take(length - 4, "selector"));
      const octets = addressLength(type);
      if (octets === undefined) continue; // such as TS_SECLABEL, RFC 9478
      if (length !== FIXED + 2 * octets) throw new MalformedError(`selector length: ${length} for TS type ${type}`);
      const startPort = body.u16("start port");
      const endPort = body.u16("end port");
      const first = body.take(octets, "starting address");
      selectors.push({ protocol, startPort, endPort, first, last: body.take(octets, "ending address") });
    }
    if (from.left > 0) throw new MalformedError(`${from.left} octets after the last traffic selector`);
    return { selectors };
  },

  size: ({ selectors }) => selectors.reduce((sum, selector) => sum + sizeOf(selector), 4),

  emit({ selectors }, to) {
    to.u8(selectors.length);
    to.reserved(3);
    for (const selector of selectors) {
      to.u8(selector.first.length === 4 ? TS_IPV4_ADDR_RANGE : TS_IPV6_ADDR_RANGE);
      to.u8(selector.protocol);
      to.u16(sizeOf(selector));
      to.u16(selector.startPort);
      to.u16(selector.endPort);
      to.put(selector.first);
      to.put(selector.last);
    }
  },
};
