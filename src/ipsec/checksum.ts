// HOT PATH
/**
 * The internet checksum (RFC 1071) of short headers and messages, octet by octet, and its update when a 16-bit word under
 * it changes (RFC 1624). The data plane sums whole packets faster, in words of the machine.
 */

/** A sum of 16-bit words below 2^32, folded to 16 bits. */
export const foldSum = (sum: number): number => {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
};

/** Sum of `length` octets, at most 65,535, as 16-bit words in network order: below 2^31, to be folded. */
export const sumOctets = (slab: Uint8Array, at: number, length: number): number => {
  let sum = 0;
  const even = at + (length & ~1);
  for (let i = at; i < even; i += 2) sum += (slab[i]! << 8) | slab[i + 1]!;
  return (length & 1) === 0 ? sum : sum + (slab[even]! << 8);
};

export const readU16 = (slab: Uint8Array, at: number): number => (slab[at]! << 8) | slab[at + 1]!;

export const readU32 = (slab: Uint8Array, at: number): number =>
  ((slab[at]! << 24) | (slab[at + 1]! << 16) | (slab[at + 2]! << 8) | slab[at + 3]!) >>> 0;

export const writeU16 = (slab: Uint8Array, at: number, value: number): void => {
  slab[at] = value >>> 8;
  slab[at + 1] = value;
};

/** A checksum after a word under it went from `before` to `after` (RFC 1624 §3, equation 3: it never turns 0xffff into 0). */
export const updated = (checksum: number, before: number, after: number): number =>
  ~foldSum((~checksum & 0xffff) + (~before & 0xffff) + after) & 0xffff;

/** Write the header checksum of an IPv4 packet of `header` octets of header. */
export const writeIpv4Checksum = (slab: Uint8Array, at: number, header: number): void => {
  writeU16(slab, at + 10, 0);
  writeU16(slab, at + 10, ~foldSum(sumOctets(slab, at, header)));
};
