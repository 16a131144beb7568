/** Published vectors, as far as an ESP packet can carry them, for every engine. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../../src/bytes.ts";
import { ESP_HEADER } from "../../../src/crypto/esp-inputs.ts";
import { ENGINE_DRIVERS } from "../../../src/crypto/select-engine.ts";
import { type Suite, suiteByName } from "../../../src/crypto/suites.ts";
import { Bench, type Packet, suitesOf } from "./esp-batch.ts";

const here = ENGINE_DRIVERS.filter((driver) => driver.unavailable() === undefined);

/** What every engine that does the suite must seal a packet to: text and ICV; and whether it is to be opened. */
const judge = (packet: Packet, sealed: Uint8Array, valid: boolean, what: string): number => {
  const able = here.filter((driver) => suitesOf(driver).includes(packet.suite));
  for (const { name, open } of able) {
    const bench = new Bench(open, 1, 65_536);
    const key = bench.expand(packet);
    if (valid) expect(toHex(bench.sealOne(packet, key)), `${what} sealed by ${name}`).toBe(toHex(sealed));
    const opened = bench.openOne(packet, key, sealed);
    expect(opened === undefined ? undefined : toHex(opened), `${what} opened by ${name}`).toBe(
      valid ? toHex(packet.clear) : undefined,
    );
    bench.engine.close();
  }
  return able.length;
};

/** A MAC of a message alone, as a packet that is not encrypted. */
const macPacket = (suite: Suite, key: Uint8Array, message: Uint8Array): Packet => ({
  suite,
  rawKey: key,
  esn: false,
  seqHigh: 0,
  clear: message,
});

const COUNTING = Uint8Array.from({ length: 32 }, (_, i) => i);
const NIST = fromHex(
  "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
);
const JEFE = (octets: number): string => toHex(new TextEncoder().encode("Jefe".repeat(octets / 4)));
const QUESTION = new TextEncoder().encode("what do ya want for nothing?");

test.each([
  ["RFC 3566 §4.6 case 3", "aesxcbc", toHex(COUNTING.slice(0, 16)), COUNTING.slice(0, 16), "d2a246fa349b68a79998a439"],
  ["RFC 3566 §4.6 case 4", "aesxcbc", toHex(COUNTING.slice(0, 16)), COUNTING.slice(0, 20), "47f51b4564966215b8985c63"],
  ["RFC 3566 §4.6 case 5", "aesxcbc", toHex(COUNTING.slice(0, 16)), COUNTING, "f54f0ec8d2b9f3d36807734b"],
  ["RFC 3566 §4.6 case 7", "aesxcbc", toHex(COUNTING.slice(0, 16)), new Uint8Array(1000), "f0dafee895db30253761103b"],
  ["RFC 4494 §4.1, 16", "aescmac", "2b7e151628aed2a6abf7158809cf4f3c", NIST.slice(0, 16), "070a16b46b4d4144f79bdd9d"],
  ["RFC 4494 §4.1, 40", "aescmac", "2b7e151628aed2a6abf7158809cf4f3c", NIST.slice(0, 40), "dfa66747de9ae63030ca3261"],
  ["RFC 4494 §4.1, 64", "aescmac", "2b7e151628aed2a6abf7158809cf4f3c", NIST, "51f0bebf7e3b9d92fc497417"],
  ["RFC 4868 §2.7.2.1-2", "sha256", JEFE(32), QUESTION, "167f928588c5cc2eef8e3093caa0e87c"],
  ["RFC 4868 §2.7.2.2-2", "sha384", JEFE(48), QUESTION, "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d"],
])("%s", (what, mac, key, message, icv) => {
  const packet = macPacket(suiteByName(`null-${mac}`)!, fromHex(key), message);
  expect(judge(packet, concat(message, fromHex(icv)), true, what)).toBeGreaterThan(0);
});

interface Case {
  readonly tcId: number;
  readonly key: string;
  readonly iv?: string;
  readonly aad?: string;
  readonly msg: string;
  readonly ct?: string;
  readonly tag: string;
  readonly result: "valid" | "invalid";
}

interface Group {
  readonly keySize: number;
  readonly ivSize?: number;
  readonly tagSize: number;
  readonly tests: readonly Case[];
}

/** Wycheproof's files lie beside the project where there are any. */
const FOLDER = new URL("../../../../shared/vectors/wycheproof/", import.meta.url);

const isTextOf = (hex: string, least: number): boolean => hex.length >= least * 2 && hex.length % 8 === 0;

/** AAD of 8 octets is SPI and sequence number, of 12 the same with the high half between them. */
const aeadPacket = (suite: Suite, { key, iv = "", aad = "", msg }: Case): Packet => {
  const esn = aad.length === 24;
  const salt = suite.saltLength * 2;
  return {
    suite,
    rawKey: fromHex(key + iv.slice(0, salt)),
    esn,
    seqHigh: esn ? Number.parseInt(aad.slice(8, 16), 16) : 0,
    clear: fromHex((esn ? aad.slice(0, 8) + aad.slice(16) : aad) + iv.slice(salt) + msg),
  };
};

describe("Wycheproof", () => {
  test.for([
    ["aes_gcm_test.json", 96, (keySize: number) => `aes${keySize}gcm16`],
    ["aes_ccm_test.json", 88, (keySize: number) => `aes${keySize}ccm16`],
    ["chacha20_poly1305_test.json", 96, () => "chacha20poly1305"],
  ] as const)("%s: what has the nonce and the AAD of an ESP packet", ([file, ivBits, nameOf], context) => {
    const url = new URL(file, FOLDER);
    if (!existsSync(url)) context.skip(`the vectors are not here: ${file}`);
    const { testGroups } = JSON.parse(readFileSync(url, "utf8")) as { testGroups: readonly Group[] };
    let done = 0;
    for (const { ivSize, keySize, tagSize, tests } of testGroups) {
      if (ivSize !== ivBits || tagSize !== 128) continue;
      for (const each of tests) {
        const { aad = "", msg, ct = "", tag, tcId, result } = each;
        if (!isTextOf(msg, 4) || (aad.length !== 16 && aad.length !== 24)) continue;
        const packet = aeadPacket(suiteByName(nameOf(keySize))!, each);
        const head = packet.clear.subarray(0, ESP_HEADER + packet.suite.ivLength);
        judge(packet, concat(head, fromHex(ct + tag)), result === "valid", `${file} ${tcId}`);
        done++;
      }
    }
    expect(done).toBeGreaterThan(2);
  });

  test("aes_gmac_test.json: ESP has its IV within what is authenticated (RFC 4543 §3.3), these messages have not", (context) => {
    const url = new URL("aes_gmac_test.json", FOLDER);
    if (!existsSync(url)) context.skip("the vectors are not here: aes_gmac_test.json");
    const { testGroups } = JSON.parse(readFileSync(url, "utf8")) as { testGroups: readonly Group[] };
    const cases = testGroups.flatMap(({ tests }) => tests);
    expect(cases.length).toBeGreaterThan(100);
    for (const { iv = "", msg } of cases)
      for (const at of [16, 24]) expect(iv.length === 24 && msg.slice(at, at + 16) === iv.slice(8)).toBe(false);
  });

  test.for([
    ["hmac_sha1_test.json", "null-sha1"],
    ["hmac_sha256_test.json", "null-sha256"],
    ["hmac_sha384_test.json", "null-sha384"],
    ["hmac_sha512_test.json", "null-sha512"],
  ] as const)("%s: keys and messages that ESP can have", ([file, name], context) => {
    const url = new URL(file, FOLDER);
    if (!existsSync(url)) context.skip(`the vectors are not here: ${file}`);
    const suite = suiteByName(name)!;
    const { testGroups } = JSON.parse(readFileSync(url, "utf8")) as { testGroups: readonly Group[] };
    let done = 0;
    for (const { keySize, tagSize, tests } of testGroups) {
      if (keySize !== suite.keyLength * 8 || tagSize < suite.icvLength * 8) continue;
      for (const { key, msg, tag, tcId, result } of tests) {
        // A whole MAC may be wrong in what ESP cuts off.
        if (!isTextOf(msg, 12) || (result === "invalid" && tagSize !== suite.icvLength * 8)) continue;
        const packet = macPacket(suite, fromHex(key), fromHex(msg));
        const icv = fromHex(tag).subarray(0, suite.icvLength);
        judge(packet, concat(packet.clear, icv), result === "valid", `${file} ${tcId}`);
        done++;
      }
    }
    expect(done).toBeGreaterThan(5);
  });
});
