import { expect, test } from "vitest";
import { Fields, packetLength, readFields } from "../../src/ipsec/ip.ts";
import { ipPacket } from "../support/ip-packets.ts";

const viewOf = (packet: Uint8Array): DataView => new DataView(packet.buffer, packet.byteOffset, packet.byteLength);

const fieldsOf = (packet: Uint8Array): Fields => {
  const fields = new Fields();
  readFields(viewOf(packet), 0, packet.length, fields);
  return fields;
};

/** An IPv6 packet of 120 octets whose headers after the first are these octets. */
const withExtensions = (first: number, ...octets: number[]): Uint8Array => {
  const packet = ipPacket({ version: 6, length: 120, protocol: first });
  packet.set(octets, 40);
  return packet;
};

test.each([4, 6] as const)("an IPv%i packet is as long as it says, and what follows is padding", (version) => {
  const packet = ipPacket({ version, length: 100 });
  const padded = new Uint8Array([...packet, 0, 0, 0]);
  expect(packetLength(viewOf(padded), 0, 103, version)).toBe(100);
  expect(packetLength(viewOf(padded), 0, 100, version)).toBe(100);
});

test.each([4, 6] as const)("an IPv%i packet cut anywhere is not whole", (version) => {
  const packet = ipPacket({ version, length: 100 });
  for (let length = 0; length < 100; length++) expect(packetLength(viewOf(packet), 0, length, version)).toBe(-1);
});

test("headers that cannot be are not packets", () => {
  const packet = ipPacket({ version: 4, length: 100 });
  expect(packetLength(viewOf(packet), 0, 100, 6)).toBe(-1);
  expect(packetLength(viewOf(ipPacket({ version: 6, length: 100 })), 0, 100, 4)).toBe(-1);
  packet[0] = 0x44; // a header of 16 octets
  expect(packetLength(viewOf(packet), 0, 100, 4)).toBe(-1);
  packet[0] = 0x46;
  packet[2] = 0;
  packet[3] = 22; // shorter than its header of 24
  expect(packetLength(viewOf(packet), 0, 100, 4)).toBe(-1);
});

test.each([6, 17, 132, 136])("ports of protocol %i are read behind both headers", (protocol) => {
  for (const version of [4, 6] as const)
    expect(fieldsOf(ipPacket({ version, protocol, sourcePort: 40_000, destinationPort: 443 }))).toMatchObject({
      protocol,
      sourcePort: 40_000,
      destinationPort: 443,
    });
});

test("ICMP shows type and code as one number, on both sides", () => {
  const packet = ipPacket({ version: 4, protocol: 1, sourcePort: 0x0301 });
  expect(fieldsOf(packet)).toMatchObject({ sourcePort: 0x0301, destinationPort: 0x0301 });
});

test("a later fragment shows no ports, the first one does", () => {
  expect(fieldsOf(ipPacket({ version: 4, protocol: 6, fragmentOffset: 185 }))).toMatchObject({
    protocol: 6,
    sourcePort: -1,
    destinationPort: -1,
  });
  expect(fieldsOf(withExtensions(44, 6, 0, 0x05, 0xc8, 0, 0, 0, 1, 0, 80, 0, 90))).toMatchObject({
    protocol: 6,
    sourcePort: -1,
  });
  expect(fieldsOf(withExtensions(44, 6, 0, 0, 1, 0, 0, 0, 1, 0, 80, 0, 90))).toMatchObject({
    protocol: 6,
    sourcePort: 80,
    destinationPort: 90,
  });
});

test("ports are found behind extension headers", () => {
  const hopByHop = [60, 0, 0, 0, 0, 0, 0, 0];
  const destination = [17, 1, ...new Array<number>(14).fill(0)];
  expect(fieldsOf(withExtensions(0, ...hopByHop, ...destination, 0x12, 0x34, 0x56, 0x78))).toMatchObject({
    protocol: 17,
    sourcePort: 0x1234,
    destinationPort: 0x5678,
  });
});

test("extension headers that run past the end, or never end, show no ports", () => {
  expect(fieldsOf(withExtensions(0, 6, 200))).toMatchObject({ protocol: 6, sourcePort: -1 });
  const endless = withExtensions(0);
  for (let at = 40; at < 120; at += 8) endless.set([0, 0, 0, 0, 0, 0, 0, 0], at);
  expect(fieldsOf(endless)).toMatchObject({ protocol: 0, sourcePort: -1 });
});
