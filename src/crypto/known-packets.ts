/**
 * Whole ESP packets whose protected form is known.
 *
 * Published: AES-GCM and AES-GMAC of draft-mcgrew-gcm-test-01 §4, ChaCha20-Poly1305 of RFC 7634 Appendix A, the ciphertexts
 * of RFC 3602 §4 case 5, NIST SP 800-38A F.2.3 and F.2.5, and RFC 3686 §6. Nobody has published whole packets of a cipher
 * with a MAC, of CCM with a salt, nor these AEAD packets with the other kind of sequence number: what is missing was worked
 * out with two unrelated implementations, among OpenSSL 3.0, libIPSec_MB 1.3, @noble and for XCBC a model of RFC 3566,
 * which agreed. (AES-192 in CCM is in OpenSSL alone.)
 */
import { toHex } from "../bytes.ts";

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

const PING =
  "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f10111213141516171819" +
  "1a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020304" +
  "05060708090a0b0c0d0e0e01";

const NIST =
  "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c8" +
  "1c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

const COUNTING = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223";

const SYN =
  "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002" + "400020bf0000020405b40101040201020201";

/** Integrity keys are 01 02 03 …, as in RFC 4868 §2.7; so are keys of packets that nobody has published. */
const countingKey = (length: number): string => toHex(Uint8Array.from({ length }, (_, i) => i + 1));

/** One packet without and with ESN, where the text is encrypted alike. */
interface Base {
  readonly source: string;
  /** Without the integrity key. */
  readonly key: string;
  readonly head: string;
  readonly plaintext: string;
  readonly ciphertext: string;
}

/** Name of the suite, octets of its integrity key, ICV, and ICV with ESN. */
type Icvs = readonly [suite: string, integrityKeyLength: number, icv: string, icvOfEsn: string];

const both = (base: Base, ...rows: readonly Icvs[]): KnownAnswer[] =>
  rows.flatMap(([suite, integrityKeyLength, icv, icvOfEsn]) => {
    const known = { ...base, suite, key: base.key + countingKey(integrityKeyLength) };
    return [
      { ...known, seqHigh: undefined, icv },
      { ...known, seqHigh: SEQ_HIGH, icv: icvOfEsn },
    ];
  });

const CBC_128: Base = {
  source: "RFC 3602 §4 case 5, ICV derived",
  key: "90d382b410eeba7ad938c46cec1a82bf",
  head: "0000432100000001e96e8c08ab465763fd098d45dd3ff893",
  plaintext: PING,
  ciphertext:
    "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856a469" +
    "9e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874aa269add0" +
    "47ad2d5913ac19b7cfbad4a6",
};

const CBC_192: Base = {
  source: "NIST SP 800-38A F.2.3, ICV derived",
  key: "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
  head: "0000432100000001000102030405060708090a0b0c0d0e0f",
  plaintext: NIST,
  ciphertext:
    "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b" +
    "242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
};

const CBC_256: Base = {
  source: "NIST SP 800-38A F.2.5, ICV derived",
  key: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
  head: "0000432100000001000102030405060708090a0b0c0d0e0f",
  plaintext: NIST,
  ciphertext:
    "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f2" +
    "3369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
};

const CTR_128: Base = {
  source: "RFC 3686 §6 vector 3, ICV derived",
  key: "7691be035e5020a8ac6e618529f9a0dc00e0017b",
  head: "000043210000000127777f3f4a1786f0",
  plaintext: COUNTING,
  ciphertext: "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef3105325b2" + "072f",
};

const CTR_192: Base = {
  source: "RFC 3686 §6 vector 6, ICV derived",
  key: "02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe0007bdfd",
  head: "00004321000000015cbd60278dcc0912",
  plaintext: COUNTING,
  ciphertext: "96893fc55e5c722f540b7dd1ddf7e758d288bc95c69165884536c811662f2188abee" + "0935",
};

const CTR_256: Base = {
  source: "RFC 3686 §6 vector 9, ICV derived",
  key: "ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d001cc5b7",
  head: "000043210000000151a51d70a1c11148",
  plaintext: COUNTING,
  ciphertext: "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f1ec0" + "e6b8",
};

const CLEAR: Base = {
  source: "RFC 2410, ICV derived",
  key: "",
  head: "0000432100000001",
  plaintext: COUNTING,
  ciphertext: COUNTING,
};

const CCM_128: Base = {
  source: "derived",
  key: `${countingKey(16)}112233`,
  head: "4a2cbfe3000000020102030405060708",
  plaintext: SYN,
  ciphertext:
    "4123b9d3253c3e074c4b140043969df04f94808ab84220997e863b4f7506af18b8cf" + "bd6119b44c1aa920376ef7ecc8c85ab8a2bf",
};

const CCM_192: Base = {
  source: "derived",
  key: `${countingKey(24)}112233`,
  head: "4a2cbfe3000000020102030405060708",
  plaintext: SYN,
  ciphertext:
    "b5c56ed85b0d58dee67041ac30993e23ce3ccdffff5d71c4fa752a7ae11ee8778498" + "1dc92695370e832e2cb148309f7dbae0eaa8",
};

const CCM_256: Base = {
  source: "derived",
  key: `${countingKey(32)}112233`,
  head: "4a2cbfe3000000020102030405060708",
  plaintext: SYN,
  ciphertext:
    "75dd106ab7af20969da3b64c790d8e80c58cbbdf4a3fbcab0bb4c7271e4c15f52225" + "49ba16ca7fc1952434bb51e6984851218a12",
};

const GCM_192: Base = {
  source: "derived",
  key: `${countingKey(24)}11223344`,
  head: "4a2cbfe3000000020102030405060708",
  plaintext: SYN,
  ciphertext:
    "cb9b83fbcfd211fecf01a3885cdc93b89bb025ebf76ebfcc48b5ced49fb9d9b1fe46" + "f5e2ae590117a6bb2139dd61adf5dd6a3ab7",
};

const ECHO =
  "45000030da3a00008001df3bc0a80005c0a800010800c6cd02000700616263646566" + "6768696a6b6c6d6e6f707172737401020201";

const GMAC_128: Base = {
  source: "draft-mcgrew-gcm-test-01 §4",
  key: "4c80cdefbb5d10da906ac73c3613a634" + "22433c64",
  head: "00004321000000070000000000000000",
  plaintext: ECHO,
  ciphertext: ECHO,
};

const GMAC_192: Base = {
  source: "derived",
  key: `${countingKey(24)}22433c64`,
  head: "00004321000000070000000000000000",
  plaintext: ECHO,
  ciphertext: ECHO,
};

const GMAC_256: Base = {
  source: "derived",
  key: `${countingKey(32)}22433c64`,
  head: "00004321000000070000000000000000",
  plaintext: ECHO,
  ciphertext: ECHO,
};

const derived = (known: KnownAnswer, icv: string): KnownAnswer => ({
  ...known,
  source: `${known.source}, with ESN, ICV derived`,
  seqHigh: SEQ_HIGH,
  icv,
});

const GCM_16: readonly KnownAnswer[] = [
  MCGREW_128,
  MCGREW_128_PLAIN,
  ...both(GCM_192, ["aes192gcm16", 0, "dff91c0220aab56af8e955c15dac633f", "e4aa198a46da90671778e1fc6cffe119"]),
  MCGREW_256,
  derived(MCGREW_256, "fc6dbc3c5ca69ca66cda1d2681ceb5c0"),
];

/** RFC 4106 §6: shorter ICVs are the beginning of the whole one. */
const cutTo = (octets: number): KnownAnswer[] =>
  GCM_16.map((known) => ({
    ...known,
    suite: known.suite.replace("gcm16", `gcm${octets}`),
    source: `${known.source}, ICV cut`,
    icv: known.icv.slice(0, octets * 2),
  }));

export const KNOWN_ANSWERS: readonly KnownAnswer[] = [
  ...GCM_16,
  ...cutTo(12),
  ...cutTo(8),
  CHACHA,
  derived(CHACHA, "961467ff9382c3d2ce25e20ee36f40eb"),
  ...both(
    CBC_128,
    ["aes128-sha1", 20, "6ffe6c928cd19f695d057034", "90334a3a2adcb4e4e6efacd4"],
    ["aes128-sha256", 32, "a4de5ff4f4cf744b89129c5b5e3efa4b", "21538c9600416d17a437939b05949032"],
    [
      "aes128-sha384",
      48,
      "640e2ec8078f4ad63990230d856bb6f458ba73d9ad854f3c",
      "e527ba1971b53b92a0a191edebd8a7cc65dbcec33bd27631",
    ],
    [
      "aes128-sha512",
      64,
      "5a03496de23c2dd69916cdb9915ed68f596df936dc340dda109a954159f5ca3f",
      "066ee4b4fb851776953f83b4bfdfc2ddee6e2cac5cb0e52928a3c96d600d7350",
    ],
    ["aes128-aesxcbc", 16, "a98f8573c57da1a9ed230492", "b64c2ccff71090301536a419"],
    ["aes128-aescmac", 16, "cc0ba6d2c0f838db75d096f2", "219fb20da29ba07c93ba30a5"],
  ),
  ...both(
    CBC_192,
    ["aes192-sha1", 20, "a7e7251d0e62b12ad77a3fd9", "4a143836b09944175db24cfc"],
    ["aes192-sha256", 32, "420b6cbbc2f8c6e708f862fcc6b8b78a", "cd56f629300828416659f9e2841343e5"],
    [
      "aes192-sha384",
      48,
      "3c572febf56dac09f9c085c581a5a128289f4176b3551d54",
      "d3e6eba4190d59af6c537a1d3091840e42e77541dd8c509b",
    ],
    [
      "aes192-sha512",
      64,
      "ad5c9eb47d7c4846df052d41af712e5d5c111c471e9b9dff75ab096df1a84271",
      "0e37fffa790cbde777639eb1b07ac1acebf5034d9546e9d566e91fc788695ff4",
    ],
    ["aes192-aesxcbc", 16, "00791981aedd2d294f3920f2", "c0d707f71473692ff2491be3"],
    ["aes192-aescmac", 16, "5bd077f8fc764e27a629a96f", "053df0797edd2f9a43f61e0a"],
  ),
  ...both(
    CBC_256,
    ["aes256-sha1", 20, "243ebe06e9524b2534b29a58", "922c2513733897afdeb5776f"],
    ["aes256-sha256", 32, "fa183e94ab16dc98ba8d9d83ee4bab09", "9cf5f68b679bc3b19c0a6fba136b455f"],
    [
      "aes256-sha384",
      48,
      "798825f4f7ba10ef3ef5b3279d90216f67044e7027afd4d7",
      "d346364ac57e3996158cb46bf7e1a943f70d782298f8dbdb",
    ],
    [
      "aes256-sha512",
      64,
      "885075b7b4a7fe8c094a4d58526f08c7632231f35803ba1cb341fcd39227d15b",
      "ef069312027d6ec09193f7f1cd27a59dcb4154f2454d2c9c85cedd8bdd180ec3",
    ],
    ["aes256-aesxcbc", 16, "748f4acfa1999ee6a44f6bdd", "aa4f9e70293c3dfd6599a205"],
    ["aes256-aescmac", 16, "fd1f3594703d771f5302b168", "bf553c6dd1d712eeb6288f5b"],
  ),
  ...both(
    CTR_128,
    ["aes128ctr-sha1", 20, "7fd57e695c1b5cae55ebd42f", "6be0365605417d403032a846"],
    ["aes128ctr-sha256", 32, "46c9ef1f0573eb728ba3b494cabe1c55", "a7cd5cf31e76084fa6c6e0f0d5c992a1"],
    [
      "aes128ctr-sha384",
      48,
      "3d91dff5255f8da25944aa29928aed7bac99d374ed7961df",
      "1124e58ec4ed0eef0e2d740ea3a56ba92c60c8b79337fd4c",
    ],
    [
      "aes128ctr-sha512",
      64,
      "755aa1385979fcbdcf18ab4c62953896966587f846e7bbe7c16c67ddebb3591b",
      "d27c4d062d0ba77536cc4f9e5dcb263e0e663160076ccfb845340181aec3118a",
    ],
    ["aes128ctr-aesxcbc", 16, "07dd07ffa12b2cea624b6944", "f5e5b6f9b1e24012fc6c5805"],
    ["aes128ctr-aescmac", 16, "f91fe96971e74873280b087c", "b5a50a92dc03450f94887b82"],
  ),
  ...both(
    CTR_192,
    ["aes192ctr-sha1", 20, "c83e3f2e1404840d35ac13c3", "f2311ccc7499ab091d555791"],
    ["aes192ctr-sha256", 32, "372469e6b1a7045b7c465ea406ae59c5", "b89a550faf27152fbae465d88b3e3bf8"],
    [
      "aes192ctr-sha384",
      48,
      "729c9576a282256b5810a7a1485a1eec92483308ba2d0d55",
      "a1660edc6fd3481712fc1441a11594bbf12a4f42c4119771",
    ],
    [
      "aes192ctr-sha512",
      64,
      "ed41637490a7cc1ec9ef911a770faf9429ffc76f97d7ff16478d492fdbbb7cfc",
      "1d6018f272e9f5ce75f7619867059497ce12eeb082403453b3c1ebe83c102635",
    ],
    ["aes192ctr-aesxcbc", 16, "62b85c4ce9692776180f973d", "b4dae383015838b03e1b50c0"],
    ["aes192ctr-aescmac", 16, "e9398a869ee5f5f62c890692", "2bde24a49d3219367e64071f"],
  ),
  ...both(
    CTR_256,
    ["aes256ctr-sha1", 20, "bddcdc177b2c55a5ed51f964", "8956bc8ff18510fbd5dc170d"],
    ["aes256ctr-sha256", 32, "bdfac7862b604b48686e0c9421d81438", "91109a37ee0e17e29575e2755eeffe03"],
    [
      "aes256ctr-sha384",
      48,
      "185936d9ccf5a93dc558573f410ba0d2d1c3a489129edde4",
      "2f9c43c8ac66f4efcedbffed0dc7fbf40e66a1dd647695eb",
    ],
    [
      "aes256ctr-sha512",
      64,
      "0ace6e470bf4507e99bb641186bc1a2ce582f45d6c5939a0b3bf05902698b9e3",
      "4ec61eed789056b7b037dec566a79d99913c7945b295f5495070b990179fecd5",
    ],
    ["aes256ctr-aesxcbc", 16, "bc8b161ff7fb778565a43e60", "5fa0087e6f32ca862a2285a3"],
    ["aes256ctr-aescmac", 16, "4846d18bb814a7aeb89ebe5d", "e839164032592d518b79255f"],
  ),
  ...both(
    CLEAR,
    ["null-sha1", 20, "731c9bf69cecf097a06c6e03", "28ca43434be9e7ca36346832"],
    ["null-sha256", 32, "fe3d4a659a137a478d54f909854d6458", "07846ccf46508a618c3a2d6eeff7325b"],
    [
      "null-sha384",
      48,
      "c41b259d729b37cda191f1682a325bc3a452ff9b148afb30",
      "899623da468d93e6d8ae63f0cf20a4b6c04280bc5fdb107b",
    ],
    [
      "null-sha512",
      64,
      "c8680d4f03890a06808e24eaa2046c5769d405ac6f0a30c053b24a024bed4188",
      "ba8775e81bab5ce88367ea5ecb355576dddae2388f218bf3abbf3004000fe6d7",
    ],
    ["null-aesxcbc", 16, "c0782c93bddf184e3ef4f7d9", "bc542a6d5666858908e239e3"],
    ["null-aescmac", 16, "d0863e5c13fc264936b11fba", "7157ea162d41fa2f1820a0bd"],
  ),
  ...both(
    CCM_128,
    ["aes128ccm16", 0, "ccc2d0e46e6f7ffea84848b47d0b8c46", "60f3c29b7d16d917fc8910aa1739b050"],
    ["aes128ccm12", 0, "cdf6ece30e78a95866851420", "b598d045193cd39fd49ac3eb"],
    ["aes128ccm8", 0, "74cd83fcaec7d5a9", "b859bbcb3b3d1f7b"],
  ),
  ...both(
    CCM_192,
    ["aes192ccm16", 0, "d9ffce850d8db0a342d49f74612d0961", "b3a80e97324416dff6134dd6cf226f02"],
    ["aes192ccm12", 0, "18b2d357c07a04f0f603cee4", "d9bc633e1c8f52bffdfa3823"],
    ["aes192ccm8", 0, "5b9332c243dfb870", "3be6d4e053ed35fd"],
  ),
  ...both(
    CCM_256,
    ["aes256ccm16", 0, "7353254e00043b0decc3bd8a2b5e9400", "86aa2b5093b1ce329a4700a291e72958"],
    ["aes256ccm12", 0, "3684ff619fab7d61efe52302", "208279554068cdbce4bafaa3"],
    ["aes256ccm8", 0, "2376b7f1bb01e1a2", "748aa41f3828f727"],
  ),
  ...both(GMAC_128, ["aes128gmac", 0, "f2a9a836e155106aa8dcd618e4099aaa", "e5064460c20287524e756bbd3db47f3c"]),
  ...both(GMAC_192, ["aes192gmac", 0, "9711a348e24d4d0f5815180a2d44e10c", "a451131cc50c23dfa6f8fe2907528c4b"]),
  ...both(GMAC_256, ["aes256gmac", 0, "aa8ac1a19c6df1f404a445b699c7e813", "2d13eec3fac9fef7af31ba1611b3d884"]),
];
