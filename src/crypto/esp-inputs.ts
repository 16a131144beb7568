// HOT PATH
/**
 * What every engine feeds its cipher and MAC with, and the proof that a batch stays inside its slab.
 *
 *   nonce of AEAD       salt ‖ IV                      RFC 4106 §4, RFC 4309 §4, RFC 4543 §3.2, RFC 7634 §2
 *   first CTR block     nonce ‖ IV ‖ 1                 RFC 3686 §4
 *   AAD of AEAD         SPI ‖ Seq, or with ESN
 *                       SPI ‖ Seq high ‖ Seq low       RFC 4106 §5, RFC 4309 §5, RFC 7634 §2.1
 *   and for GMAC        ‖ IV ‖ text                    RFC 4543 §3.3
 *   text of a MAC       SPI ‖ Seq ‖ IV ‖ text, and
 *                       with ESN ‖ Seq high            RFC 4303 §2.2.1
 *
 * Nothing here allocates, except the RangeError that a caller's bug earns.
 */
import { OP_SCRATCH, type Ops } from "./engine.ts";
import type { Suite } from "./suites.ts";

/** Octets of SPI and sequence number. */
export const ESP_HEADER = 8;
/** Octets of nonce of AEAD ciphers but CCM. */
export const AEAD_NONCE = 12;
/** Octets of nonce of CCM, whose salt is shorter. */
export const CCM_NONCE = 11;
/** Octets of the first block of CTR. */
export const CTR_BLOCK = 16;
/** Octets that `writeNonce` may write to. */
export const NONCE_ROOM = 16;
/** Octets of AAD with an extended sequence number. */
export const ESN_AAD = 12;
/** The longest ESP packet, header and ICV counted: what the length fields of IPv4, IPv6 and UDP can say. */
export const MAX_ESP_PACKET = 65_535;

/** True when a text of `length` octets can be sealed with this suite. What fails it on the way in is a malformed packet. */
export const isTextLength = (suite: Suite, length: number): boolean =>
  length > 0 &&
  (length & (suite.alignment - 1)) === 0 && // a power of two
  length <= MAX_ESP_PACKET - ESP_HEADER - suite.ivLength - suite.icvLength;

/** Prove the batch as such. Throws a RangeError: a batch that fails is a bug of the caller. */
export const checkBatch = (ops: Ops, slab: Uint8Array, capacity: number): void => {
  if (ops.slab !== slab) throw new RangeError("the batch lies in another slab than the engine's");
  const { count, scratchAt } = ops;
  if (!(Number.isInteger(count) && count >= 0 && count <= capacity && count <= ops.capacity))
    throw new RangeError(`a batch of ${count} packets: 0 to ${Math.min(capacity, ops.capacity)} expected`);
  if (!(Number.isInteger(scratchAt) && scratchAt >= 0 && scratchAt + count * OP_SCRATCH <= slab.length))
    throw new RangeError(`scratch at ${scratchAt} leaves the slab of ${slab.length} octets`);
};

/**
 * Prove packet `i`: header, IV, text and ICV adjoin and lie inside the slab, and the text has a length that the suite
 * can have. Written so that anything but a whole number in range fails. Throws a RangeError.
 */
export const checkPacket = (ops: Ops, i: number, suite: Suite, slabLength: number): void => {
  const head = ops.headAt[i]!;
  const text = ops.textAt[i]!;
  const length = ops.textLength[i]!;
  const fits =
    head >= 0 &&
    text === head + ESP_HEADER + suite.ivLength &&
    isTextLength(suite, length) &&
    text + length + suite.icvLength <= slabLength;
  if (!fits) refusePacket(ops, i, suite);
};

const refusePacket = (ops: Ops, i: number, suite: Suite): never => {
  throw new RangeError(
    `packet ${i} of the batch: header at ${ops.headAt[i]}, ${ops.textLength[i]} octets of text at ${ops.textAt[i]} ` +
      `is no ${suite.name} packet inside a slab of ${ops.slab.length} octets`,
  );
};

/** The same memory twice: as octets, and as a view that reads and writes words wherever they lie. */
export interface Memory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export const memoryOf = (bytes: Uint8Array): Memory => ({
  bytes,
  view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
});

/** The salt of KEYMAT as a number, 3 or 4 octets: what `writeNonce` takes. */
export const saltOf = ({ saltLength, encryptionKeyLength }: Suite, key: Uint8Array): number => {
  let salt = 0;
  for (let i = 0; i < saltLength; i++) salt = ((salt << 8) | key[encryptionKeyLength + i]!) >>> 0;
  return salt;
};

/** Octets that `writeNonce` writes: what the cipher takes as its IV. */
export const nonceLength = ({ cipher }: Suite): number => {
  if (cipher === "aes-ccm") return CCM_NONCE;
  return cipher === "aes-ctr" ? CTR_BLOCK : AEAD_NONCE;
};

/** Write `salt ‖ IV`, of CTR with the first count behind it, at `to[at]`; the IV lies at `slab[ivAt]`. */
export const writeNonce = (
  to: DataView,
  at: number,
  suite: Suite,
  salt: number,
  slab: DataView,
  ivAt: number,
): void => {
  const ccm = suite.cipher === "aes-ccm";
  to.setUint32(at, ccm ? salt << 8 : salt);
  const iv = ccm ? at + 3 : at + 4;
  to.setUint32(iv, slab.getUint32(ivAt));
  to.setUint32(iv + 4, slab.getUint32(ivAt + 4));
  if (suite.cipher === "aes-ctr") to.setUint32(at + 12, 1);
};

/** Write the AAD of an extended sequence number at `to[at]`. Without ESN it is the ESP header as it lies in the slab. */
export const writeEsnAad = (to: DataView, at: number, slab: DataView, head: number, seqHigh: number): void => {
  to.setUint32(at, slab.getUint32(head));
  to.setUint32(at + 4, seqHigh);
  to.setUint32(at + 8, slab.getUint32(head + 4));
};

/**
 * Equality of two ICVs in time that depends on `length` alone: every word is looked at, whatever the others were.
 * `length` is a multiple of 4, as those of all suites are. (`timingSafeEqual` would need two new views a packet.)
 */
export const isSameIcv = (a: DataView, aAt: number, b: DataView, bAt: number, length: number): boolean => {
  let difference = 0;
  for (let i = 0; i < length; i += 4) difference |= a.getUint32(aAt + i) ^ b.getUint32(bAt + i);
  return difference === 0;
};
