/**
 * Notify payload, RFC 7296 §3.10
 *
 *   |  Protocol ID  |   SPI Size    |      Notify Message Type      |
 *   ~                Security Parameter Index (SPI)                 ~
 *   ~                       Notification Data                       ~
 */
import type { Codec } from "./codec.ts";

export interface Notification {
  /** 0 unless there is an SPI; whatever a peer writes beside an empty SPI is ignored. */
  readonly protocol: number;
  readonly spi: Uint8Array;
  /** See `Notify`. */
  readonly type: number;
  readonly data: Uint8Array;
}

export const notification: Codec<Notification> = {
  parse(from) {
    const protocol = from.u8("protocol ID");
    const spiSize = from.u8("SPI size");
    const type = from.u16("notify message type");
    return { protocol, type, spi: from.take(spiSize, "SPI"), data: from.rest() };
  },

  size: ({ spi, data }) => 4 + spi.length + data.length,

  emit({ protocol, spi, type, data }, to) {
    to.u8(protocol);
    to.u8(spi.length);
    to.u16(type);
    to.put(spi);
    to.put(data);
  },
};
