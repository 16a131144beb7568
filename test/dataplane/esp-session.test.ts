/** The library's single SA: what goes in comes out, and misuse is told. */
import { expect, test } from "vitest";
import { SUITES, type Suite, suiteByName } from "../../src/crypto/suites.ts";
import { EspSession, type EspSessionOptions } from "../../src/dataplane/esp-session.ts";
import { EspalierError } from "../../src/errors.ts";
import { outerLength } from "../../src/ipsec/mtu.ts";
import { parseSelector } from "../../src/ipsec/selector-text.ts";
import { ipPacket } from "../support/ip-packets.ts";

const GCM = suiteByName("aes256gcm16")!;
const keyOf = ({ keyLength }: Suite): Uint8Array => Uint8Array.from({ length: keyLength }, (_, i) => i * 7 + 1);
const open = (options: Partial<EspSessionOptions> = {}): EspSession =>
  EspSession.open({ direction: "seal", suite: GCM, spi: 0x1234_5678, key: keyOf(GCM), ...options });

const CASES = SUITES.flatMap((suite) =>
  [false, true].flatMap((esn) => ([4, 6] as const).map((version) => ({ name: suite.name, suite, esn, version }))),
);

test.each(CASES)(
  "$name, ESN $esn, IPv$version inside: opens what it sealed, at every length",
  ({ suite, esn, version }) => {
    const common = { suite, key: keyOf(suite), esn };
    const sealer = open(common);
    const opener = open({ ...common, direction: "open" });
    const lengths = [
      ...Array.from({ length: 70 }, (_, i) => 44 + i),
      575,
      576,
      1279,
      1280,
      1400,
      1438,
      1500,
      9000,
      9472,
    ];
    const packets = lengths.map((length) => ipPacket({ version, length }));
    const sealed = sealer.seal(packets);
    const opened = opener.open(sealed);
    const same = opened.map(({ packet }, i) => packet !== undefined && Buffer.compare(packet, packets[i]!) === 0);
    expect(same).toEqual(lengths.map((length) => length <= 9400)); // the last one has grown beyond a buffer
    expect(sealed.map((each) => each.length + 20)).toEqual(
      lengths.map((length) => outerLength(suite, { family: 4, udp: false }, length)),
    );
    expect(sealer.counters()).toEqual({ packets: lengths.length, bytes: lengths.reduce((a, b) => a + b), drops: {} });
    sealer.close();
    opener.close();
  },
);

test("numbers packets from 1, in the clear, and an AEAD's IV is its number", () => {
  const sealed = open().seal([ipPacket({ version: 4 }), ipPacket({ version: 6 })]);
  const heads = sealed.map((packet) => Buffer.from(packet.subarray(0, 16)).toString("hex"));
  expect(heads).toEqual(["12345678000000010000000000000001", "12345678000000020000000000000002"]);
});

test("CBC IVs do not repeat and are not counters", () => {
  const suite = suiteByName("aes128-sha256")!;
  const sealed = open({ suite, key: keyOf(suite) }).seal(Array.from({ length: 2000 }, () => ipPacket({ version: 4 })));
  const ivs = new Set(sealed.map((packet) => Buffer.from(packet.subarray(8, 24)).toString("hex")));
  expect(ivs.size).toBe(2000);
});

test("never sends number 2^32 without ESN, nor 2^53 with it", () => {
  for (const [esn, last] of [
    [false, 2 ** 32 - 1],
    [true, Number.MAX_SAFE_INTEGER],
  ] as const) {
    const session = open({ esn, sequence: last - 2 });
    expect(session.seal([ipPacket({ version: 4 }), ipPacket({ version: 4 })])).toHaveLength(2);
    expect(session.sequence).toBe(last);
    for (let i = 0; i < 3; i++) expect(() => session.seal([ipPacket({ version: 4 })])).toThrow(/seq-cycled/);
    expect(session.sequence).toBe(last);
    expect(session.saCounters().drops).toEqual({ "seq-cycled": 3 });
  }
});

test("seals only what the selectors allow", () => {
  const session = open({
    selectors: { local: [parseSelector("10.1.0.0/16")!], remote: [parseSelector("10.2.0.0/16")!] },
  });
  expect(session.seal([ipPacket({ version: 4 })])).toHaveLength(1);
  expect(() => session.seal([ipPacket({ version: 4, source: "10.9.0.1" })])).toThrow(/policy/);
  expect(() => session.seal([ipPacket({ version: 6 })])).toThrow(/policy/);
});

test("what is no whole IP packet is not sealed", () => {
  const packet = ipPacket({ version: 4, length: 60 });
  for (const bad of [new Uint8Array(0), packet.subarray(0, 59), new Uint8Array([...packet, 0]), new Uint8Array(40)])
    expect(() => open().seal([bad])).toThrow(/packet 0 cannot be sealed: bad-inner/);
  expect(() => open().seal([ipPacket({ version: 4, length: 9473 })])).toThrow(/too-big/);
});

test.each<[string, Partial<EspSessionOptions>, RegExp]>([
  ["an unknown suite", { suite: "des" }, /no suite des/],
  ["a short key", { key: new Uint8Array(16) }, /takes a key of 36 octets, not 16/],
  ["a reserved SPI", { spi: 255 }, /not an SPI/],
  ["a fractional SPI", { spi: 1000.5 }, /not an SPI/],
  ["a window too small", { replayWindow: 31 }, /32 to 4096/],
  ["a window too large", { replayWindow: 8192 }, /32 to 4096/],
  ["a sequence number beyond its bits", { sequence: 2 ** 32 }, /sequence number/],
  ["two IP versions", { tunnel: { local: "192.0.2.1", remote: "2001:db8::1" } }, /two IP versions/],
  ["no address", { tunnel: { local: "here", remote: "192.0.2.1" } }, /not an IP address: here/],
])("refuses %s", (_, options, message) => {
  expect(() => open(options)).toThrow(EspalierError);
  expect(() => open(options)).toThrow(message);
});

test("a session has one direction, and ends", () => {
  const session = open();
  expect(() => session.open([])).toThrow(/opened to seal/);
  session.close();
  session.close();
  expect(() => session.seal([])).toThrow(/closed/);
});

test("computes the inner MTU of its tunnel", () => {
  expect(open().innerMtu(1500)).toBe(1446);
  expect(open({ encap: true, tunnel: { local: "2001:db8::1", remote: "2001:db8::2" } }).innerMtu(1500)).toBe(1418);
});
