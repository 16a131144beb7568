/**
 * Where a datagram says that it comes from is as free as its octets: anybody can write any address and any port there, and
 * the system may add a zone. Nothing throws, no answer goes where none can, and no peer is looked for there.
 */
import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Exchange } from "../../src/ike/message.ts";
import type { Endpoint } from "../../src/ip-address.ts";
import { A, B, connection, ike, type TwoPeers, twoPeers } from "../support/two-peers.ts";

const toB = { address: B, port: 500 };

const octet = fc.integer({ min: 0, max: 255 });
const v4 = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join("."));
const word = fc.oneof(fc.constantFrom(0, 1, 0xfe80, 0xff02, 0xffff, 0x2001), fc.integer({ min: 0, max: 0xffff }));
const words = fc
  .array(word, { minLength: 8, maxLength: 8 })
  .map((each) => each.map((one) => one.toString(16)).join(":"));
const short = fc.tuple(word, word).map(([first, last]) => `${first.toString(16)}::${last.toString(16)}`);
const mapped = fc.tuple(fc.constantFrom("::ffff:", "::", "64:ff9b::"), v4).map(([prefix, address]) => prefix + address);
const v6 = fc.oneof(words, short, mapped, fc.constantFrom("::", "::1", "fe80::1", "ff02::1"));
const zoned = fc.tuple(v6, fc.constantFrom("%eth0", "%1", "%", "%eth0%eth1")).map(([address, zone]) => address + zone);
const address = fc.oneof(v4, v6, zoned, fc.constantFrom("0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1"));
const port = fc.oneof(fc.constantFrom(0, 1, 500, 4500, 65_535), fc.integer({ min: 0, max: 65_535 }));
const source: fc.Arbitrary<Endpoint> = fc.record({ address, port });

/** What node:dgram would send to without an exception. */
const canBeSentTo = ({ address: to, port: at }: Endpoint): boolean => isIP(to) !== 0 && !to.includes("%") && at > 0;

/** Messages of a connection that is up, as they went to b: a beginning, and protected ones. */
const messagesOf = ({ a, link, run }: TwoPeers): Uint8Array[] => {
  a.rekey("children");
  run(1_000);
  return link.sent.filter(({ to }) => to.address === B).map(({ bytes }) => bytes);
};

/** The same under an SPI that nobody has, and of another version. */
const strange = (messages: readonly Uint8Array[]): Uint8Array[] =>
  messages.flatMap((bytes) => {
    const [unknown, newer, asInit] = [bytes.slice(), bytes.slice(), bytes.slice()];
    for (const each of [unknown, newer]) each.fill(0x77, 0, 16);
    newer[17] = 0x30;
    asInit.fill(0, 8, 16);
    asInit[18] = Exchange.IKE_SA_INIT;
    return [unknown, newer, asInit];
  });

describe.each([
  ["a peer at its address", {}, {}],
  ["a peer at any address", { remote: { ...connection("b").remote, address: undefined } }, {}],
  ["cookies for all", { remote: { ...connection("b").remote, address: undefined } }, { cookieThreshold: 0 }],
  ["a key exchange of its own liking", { proposals: ike("aes256gcm16-prfsha384-ecp384-x25519") }, {}],
] as const)("%s", (_, b, optionsB) => {
  test("whatever address and port a datagram has, the gateway goes on", () => {
    const peers = twoPeers({ b, optionsB, a: { encap: "force" } });
    if ("proposals" in b) peers.a.initiate();
    else peers.connect();
    const own = "proposals" in b ? peers.link.sent.map(({ bytes }) => bytes) : messagesOf(peers);
    const all = [...own, ...strange(own)];
    const { state } = peers.b.status();
    const { spiIn } = [...peers.b.data.pairs.values()][0] ?? { spiIn: 1 };
    fc.assert(
      fc.property(source, fc.nat(all.length - 1), fc.constantFrom(500, 4500), (from, which, at) => {
        const bytes = all[which]!.slice();
        if (bytes[18] === Exchange.IKE_SA_INIT) bytes.set(peers.random.bytes(8)); // or it would be a repetition
        const before = peers.link.sent.length;
        peers.link.inject({ from, to: { ...toB, port: at }, bytes });
        peers.b.apply(peers.b.manager.espFrom(spiIn, from, peers.clock.now));
        const answers = peers.link.sent.slice(before);
        expect(answers.map(({ to }) => to).filter((to) => !canBeSentTo(to))).toEqual([]);
        if (!canBeSentTo(from)) expect(answers).toEqual([]);
      }),
      { numRuns: 400 },
    );
    expect(peers.b.status().state).toBe(state);
    expect(peers.b.count("bad-source")).toBeGreaterThan(50);
  });
});

test("a copy of a peer's own packet from port 0 or another link does not move it there (RFC 7296 §2.23)", () => {
  const peers = twoPeers({ a: { encap: "force" } });
  const { a, b, connect, link } = peers;
  connect();
  const { spiIn } = [...b.data.pairs.values()][0]!;
  const before = b.status().remote;
  link.meddler = () => []; // what a says next reaches b by way of somebody else
  a.rekey("children");
  const bytes = link.sent.at(-1)!.bytes;
  const sent = link.sent.length;
  for (const from of [
    { address: A, port: 0 },
    { address: "fe80::1%eth0", port: 4500 },
    { address: "::", port: 4500 },
  ]) {
    b.apply(b.manager.espFrom(spiIn, from, peers.clock.now));
    link.inject({ from, to: { address: B, port: 4500 }, bytes });
  }
  expect([b.status().remote, link.sent.length, b.count("bad-source")]).toEqual([before, sent, 6]);
});
