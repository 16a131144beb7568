/**
 * Known answers: whole ESP packets whose protected form is known, which an engine must reproduce before it is used.
 *
 * Published: AES-GCM of draft-mcgrew-gcm-test-01 §4, ChaCha20-Poly1305 of RFC 7634 Appendix A, the CBC ciphertexts of
 * RFC 3602 §4 case 5 and of NIST SP 800-38A F.2.5. Nobody has published whole packets of AES-CBC with HMAC, nor these
 * AEAD packets with the other kind of sequence number: those ICVs were worked out with two unrelated implementations,
 * OpenSSL 3.0 and @noble, which agreed.
 */
import { equalBytes, fromHex, toHex, wipe } from "../bytes.ts";
import { type Engine, type EngineDriver, Ops } from "./engine.ts";
import { ESP_HEADER } from "./esp-inputs.ts";
import type { Suite } from "./suites.ts";

export interface KnownAnswer {
  /** Name of the suite. */
  readonly suite: string;
  /** Where it comes from. */
  readonly source: string;
  /** As KEYMAT gives it, hex. */
  readonly key: string;
  /** High 32 bits of the extended sequence number; undefined without ESN. */
  readonly seqHigh: number | undefined;
  /** SPI, sequence number and IV, hex. */
  readonly head: string;
  /** The text before and after encryption, hex. */
  readonly plaintext: string;
  readonly ciphertext: string;
  readonly icv: string;
}

const SEQ_HIGH = 0x87654321;

const MCGREW_128 = {
  suite: "aes128gcm16",
  source: "draft-mcgrew-gcm-test-01 §4",
  key: "4c80cdefbb5d10da906ac73c3613a634" + "2e443b68",
  seqHigh: SEQ_HIGH,
  head: "0000432100000000" + "4956ed7e3b244cfe",
  plaintext:
    "45000048699a000080114db7c0a80102c0a801010a9bf15638d30100000100000000" +
    "0000045f736970045f756470037369700963796265726369747902646b0000210001" +
    "01020201",
  ciphertext:
    "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2" +
    "436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d7" +
    "68fd9732",
  icv: "459018148f6cbe722fd04796562dfdb4",
};

const MCGREW_128_PLAIN = {
  suite: "aes128gcm16",
  source: "draft-mcgrew-gcm-test-01 §4",
  key: "feffe9928665731c6d6a8f9467308308" + "cafebabe",
  seqHigh: undefined,
  head: "0000a5f80000000a" + "facedbaddecaf888",
  plaintext:
    "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d001000001" +
    "000000000000037369700963796265726369747902646b00000100010001",
  ciphertext:
    "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de8" +
    "1827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1",
  icv: "83b70d3aa8bc6ee4c309e9d85a41ad4a",
};

const MCGREW_256 = {
  suite: "aes256gcm16",
  source: "draft-mcgrew-gcm-test-01 §4",
  key: "abbccddef00112233445566778899aababbccddef00112233445566778899aab" + "11223344",
  seqHigh: undefined,
  head: "4a2cbfe300000002" + "0102030405060708",
  plaintext:
    "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002" + "400020bf0000020405b40101040201020201",
  ciphertext:
    "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a" + "637985771d347f0545659f14e99def842d8e",
  icv: "b335f4eecfdbf831824b4c4915956c96",
};

const CHACHA = {
  suite: "chacha20poly1305",
  source: "RFC 7634 Appendix A",
  key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f" + "a0a1a2a3",
  seqHigh: undefined,
  head: "0102030400000005" + "1011121314151617",
  plaintext:
    "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007" +
    "362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627" +
    "28292a2b2c2d2e2f303132333435363701020204",
  ciphertext:
    "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee" +
    "8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163f" +
    "ac469b502773f6fb94e664da9165b82829f641e0",
  icv: "76aaa8266b7fb0f7b11b369907e1ad43",
};

const CBC_128 = {
  source: "RFC 3602 §4 case 5, ICV derived",
  key: "90d382b410eeba7ad938c46cec1a82bf",
  head: "0000432100000001" + "e96e8c08ab465763fd098d45dd3ff893",
  plaintext:
    "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f10111213141516171819" +
    "1a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020304" +
    "05060708090a0b0c0d0e0e01",
  ciphertext:
    "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856a469" +
    "9e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874aa269add0" +
    "47ad2d5913ac19b7cfbad4a6",
};

const CBC_256 = {
  source: "NIST SP 800-38A F.2.5, ICV derived",
  key: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
  head: "0000432100000001" + "000102030405060708090a0b0c0d0e0f",
  plaintext:
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c8" +
    "1c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
  ciphertext:
    "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f2" +
    "3369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
};

/** Integrity keys are 01 02 03 …, as in RFC 4868 §2.7. */
const countingKey = (length: number): string => toHex(Uint8Array.from({ length }, (_, i) => i + 1));

/** One suite of CBC and HMAC, without and with ESN. */
const cbc = (
  base: typeof CBC_128,
  suite: string,
  integrityKeyLength: number,
  icv: string,
  icvOfEsn: string,
): KnownAnswer[] => {
  const key = base.key + countingKey(integrityKeyLength);
  return [
    { ...base, suite, key, seqHigh: undefined, icv },
    { ...base, suite, key, seqHigh: SEQ_HIGH, icv: icvOfEsn },
  ];
};

const derived = (known: KnownAnswer, icv: string): KnownAnswer => ({
  ...known,
  source: `${known.source}, with ESN, ICV derived`,
  seqHigh: SEQ_HIGH,
  icv,
});

export const KNOWN_ANSWERS: readonly KnownAnswer[] = [
  MCGREW_128,
  MCGREW_128_PLAIN,
  MCGREW_256,
  derived(MCGREW_256, "fc6dbc3c5ca69ca66cda1d2681ceb5c0"),
  CHACHA,
  derived(CHACHA, "961467ff9382c3d2ce25e20ee36f40eb"),
  ...cbc(CBC_128, "aes128-sha1", 20, "6ffe6c928cd19f695d057034", "90334a3a2adcb4e4e6efacd4"),
  ...cbc(CBC_128, "aes128-sha256", 32, "a4de5ff4f4cf744b89129c5b5e3efa4b", "21538c9600416d17a437939b05949032"),
  ...cbc(
    CBC_128,
    "aes128-sha384",
    48,
    "640e2ec8078f4ad63990230d856bb6f458ba73d9ad854f3c",
    "e527ba1971b53b92a0a191edebd8a7cc65dbcec33bd27631",
  ),
  ...cbc(
    CBC_128,
    "aes128-sha512",
    64,
    "5a03496de23c2dd69916cdb9915ed68f596df936dc340dda109a954159f5ca3f",
    "066ee4b4fb851776953f83b4bfdfc2ddee6e2cac5cb0e52928a3c96d600d7350",
  ),
  ...cbc(CBC_256, "aes256-sha1", 20, "243ebe06e9524b2534b29a58", "922c2513733897afdeb5776f"),
  ...cbc(CBC_256, "aes256-sha256", 32, "fa183e94ab16dc98ba8d9d83ee4bab09", "9cf5f68b679bc3b19c0a6fba136b455f"),
  ...cbc(
    CBC_256,
    "aes256-sha384",
    48,
    "798825f4f7ba10ef3ef5b3279d90216f67044e7027afd4d7",
    "d346364ac57e3996158cb46bf7e1a943f70d782298f8dbdb",
  ),
  ...cbc(
    CBC_256,
    "aes256-sha512",
    64,
    "885075b7b4a7fe8c094a4d58526f08c7632231f35803ba1cb341fcd39227d15b",
    "ef069312027d6ec09193f7f1cd27a59dcb4154f2454d2c9c85cedd8bdd180ec3",
  ),
];

export const knownAnswers = (suite: Suite): KnownAnswer[] =>
  KNOWN_ANSWERS.filter((known) => known.suite === suite.name);

/** What an engine is found to be: able to do these suites, or not to be used. */
export type Examination = { readonly suites: readonly Suite[] } | { readonly wrong: string };

/**
 * Have an engine seal, open and refuse the known packets of those of `suites` that it supports. Says which they are, or
 * what it got wrong. Never throws: an engine that does is wrong.
 */
export const examine = (driver: EngineDriver, suites: readonly Suite[]): Examination => {
  const ops = new Ops(new Uint8Array(new SharedArrayBuffer(1024)), 512, 1);
  let engine: Engine | undefined;
  try {
    engine = driver.open(ops.slab, ops.capacity);
    const done: Suite[] = [];
    for (const suite of suites) {
      if (!engine.supports(suite)) continue;
      const known = knownAnswers(suite);
      if (known.length === 0) return { wrong: `there is no known answer for ${suite.name}` };
      for (const answer of known) {
        const wrong = wrongAnswer(engine, ops, suite, answer);
        if (wrong !== undefined)
          return { wrong: `${suite.name}${answer.seqHigh === undefined ? "" : " with ESN"}: ${wrong}` };
      }
      done.push(suite);
    }
    return { suites: done };
  } catch (error) {
    return { wrong: `failed in its self test: ${error instanceof Error ? error.message : String(error)}` };
  } finally {
    engine?.close();
  }
};

/** The same for an engine that must do them all: what is wrong with it, or undefined. */
export const failedAnswer = (driver: EngineDriver, suites: readonly Suite[]): string | undefined => {
  const examined = examine(driver, suites);
  if ("wrong" in examined) return examined.wrong;
  const missing = suites.filter((suite) => !examined.suites.includes(suite));
  return missing.length === 0 ? undefined : `does not support ${missing.map(({ name }) => name).join(", ")}`;
};

const wrongAnswer = (engine: Engine, ops: Ops, suite: Suite, known: KnownAnswer): string | undefined => {
  const plain = fromHex(known.head + known.plaintext);
  const sealed = fromHex(known.head + known.ciphertext + known.icv);
  const rawKey = fromHex(known.key);
  const key = engine.expand(suite, rawKey, known.seqHigh !== undefined);
  wipe(rawKey);
  const { slab } = ops;
  ops.count = 1;
  ops.keys[0] = key;
  ops.headAt[0] = 0;
  ops.textAt[0] = ESP_HEADER + suite.ivLength;
  ops.textLength[0] = sealed.length - suite.icvLength - ops.textAt[0];
  ops.seqHigh[0] = known.seqHigh ?? 0;

  slab.set(plain);
  engine.seal(ops);
  if (ops.ok[0] !== 1 || !equalBytes(slab.subarray(0, sealed.length), sealed)) return "a sealed packet differs";

  if (!opens(engine, ops) || !equalBytes(slab.subarray(0, plain.length), plain)) return "a good packet was not opened";

  slab.set(sealed);
  slab[sealed.length - 1] = slab[sealed.length - 1]! ^ 1;
  if (opens(engine, ops)) return "a forged packet was opened";

  engine.release(key);
  return undefined;
};

const opens = (engine: Engine, ops: Ops): boolean => {
  engine.open(ops);
  return ops.ok[0] === 1;
};
