/** ICMP errors as a router sends them about a packet that it could not forward (RFC 792, RFC 4443). */
import { addressBytes } from "../../src/ip-address.ts";

export interface ErrorOptions {
  /** The router. */
  readonly source: string;
  /** Default: who sent the packet. */
  readonly destination?: string;
  readonly about: Uint8Array;
  /** Default time exceeded. */
  readonly type?: number;
  readonly code?: number;
  /** Octets of the packet that are quoted; default its IP header and 8 more. */
  readonly quoted?: number;
}

const TIME_EXCEEDED = { 4: 11, 6: 3 };
const HEADER = { 4: 20, 6: 40 };
const ADDRESSES = { 4: { at: 12, octets: 4 }, 6: { at: 8, octets: 16 } };

export const icmpError = ({ source, destination, about, type, code = 0, quoted }: ErrorOptions): Uint8Array => {
  const version = about[0]! >> 4 === 4 ? 4 : 6;
  const header = HEADER[version];
  const { at, octets } = ADDRESSES[version];
  const quote = about.subarray(0, quoted ?? header + 8);
  const packet = new Uint8Array(header + 8 + quote.length);
  const view = new DataView(packet.buffer);
  packet[0] = version === 4 ? 0x45 : 0x60;
  if (version === 4) {
    view.setUint16(2, packet.length);
    packet.set([64, 1], 8);
  } else {
    view.setUint16(4, 8 + quote.length);
    packet.set([58, 64], 6);
  }
  packet.set(addressBytes(source), at);
  packet.set(destination === undefined ? about.subarray(at, at + octets) : addressBytes(destination), at + octets);
  packet.set([type ?? TIME_EXCEEDED[version], code], header);
  packet.set(quote, header + 8);
  return packet;
};
