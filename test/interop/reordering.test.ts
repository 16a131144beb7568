/**
 * Packets that scapy has sealed reach a gateway in another order, twice, and forged: what its replay windows say of each, by
 * its counters (RFC 4303 §3.4.3). Manual keys, so that no peer has to run.
 */
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ChildSaReport } from "../../src/control/status.ts";
import { suiteByName } from "../../src/crypto/suites.ts";
import { ipPacket } from "../support/ip-packets.ts";
import { Espalier } from "./support/espalier.ts";
import { INNER, OUTER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { Scapy, type ScapySa } from "./support/scapy.ts";
import { testBed } from "./support/test-bed.ts";

interface Kind {
  readonly name: string;
  readonly suite: string;
  /** Packets; 0: none. */
  readonly window: number;
  readonly esn: boolean;
  /** The highest sequence number that comes. */
  readonly top: number;
}

const NEAR_2_32 = 2 ** 32 + 20; // what is late has the high half before
const KINDS: readonly Kind[] = [
  { name: "w32", suite: "aes128-sha256", window: 32, esn: false, top: 500 },
  { name: "w64", suite: "aes256gcm16", window: 64, esn: false, top: 500 },
  { name: "w64-esn", suite: "aes128-sha1", window: 64, esn: true, top: NEAR_2_32 },
  { name: "w256-esn", suite: "aes128gcm16", window: 256, esn: true, top: NEAR_2_32 },
  { name: "w1024", suite: "chacha20poly1305", window: 1024, esn: false, top: 5000 },
  { name: "w4096", suite: "aes128ctr-sha1", window: 4096, esn: false, top: 5000 },
  { name: "off", suite: "aes256gcm16", window: 0, esn: false, top: 500 },
];

const spiIn = (kind: Kind): number => 0x10001 + KINDS.indexOf(kind);
const keyOf = (kind: Kind): Uint8Array =>
  Uint8Array.from({ length: suiteByName(kind.suite)!.keyLength }, (_, i) => (i * 7 + spiIn(kind)) & 255);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const netOf = (kind: Kind): string => `10.2.${KINDS.indexOf(kind)}.0/24`;

const childOf = (kind: Kind) => ({
  esn: kind.esn ? "yes" : "no",
  replay_window: kind.window === 0 ? "off" : kind.window,
  local: [INNER[4].netA],
  remote: [netOf(kind)],
  manual: {
    suite: kind.suite,
    in: { spi: spiIn(kind), key: `0x${hex(keyOf(kind))}`, sequence: kind.esn ? 2 ** 32 - 300 : 0 },
    out: { spi: spiIn(kind) + 0x10000, key: `0x${hex(keyOf(kind).map((octet) => octet ^ 255))}` },
  },
  interface: { name: `esp-${kind.name}`, routes: [netOf(kind)] },
});

const configuration = {
  log: { level: "debug", format: "text" },
  connections: {
    injected: {
      local: { address: OUTER[4].a },
      remote: { address: OUTER[4].b },
      children: Object.fromEntries(KINDS.map((kind) => [kind.name, childOf(kind)])),
    },
  },
};

const lab = testBed(["build", "namespaces", "tun", "scapy"], async (bed) => {
  const sites = new Sites();
  bed.defer(() => sites.remove());
  return { sites, scapy: new Scapy(bed), gateway: await Espalier.start(bed, sites.gatewayA, configuration) };
});

const saOf = async (gateway: Espalier, { name }: Kind): Promise<ChildSaReport> => {
  const { connections } = await gateway.status();
  const found = connections.flatMap(({ childSas }) => childSas).find((sa) => sa.name === name);
  if (found === undefined) throw new Error(`no SA of ${name}`);
  return found;
};

const judged = ({ packetsIn, dropsIn }: ChildSaReport): number =>
  Object.values(dropsIn).reduce((sum, count) => sum + count, packetsIn);

/** Send them one after the other; the counters, when all have been judged. */
const inject = async (kind: Kind, packets: readonly Uint8Array[]): Promise<ChildSaReport> => {
  const { sites, gateway } = lab();
  const before = judged(await saOf(gateway, kind));
  const command = ["/usr/bin/python3", join(import.meta.dirname, "support/raw-esp.py"), OUTER[4].b, OUTER[4].a];
  await sites.gatewayB.runAsync(command, { input: `${packets.map(hex).join("\n")}\n` });
  return until("all have been judged", async () => {
    const sa = await saOf(gateway, kind);
    return judged(sa) === before + packets.length ? sa : undefined;
  });
};

const sealed = (kind: Kind, sequence: number): Promise<Uint8Array> => {
  const { suite, esn } = kind;
  const sa: ScapySa = { suite, spi: spiIn(kind), key: keyOf(kind), esn, outer: 4 };
  const source = netOf(kind).replace("0/24", "7");
  // An answer to no question: host A has nothing to say to it.
  const inner = ipPacket({ version: 4, protocol: 1, sourcePort: 0, source, destination: INNER[4].hostA });
  return lab().scapy.seal(sa, sequence, inner);
};

test.each(KINDS.filter(({ window }) => window > 0))(
  "$name: window minus 1 late is taken once, window and window plus 1 late are not, nor is what came before",
  async (kind) => {
    const { window, top } = kind;
    const newest = await sealed(kind, top);
    const [inside, edge, beyond] = await Promise.all(
      [window - 1, window, window + 1].map((late) => sealed(kind, top - late)),
    );
    const next = await sealed(kind, top + 1);
    const ahead = await sealed(kind, top + 1000);
    const forged = ahead.with(ahead.length - 1, ahead.at(-1)! ^ 1);
    const order = [newest, inside!, inside!, edge!, beyond!, newest, forged, next, next];
    // A number left of a window that crosses 2^32 is taken for one 2^32 later, which its ICV denies (RFC 4303 Appendix A2.2).
    const dropsIn = kind.esn ? { replay: 3, "integ-error": 3 } : { replay: 5, "integ-error": 1 };
    expect(await inject(kind, order)).toMatchObject({ packetsIn: 3, dropsIn });
  },
);

test("without a window all are taken, late and twice, but a forged one", async () => {
  const kind = KINDS.find(({ name }) => name === "off")!;
  const [newest, late, oldest] = await Promise.all([kind.top, kind.top - 64, 1].map((n) => sealed(kind, n)));
  const forged = newest!.with(20, newest![20]! ^ 1);
  expect(await inject(kind, [newest!, late!, late!, oldest!, forged, newest!])).toMatchObject({
    packetsIn: 5,
    dropsIn: { "integ-error": 1 },
  });
});

test("what comes in another order than it was sent is dropped by a small window and not by a large one", async () => {
  // Every hundredth packet takes a way that is 80 packets longer.
  const order = Array.from({ length: 250 }, (_, i) => i)
    .map((i) => ({ i, at: i % 100 === 50 ? i + 80.5 : i }))
    .sort((a, b) => a.at - b.at)
    .map(({ i }) => i);
  const [small, large] = ["w64", "w1024"].map((name) => KINDS.find((kind) => kind.name === name)!) as [Kind, Kind];
  const came = async (kind: Kind) => {
    const before = await saOf(lab().gateway, kind);
    const packets = await Promise.all(order.map((i) => sealed(kind, kind.top + 2000 + i)));
    const after = await inject(kind, packets);
    return [after.packetsIn - before.packetsIn, (after.dropsIn["replay"] ?? 0) - (before.dropsIn["replay"] ?? 0)];
  };
  expect(await came(small)).toEqual([248, 2]);
  expect(await came(large)).toEqual([250, 0]);
});
