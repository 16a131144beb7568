/** Headers of IPv4 that are right in every field, options and checksum included, for tests. */
import { addressBytes } from "../../src/ip-address.ts";
import { internetChecksum } from "./internet-checksum.ts";

export interface Ipv4Header {
  readonly tos?: number;
  /** Octets of the whole packet. */
  readonly length?: number;
  readonly id?: number;
  readonly dontFragment?: boolean;
  readonly moreFragments?: boolean;
  /** In octets, a multiple of 8. */
  readonly offset?: number;
  readonly ttl?: number;
  readonly protocol?: number;
  readonly source?: string;
  readonly destination?: string;
  /** A multiple of 4 octets, at most 40. */
  readonly options?: Uint8Array;
}

export const ipv4HeaderOf = ({
  tos = 0,
  id = 0x1234,
  dontFragment = false,
  moreFragments = false,
  offset = 0,
  ttl = 64,
  protocol = 17,
  source = "10.1.0.1",
  destination = "10.2.0.1",
  options = new Uint8Array(0),
  length = 64,
}: Ipv4Header = {}): Uint8Array => {
  const header = new Uint8Array(20 + options.length);
  const view = new DataView(header.buffer);
  header[0] = 0x40 | (header.length / 4);
  header[1] = tos;
  view.setUint16(2, length);
  view.setUint16(4, id);
  view.setUint16(6, (dontFragment ? 0x4000 : 0) | (moreFragments ? 0x2000 : 0) | (offset / 8));
  header[8] = ttl;
  header[9] = protocol;
  header.set(addressBytes(source), 12);
  header.set(addressBytes(destination), 16);
  header.set(options, 20);
  view.setUint16(10, internetChecksum(header));
  return header;
};

/** A whole packet; `length` follows from the payload. */
export const ipv4PacketOf = (header: Ipv4Header, payload: Uint8Array): Uint8Array => {
  const length = 20 + (header.options?.length ?? 0) + payload.length;
  return Uint8Array.from([...ipv4HeaderOf({ ...header, length }), ...payload]);
};
