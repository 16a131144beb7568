/**
 * Reassembly of IPv4 as a host does it, for tests: by source, destination, protocol and ID, octet by octet, in any order of
 * arrival (RFC 791 §3.2). Slow, and strict: what overlaps or does not add up throws.
 */
interface Fragment {
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
  readonly offset: number;
  readonly more: boolean;
}

const parse = (packet: Uint8Array): Fragment => {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const header = (packet[0]! & 15) * 4;
  if (view.getUint16(2) !== packet.length) throw new Error("total length is not the packet's");
  const flags = view.getUint16(6);
  return {
    header: packet.slice(0, header),
    payload: packet.slice(header),
    offset: (flags & 0x1fff) * 8,
    more: (flags & 0x2000) !== 0,
  };
};

const keyOf = ({ header }: Fragment): string => `${header.slice(12, 20)} ${header[9]} ${header.slice(4, 6)}`;

export interface Reassembled {
  /** Of the fragment with offset 0. */
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
}

/** The packet, or undefined while some of it is missing. */
export const reassemble = (packets: readonly Uint8Array[]): Reassembled | undefined => {
  const fragments = packets.map(parse);
  if (new Set(fragments.map(keyOf)).size > 1) throw new Error("fragments of several packets");
  const octets: (number | undefined)[] = [];
  let end: number | undefined;
  let header: Uint8Array | undefined;
  for (const fragment of fragments) {
    if (fragment.more && fragment.payload.length % 8 !== 0) throw new Error("a fragment that ends between 8 octets");
    if (!fragment.more) end = fragment.offset + fragment.payload.length;
    if (fragment.offset === 0) header = fragment.header;
    fragment.payload.forEach((octet, i) => {
      if (octets[fragment.offset + i] !== undefined) throw new Error("fragments overlap");
      octets[fragment.offset + i] = octet;
    });
  }
  if (header === undefined || end === undefined || octets.length !== end || octets.includes(undefined))
    return undefined;
  return { header, payload: Uint8Array.from(octets as number[]) };
};
