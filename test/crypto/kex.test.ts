import { describe, expect, it } from "vitest";
import { concat, fromHex, toHex } from "../../src/bytes.ts";
import { generateKeyPair, KEX_METHODS, type KexMethod, kexById, kexByName, keyPairOf } from "../../src/crypto/kex.ts";

const hex = (...groups: string[]): Uint8Array => fromHex(groups.join("").replaceAll(" ", ""));

/** RFC 5903 §8 and RFC 7748 §6.1: private and public values of both sides, and what they agree on. */
const KNOWN: readonly { name: string; i: Uint8Array; gi: Uint8Array; r: Uint8Array; gr: Uint8Array; shared: string }[] =
  [
    {
      name: "ecp256",
      i: hex("C88F01F5 10D9AC3F 70A292DA A2316DE5 44E9AAB8 AFE84049 C62A9C57 862D1433"),
      gi: hex(
        "DAD0B653 94221CF9 B051E1FE CA5787D0 98DFE637 FC90B9EF 945D0C37 72581180",
        "5271A046 1CDB8252 D61F1C45 6FA3E59A B1F45B33 ACCF5F58 389E0577 B8990BB3",
      ),
      r: hex("C6EF9C5D 78AE012A 011164AC B397CE20 88685D8F 06BF9BE0 B283AB46 476BEE53"),
      gr: hex(
        "D12DFB52 89C8D4F8 1208B702 70398C34 2296970A 0BCCB74C 736FC755 4494BF63",
        "56FBF3CA 366CC23E 8157854C 13C58D6A AC23F046 ADA30F83 53E74F33 039872AB",
      ),
      shared: "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
    },
    {
      name: "ecp384",
      i: hex(
        "099F3C70 34D4A2C6 99884D73 A375A67F 7624EF7C 6B3C0F16 0647B674",
        "14DCE655 E35B5380 41E649EE 3FAEF896 783AB194",
      ),
      gi: hex(
        "667842D7 D180AC2C DE6F74F3 7551F557 55C7645C 20EF73E3 1634FE72",
        "B4C55EE6 DE3AC808 ACB4BDB4 C88732AE E95F41AA",
        "9482ED1F C0EEB9CA FC498462 5CCFC23F 65032149 E0E144AD A0241815",
        "35A0F38E EB9FCFF3 C2C947DA E69B4C63 4573A81C",
      ),
      r: hex(
        "41CB0779 B4BDB85D 47846725 FBEC3C94 30FAB46C C8DC5060 855CC9BD",
        "A0AA2942 E0308312 916B8ED2 960E4BD5 5A7448FC",
      ),
      gr: hex(
        "E558DBEF 53EECDE3 D3FCCFC1 AEA08A89 A987475D 12FD950D 83CFA417",
        "32BC509D 0D1AC43A 0336DEF9 6FDA41D0 774A3571",
        "DCFBEC7A ACF31964 72169E83 8430367F 66EEBE3C 6E70C416 DD5F0C68",
        "759DD1FF F83FA401 42209DFF 5EAAD96D B9E6386C",
      ),
      shared: "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746",
    },
    {
      name: "ecp521",
      i: hex(
        "0037ADE9 319A89F4 DABDB3EF 411AACCC A5123C61 ACAB57B5 393DCE47 608172A0",
        "95AA85A3 0FE1C295 2C6771D9 37BA9777 F5957B26 39BAB072 462F68C2 7A57382D 4A52",
      ),
      gi: hex(
        "0015417E 84DBF28C 0AD3C278 713349DC 7DF153C8 97A1891B D98BAB43 57C9ECBE",
        "E1E3BF42 E00B8E38 0AEAE57C 2D107564 94188594 2AF5A7F4 601723C4 195D176C ED3E",
        "017CAE20 B6641D2E EB695786 D8C94614 6239D099 E18E1D5A 514C739D 7CB4A10A",
        "D8A78801 5AC405D7 799DC75E 7B7D5B6C F2261A6A 7F150743 8BF01BEB 6CA3926F 9582",
      ),
      r: hex(
        "0145BA99 A847AF43 793FDD0E 872E7CDF A16BE30F DC780F97 BCCC3F07 8380201E",
        "9C677D60 0B343757 A3BDBF2A 3163E4C2 F869CCA7 458AA4A4 EFFC311F 5CB15168 5EB9",
      ),
      gr: hex(
        "00D0B397 5AC4B799 F5BEA16D 5E13E9AF 971D5E9B 984C9F39 728B5E57 39735A21",
        "9B97C356 436ADC6E 95BB0352 F6BE64A6 C2912D4E F2D0433C ED2B6171 640012D9 460F",
        "015C6822 6383956E 3BD066E7 97B623C2 7CE0EAC2 F551A10C 2C724D98 52077B87",
        "220B6536 C5C408A1 D2AEBB8E 86D678AE 49CB5709 1F473229 6579AB44 FCD17F0F C56A",
      ),
      shared:
        "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3ddea",
    },
    {
      name: "x25519",
      i: hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
      gi: hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
      r: hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
      gr: hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
      shared: "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    },
  ];

/** RFC 3526 §3 to §5: p = 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + c). */
const MODP: readonly { name: string; bits: bigint; c: bigint }[] = [
  { name: "modp2048", bits: 2048n, c: 124476n },
  { name: "modp3072", bits: 3072n, c: 1690314n },
  { name: "modp4096", bits: 4096n, c: 240904n },
];

/** pi * 2^bits, rounded down, by Machin's formula with 64 bits to spare. */
const pi = (bits: bigint): bigint => {
  const one = 1n << (bits + 64n);
  const arctanOfInverse = (x: bigint): bigint => {
    let sum = 0n;
    let term = one / x;
    for (let n = 1n; term !== 0n; n += 2n) {
      sum += n % 4n === 1n ? term / n : -(term / n);
      term /= x * x;
    }
    return sum;
  };
  return (4n * (4n * arctanOfInverse(5n) - arctanOfInverse(239n))) >> 64n;
};

const toBytes = (value: bigint, length: number): Uint8Array => fromHex(value.toString(16).padStart(length * 2, "0"));
const toInteger = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);

const power = (base: bigint, exponent: bigint, modulus: bigint): bigint => {
  let result = 1n;
  for (let square = base; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
};

const methodOf = (name: string): KexMethod => kexByName(name)!;

describe.each(KEX_METHODS.map(({ name }) => name))("key exchange by %s", (name) => {
  const method = methodOf(name);

  it("gives both sides the same secret, from public values of fixed length", () => {
    const [a, b] = [generateKeyPair(method), generateKeyPair(method)];
    expect(a.publicValue).toHaveLength(method.publicLength);
    expect(toHex(a.agree(b.publicValue)!)).toBe(toHex(b.agree(a.publicValue)!));
    expect(a.publicValue).not.toEqual(b.publicValue);
    const expected = { modp: method.publicLength, ecp: method.publicLength / 2, x25519: 32 }[method.family.kind];
    expect(a.agree(b.publicValue)).toHaveLength(expected);
  });

  it("refuses public values of another length, and zero", () => {
    const pair = generateKeyPair(method);
    const { publicValue } = generateKeyPair(method);
    expect(pair.agree(publicValue.subarray(1))).toBeUndefined();
    expect(pair.agree(concat(publicValue, Uint8Array.of(0)))).toBeUndefined();
    expect(pair.agree(concat(Uint8Array.of(0), publicValue))).toBeUndefined();
    expect(pair.agree(new Uint8Array(0))).toBeUndefined();
    expect(pair.agree(new Uint8Array(method.publicLength))).toBeUndefined();
  });

  it("agrees on nothing once it is destroyed", () => {
    const pair = generateKeyPair(method);
    pair.destroy();
    expect(() => pair.agree(pair.publicValue)).toThrow(RangeError);
  });

  it("is found by its transform ID", () => expect(kexById(method.id)).toBe(method));
});

describe.each(KNOWN)("known answer of $name", ({ name, i, gi, r, gr, shared }) => {
  it("is reproduced by both sides", () => {
    const [initiator, responder] = [keyPairOf(methodOf(name), i), keyPairOf(methodOf(name), r)];
    expect(toHex(initiator.publicValue)).toBe(toHex(gi));
    expect(toHex(responder.publicValue)).toBe(toHex(gr));
    expect(toHex(initiator.agree(gr)!)).toBe(shared);
    expect(toHex(responder.agree(gi)!)).toBe(shared);
  });
});

describe.each(MODP)("group $name", ({ name, bits, c }) => {
  const method = methodOf(name);
  const length = Number(bits / 8n);
  const prime = (1n << bits) - (1n << (bits - 64n)) - 1n + (1n << 64n) * (pi(bits - 130n) + c);

  it("is the one that RFC 3526 computes from pi", () => {
    const pair = generateKeyPair(method);
    for (const exponent of [1n, 1000n, bits + 7n]) {
      const peer = toBytes(power(2n, exponent, prime), length);
      expect(toInteger(pair.agree(peer)!)).toBe(power(toInteger(pair.publicValue), exponent, prime));
    }
  });

  it("keeps leading zeros of the public value and of the secret", () => {
    const pair = keyPairOf(method, Uint8Array.of(5));
    expect(toHex(pair.publicValue)).toBe("20".padStart(length * 2, "0"));
    expect(toHex(pair.agree(toBytes(2n, length))!)).toBe("20".padStart(length * 2, "0"));
  });

  it("accepts 2 and the largest that 2 generates, and refuses 0, 1, p - 1, p and more", () => {
    const pair = generateKeyPair(method);
    let largest = prime - 2n;
    while (power(largest, (prime - 1n) / 2n, prime) !== 1n) largest--;
    for (const good of [2n, largest]) expect(pair.agree(toBytes(good, length))).toHaveLength(length);
    for (const bad of [0n, 1n, prime - 1n, prime, prime + 1n, (1n << bits) - 1n])
      expect(pair.agree(toBytes(bad, length))).toBeUndefined();
  });
});

describe.each(["ecp256", "ecp384", "ecp521"])("points of %s", (name) => {
  const method = methodOf(name);

  it("off the curve are refused, whichever bit is wrong", () => {
    const pair = generateKeyPair(method);
    const { publicValue } = generateKeyPair(method);
    for (let bit = 0; bit < publicValue.length * 8; bit += 7) {
      const forged = publicValue.slice();
      forged[bit >> 3]! ^= 0x80 >> (bit & 7);
      expect(pair.agree(forged)).toBeUndefined();
    }
  });

  it("with coordinates that are too large are refused", () => {
    expect(generateKeyPair(method).agree(new Uint8Array(method.publicLength).fill(0xff))).toBeUndefined();
  });
});

describe("secrets of ecp256", () => {
  it("keep their leading zeros", () => {
    const method = methodOf("ecp256");
    const peer = generateKeyPair(method).publicValue;
    for (let n = 1; n < 20_000; n++) {
      const secret = keyPairOf(method, toBytes(BigInt(n), 32)).agree(peer)!;
      expect(secret.length).toBe(32);
      if (secret[0] === 0) return;
    }
    expect.unreachable("no leading zero in 20,000 secrets");
  });
});

describe("public values of x25519", () => {
  // RFC 7748 §6: points of small order give all zeros; here the smallest encodings of each.
  it.each([
    "00".repeat(32),
    `01${"00".repeat(31)}`,
    `ec${"ff".repeat(30)}7f`,
    `ed${"ff".repeat(30)}7f`,
    `ee${"ff".repeat(30)}7f`,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  ])("of small order are refused: %s", (value) => {
    expect(generateKeyPair(methodOf("x25519")).agree(fromHex(value))).toBeUndefined();
  });
});

describe("names of methods", () => {
  it("know curve25519 and no weak group", () => {
    expect(kexByName("curve25519")).toBe(methodOf("x25519"));
    expect(kexByName("modp1024")).toBeUndefined();
    expect(kexById(2)).toBeUndefined();
  });
});
