/** Which of two twins made at the same time stays: not the one with the lowest of the four nonces (RFC 7296 §2.8.1). */

/** The lower of two nonces as octet strings: at the first octet that differs, or the shorter one. */
export const lowest = (a: Uint8Array, b: Uint8Array): Uint8Array => (Buffer.compare(a, b) <= 0 ? a : b);

/** Whether `ours`, the lower nonce of the exchange that we began, is lower than the one of the exchange the peer began. */
export const losesTo = (ours: Uint8Array, theirs: Uint8Array): boolean => Buffer.compare(ours, theirs) < 0;
