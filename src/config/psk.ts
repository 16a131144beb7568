/** Pre-shared keys as users write them, in the file or in a file of their own (RFC 7296 §2.15). */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { fromHex, wipe } from "../bytes.ts";
import { EspalierError } from "../errors.ts";
import { Secret } from "./secret.ts";

/** Octets of a key file; a longer one is hardly the right file. */
const LONGEST = 64 * 1024;

/** Text, `0x` and hex digits, or `0s` and base64. Undefined when it is empty or not what its prefix says. */
export const parsePsk = (text: string): Secret | undefined => {
  const bytes = pskBytes(text);
  if (bytes === undefined || bytes.length === 0) return undefined;
  const secret = new Secret(bytes);
  wipe(bytes);
  return secret;
};

const pskBytes = (text: string): Uint8Array | undefined => {
  const prefix = text.slice(0, 2).toLowerCase();
  const rest = text.slice(2);
  if (prefix === "0x") return /^([0-9a-f]{2})+$/i.test(rest) ? fromHex(rest) : undefined;
  if (prefix !== "0s") return new Uint8Array(Buffer.from(text, "utf8"));
  const padded = /^[A-Za-z0-9+/]+={0,2}$/.test(rest) && rest.replace(/=+$/, "").length % 4 !== 1;
  return padded ? new Uint8Array(Buffer.from(rest, "base64")) : undefined;
};

export interface PskFile {
  readonly secret: Secret;
  /** Others than the owner may read it. */
  readonly exposed: boolean;
}

/**
 * The key that a file holds, its final newline stripped. A key that is not UTF-8 is taken as it is. Throws an EspalierError
 * ESPALIER_CONFIG that says why there is none, and nothing of what the file holds.
 */
export const readPskFile = (path: string): PskFile => {
  const { bytes, mode } = readRegular(path);
  const end = endOfKey(bytes);
  const key = bytes.subarray(0, end);
  const text = key.toString("utf8");
  const secret = Buffer.from(text, "utf8").equals(key) ? parsePsk(text) : new Secret(key);
  wipe(bytes);
  if (end === 0) throw refusal(path, "it is empty");
  if (secret === undefined) throw refusal(path, "it is neither text, nor 0x and hex digits, nor 0s and base64");
  return { secret, exposed: isExposed(mode) };
};

/** Group or world may read. */
export const isExposed = (mode: number): boolean => (mode & 0o044) !== 0;

const readRegular = (path: string): { bytes: Buffer; mode: number } => {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // a FIFO must not hold us up
  } catch (error) {
    throw refusal(path, error instanceof Error && "code" in error ? String(error.code) : "unreadable");
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw refusal(path, "it is no regular file");
    if (stats.size > LONGEST) throw refusal(path, `it is longer than ${LONGEST} octets`);
    return { bytes: readFileSync(descriptor), mode: stats.mode };
  } finally {
    closeSync(descriptor);
  }
};

const endOfKey = (bytes: Buffer): number => {
  const last = bytes.length;
  if (bytes[last - 1] !== 0x0a) return last;
  return bytes[last - 2] === 0x0d ? last - 2 : last - 1;
};

const refusal = (path: string, why: string): EspalierError =>
  new EspalierError("ESPALIER_CONFIG", `expected a file that holds a key, ${path}: ${why}`);

/** Below this many bits a key can be found by trying, once somebody has posed as the responder (RFC 7296 §8). */
export const STRONG_BITS = 128;

/** Characters that are fewer than this say that the key was not drawn at random. */
const FEW = 8;

/** An upper bound of the strength of a key, in bits, from the characters that it is made of. */
export const pskBits = (secret: Secret): number => {
  const bytes = secret.reveal();
  const distinct = new Set(bytes).size;
  const perOctet = alphabetBits(bytes);
  return Math.floor(bytes.length * (distinct < FEW ? Math.min(perOctet, Math.log2(distinct)) : perOctet));
};

const ALPHABETS: readonly (readonly [RegExp, number])[] = [
  [/^[0-9]*$/, 10],
  [/^[0-9a-f]*$/i, 16],
  [/^[a-z]*$|^[A-Z]*$/, 26],
  [/^[a-z0-9]*$|^[A-Z0-9]*$/, 36],
  [/^[A-Za-z0-9]*$/, 62],
  [/^[\x20-\x7e]*$/, 94],
];

const alphabetBits = (bytes: Uint8Array): number => {
  const text = Buffer.from(bytes).toString("latin1");
  const size = ALPHABETS.find(([pattern]) => pattern.test(text))?.[1] ?? 256;
  return Math.log2(size);
};
