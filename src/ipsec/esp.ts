// HOT PATH
/**
 * ESP framing in tunnel mode (RFC 4303 §2), as functions over (slab, offset). No packet objects.
 *
 *    0                   4                   8
 *   | SPI               | Sequence (low)    | IV | inner IP packet | 1 2 3 … | pad length | next header | ICV |
 *                                                |<------------ text, encrypted ------------------------>|
 */

/** SPI and the low half of the sequence number. */
export const ESP_HEADER = 8;
/** Pad length and next header. */
export const TRAILER = 2;

/** Next headers of what ESP carries in tunnel mode: IPv4, IPv6, and the dummy packet (RFC 4303 §2.6). */
export const NEXT_IPV4 = 4;
export const NEXT_IPV6 = 41;
export const NEXT_DUMMY = 59;

/** SPIs 0 to 255 are not for SAs (RFC 4303 §2.1); 0 begins an IKE message on port 4500 (RFC 3948 §2.2). */
export const MIN_SPI = 256;

export const readU32 = (slab: Uint8Array, at: number): number =>
  ((slab[at]! << 24) | (slab[at + 1]! << 16) | (slab[at + 2]! << 8) | slab[at + 3]!) >>> 0;

export const writeU32 = (slab: Uint8Array, at: number, value: number): void => {
  slab[at] = value >>> 24;
  slab[at + 1] = value >>> 16;
  slab[at + 2] = value >>> 8;
  slab[at + 3] = value;
};

export const spiOf = (slab: Uint8Array, at: number): number => readU32(slab, at);
export const lowSeqOf = (slab: Uint8Array, at: number): number => readU32(slab, at + 4);

/** The high half of a whole sequence number. */
export const highOf = (seq: number): number => Math.floor(seq / 0x1_0000_0000);

/** SPI and the low half of `seq` at `at`. */
export const writeHeader = (slab: Uint8Array, at: number, spi: number, seq: number): void => {
  writeU32(slab, at, spi);
  writeU32(slab, at + 4, seq); // the shifts take the low 32 bits
};

/** IV of an AEAD: the 64-bit counter itself, so it never repeats under one key (RFC 4106 §3.1, RFC 7634 §2). */
export const writeCounterIv = (slab: Uint8Array, at: number, seq: number): void => {
  writeU32(slab, at, highOf(seq));
  writeU32(slab, at + 4, seq);
};

/** Octets of text for `payload` octets: padded to `alignment`, a power of two (RFC 4303 §2.4). */
export const textLengthFor = (payload: number, alignment: number): number =>
  (payload + TRAILER + alignment - 1) & -alignment;

/** Octets of the ESP packet, SPI to ICV, that carries `payload` octets. */
export const sealedLength = (payload: number, ivLength: number, icvLength: number, alignment: number): number =>
  ESP_HEADER + ivLength + textLengthFor(payload, alignment) + icvLength;

/** Padding 1, 2, 3 …, pad length and next header behind the payload; returns the length of the text. */
export const writeTrailer = (
  slab: Uint8Array,
  textAt: number,
  payload: number,
  alignment: number,
  nextHeader: number,
): number => {
  const length = textLengthFor(payload, alignment);
  const padding = length - payload - TRAILER;
  const at = textAt + payload;
  for (let i = 0; i < padding; i++) slab[at + i] = i + 1;
  slab[at + padding] = padding;
  slab[at + padding + 1] = nextHeader;
  return length;
};

/** Octets before the padding of an authentic text, or -1 when its padding is not 1, 2, 3 … (RFC 4303 §2.4). */
export const payloadLength = (slab: Uint8Array, textAt: number, textLength: number): number => {
  const end = textAt + textLength - TRAILER;
  const padding = slab[end]!;
  const payload = textLength - TRAILER - padding;
  if (payload < 0) return -1;
  for (let i = 0, at = textAt + payload; i < padding; i++) if (slab[at + i] !== i + 1) return -1;
  return payload;
};

export const nextHeaderOf = (slab: Uint8Array, textAt: number, textLength: number): number =>
  slab[textAt + textLength - 1]!;
