import { expect, test } from "vitest";
import { PathMtuWatch, type SendingSa } from "../../src/gateway/path-mtu-watch.ts";
import { addressBytes } from "../../src/ip-address.ts";
import { writeTooBig } from "../../src/ipsec/icmp.ts";
import { internetChecksum } from "../support/internet-checksum.ts";
import { ipPacket } from "../support/ip-packets.ts";

const SPI = 0x12345678;
const LOCAL = "192.0.2.1";
const PEER = "203.0.113.5";
const SA: SendingSa = { local: LOCAL, remote: PEER, remotePort: 4500, top: 1000 };

interface Told {
  readonly mtu?: number;
  readonly spi?: number;
  readonly source?: string;
  readonly destination?: string;
  readonly udp?: boolean;
  readonly port?: number;
  readonly seq?: number;
  /** Octets of the packet that it quotes. */
  readonly quoted?: number;
}

/** What the raw socket gives of a router's error about a packet of ours of 1500 octets. */
const error = ({
  mtu = 1400,
  spi = SPI,
  source = LOCAL,
  destination = PEER,
  udp = true,
  port = 4500,
  seq = 990,
  quoted,
}: Told): Uint8Array => {
  const packet = ipPacket({
    version: 4,
    length: 1500,
    source,
    destination,
    protocol: udp ? 17 : 50,
    sourcePort: 4500,
    destinationPort: port,
  });
  if (udp) new DataView(packet.buffer).setUint16(24, packet.length - 20);
  const esp = new DataView(packet.buffer, udp ? 28 : 20);
  esp.setUint32(0, spi);
  esp.setUint32(4, seq);
  const slab = new Uint8Array(3000);
  slab.set(packet);
  const length = writeTooBig(slab, 0, packet.length, mtu, addressBytes("198.51.100.9"), 0, 2000);
  const message = slab.slice(2000, 2000 + (quoted === undefined ? length : 28 + quoted));
  const view = new DataView(message.buffer);
  view.setUint16(2, message.length);
  view.setUint16(22, 0);
  view.setUint16(22, internetChecksum(message.subarray(20)));
  return message;
};

const watching = (sa: SendingSa = SA) => {
  const watch = new PathMtuWatch();
  expect(watch.mtu(PEER, 1500, 0)).toBe(1500);
  const find = (spi: number, remote: string, port: number): SendingSa | undefined =>
    spi === SPI || (spi === 0 && remote === sa.remote && port === sa.remotePort) ? sa : undefined;
  const take = (told: Told, now = 0) => watch.take(error(told), 4, find, now);
  return { watch, take };
};

test("an error that quotes our SPI lowers the MTU to that peer, for ten minutes", () => {
  const { watch, take } = watching();
  expect(take({})).toEqual({ news: "lowered", remote: PEER, mtu: 1400 });
  expect(watch.mtu(PEER, 1500, 0)).toBe(1400);
  expect(watch.mtu("203.0.113.6", 1500, 0)).toBe(1500);
  expect(watch.expired(599_999)).toEqual([]);
  expect(watch.expired(600_000)).toEqual([PEER]);
  expect(watch.expired(600_001)).toEqual([]);
  expect(watch.mtu(PEER, 1500, 600_001)).toBe(1500);
});

test("what was learned of a way that no SA takes any more is forgotten", () => {
  const { watch, take } = watching();
  take({});
  watch.forget("203.0.113.6");
  expect(watch.mtu(PEER, 1500, 0)).toBe(1400);
  watch.forget(PEER);
  expect(take({})).toMatchObject({ news: "unknown-sa" });
  expect(watch.mtu(PEER, 1500, 0)).toBe(1500);
});

test.each<readonly [string, Told]>([
  ["another SPI", { spi: SPI + 1 }],
  ["another source", { source: "192.0.2.2" }],
  ["another destination", { destination: "203.0.113.6" }],
  ["another port", { port: 4501 }],
  ["ESP that is not in UDP", { udp: false }],
])("an error that quotes %s is ignored", (_, told) => {
  const { watch, take } = watching();
  expect(take(told)).toMatchObject({ news: "unknown-sa" });
  expect(watch.mtu(PEER, 1500, 0)).toBe(1500);
});

test("an error about a packet that was never sent is ignored", () => {
  const { watch, take } = watching();
  expect(take({ seq: 1001 })).toMatchObject({ news: "implausible" });
  expect(watch.mtu(PEER, 1500, 0)).toBe(1500);
});

test("an error that quotes no more than the UDP header is believed by ports and addresses, and not below 1280", () => {
  const { watch, take } = watching();
  expect(take({ quoted: 28, port: 4501 })).toMatchObject({ news: "unknown-sa" });
  expect(take({ quoted: 28, destination: "203.0.113.6" })).toMatchObject({ news: "unknown-sa" });
  expect(take({ quoted: 28, mtu: 1279 })).toMatchObject({ news: "below-floor" });
  expect(watch.mtu(PEER, 1500, 0)).toBe(1500);
  expect(take({ quoted: 28, mtu: 1400 })).toMatchObject({ news: "lowered" });
  expect(watch.mtu(PEER, 1500, 0)).toBe(1400);
  expect(take({ quoted: 36, mtu: 1000 })).toMatchObject({ news: "lowered" }); // it quotes SPI and sequence number
});

test("one about an SA that has sent nothing is ignored", () => {
  const { take } = watching({ ...SA, top: 0 });
  expect(take({ quoted: 28 })).toMatchObject({ news: "implausible" });
});

test("ESP as protocol 50 has no ports", () => {
  const { watch, take } = watching({ ...SA, remotePort: 0 });
  expect(take({ udp: false })).toMatchObject({ news: "lowered" });
  expect(watch.mtu(PEER, 1500, 0)).toBe(1400);
});

test("an error that is no too-big is left to others", () => {
  const { watch } = watching();
  expect(watch.take(new Uint8Array(60), 4, () => SA, 0)).toBeUndefined();
});
