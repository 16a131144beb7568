import * as fc from "fast-check";
import { expect, test } from "vitest";
import { addressBytes, addressText } from "../../src/ip-address.ts";
import { Fields } from "../../src/ipsec/ip.ts";
import { readTriggering } from "../../src/ipsec/triggering-packet.ts";
import { icmpError } from "../support/icmp-errors.ts";
import { ipv4PacketOf } from "../support/ip-headers.ts";
import { ipPacket } from "../support/ip-packets.ts";

const AT = 5;

/** What selectors are asked about the answer to what `packet` quotes; undefined when it is no error. */
const answerTo = (packet: Uint8Array) => {
  const slab = new Uint8Array(AT + packet.length + 64).fill(0x45); // what lies behind looks like a header
  slab.set(packet, AT);
  const fields = new Fields();
  if (!readTriggering(new DataView(slab.buffer), AT, packet.length, fields)) return undefined;
  const { sourceAt, destinationAt, addressLength, protocol, sourcePort, destinationPort } = fields;
  const text = (at: number): string => addressText(slab.subarray(at, at + addressLength));
  return { source: text(sourceAt), destination: text(destinationAt), protocol, sourcePort, destinationPort };
};

const UDP4 = ipPacket({ version: 4, source: "10.2.0.5", destination: "10.1.0.9", sourcePort: 53, destinationPort: 99 });
const UDP6 = ipPacket({ version: 6, sourcePort: 53, destinationPort: 99 });

test("an error is judged by the answer to what it quotes: addresses and ports change places", () => {
  expect(answerTo(icmpError({ source: "192.0.2.1", about: UDP4 }))).toEqual({
    source: "10.1.0.9",
    destination: "10.2.0.5",
    protocol: 17,
    sourcePort: 99,
    destinationPort: 53,
  });
  expect(answerTo(icmpError({ source: "2001:db8:f::1", about: UDP6 }))).toEqual({
    source: "2001:db8:2::1",
    destination: "2001:db8:1::1",
    protocol: 17,
    sourcePort: 99,
    destinationPort: 53,
  });
});

test.each([
  ["IPv4", UDP4, [3, 11, 12], [0, 4, 5, 8, 9, 13, 40]],
  ["IPv6", UDP6, [1, 2, 3, 4], [0, 5, 100, 127, 128, 129, 137]],
] as const)("%s: errors are some types, and redirects, questions and answers are none", (_, about, errors, others) => {
  const read = (type: number) => answerTo(icmpError({ source: about === UDP4 ? "192.0.2.1" : "::9", about, type }));
  for (const type of errors) expect(read(type)).toBeDefined();
  for (const type of others) expect(read(type)).toBeUndefined();
});

test("an error that is for another than who sent what it quotes is none", () => {
  expect(answerTo(icmpError({ source: "192.0.2.1", destination: "10.2.0.6", about: UDP4 }))).toBeUndefined();
  expect(answerTo(icmpError({ source: "2001:db8:f::1", destination: "2001:db8:1::2", about: UDP6 }))).toBeUndefined();
});

test("a quote that is cut shows what it has: no ports, or it is none", () => {
  const cut = (quoted: number) => answerTo(icmpError({ source: "192.0.2.1", about: UDP4, quoted }));
  expect(cut(24)).toMatchObject({ sourcePort: 99, destinationPort: 53 });
  for (const quoted of [20, 21, 23]) expect(cut(quoted)).toMatchObject({ sourcePort: -1, destinationPort: -1 });
  for (const quoted of [0, 1, 19]) expect(cut(quoted)).toBeUndefined();
  const options = ipv4PacketOf({ options: new Uint8Array(40).fill(1), source: "10.2.0.5" }, new Uint8Array(8));
  expect(answerTo(icmpError({ source: "192.0.2.1", about: options, quoted: 59 }))).toBeUndefined();
  expect(answerTo(icmpError({ source: "192.0.2.1", about: options, quoted: 60 }))).toMatchObject({ sourcePort: -1 });
});

test("a quote of another version, a later fragment of an error, and a later fragment that is quoted", () => {
  const error = icmpError({ source: "192.0.2.1", about: UDP4 });
  expect(answerTo(error.with(28, 0x65))).toBeUndefined();
  expect(answerTo(error.with(28, 0x44))).toBeUndefined(); // a header of 16 octets
  expect(answerTo(error.with(7, 1))).toBeUndefined();
  expect(answerTo(error.with(28 + 7, 1))).toMatchObject({ protocol: 17, sourcePort: -1, destinationPort: -1 });
});

test("an error about an echo request shows its type and code on both sides", () => {
  const echo = ipPacket({ version: 4, protocol: 1, sourcePort: 0x0800 });
  expect(answerTo(icmpError({ source: "192.0.2.1", about: echo }))).toMatchObject({
    protocol: 1,
    sourcePort: 0x0800,
    destinationPort: 0x0800,
  });
});

test("any octets are read without an error, and from within the packet alone", () => {
  const octets = fc.uint8Array({ minLength: 20, maxLength: 120 });
  const packet = fc.tuple(fc.boolean(), octets).map(([v4, bytes]) => {
    const made = v4 ? bytes.slice() : Uint8Array.from([...new Uint8Array(40), ...bytes]);
    made[0] = v4 ? 0x45 : 0x60;
    made[v4 ? 9 : 6] = v4 ? 1 : 58;
    if (v4) made.fill(0, 6, 8);
    made[v4 ? 20 : 40] = v4 ? 11 : 3;
    return made;
  });
  fc.assert(
    fc.property(packet, (made) => {
      const found = answerTo(made);
      if (found === undefined) return;
      const from = made[0] === 0x45 ? 12 : 8;
      const to = made[0] === 0x45 ? 16 : 24;
      expect(addressBytes(found.destination)).toEqual(made.slice(to, to + (to - from)));
    }),
    { numRuns: 2000, seed: 4301 },
  );
});
