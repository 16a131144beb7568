/** What a peer or an attacker may send: each kind gets its verdict, none throws, and every packet is counted once. */
import { expect, test } from "vitest";
import { SUITES, type Suite, suiteByName } from "../../src/crypto/suites.ts";
import { EspSession, type EspSessionOptions } from "../../src/dataplane/esp-session.ts";
import type { Tally } from "../../src/ipsec/counters.ts";
import { parseSelector } from "../../src/ipsec/selector-text.ts";
import { forge, trailed } from "../support/forge.ts";
import { ipPacket } from "../support/ip-packets.ts";

const SPI = 0xc0de_0001;
const GCM = suiteByName("aes256gcm16")!;
const CBC = suiteByName("aes128-sha256")!;

const keyOf = ({ keyLength }: Suite): Uint8Array => Uint8Array.from({ length: keyLength }, (_, i) => i * 5 + 3);
const sealer = (suite: Suite, more: Partial<EspSessionOptions> = {}) =>
  EspSession.open({ direction: "seal", suite, spi: SPI, key: keyOf(suite), ...more });
const opener = (suite: Suite, more: Partial<EspSessionOptions> = {}) =>
  EspSession.open({ direction: "open", suite, spi: SPI, key: keyOf(suite), ...more });
const forged = (suite: Suite, seq: number, text: Uint8Array) =>
  forge({ suite, spi: SPI, key: keyOf(suite) }, seq, text);

const verdictsOf = (session: EspSession, packets: readonly Uint8Array[]) =>
  session.open(packets).map(({ verdict }) => verdict);

const total = ({ packets, drops }: Tally): number => Object.values(drops).reduce((sum, count) => sum + count, packets);

/** mulberry32: small, seeded, the same everywhere. */
const random = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

test.each(SUITES.map((suite) => [suite.name, suite] as const))("%s: no truncation of a packet passes", (_, suite) => {
  const [sealed] = sealer(suite).seal([ipPacket({ version: 4, length: 90 })]);
  const session = opener(suite);
  const cuts = Array.from({ length: sealed!.length }, (_, length) => sealed!.subarray(0, length));
  const verdicts = verdictsOf(session, cuts);
  expect(verdicts.slice(0, 8)).toEqual(new Array(8).fill("runt"));
  expect(verdicts.filter((verdict) => verdict !== "runt" && verdict !== "integ-error")).toEqual([]);
  expect(total(session.counters())).toBe(cuts.length);
  expect(session.sequence).toBe(0);
  expect(verdictsOf(session, [sealed!])).toEqual(["pass"]); // they changed nothing
});

test("100,000 mutations: none throws, none passes, and every one is counted once", () => {
  const draw = random(0xe5ba11e5);
  const below = (n: number): number => Math.floor(draw() * n);
  const perSuite = Math.ceil(100_000 / SUITES.length / 2);
  let given = 0;
  let counted = 0;
  for (const suite of SUITES)
    for (const esn of [false, true]) {
      const seal = sealer(suite, { esn });
      const packets = [40, 64, 576, 1400].map((length, i) => ipPacket({ version: i % 2 === 0 ? 4 : 6, length }));
      const sealed = seal.seal(packets);
      const session = opener(suite, { esn });
      const mutations: Uint8Array[] = [];
      while (mutations.length < perSuite) {
        const original = sealed[below(sealed.length)]!;
        const mutant = mutate(original, below, sealed);
        if (Buffer.compare(mutant, original) !== 0 && !sealed.some((each) => Buffer.compare(each, mutant) === 0))
          mutations.push(mutant);
      }
      expect(session.open(mutations).filter(({ packet }) => packet !== undefined)).toEqual([]);
      given += mutations.length;
      counted += total(session.counters());
      expect(session.counters().packets).toBe(0);
      expect(session.sequence).toBe(0);
      expect(verdictsOf(session, sealed)).toEqual(["pass", "pass", "pass", "pass"]);
      seal.close();
      session.close();
    }
  expect(given).toBeGreaterThanOrEqual(100_000);
  expect(counted).toBe(given);
});

const mutate = (original: Uint8Array, below: (n: number) => number, others: readonly Uint8Array[]): Uint8Array => {
  const mutant = original.slice();
  switch (below(6)) {
    case 0: // one bit
      mutant[below(mutant.length)]! ^= 1 << below(8);
      return mutant;
    case 1: // a run of octets
      for (let i = below(mutant.length), n = below(16) + 1; n > 0 && i < mutant.length; i++, n--)
        mutant[i] = below(256);
      return mutant;
    case 2: // another sequence number
      mutant[4 + below(4)] = below(256);
      return mutant;
    case 3: // the end is missing
      return mutant.slice(0, below(mutant.length));
    case 4: // more follows
      return new Uint8Array([...mutant, ...Array.from({ length: below(40) + 1 }, () => below(256))]);
    default: {
      // the head of one packet, the rest of another
      const other = others[below(others.length)]!;
      const cut = below(Math.min(mutant.length, other.length));
      return new Uint8Array([...mutant.subarray(0, cut), ...other.subarray(cut)]);
    }
  }
};

test("a foreign SPI names no SA, whether it shares our low bits or not", () => {
  const sealed = forge({ suite: GCM, spi: SPI ^ 0x100, key: keyOf(GCM) }, 1, trailed(ipPacket({ version: 4 }), 4, 4));
  const session = opener(GCM);
  expect(verdictsOf(session, [sealed])).toEqual(["no-sa"]);
  expect(session.counters().drops).toEqual({ "no-sa": 1 });
  expect(session.saCounters().drops).toEqual({});
});

test("a repeat is dropped, in the batch of the first and in a later one, and its inner packet comes once", () => {
  const [first, second] = sealer(GCM).seal([ipPacket({ version: 4 }), ipPacket({ version: 6 })]);
  const session = opener(GCM);
  expect(verdictsOf(session, [first!, second!, first!])).toEqual(["pass", "pass", "replay"]);
  expect(verdictsOf(session, [first!, second!])).toEqual(["replay", "replay"]);
  expect(session.saCounters()).toMatchObject({ packets: 2, drops: { replay: 3 } });
});

test("lags of 63 pass a window of 64 once, lags of 64 and 65 do not", () => {
  const sealed = sealer(CBC).seal(Array.from({ length: 100 }, () => ipPacket({ version: 4 })));
  const session = opener(CBC, { replayWindow: 64 });
  expect(
    verdictsOf(
      session,
      [99, 36, 36, 35, 34].map((i) => sealed[i]!),
    ),
  ).toEqual(["pass", "pass", "replay", "replay", "replay"]);
});

test("a forged packet far ahead does not move the window", () => {
  const [first] = sealer(GCM).seal([ipPacket({ version: 4 })]);
  const ahead = first!.slice();
  ahead[4] = 0x7f;
  const session = opener(GCM);
  expect(verdictsOf(session, [ahead])).toEqual(["integ-error"]);
  expect(session.sequence).toBe(0);
  expect(verdictsOf(session, [first!])).toEqual(["pass"]);
});

test("sequence number 0 is dropped before its ICV is looked at", () => {
  expect(verdictsOf(opener(GCM), [forged(GCM, 0, trailed(ipPacket({ version: 4 }), 4, 4))])).toEqual(["replay"]);
});

test("a dummy packet is dropped in silence, and still moves the window", () => {
  const session = opener(GCM);
  expect(verdictsOf(session, [forged(GCM, 7, trailed(new Uint8Array(30), 4, 59))])).toEqual(["dummy"]);
  expect(session.sequence).toBe(7);
});

test("a next header other than IPv4, IPv6 and dummy is not for a tunnel", () => {
  const texts = [0, 6, 17, 47, 50, 58, 99, 255].map((next, i) =>
    forged(CBC, i + 1, trailed(ipPacket({ version: 4 }), 16, next)),
  );
  expect(new Set(verdictsOf(opener(CBC), texts))).toEqual(new Set(["unsup-payload"]));
});

test("TFC padding behind the inner packet is trimmed", () => {
  for (const version of [4, 6] as const) {
    const inner = ipPacket({ version, length: 80 });
    const padded = new Uint8Array([...inner, ...new Array<number>(333).fill(0)]);
    const [opened] = opener(GCM).open([forged(GCM, 1, trailed(padded, 4, version === 4 ? 4 : 41))]);
    expect(opened).toEqual({ verdict: "pass", packet: inner });
  }
});

test("padding that is wrong, or longer than the packet, is a bad trailer", () => {
  const text = trailed(ipPacket({ version: 4, length: 63 }), 16, 4);
  const wrong = text.slice();
  wrong[wrong.length - 3]! ^= 1;
  const long = text.slice();
  long[long.length - 2] = 255;
  expect(verdictsOf(opener(CBC), [forged(CBC, 1, wrong), forged(CBC, 2, long)])).toEqual([
    "bad-trailer",
    "bad-trailer",
  ]);
});

test("an inner packet of another version than its next header, or cut short, is bad", () => {
  const v4 = ipPacket({ version: 4, length: 60 });
  const v6 = ipPacket({ version: 6, length: 60 });
  const texts = [
    trailed(v4, 4, 41),
    trailed(v6, 4, 4),
    trailed(v4.subarray(0, 59), 4, 4),
    trailed(v6.subarray(0, 59), 4, 41),
    trailed(v4.subarray(0, 19), 4, 4),
    trailed(new Uint8Array(0), 4, 4),
  ];
  const session = opener(GCM);
  expect(
    new Set(
      verdictsOf(
        session,
        texts.map((text, i) => forged(GCM, i + 1, text)),
      ),
    ),
  ).toEqual(new Set(["bad-inner"]));
  expect(session.counters().drops).toEqual({ "bad-inner": texts.length });
});

test("an authentic packet outside the selectors is dropped", () => {
  const selectors = { local: [parseSelector("10.1.0.0/16")!], remote: [parseSelector("10.2.0.0/24[udp/1000]")!] };
  const session = opener(GCM, { selectors });
  const from = (source: string, destination: string, sourcePort = 1000) =>
    ipPacket({ version: 4, source, destination, sourcePort });
  const sealed = sealer(GCM).seal([
    from("10.2.0.9", "10.1.7.7"),
    from("10.1.7.7", "10.2.0.9"),
    from("10.2.1.9", "10.1.7.7"),
    from("10.2.0.9", "10.0.7.7"),
    from("10.2.0.9", "10.1.7.7", 1001),
    ipPacket({ version: 6 }),
  ]);
  expect(verdictsOf(session, sealed)).toEqual(["pass", "policy", "policy", "policy", "policy", "policy"]);
});

test("a keepalive and other crumbs are told apart", () => {
  expect(verdictsOf(opener(GCM), [Uint8Array.of(0xff), Uint8Array.of(0xfe), new Uint8Array(0)])).toEqual([
    "keepalive",
    "runt",
    "runt",
  ]);
});

test("a packet longer than a buffer is too big", () => {
  const giant = new Uint8Array(20_000);
  new DataView(giant.buffer).setUint32(0, SPI);
  expect(verdictsOf(opener(GCM), [giant])).toEqual(["too-big"]);
});

test("the high half of the sequence number takes part: a packet of the next 2^32 is not one of this", () => {
  const esn = true;
  const start = 2 ** 32 - 3;
  const sealed = sealer(GCM, { esn, sequence: start }).seal(Array.from({ length: 6 }, () => ipPacket({ version: 4 })));
  const session = opener(GCM, { esn, sequence: start });
  expect(verdictsOf(session, sealed)).toEqual(new Array(6).fill("pass"));
  expect(session.sequence).toBe(2 ** 32 + 3);
  expect(verdictsOf(session, sealed)).toEqual(new Array(6).fill("replay"));
  expect(verdictsOf(opener(GCM, { esn }), sealed.slice(3))).toEqual(new Array(3).fill("integ-error"));
});
