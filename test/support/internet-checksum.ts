/** The internet checksum as RFC 1071 §1 words it, for tests: slow, and with nothing of the code that it judges. */
export const internetChecksum = (octets: Uint8Array): number => {
  let sum = 0;
  octets.forEach((octet, i) => {
    sum += i % 2 === 0 ? octet * 256 : octet;
    while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000); // end-around carry
  });
  return 0xffff - sum;
};

/** A packet with its checksum in place sums up to all ones. */
export const isChecksummed = (octets: Uint8Array): boolean => internetChecksum(octets) === 0;
