// HOT PATH
/**
 * What all SAs of a suite and a kind of sequence number have in common: a few objects that stay in the caches, however many
 * SAs there are.
 */
import { SUITES, type Suite } from "../crypto/suites.ts";
import { ESP_HEADER } from "../ipsec/esp.ts";
import { SaFlag } from "../ipsec/sad.ts";

/** Without extended numbers a counter ends at 2^32 - 1 (RFC 4303 §3.3.3); with them at what a double holds exactly. */
const LAST_SHORT = 0xffff_ffff;
const LAST_EXTENDED = Number.MAX_SAFE_INTEGER;

export class SaShape {
  readonly esn: boolean;
  readonly transport: boolean;
  readonly alignment: number;
  /** 8: a counter makes it; 16: it must be unpredictable; 0: there is none. */
  readonly ivLength: number;
  readonly icvLength: number;
  /** SPI to the last octet of the IV. */
  readonly headLength: number;
  readonly lastSeq: number;

  constructor(suite: Suite, esn: boolean, transport: boolean) {
    this.esn = esn;
    this.transport = transport;
    this.alignment = suite.alignment;
    this.ivLength = suite.ivLength;
    this.icvLength = suite.icvLength;
    this.headLength = ESP_HEADER + suite.ivLength;
    this.lastSeq = esn ? LAST_EXTENDED : LAST_SHORT;
  }
}

const KINDS = 4;
/** By what `shapeIndex` says. Where no suite has the number nothing adopts such an SA. */
export const SHAPES: readonly SaShape[] = Array.from({ length: 256 * KINDS }, (_, i) => {
  const suite = SUITES.find(({ id }) => id === Math.floor(i / KINDS)) ?? SUITES[0]!;
  return new SaShape(suite, (i & 1) !== 0, (i & 2) !== 0);
});

/** Of an SA: `suite` and `flags` as in its record. */
export const shapeIndex = (suite: number, flags: number): number =>
  ((suite & 255) * KINDS) | (flags & SaFlag.ESN) | ((flags & SaFlag.TRANSPORT) >> 1);
