// HOT PATH
/**
 * ESP framing in tunnel mode (RFC 4303 §2), as functions over (view of the slab, offset). No packet
 * objects.
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

export const spiOf = (view: DataView, at: number): number => view.getUint32(at);
export const lowSeqOf = (view: DataView, at: number): number => view.getUint32(at + 4);

/** The high half of a whole sequence number. */
export const highOf = (seq: number): number => Math.floor(seq / 0x1_0000_0000);

/** SPI and the low half of `seq` at `at`. */
export const writeHeader = (view: DataView, at: number, spi: number, seq: number): void => {
  view.setUint32(at, spi);
  view.setUint32(at + 4, seq); // takes the low 32 bits
};

/** IV of an AEAD: the 64-bit counter itself, `high` its high half, so it never repeats under one key (RFC 4106 §3.1, RFC 7634 §2). */
export const writeCounterIv = (view: DataView, at: number, high: number, seq: number): void => {
  view.setUint32(at, high);
  view.setUint32(at + 4, seq);
};

/** Octets of text for `payload` octets: padded to `alignment`, a power of two (RFC 4303 §2.4). */
export const textLengthFor = (payload: number, alignment: number): number =>
  (payload + TRAILER + alignment - 1) & -alignment;

/** Octets of the ESP packet, SPI to ICV, that carries `payload` octets. */
export const sealedLength = (payload: number, ivLength: number, icvLength: number, alignment: number): number =>
  ESP_HEADER + ivLength + textLengthFor(payload, alignment) + icvLength;

/** The first four octets of padding, and what four more add to each (RFC 4303 §2.4). */
const PADDING = 0x01020304;
const FOUR_MORE = 0x04040404;

/**
 * Padding 1, 2, 3 …, pad length and next header behind the payload; returns the length of the text. It is written in words,
 * of which the last may reach an octet into the ICV's place.
 */
export const writeTrailer = (
  view: DataView,
  textAt: number,
  payload: number,
  alignment: number,
  nextHeader: number,
): number => {
  const length = textLengthFor(payload, alignment);
  const padding = length - payload - TRAILER;
  const at = textAt + payload;
  for (let i = 0, word = PADDING; i < padding; i += 4, word += FOUR_MORE) view.setInt32(at + i, word);
  view.setUint16(at + padding, (padding << 8) | nextHeader);
  return length;
};

/** Octets before the padding of an authentic text, or -1 when its padding is not 1, 2, 3 … (RFC 4303 §2.4). */
export const payloadLength = (view: DataView, textAt: number, textLength: number): number => {
  const end = textAt + textLength - TRAILER;
  const padding = view.getUint8(end);
  const payload = textLength - TRAILER - padding;
  if (payload < 0) return -1;
  const at = textAt + payload;
  let i = 0;
  for (let word = PADDING; i + 4 <= padding; i += 4, word = (word + FOUR_MORE) | 0)
    if (view.getInt32(at + i) !== word) return -1;
  for (; i < padding; i++) if (view.getUint8(at + i) !== i + 1) return -1;
  return payload;
};

export const nextHeaderOf = (view: DataView, textAt: number, textLength: number): number =>
  view.getUint8(textAt + textLength - 1);
