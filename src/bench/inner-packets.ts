/** IPv4 packets to carry: UDP between two hosts, random inside, no two alike. */
import { randomFillSync } from "node:crypto";

/** Selectors that let them pass, as local and as remote: one is looked up for each packet and side. */
export const INNER_NET = "10.0.0.0/8";

const HEADER = Uint8Array.of(
  ...[0x45, 0, 0, 0], // version, header length; total length
  ...[0, 0, 0x40, 0], // not fragmented
  ...[64, 17, 0, 0], // hops, UDP
  ...[10, 1, 0, 2],
  ...[10, 2, 0, 2],
  ...[0x14, 0x51, 0x14, 0x51], // ports
);

/** `count` packets of `size` octets, 28 at least. */
export const innerPackets = (count: number, size: number): Uint8Array[] =>
  Array.from({ length: count }, () => {
    const packet = randomFillSync(new Uint8Array(size));
    packet.set(HEADER);
    const view = new DataView(packet.buffer);
    view.setUint16(2, size);
    view.setUint16(24, size - 20);
    return packet;
  });
