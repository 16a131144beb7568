/** The end of 32-bit sequence numbers: nothing is sent beyond it (RFC 4303 §3.3.3), and IKE is told by numbers, not by packets. */
import { expect, test } from "vitest";
import { suiteByName } from "../../src/crypto/suites.ts";
import { LAST_SEQUENCE, REKEY_AT } from "../../src/ike/volume.ts";
import { ANY_SIZE } from "../../src/ipsec/sad.ts";
import { anySelectors } from "../../src/ipsec/selector.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { MemorySite, settle } from "../support/memory-sites.ts";

const SUITE = suiteByName("aes256gcm16")!;
const key = (first: number): Uint8Array => new Uint8Array(SUITE.keyLength).fill(first);

/** Two sites whose counters from A to B begin at `sequence`. */
const from = async (sequence: number, esn: boolean) => {
  const a = await MemorySite.start("127.0.0.2");
  const b = await MemorySite.start("127.0.0.3");
  const [tunnelA, tunnelB] = [a.addTunnel(), b.addTunnel()];
  const [spiA, spiB] = [a.plane.reserveSpi(tunnelA.id), b.plane.reserveSpi(tunnelB.id)];
  const [atA, atB] = [a, b].map(({ address, udp }) => ({ address, port: udp.port })) as [never, never];
  const common = { suite: SUITE, esn, encap: true, local: anySelectors, remote: anySelectors };
  a.plane.install(tunnelA.id, {
    ...common,
    spiIn: spiA,
    spiOut: spiB,
    keyIn: key(1),
    keyOut: key(2),
    path: { local: atA, remote: atB },
    sequence: { in: 0, out: sequence },
  });
  b.plane.install(tunnelB.id, {
    ...common,
    spiIn: spiB,
    spiOut: spiA,
    keyIn: key(2),
    keyOut: key(1),
    path: { local: atB, remote: atA },
    sequence: { in: sequence, out: 0 },
  });
  a.plane.use(spiA);
  return { a, b, tunA: tunnelA.tun, tunB: tunnelB.tun, idA: tunnelA.id, spiA, spiB };
};

const PACKET = ipPacket({ version: 4 });

test("without ESN the last number is 2^32 - 1: what comes after is dropped and counted, and nothing wraps", async () => {
  const { a, b, tunA, tunB, spiA, spiB, idA } = await from(2 ** 32 - 4, false);
  for (let i = 0; i < 5; i++) tunA.inject(PACKET);
  settle(a, b);
  a.plane.sendDummy(idA, 100);
  settle(a, b);
  expect(tunB.delivered()).toHaveLength(3);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 3, seqOut: 2 ** 32 - 1, drops: { "seq-cycled": 3 } });
  expect(b.plane.counters(spiB)).toMatchObject({ packetsIn: 3, seqIn: 2 ** 32 - 1, drops: {} });
});

test("fragments beyond the end take their packet along", async () => {
  const { a, b, tunA, spiA } = await from(2 ** 32 - 2, false);
  a.plane.setSize(spiA, { ...ANY_SIZE, mtu: 1400 });
  tunA.inject(ipPacket({ version: 4, length: 1500 }));
  settle(a, b);
  expect(a.plane.counters(spiA)).toMatchObject({ packetsOut: 0, drops: { "seq-cycled": 1 } });
  expect(a.plane.totals().out).toEqual({ packets: 0, bytes: 0, drops: { "seq-cycled": 1 } });
});

test("with ESN 2^32 is a number like any other", async () => {
  const { a, b, tunA, tunB, spiB } = await from(2 ** 32 - 4, true);
  for (let i = 0; i < 8; i++) tunA.inject(PACKET);
  settle(a, b);
  expect(tunB.delivered()).toHaveLength(8);
  expect(b.plane.counters(spiB)).toMatchObject({ seqIn: 2 ** 32 + 4, drops: {} });
});

test("a rekey is due at 90 % of 0xFFF00000, by the numbers that fragments and dummies use up too", async () => {
  expect([LAST_SEQUENCE, Math.floor(REKEY_AT)]).toEqual([0xfff0_0000, 3_864_526_848]);
  const { a, tunA, spiA, idA } = await from(Math.floor(REKEY_AT) - 3, false);
  a.plane.setSize(spiA, { ...ANY_SIZE, mtu: 1400 });
  tunA.inject(ipPacket({ version: 4, length: 1500 }));
  settle(a);
  a.plane.sendDummy(idA, 100);
  settle(a);
  expect(a.plane.usage(spiA)).toMatchObject({ packetsOut: 1, seqOut: 3_864_526_848 });
});
