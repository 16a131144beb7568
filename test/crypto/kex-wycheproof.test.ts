import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../../src/bytes.ts";
import { kexByName, keyPairOf } from "../../src/crypto/kex.ts";

/** Wycheproof's ECDH vectors lie beside the project where there are any; the test is skipped where there are none. */
const FOLDER = new URL("../../../shared/vectors/wycheproof/", import.meta.url);

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly public: string;
  readonly private: string;
  readonly shared: string;
  readonly result: "valid" | "invalid" | "acceptable";
}

const FILES = [
  { name: "x25519", file: "x25519_test.json", octets: 32 },
  { name: "ecp256", file: "ecdh_secp256r1_ecpoint_test.json", octets: 32 },
  { name: "ecp384", file: "ecdh_secp384r1_ecpoint_test.json", octets: 48 },
  { name: "ecp521", file: "ecdh_secp521r1_ecpoint_test.json", octets: 66 },
];

describe.each(FILES)("Wycheproof vectors of $name", ({ name, file, octets }) => {
  const url = new URL(file, FOLDER);

  it("all get the result that they call for", (context) => {
    if (!existsSync(url)) context.skip(`the vectors are not here: ${file}`);
    const { testGroups } = JSON.parse(readFileSync(url, "utf8")) as { testGroups: { tests: Vector[] }[] };
    const method = kexByName(name)!;
    let valid = 0;
    for (const vector of testGroups.flatMap(({ tests }) => tests)) {
      const zero = name === "x25519" && /^0*$/.test(vector.shared); // RFC 8031 §2
      // Points are x | y in IKE (RFC 5903 §7): the vectors' uncompressed form without its first octet, or nothing for us.
      const whole = fromHex(vector.public);
      const peer = name === "x25519" ? whole : whole[0] === 4 ? whole.subarray(1) : new Uint8Array(0);
      const secret = keyPairOf(method, privateValue(vector.private, octets)).agree(peer);
      const wanted = !zero && vector.result !== "invalid" && peer.length === method.publicLength;
      expect(secret && toHex(secret), `${vector.tcId} ${vector.comment}`).toBe(wanted ? vector.shared : undefined);
      if (wanted) valid++;
    }
    expect(valid).toBeGreaterThan(100);
  });
});

/** Their integers have a sign octet at times, or leave zeros away. */
const privateValue = (hex: string, octets: number): Uint8Array =>
  fromHex(hex.padStart(octets * 2, "0").slice(-octets * 2));
