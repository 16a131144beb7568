/** Small IP packets for tests of the data plane: headers are right where the data plane looks, payloads are patterns. */
import { addressBytes } from "../../src/ip-address.ts";

export interface PacketOptions {
  readonly version: 4 | 6;
  /** Octets in all. */
  readonly length?: number;
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** In units of 8 octets; IPv4 only. */
  readonly fragmentOffset?: number;
}

export const ipPacket = ({
  version,
  length = 64,
  source = version === 4 ? "10.1.0.1" : "2001:db8:1::1",
  destination = version === 4 ? "10.2.0.1" : "2001:db8:2::1",
  protocol = 17,
  sourcePort = 1000,
  destinationPort = 2000,
  fragmentOffset = 0,
}: PacketOptions): Uint8Array => {
  const packet = Uint8Array.from({ length }, (_, i) => i * 31);
  const view = new DataView(packet.buffer);
  const header = version === 4 ? 20 : 40;
  packet.fill(0, 0, header);
  if (version === 4) {
    packet[0] = 0x45;
    view.setUint16(2, length);
    view.setUint16(6, fragmentOffset);
    packet[8] = 64;
    packet[9] = protocol;
    packet.set(addressBytes(source), 12);
    packet.set(addressBytes(destination), 16);
  } else {
    packet[0] = 0x60;
    view.setUint16(4, length - 40);
    packet[6] = protocol;
    packet[7] = 64;
    packet.set(addressBytes(source), 8);
    packet.set(addressBytes(destination), 24);
  }
  if (length >= header + 4) {
    view.setUint16(header, sourcePort);
    view.setUint16(header + 2, destinationPort);
  }
  return packet;
};
