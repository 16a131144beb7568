/**
 * Proposals as users of the field write them: `aes256gcm16-prfsha384-ecp384`, `aes256-sha256-modp2048`. Words of one kind
 * are alternatives, the first one preferred. What cannot be negotiated is refused here, with the reason.
 */
import { EspalierError } from "../errors.ts";
import type { Transform } from "./payload/sa.ts";
import { isAeadTransform, knownNames, type TransformRow, TransformType, transformByName } from "./transform.ts";

export interface IkeProposal {
  readonly text: string;
  /** By type, in the user's order. */
  readonly transforms: readonly Transform[];
}

export interface EspProposal {
  readonly text: string;
  readonly transforms: readonly Transform[];
}

const { ENCR, PRF, INTEG, KE, ESN } = TransformType;

/** The PRF of the hash that an integrity transform uses. */
const PRF_OF_INTEG = new Map([
  [2, 2],
  [12, 5],
  [13, 6],
  [14, 7],
]);

/** The cipher that does not encrypt (RFC 2410). */
const NULL = "null";

const refuse = (text: string, why: string, remedy: string): EspalierError =>
  new EspalierError("ESPALIER_CONFIG", `proposal "${text}": ${why}`, { remedy });

/** A proposal for an IKE SA. Throws EspalierError ESPALIER_CONFIG that names the word and what could stand there. */
export const parseIkeProposal = (text: string): IkeProposal => {
  const rows = parseWords(text, [ENCR, INTEG, PRF, KE], "IKE");
  const of = (type: number): TransformRow[] => rows.filter((row) => row.type === type);
  const aead = checkIntegrity(text, "IKE", of(ENCR), of(INTEG), "a PRF such as prfsha256");
  let prfs: readonly { type: number; id: number }[] = of(PRF);
  if (prfs.length === 0) {
    if (aead) throw refuse(text, `${of(ENCR)[0]?.name} needs a PRF`, "add one, such as prfsha256");
    prfs = of(INTEG).flatMap(({ id }) => {
      const prf = PRF_OF_INTEG.get(id);
      return prf === undefined ? [] : [{ type: PRF, id: prf }];
    });
  }
  if (of(KE).length === 0)
    throw refuse(text, "no key exchange method", `add one of: ${knownNames([KE], "IKE").join(", ")}`);
  return { text, transforms: [...of(ENCR), ...of(INTEG), ...prfs, ...of(KE)].map(bare) };
};

/**
 * A proposal for a Child SA; a key exchange method in it asks for perfect forward secrecy. `esn`: whether 64-bit sequence
 * numbers are demanded, excluded or preferred. Throws EspalierError ESPALIER_CONFIG.
 */
export const parseEspProposal = (text: string, esn: "yes" | "no" | "either"): EspProposal => {
  const rows = parseWords(text, [ENCR, INTEG, KE], "ESP");
  const of = (type: number): TransformRow[] => rows.filter((row) => row.type === type);
  checkIntegrity(text, "ESP", of(ENCR), of(INTEG), "a key exchange method at most");
  const esnIds = esn === "yes" ? [1] : esn === "no" ? [0] : [1, 0];
  const sequence = esnIds.map((id) => ({ type: ESN, id }));
  return { text, transforms: [...of(ENCR), ...of(INTEG), ...of(KE), ...sequence].map(bare) };
};

const bare = ({ type, id, keyBits }: { type: number; id: number; keyBits?: number }): Transform =>
  keyBits === undefined ? { type, id } : { type, id, keyBits };

const parseWords = (text: string, types: readonly number[], sa: "IKE" | "ESP"): TransformRow[] => {
  const known = (): string => `known: ${knownNames(types, sa).join(", ")}`;
  const rows: TransformRow[] = [];
  for (const word of text.trim().toLowerCase().split("-")) {
    const row = transformByName(word);
    if (row === undefined) throw refuse(text, `unknown word "${word}"`, known());
    if (row.refused !== undefined) throw refuse(text, `"${word}" is refused, ${row.refused}`, known());
    if (sa === "IKE" && row.espOnly !== undefined)
      throw refuse(text, `"${word}" is for ESP alone`, `for the IKE SA use ${row.espOnly}`);
    if (!types.includes(row.type))
      throw refuse(text, `"${word}" has no place in ESP`, "a PRF is negotiated for the IKE SA alone");
    if (rows.includes(row) && word === NULL)
      throw refuse(
        text,
        "null for both is refused, it does not protect",
        "use null-sha256, or an AEAD such as aes256gcm16",
      );
    if (rows.includes(row)) throw refuse(text, `"${word}" is there twice`, "write it once");
    rows.push(row);
  }
  return rows;
};

/** AEAD and integrity algorithms do not mix within a proposal (RFC 7296 §3.3). Returns whether it is AEAD. */
const checkIntegrity = (
  text: string,
  sa: "IKE" | "ESP",
  encryption: readonly TransformRow[],
  integrity: readonly TransformRow[],
  instead: string,
): boolean => {
  if (encryption.length === 0)
    throw refuse(text, "no encryption algorithm", `add one of: ${knownNames([ENCR], sa).join(", ")}`);
  const aead = encryption.filter(isAeadTransform);
  const plain = encryption.find((row) => !isAeadTransform(row));
  if (aead[0] !== undefined && plain !== undefined)
    throw refuse(text, `${aead[0].name} and ${plain.name} do not go together`, "write two proposals");
  if (aead[0] !== undefined && integrity[0] !== undefined)
    throw refuse(
      text,
      `${aead[0].name} protects integrity itself and takes no ${integrity[0].name}`,
      `leave ${integrity[0].name} away; beside ${aead[0].name} goes ${instead}`,
    );
  if (plain !== undefined && integrity.length === 0)
    throw refuse(
      text,
      `${plain.name} needs an integrity algorithm`,
      `add one of: ${knownNames([INTEG], sa).join(", ")}`,
    );
  return aead.length > 0;
};
