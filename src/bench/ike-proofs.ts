/** Equality before timing: two sides that do not have the same keys have not shaken hands, however fast. */
import { EspalierError } from "../errors.ts";
import type { PairProof } from "./ike-site.ts";

/** Throws ESPALIER_PLATFORM unless each of the connections has one pair at both sides, with the same keys crosswise. */
export const checkProofs = (
  connections: number,
  ours: ReadonlyMap<number, PairProof>,
  theirs: ReadonlyMap<number, PairProof>,
): void => {
  for (let connection = 0; connection < connections; connection++) {
    const [one, other] = [ours.get(connection), theirs.get(connection)];
    if (one === undefined || other === undefined) throw disagree(connection, "it is not up at both sides");
    if (one.spiIn !== other.spiOut || one.spiOut !== other.spiIn) throw disagree(connection, "their SPIs differ");
    if (one.keyIn !== other.keyOut || one.keyOut !== other.keyIn) throw disagree(connection, "their keys differ");
  }
};

const disagree = (connection: number, why: string): EspalierError =>
  new EspalierError("ESPALIER_PLATFORM", `the two sides of connection ${connection} disagree: ${why}`);
