/**
 * Delete payload, RFC 7296 §3.11
 *
 *   | Protocol ID   |   SPI Size    |          Num of SPIs          |
 *   ~               Security Parameter Index(es) (SPI)              ~
 */
import { MalformedError } from "../../bytes.ts";
import type { Codec } from "./codec.ts";

export interface Deletion {
  readonly protocol: number;
  /** All of one length. Empty for the IKE SA itself, whose SPIs are in the header. */
  readonly spis: readonly Uint8Array[];
}

export const deletion: Codec<Deletion> = {
  parse(from) {
    const protocol = from.u8("protocol ID");
    const spiSize = from.u8("SPI size");
    const count = from.u16("number of SPIs");
    if (from.left !== spiSize * count)
      throw new MalformedError(`SPIs: ${count} of ${spiSize} octets do not fill ${from.left}`);
    const spis: Uint8Array[] = [];
    while (from.left > 0) spis.push(from.take(spiSize, "SPI"));
    return { protocol, spis };
  },

  size: ({ spis }) => 4 + spis.length * (spis[0]?.length ?? 0),

  emit({ protocol, spis }, to) {
    to.u8(protocol);
    to.u8(spis[0]?.length ?? 0);
    to.u16(spis.length);
    for (const spi of spis) to.put(spi);
  },
};
