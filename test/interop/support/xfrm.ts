/** The Linux kernel's own SAs for our suites: what `ip xfrm` is told, in User-Mode Linux. */
import { type Suite, suiteByName } from "../../../src/crypto/suites.ts";

/** One SA as both ends have it. */
export interface KernelSa {
  /** Of ESP. */
  readonly source: string;
  readonly destination: string;
  readonly spi: number;
  readonly suite: string;
  readonly key: Uint8Array;
  readonly esn: boolean;
  /** Numbers used up. */
  readonly sequence: number;
  readonly reqid: number;
}

const AEADS: Partial<Record<Suite["cipher"], string>> = {
  "aes-gcm": "rfc4106(gcm(aes))",
  "aes-ccm": "rfc4309(ccm(aes))",
  "aes-gmac": "rfc4543(gcm(aes))",
  "chacha20-poly1305": "rfc7539esp(chacha20,poly1305)",
};

const CIPHERS: Partial<Record<Suite["cipher"], string>> = {
  "aes-cbc": "cbc(aes)",
  "aes-ctr": "rfc3686(ctr(aes))",
  null: "ecb(cipher_null)",
};

const MACS: Record<NonNullable<Suite["mac"]>, string> = {
  "hmac-sha1": "hmac(sha1)",
  "hmac-sha256": "hmac(sha256)",
  "hmac-sha384": "hmac(sha384)",
  "hmac-sha512": "hmac(sha512)",
  "aes-xcbc": "xcbc(aes)",
  "aes-cmac": "cmac(aes)",
};

const hex = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString("hex")}`;

/** KEYMAT is encryption key, salt, integrity key; the kernel takes the salt with the key, and the integrity key apart. */
const algorithms = (name: string, key: Uint8Array): string => {
  const suite = suiteByName(name);
  if (suite === undefined) throw new Error(`no suite ${name}`);
  const { cipher, mac, encryptionKeyLength, saltLength, icvLength } = suite;
  const aead = AEADS[cipher];
  if (aead !== undefined) return `aead '${aead}' ${hex(key)} ${icvLength * 8}`;
  if (mac === undefined) throw new Error(`${name} has no integrity`);
  const end = encryptionKeyLength + saltLength;
  const encryption = end === 0 ? "''" : hex(key.subarray(0, end));
  return `auth-trunc '${MACS[mac]}' ${hex(key.subarray(end))} ${icvLength * 8} enc '${CIPHERS[cipher]}' ${encryption}`;
};

/** A line for `ip xfrm`: a state of tunnel mode, of any family inside. */
export const stateLine = ({ source, destination, spi, suite, key, esn, sequence, reqid }: KernelSa): string => {
  const high = Math.floor(sequence / 2 ** 32);
  const numbers = ["seq", "oseq"].map((which) => {
    const rest = esn ? ` replay-${which}-hi 0x${high.toString(16)}` : "";
    return `replay-${which} 0x${(sequence >>> 0).toString(16)}${rest}`;
  });
  return [
    `ip xfrm state add src ${source} dst ${destination} proto esp spi 0x${spi.toString(16)} reqid ${reqid} mode tunnel`,
    `replay-window ${esn ? 256 : 32} flag ${esn ? "esn " : ""}af-unspec`,
    ...numbers,
    algorithms(suite, key),
  ].join(" ");
};

/** Lines for the policies of one pair: what goes from `here` to `there` in its tunnel, and back. */
export const policyLines = (
  here: { readonly inner: string; readonly outer: string },
  there: { readonly inner: string; readonly outer: string },
  reqid: number,
): string[] => [
  `ip xfrm policy add src ${here.inner} dst ${there.inner} dir out tmpl src ${here.outer} dst ${there.outer} proto esp reqid ${reqid} mode tunnel`,
  `ip xfrm policy add src ${there.inner} dst ${here.inner} dir in tmpl src ${there.outer} dst ${here.outer} proto esp reqid ${reqid} mode tunnel`,
];
