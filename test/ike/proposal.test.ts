import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ikeCipher } from "../../src/crypto/ike-cipher.ts";
import { kexById } from "../../src/crypto/kex.ts";
import { prfById } from "../../src/crypto/prf.ts";
import { SUITES } from "../../src/crypto/suites.ts";
import { EspalierError } from "../../src/errors.ts";
import {
  acceptEsp,
  acceptIke,
  chooseEsp,
  chooseIke,
  describeProposals,
  offerEsp,
  offerIke,
  type Proposal,
  parseEspProposal,
  parseIkeProposal,
  spiBytes,
  suitesOffered,
  type Transform,
} from "../../src/ike/proposal.ts";
import { TRANSFORMS } from "../../src/ike/transform.ts";

const NO_SPI = new Uint8Array(0);
const ikeOffer = (...texts: string[]): Proposal[] => offerIke(texts.map(parseIkeProposal));
const ours = (...texts: string[]) => texts.map(parseIkeProposal);
const chosenIke = (offered: string[], configured: string[]): string | undefined =>
  chooseIke(ikeOffer(...offered), ours(...configured))?.suite.name;

const refusal = (act: () => unknown): EspalierError => {
  try {
    act();
  } catch (error) {
    if (error instanceof EspalierError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
};

describe("IKE proposals as text", () => {
  it.each<[string, Transform[]]>([
    [
      "aes256gcm16-prfsha384-ecp384",
      [
        { type: 1, id: 20, keyBits: 256 },
        { type: 2, id: 6 },
        { type: 4, id: 20 },
      ],
    ],
    [
      "aes256-sha256-modp2048",
      [
        { type: 1, id: 12, keyBits: 256 },
        { type: 3, id: 12 },
        { type: 2, id: 5 },
        { type: 4, id: 14 },
      ],
    ],
    [
      "chacha20poly1305-prfsha512-curve25519",
      [
        { type: 1, id: 28 },
        { type: 2, id: 7 },
        { type: 4, id: 31 },
      ],
    ],
    [
      "AES128-SHA1-PRFSHA256-MODP3072",
      [
        { type: 1, id: 12, keyBits: 128 },
        { type: 3, id: 2 },
        { type: 2, id: 5 },
        { type: 4, id: 15 },
      ],
    ],
    [
      "aes256-aes128-sha512-sha256-ecp256-x25519",
      [
        { type: 1, id: 12, keyBits: 256 },
        { type: 1, id: 12, keyBits: 128 },
        { type: 3, id: 14 },
        { type: 3, id: 12 },
        { type: 2, id: 7 },
        { type: 2, id: 5 },
        { type: 4, id: 19 },
        { type: 4, id: 31 },
      ],
    ],
  ])("%s", (text, transforms) => {
    expect(parseIkeProposal(text)).toEqual({ text, transforms });
  });

  it.each<[string, RegExp, RegExp]>([
    ["aes257-sha256-modp2048", /unknown word "aes257"/, /aes256gcm16.*sha256.*prfsha256.*x25519/],
    ["3des-sha256-modp2048", /"3des" is refused, it is weak/, /aes256/],
    ["des-sha256-modp2048", /"des" is refused, it is weak/, /aes256/],
    ["null-sha256-modp2048", /"null" is for ESP alone/, /aes256/],
    ["aes256gmac-prfsha256-ecp256", /"aes256gmac" is for ESP alone/, /aes256gcm16/],
    ["aes256-aescmac-ecp256", /"aescmac" is for ESP alone/, /sha256/],
    ["aes256-md5-modp2048", /"md5" is refused, it is weak/, /sha256/],
    ["aes256-sha256-prfmd5-modp2048", /"prfmd5" is refused, it is weak/, /prfsha256/],
    ["aes256-sha256-modp768", /"modp768" is refused, it is too small/, /x25519/],
    ["aes256-sha256-modp1024", /"modp1024" is refused, it is too small/, /x25519/],
    ["aes256-sha256-modp1536", /"modp1536" is refused, it is too small/, /x25519/],
    ["aes256-sha256-modp1024s160", /"modp1024s160" is refused, it is too small/, /x25519/],
    ["aes192-sha256-modp2048", /"aes192" is for ESP alone/, /aes256/],
    ["aes256gcm16-aes256-prfsha256-ecp256", /aes256gcm16 and aes256 do not go together/, /two proposals/],
    ["aes256gcm16-sha256-prfsha256-ecp256", /takes no sha256/, /leave sha256 away/],
    ["aes256gcm16-ecp256", /needs a PRF/, /prfsha256/],
    ["aes256-ecp256", /aes256 needs an integrity algorithm/, /sha256/],
    ["aes256-sha256", /no key exchange method/, /x25519/],
    ["sha256-ecp256", /no encryption algorithm/, /aes256/],
    ["aes256-sha256-ecp256-esn", /"esn" is refused/, /./],
    ["aes256-sha256-sha256-ecp256", /"sha256" is there twice/, /once/],
    ["", /unknown word ""/, /./],
  ])("%j is refused with a reason", (text, why, remedy) => {
    const error = refusal(() => parseIkeProposal(text));
    expect(error.code).toBe("ESPALIER_CONFIG");
    expect(error.message).toMatch(why);
    expect(error.message).toContain(`"${text}"`);
    expect(error.remedy).toMatch(remedy);
  });

  it("never get SHA-1 that was not written", () => {
    for (const text of ["aes256-sha256-modp2048", "aes256gcm16-prfsha256-ecp256"])
      expect(parseIkeProposal(text).transforms).not.toContainEqual({ type: 2, id: 2 });
    expect(parseIkeProposal("aes128-sha1-modp2048").transforms).toContainEqual({ type: 2, id: 2 });
  });
});

describe("ESP proposals as text", () => {
  it.each(SUITES.map(({ name }) => name))("name the suite %s, and no other", (name) => {
    const proposal = parseEspProposal(name, "no");
    expect(suitesOffered(proposal).map((suite) => suite.name)).toEqual([name]);
  });

  it.each<[string, RegExp]>([
    ["null", /null needs an integrity algorithm/],
    ["null-noauth", /"noauth" is refused, it does not protect/],
    ["null-null", /null for both is refused, it does not protect/],
    ["des-sha256", /"des" is refused, it is weak/],
    ["3des-sha256", /"3des" is refused, it is weak/],
    ["aes256-md5", /"md5" is refused, it is weak/],
    ["aes256ctr", /aes256ctr needs an integrity algorithm/],
    ["aes256gmac-sha256", /takes no sha256/],
    ["aes128ccm8-null-sha256", /do not go together/],
  ])("%s is refused with a reason", (text, why) => {
    expect(refusal(() => parseEspProposal(text, "no")).message).toMatch(why);
  });

  it("have the numbers of the IANA registry", () => {
    const ids = (text: string): string[] =>
      parseEspProposal(text, "no").transforms.flatMap(({ type, id, keyBits }) =>
        type === 5 ? [] : [`${type}:${id}${keyBits === undefined ? "" : `/${keyBits}`}`],
      );
    expect(ids("aes192ctr-aesxcbc")).toEqual(["1:13/192", "3:5"]);
    expect(ids("aes128ccm8-aes256ccm12-aes192ccm16")).toEqual(["1:14/128", "1:15/256", "1:16/192"]);
    expect(ids("aes128gcm64-aes256gcm96-aes192gcm")).toEqual(["1:18/128", "1:19/256", "1:20/192"]);
    expect(ids("aes256gmac")).toEqual(["1:21/256"]);
    expect(ids("null-aescmac")).toEqual(["1:11", "3:8"]);
  });

  it("ask for the sequence numbers that the setting says", () => {
    const esn = (setting: "yes" | "no" | "either"): number[] =>
      parseEspProposal("aes256gcm16", setting).transforms.flatMap(({ type, id }) => (type === 5 ? [id] : []));
    expect(esn("yes")).toEqual([1]);
    expect(esn("no")).toEqual([0]);
    expect(esn("either")).toEqual([1, 0]);
  });

  it("may have a key exchange method, and no PRF", () => {
    expect(parseEspProposal("aes256gcm16-ecp384", "no").transforms).toContainEqual({ type: 4, id: 20 });
    expect(refusal(() => parseEspProposal("aes256gcm16-prfsha256", "no")).message).toMatch(/no place in ESP/);
  });

  it("name every suite that we have", () => {
    for (const suite of SUITES) {
      const proposal = parseEspProposal(suite.name, "either");
      const offered = offerEsp([proposal], 0x1000, { withKe: true });
      expect(chooseEsp(offered, [proposal], { withKe: true })?.suite.suite).toBe(suite);
    }
  });
});

describe("transforms that we negotiate", () => {
  const of = (type: number) => TRANSFORMS.filter((row) => row.type === type && row.refused === undefined);

  it("all have an implementation", () => {
    for (const { id } of of(2)) expect(prfById(id)).toBeDefined();
    for (const { id } of of(4)) expect(kexById(id)).toBeDefined();
    for (const { id, keyBits, espOnly } of of(1))
      expect(ikeCipher(id, keyBits, undefined) ?? ikeCipher(id, keyBits, 12) ?? espOnly).toBeDefined();
    for (const { id } of of(3).filter(({ espOnly }) => espOnly === undefined))
      expect(ikeCipher(12, 128, id)).toBeDefined();
  });

  it("have names that are names of nothing else", () => {
    expect(new Set(TRANSFORMS.map(({ name }) => name)).size).toBe(TRANSFORMS.length);
  });
});

describe("an offer", () => {
  it("numbers its proposals from 1 and has an SPI when an IKE SA is rekeyed", () => {
    const offered = ikeOffer("aes256gcm16-prfsha384-ecp384", "aes256-sha256-modp2048");
    expect(offered.map(({ number, protocol, spi }) => [number, protocol, spi.length])).toEqual([
      [1, 1, 0],
      [2, 1, 0],
    ]);
    expect(offerIke(ours("aes256-sha256-modp2048"), new Uint8Array(8))[0]?.spi).toHaveLength(8);
  });

  it("of ESP has the SPI in four octets, and key exchange methods after IKE_AUTH alone", () => {
    const proposals = [parseEspProposal("aes256gcm16-ecp384", "no")];
    const [first] = offerEsp(proposals, 0xdeadbeef, { withKe: false });
    expect(first).toMatchObject({ protocol: 3, spi: Uint8Array.of(0xde, 0xad, 0xbe, 0xef) });
    expect(first?.transforms.some(({ type }) => type === 4)).toBe(false);
    expect(offerEsp(proposals, 1, { withKe: true })[0]?.transforms.some(({ type }) => type === 4)).toBe(true);
  });
});

describe("the responder's choice of IKE algorithms", () => {
  it("follows the initiator's order of proposals and of transforms", () => {
    const both = ["aes128-sha256-modp2048", "aes256gcm16-prfsha384-ecp384"];
    expect(chosenIke(both, [...both].reverse())).toBe("aes128-sha256-prfsha256-modp2048");
    expect(chosenIke(["aes128-aes256-sha256-ecp256-x25519"], ["aes256-aes128-sha256-x25519-ecp256"])).toBe(
      "aes128-sha256-prfsha256-ecp256",
    );
  });

  it("is what both have", () => {
    expect(chosenIke(["aes256-aes128-sha512-sha256-ecp384-modp2048"], ["aes128-sha256-modp2048"])).toBe(
      "aes128-sha256-prfsha256-modp2048",
    );
    expect(chosenIke(["aes256gcm16-chacha20poly1305-prfsha256-x25519"], ["chacha20poly1305-prfsha256-x25519"])).toBe(
      "chacha20poly1305-prfsha256-x25519",
    );
  });

  it("is one transform of each type, with the number and SPI of the proposal", () => {
    const offered = ikeOffer("aes128gcm16-prfsha256-ecp256", "aes256-aes128-sha512-sha256-ecp384-modp2048");
    const chosen = chooseIke(offered, ours("aes128-sha256-modp2048"))?.chosen;
    expect(chosen?.number).toBe(2);
    expect(chosen?.transforms.map(({ type }) => type).sort()).toEqual([1, 2, 3, 4]);
  });

  it("is none where nothing is shared", () => {
    expect(chosenIke(["aes128-sha512-modp3072"], ["aes128-sha256-modp2048"])).toBeUndefined();
    expect(chosenIke(["aes256-sha256-modp2048"], ["aes128-sha256-modp2048"])).toBeUndefined();
    expect(chosenIke(["aes256gcm16-prfsha256-modp2048"], ["aes256-sha256-modp2048"])).toBeUndefined();
  });

  const AES128: Transform = { type: 1, id: 12, keyBits: 128 };
  const GCM: Transform = { type: 1, id: 20, keyBits: 128 };
  const [PRF, INTEG, KE]: readonly [Transform, Transform, Transform] = [
    { type: 2, id: 5 },
    { type: 3, id: 12 },
    { type: 4, id: 14 },
  ];
  const choice = (transforms: Transform[], ...configured: string[]) =>
    chooseIke([{ number: 1, protocol: 1, spi: NO_SPI, transforms }], ours(...configured))?.chosen.transforms;
  const CBC_TEXT = "aes128-sha256-modp2048";
  const GCM_TEXT = "aes128gcm16-prfsha256-modp2048";

  it("leaves a proposal alone that has a type which it does not know, or misses one", () => {
    expect(choice([AES128, PRF, INTEG, KE], CBC_TEXT)).toBeDefined();
    expect(choice([AES128, PRF, INTEG, KE, { type: 6, id: 35 }], CBC_TEXT)).toBeUndefined();
    for (const missing of [AES128, PRF, INTEG, KE])
      expect(
        choice(
          [AES128, PRF, INTEG, KE].filter((one) => one !== missing),
          CBC_TEXT,
        ),
      ).toBeUndefined();
  });

  it("leaves a transform alone that has an attribute which it does not know, or no key length", () => {
    const odd = { ...AES128, unknownAttributes: Uint8Array.of(0x80, 99, 0, 1) };
    expect(choice([odd, PRF, INTEG, KE], CBC_TEXT)).toBeUndefined();
    expect(choice([odd, AES128, PRF, INTEG, KE], CBC_TEXT)).toContain(AES128);
    expect(choice([{ type: 1, id: 12 }, PRF, INTEG, KE], CBC_TEXT)).toBeUndefined();
  });

  it("takes AEAD with no integrity algorithm or with NONE, and with no other", () => {
    const none = { type: 3, id: 0 };
    expect(choice([GCM, PRF, KE], GCM_TEXT)).toEqual([GCM, PRF, KE]);
    expect(choice([GCM, PRF, none, KE], GCM_TEXT)).toEqual([GCM, none, PRF, KE]);
    expect(choice([GCM, PRF, INTEG, KE], GCM_TEXT)).toBeUndefined();
  });

  it("takes the CBC cipher of a proposal that mixes both kinds", () => {
    expect(choice([GCM, AES128, PRF, INTEG, KE], GCM_TEXT, CBC_TEXT)).toEqual([AES128, INTEG, PRF, KE]);
  });

  it("does not take a cipher without integrity for NONE", () => {
    expect(choice([AES128, PRF, { type: 3, id: 0 }, KE], CBC_TEXT)).toBeUndefined();
  });

  it("leaves proposals for other protocols alone", () => {
    expect(
      chooseIke([{ number: 1, protocol: 3, spi: NO_SPI, transforms: [AES128, PRF, INTEG, KE] }], ours(CBC_TEXT)),
    ).toBe(undefined);
  });
});

describe("the responder's choice of ESP algorithms", () => {
  const esp = (text: string, esn: "yes" | "no" | "either" = "no") => parseEspProposal(text, esn);
  const choice = (offer: ReturnType<typeof esp>, mine: ReturnType<typeof esp>, withKe: boolean) =>
    chooseEsp(offerEsp([offer], 0xcafe0001, { withKe: true }), [mine], { withKe })?.suite;

  it("has the SPI that was offered", () => {
    const offered = offerEsp([esp("aes256gcm16")], 0xcafe0001, { withKe: false });
    const answer = chooseEsp(offered, [esp("aes256gcm16")], { withKe: false });
    expect(answer?.spi).toBe(0xcafe0001);
    expect(answer?.chosen.spi).toEqual(spiBytes(0xcafe0001));
  });

  it("agrees on extended sequence numbers where both may, in the initiator's order", () => {
    expect(choice(esp("aes256gcm16", "either"), esp("aes256gcm16", "either"), true)?.esn).toBe(true);
    expect(choice(esp("aes256gcm16", "either"), esp("aes256gcm16", "no"), true)?.esn).toBe(false);
    expect(choice(esp("aes256gcm16", "yes"), esp("aes256gcm16", "no"), true)).toBeUndefined();
  });

  it("demands perfect forward secrecy exactly when it is configured", () => {
    expect(choice(esp("aes256gcm16-ecp384"), esp("aes256gcm16-ecp384"), true)).toMatchObject({
      ke: 20,
      name: "aes256gcm16-ecp384",
    });
    expect(choice(esp("aes256gcm16"), esp("aes256gcm16-ecp384"), true)).toBeUndefined();
    expect(choice(esp("aes256gcm16-ecp384"), esp("aes256gcm16"), true)).toBeUndefined();
  });

  it("pays no attention to key exchange methods in IKE_AUTH", () => {
    expect(choice(esp("aes256gcm16-ecp384"), esp("aes256gcm16-x25519"), false)).toMatchObject({
      ke: undefined,
      name: "aes256gcm16",
    });
  });

  it("takes an offer whose key exchange may be NONE", () => {
    const [offer] = offerEsp([esp("aes256gcm16")], 0xcafe0001, { withKe: true });
    const transforms = [...(offer?.transforms ?? []), { type: 4, id: 20 }, { type: 4, id: 0 }];
    const answer = chooseEsp([{ ...offer!, transforms }], [esp("aes256gcm16")], { withKe: true });
    expect(answer?.suite.ke).toBeUndefined();
    expect(answer?.chosen.transforms).toContainEqual({ type: 4, id: 0 });
  });

  it.each(["", "00000000", "000000ff", "0000000000000100"])("leaves a proposal alone whose SPI is 0x%s", (hex) => {
    const [offer] = offerEsp([esp("aes256gcm16")], 0xcafe0001, { withKe: false });
    const spi = new Uint8Array(Buffer.from(hex, "hex"));
    expect(chooseEsp([{ ...offer!, spi }], [esp("aes256gcm16")], { withKe: false })).toBeUndefined();
  });
});

describe("the initiator's check of the answer", () => {
  const offered = ikeOffer("aes256gcm16-aes128gcm16-prfsha384-ecp384", "aes256-sha256-modp2048");
  const answer = chooseIke(offered, ours("aes128gcm16-prfsha384-ecp384"))!;

  it("accepts what the responder may choose", () => {
    expect(acceptIke([answer.chosen], offered)).toEqual(answer.suite);
  });

  it("accepts INTEG NONE beside AEAD, which some write", () => {
    const transforms = [...answer.chosen.transforms, { type: 3, id: 0 }];
    expect(acceptIke([{ ...answer.chosen, transforms }], offered)).toEqual(answer.suite);
  });

  it.each<[string, (chosen: Proposal) => Proposal[]]>([
    ["no proposal", () => []],
    ["two proposals", (chosen) => [chosen, chosen]],
    ["another number", (chosen) => [{ ...chosen, number: 2 }]],
    ["a number that was not offered", (chosen) => [{ ...chosen, number: 3 }]],
    ["another protocol", (chosen) => [{ ...chosen, protocol: 3 }]],
    ["a transform less", (chosen) => [{ ...chosen, transforms: chosen.transforms.slice(1) }]],
    ["a transform twice", (chosen) => [{ ...chosen, transforms: [...chosen.transforms, chosen.transforms[0]!] }]],
    ["two of a type", (chosen) => [{ ...chosen, transforms: offered[0]!.transforms }]],
    [
      "a key length that was not offered",
      (chosen) => [
        { ...chosen, transforms: chosen.transforms.map((one) => (one.type === 1 ? { ...one, keyBits: 192 } : one)) },
      ],
    ],
    [
      "an attribute that was not offered",
      (chosen) => [
        { ...chosen, transforms: chosen.transforms.map((one) => ({ ...one, unknownAttributes: new Uint8Array(4) })) },
      ],
    ],
    [
      "a type that was not offered",
      (chosen) => [{ ...chosen, transforms: [...chosen.transforms, { type: 6, id: 1 }] }],
    ],
  ])("refuses %s", (_name, change) => {
    expect(acceptIke(change(answer.chosen), offered)).toBeUndefined();
  });

  it("takes the SPI of the responder from an ESP answer", () => {
    const proposal = parseEspProposal("aes128-sha256", "no");
    const esp = offerEsp([proposal], 0x11111111, { withKe: false });
    const { chosen } = chooseEsp(esp, [proposal], { withKe: false })!;
    const accepted = acceptEsp([{ ...chosen, spi: spiBytes(0x22222222) }], esp);
    expect(accepted).toMatchObject({ spi: 0x22222222, suite: { esn: false, name: "aes128-sha256" } });
    expect(acceptEsp([{ ...chosen, spi: spiBytes(0) }], esp)).toBeUndefined();
  });
});

describe("both sides", () => {
  const words = {
    encr: fc.subarray(["aes256", "aes128"], { minLength: 1 }),
    aead: fc.subarray(["aes256gcm16", "aes128gcm16", "chacha20poly1305"], { minLength: 1 }),
    integ: fc.subarray(["sha1", "sha256", "sha384", "sha512"], { minLength: 1 }),
    prf: fc.subarray(["prfsha1", "prfsha256", "prfsha384"], { minLength: 1 }),
    ke: fc.subarray(["x25519", "ecp256", "modp2048"], { minLength: 1 }),
  };
  const proposalText = fc.oneof(
    fc.tuple(words.encr, words.integ, words.ke).map((parts) => parts.flat().join("-")),
    fc.tuple(words.aead, words.prf, words.ke).map((parts) => parts.flat().join("-")),
  );

  it("come to the same suite, or to none when they share none of some type", () => {
    fc.assert(
      fc.property(
        fc.array(proposalText, { minLength: 1, maxLength: 3 }),
        fc.array(proposalText, { minLength: 1, maxLength: 3 }),
        (initiator, responder) => {
          const offered = ikeOffer(...initiator);
          const answer = chooseIke(offered, ours(...responder));
          const shares = offered.some(({ transforms }) =>
            ours(...responder).some((proposal) =>
              [...new Set([...transforms, ...proposal.transforms].map(({ type }) => type))].every((type) =>
                transforms.some(
                  (one) =>
                    one.type === type &&
                    proposal.transforms.some(
                      (own) => own.type === type && own.id === one.id && own.keyBits === one.keyBits,
                    ),
                ),
              ),
            ),
          );
          expect(answer !== undefined).toBe(shares);
          if (answer !== undefined) expect(acceptIke([answer.chosen], offered)).toEqual(answer.suite);
        },
      ),
      { numRuns: 500, seed: 1 },
    );
  });
});

describe("proposals in logs", () => {
  it("are words, and numbers where a peer knows more than we do", () => {
    const strange: Proposal = {
      number: 1,
      protocol: 1,
      spi: NO_SPI,
      transforms: [
        { type: 1, id: 3 },
        { type: 1, id: 12, keyBits: 192 },
        { type: 1, id: 99, keyBits: 128 },
        { type: 3, id: 77 },
        { type: 4, id: 2 },
        { type: 6, id: 36 },
      ],
    };
    expect(describeProposals([strange, ...ikeOffer("aes256gcm16-prfsha384-ecp384")])).toBe(
      "3des-aes192-encr-99-128-integ-77-modp1024-type6-36, aes256gcm16-prfsha384-ecp384",
    );
  });
});
