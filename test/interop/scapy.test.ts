/** Packets between our EspSession and scapy's own ESP: every suite that it knows, both directions, IPv4 and IPv6, ESN off and on. */
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { SUITES } from "../../src/crypto/suites.ts";
import { addressBytes } from "../../src/ip-address.ts";
import { LIBRARY } from "./support/requirements.ts";
import { Scapy, type ScapySa } from "./support/scapy.ts";
import { testBed } from "./support/test-bed.ts";

type Library = typeof import("../../src/index.ts");

const SPI = 0xc0de0001;
const WINDOW = 64;
const WRAP = 2 ** 32;

const u16 = (value: number): number[] => [value >> 8, value & 0xff];

/** An inner UDP packet; scapy must give it back octet for octet, so its checksums are right or left out. */
const innerPacket = (family: 4 | 6, payloadLength: number): Uint8Array => {
  const payload = Array.from({ length: payloadLength }, (_, n) => n & 0xff);
  const udp = [...u16(5000), ...u16(6000), ...u16(8 + payloadLength), 0, 0, ...payload];
  if (family === 6) {
    const address = (site: number): number[] => [0x20, 0x01, 0x0d, 0xb8, 0, site, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    return new Uint8Array([0x60, 0, 0, 0, ...u16(udp.length), 17, 64, ...address(1), ...address(2), ...udp]);
  }
  const header = [0x45, 0, ...u16(20 + udp.length), 0, 1, 0, 0, 64, 17, 0, 0, 10, 1, 0, 2, 10, 2, 0, 2];
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += (header[at]! << 8) | header[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  header.splice(10, 2, ...u16(~sum & 0xffff));
  return new Uint8Array([...header, ...udp]);
};

// Around the edges of padding, and a large one.
const PACKETS = ([4, 6] as const).flatMap((family) =>
  [0, 1, 2, 3, 4, 13, 14, 15, 16, 17, 1300].map((length) => innerPacket(family, length)),
);

const OUTER = {
  4: { local: "192.0.2.1", remote: "198.51.100.1" },
  6: { local: "2001:db8:a::1", remote: "2001:db8:b::1" },
};

const lab = testBed(["library", "scapy"], async (bed) => {
  const { EspSession } = (await import(pathToFileURL(LIBRARY).href)) as Library;
  return { EspSession, scapy: new Scapy(bed) };
});

/** scapy knows no ICVs of 8 and 12 octets with GCM and CCM, no GMAC and no XCBC. */
const KNOWN = SUITES.filter(({ name }) => !/(gcm|ccm)(8|12)$|gmac$|aesxcbc$/.test(name));

const CASES = KNOWN.flatMap((suite) =>
  ([4, 6] as const).flatMap((outer) =>
    [
      { esn: false, last: 0 },
      { esn: true, last: 0 },
      { esn: true, last: 3 * WRAP - 5 }, // the high half changes on the way
    ].map((sequence) => ({ suite, outer, ...sequence })),
  ),
);

const title = ({ suite, outer, esn, last }: (typeof CASES)[number]): string =>
  `${suite.name}, IPv${outer} outside, ${esn ? `ESN after ${last}` : "no ESN"}`;

describe.each(CASES.map((each) => [title(each), each] as const))("%s", (_, { suite, outer, esn, last }) => {
  const key = Uint8Array.from({ length: suite.keyLength }, (_, n) => (n * 37 + 11) & 0xff);
  const sa: ScapySa = { suite: suite.name, spi: SPI, key, esn, outer };
  const options = { suite: suite.name, spi: SPI, key, esn, sequence: last, tunnel: OUTER[outer] };

  test("what we seal, scapy opens", async () => {
    const { EspSession, scapy } = lab();
    const session = EspSession.open({ ...options, direction: "seal" });
    const sealed = session.seal(PACKETS);
    session.close();
    expect(sealed).toHaveLength(PACKETS.length);
    for (const [n, packet] of sealed.entries()) {
      const sequence = last + 1 + n;
      const header = new DataView(packet.buffer, packet.byteOffset);
      expect(header.getUint32(0)).toBe(SPI);
      expect(header.getUint32(4)).toBe(sequence % WRAP);
    }
    expect(await Promise.all(sealed.map((packet, n) => scapy.open(sa, last + 1 + n, packet)))).toEqual(PACKETS);
  });

  test("what scapy seals, we open, each once and unharmed only", async () => {
    const { EspSession, scapy } = lab();
    const sealed = await Promise.all(PACKETS.map((packet, n) => scapy.seal(sa, last + 1 + n, packet)));
    const forged = sealed.map((packet) => packet.with(packet.length - 1, packet.at(-1)! ^ 1));
    const session = EspSession.open({ ...options, direction: "open", replayWindow: WINDOW });
    const refused = session.open(forged);
    const opened = session.open(sealed);
    const again = session.open(sealed);
    session.close();
    expect(refused.filter(({ verdict, packet }) => verdict === "pass" || packet !== undefined)).toEqual([]);
    expect(opened.map(({ packet }) => packet)).toEqual(PACKETS);
    expect(again.filter(({ verdict }) => verdict === "pass")).toEqual([]);
  });
});

/** Between the outer addresses, as both ends of transport mode see it: UDP behind a header of theirs. */
const hostPacket = (outer: 4 | 6, payloadLength: number): Uint8Array => {
  const inner = innerPacket(outer, payloadLength);
  const { local, remote } = OUTER[outer];
  inner.set(addressBytes(local), outer === 4 ? 12 : 8);
  inner.set(addressBytes(remote), outer === 4 ? 16 : 24);
  return inner;
};

const behindHeader = (packet: Uint8Array, outer: 4 | 6): Uint8Array => packet.slice(outer === 4 ? 20 : 40);

/** Those that differ most in both families, the others in one. */
const IN_BOTH = ["aes256gcm16", "aes128-sha256", "chacha20poly1305", "null-sha256"];
const TRANSPORT_CASES = KNOWN.flatMap((suite, i) =>
  ([4, 6] as const)
    .filter((outer) => IN_BOTH.includes(suite.name) || (outer === 4) === (i % 2 === 0))
    .map((outer) => [`${suite.name} in transport mode over IPv${outer}`, suite, outer] as const),
);

describe.each(TRANSPORT_CASES)("%s", (_, suite, outer) => {
  const key = Uint8Array.from({ length: suite.keyLength }, (_, n) => (n * 37 + 11) & 0xff);
  const sa: ScapySa = { suite: suite.name, spi: SPI, key, esn: false, outer, mode: "transport" };
  const options = { suite: suite.name, spi: SPI, key, mode: "transport" } as const;
  const packets = [0, 1, 2, 3, 13, 17, 1300].map((length) => hostPacket(outer, length));

  test("what we seal, scapy opens, and what it seals, we open", async () => {
    const { EspSession, scapy } = lab();
    const { local, remote } = OUTER[outer];
    const sealer = EspSession.open({ ...options, direction: "seal", tunnel: { local, remote } });
    const opener = EspSession.open({ ...options, direction: "open", tunnel: { local: remote, remote: local } });
    for (const [n, sealed] of sealer.seal(packets).entries()) {
      const opened = await scapy.open(sa, n + 1, sealed);
      expect(behindHeader(opened, outer)).toEqual(behindHeader(packets[n]!, outer));
    }
    for (const [n, packet] of packets.entries()) {
      const [opened] = opener.open([await scapy.seal(sa, n + 1, packet)]);
      expect(opened?.verdict).toBe("pass");
      expect(behindHeader(opened!.packet!, outer)).toEqual(behindHeader(packet, outer));
      expect(opened!.packet!.subarray(outer === 4 ? 12 : 8, outer === 4 ? 20 : 40)).toEqual(
        packet.subarray(outer === 4 ? 12 : 8, outer === 4 ? 20 : 40),
      );
    }
    sealer.close();
    opener.close();
  });
});
