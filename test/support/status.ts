/** A gateway's status to show and to send: two connections up, one that fails. */
import type { ChildSaReport, GatewayStatus } from "../../src/control/status.ts";

export const childOf = (change: Partial<ChildSaReport> = {}): ChildSaReport => ({
  name: "net",
  state: "installed",
  spiIn: "c0ffee01",
  spiOut: "0badcafe",
  suite: "aes256gcm16",
  esn: true,
  encap: false,
  worker: 0,
  interface: "esp0",
  mtu: 1446,
  local: ["0.0.0.0/0", "::/0"],
  remote: ["0.0.0.0/0", "::/0"],
  packetsIn: 12_345,
  packetsOut: 2_345_678,
  bytesIn: 15_432_100,
  bytesOut: 3_210_987_654,
  drops: {},
  rekeyAt: "2026-01-02T04:01:00.000Z",
  ...change,
});

export const statusOf = (change: Partial<GatewayStatus> = {}): GatewayStatus => ({
  version: "0.1.0",
  pid: 4242,
  startedAt: "2026-01-02T01:00:00.000Z",
  uptime: 7384,
  engine: { name: "ipsec-mb", description: "libIPSec_MB 1.3.0", refused: [{ name: "noble", reason: "slower" }] },
  connections: [
    {
      name: "branch",
      state: "up",
      remote: "192.0.2.2:500",
      lastError: null,
      ikeSa: {
        spiI: "0102030405060708",
        spiR: "1112131415161718",
        role: "initiator",
        proposal: "aes256gcm16-prfsha384-ecp384",
        establishedAt: "2026-01-02T01:00:01.000Z",
        rekeyAt: "2026-01-03T00:30:00.000Z",
        natDetected: false,
      },
      childSas: [
        childOf(),
        childOf({
          name: "voice",
          state: "rekeying",
          interface: "esp1",
          suite: "aes128-sha256",
          esn: false,
          drops: { replayed: 3, "bad-icv": 1200 },
        }),
      ],
    },
    {
      name: "roaming",
      state: "up",
      remote: "[2001:db8::77]:4500",
      lastError: null,
      ikeSa: {
        spiI: "2122232425262728",
        spiR: "3132333435363738",
        role: "responder",
        proposal: "aes256-sha256-modp2048",
        establishedAt: "2026-01-02T02:00:01.000Z",
        rekeyAt: "2026-01-03T01:30:00.000Z",
        natDetected: true,
      },
      childSas: [
        childOf({
          encap: true,
          suite: "chacha20poly1305",
          bytesIn: 0,
          bytesOut: 999,
          rekeyAt: "2026-01-02T03:03:00.000Z",
        }),
      ],
    },
    {
      name: "paris",
      state: "connecting",
      remote: "198.51.100.7:500",
      lastError: "AUTHENTICATION_FAILED: the peer\u001b[2J did not take our key",
      ikeSa: null,
      childSas: [],
    },
  ],
  workers: [
    { worker: 0, batches: 81_000, packets: 2_358_023, polls: 91_000, cpuTime: 62_500, replaced: 1 },
    { worker: 1, batches: 0, packets: 0, polls: 1, cpuTime: 3, replaced: 0 },
  ],
  drops: { "no-sa": 17 },
  ikeDrops: { malformed: 0 },
  ...change,
});
