// HOT PATH
/**
 * What all SAs of a suite and a kind of sequence number have in common: a few objects that stay in the caches, however many
 * SAs there are.
 */
import { isAead, SUITES, type Suite } from "../crypto/suites.ts";
import { ESP_HEADER } from "../ipsec/esp.ts";
import { SaFlag } from "../ipsec/sad.ts";

/** Without extended numbers a counter ends at 2^32 - 1 (RFC 4303 §3.3.3); with them at what a double holds exactly. */
const LAST_SHORT = 0xffff_ffff;
const LAST_EXTENDED = Number.MAX_SAFE_INTEGER;

export class SaShape {
  readonly esn: boolean;
  readonly aead: boolean;
  readonly alignment: number;
  readonly ivLength: number;
  readonly icvLength: number;
  /** SPI to the last octet of the IV. */
  readonly headLength: number;
  readonly lastSeq: number;

  constructor(suite: Suite, esn: boolean) {
    this.esn = esn;
    this.aead = isAead(suite);
    this.alignment = suite.alignment;
    this.ivLength = suite.ivLength;
    this.icvLength = suite.icvLength;
    this.headLength = ESP_HEADER + suite.ivLength;
    this.lastSeq = esn ? LAST_EXTENDED : LAST_SHORT;
  }
}

const SHORT = SUITES.map((suite) => ({ id: suite.id, shape: new SaShape(suite, false) }));
const EXTENDED = SUITES.map((suite) => ({ id: suite.id, shape: new SaShape(suite, true) }));
const NONE = SHORT[0]!.shape; // where no suite has the number: nothing adopts such an SA

const SHAPES: readonly SaShape[] = Array.from({ length: 512 }, (_, i) => {
  const of = (i & 1) === 1 ? EXTENDED : SHORT;
  return of.find(({ id }) => id === i >> 1)?.shape ?? NONE;
});

/** Of an SA that has been adopted: `suite` and `flags` as in its record. */
export const shapeOf = (suite: number, flags: number): SaShape =>
  SHAPES[((suite & 255) << 1) | ((flags & SaFlag.ESN) !== 0 ? 1 : 0)]!;
