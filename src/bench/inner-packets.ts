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

/** A mix of sizes in place of one: what of RFC 6985 fits into a tunnel, seven small, four middle, one large. */
export const IMIX = "imix";
export type PacketSize = number | typeof IMIX;

/** Octets of the inner packets of the mix, the large ones spread among the others. */
export const IMIX_SIZES: readonly number[] = [64, 576, 64, 64, 576, 64, 1400, 64, 576, 64, 64, 576];

/** What the n-th packet has of octets. */
export const octetsOf = (size: PacketSize, n: number): number =>
  size === IMIX ? IMIX_SIZES[n % IMIX_SIZES.length]! : size;

/** Of the longest packet. */
export const mostOctets = (size: PacketSize): number => (size === IMIX ? Math.max(...IMIX_SIZES) : size);

/** The mean over `count` packets. */
export const meanOctets = (size: PacketSize, count: number): number =>
  Array.from({ length: count }, (_, n) => octetsOf(size, n)).reduce((sum, octets) => sum + octets, 0) / count;

/** `count` packets of a size, 28 octets at least. */
export const innerPackets = (count: number, of: PacketSize): Uint8Array[] =>
  Array.from({ length: count }, (_, n) => {
    const size = octetsOf(of, n);
    const packet = randomFillSync(new Uint8Array(size));
    packet.set(HEADER);
    const view = new DataView(packet.buffer);
    view.setUint16(2, size);
    view.setUint16(24, size - 20);
    return packet;
  });
