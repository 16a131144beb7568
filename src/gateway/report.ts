/** What the gateway says of itself: IKE's view and the data plane's counters, joined by inbound SPI. */
import {
  type ConnectionReport,
  type EngineReport,
  espSpiText,
  type GatewayStatus,
  type WorkerReport,
} from "../control/status.ts";
import type { EngineChoice } from "../crypto/select-engine.ts";
import type { Plane } from "../dataplane/plane.ts";
import type { IkeManager } from "../ike/manager.ts";
import type { ConnectionStatus } from "../ike/status.ts";
import type { Clock } from "./clock.ts";
import { type ManualPair, manualStatus } from "./manual-sas.ts";
import type { Tunnels } from "./tunnels.ts";

export interface ReportSources {
  readonly clock: Clock;
  readonly manager: IkeManager;
  readonly plane: Plane;
  readonly tunnels: Tunnels;
  /** Pairs that no IKE has made. */
  readonly manual: readonly ManualPair[];
  readonly about: Pick<GatewayStatus, "version" | "engine">;
  readonly startedAt: number;
}

export const reportEngines = ({ plan, drivers, basis, refused }: EngineChoice): EngineReport => ({
  name: drivers.map(({ name }) => name).join(", "),
  description: drivers.map((driver) => driver.describe()).join("; "),
  basis,
  suites: plan,
  refused,
});

export const reportStatus = (sources: ReportSources): GatewayStatus => {
  const { clock, manager, manual, plane, about, startedAt } = sources;
  const now = clock.now();
  const totals = plane.totals();
  return {
    version: about.version,
    pid: process.pid,
    startedAt: clock.iso(startedAt),
    uptime: Math.floor((now - startedAt) / 1000),
    engine: about.engine,
    connections: [...manager.status(now), ...manualStatus(manual)].map((connection) =>
      reportConnection(connection, sources),
    ),
    interfaces: sources.tunnels.shared.map(({ name, mtu, policies, id }) => ({
      name,
      mtu,
      policies,
      drops: plane.tunnelCounters(id).out.drops,
    })),
    workers: plane.workerStats().map(reportWorker),
    in: totals.in,
    out: totals.out,
    drops: addCounts(totals.in.drops, totals.out.drops),
    ikeDrops: { ...manager.counters },
  };
};

const reportConnection = (connection: ConnectionStatus, sources: ReportSources): ConnectionReport => {
  const { clock, plane, tunnels } = sources;
  const { ikeSa } = connection;
  return {
    name: connection.name,
    state: connection.state,
    remote: connection.remote,
    lastError: connection.lastError ?? null,
    ikeSa:
      ikeSa === undefined
        ? null
        : {
            spiI: ikeSa.spiI,
            spiR: ikeSa.spiR,
            role: ikeSa.role,
            proposal: ikeSa.proposal,
            establishedAt: clock.iso(ikeSa.establishedAt),
            rekeyAt: clock.iso(ikeSa.rekeyAt),
            natDetected: ikeSa.natDetected,
            fragmentation: ikeSa.fragmentation,
          },
    childSas: connection.childSas.map((child) => {
      const counters = plane.counters(child.spiIn);
      const traffic = plane.pairTraffic(child.spiIn);
      const tunnel = tunnels.of(connection.name, child.name);
      return {
        name: child.name,
        resource: child.resource,
        state: child.state,
        spiIn: espSpiText(child.spiIn),
        spiOut: espSpiText(child.spiOut),
        suite: child.suite,
        esn: child.esn,
        encap: child.encap,
        mode: child.mode,
        worker: plane.workerOf(child.spiIn),
        interface: tunnel.name,
        mtu: tunnel.mtu,
        local: child.local,
        remote: child.remote,
        packetsIn: counters?.packetsIn ?? 0,
        packetsOut: counters?.packetsOut ?? 0,
        bytesIn: counters?.bytesIn ?? 0,
        bytesOut: counters?.bytesOut ?? 0,
        drops: counters?.drops ?? {},
        dropsIn: traffic?.in.drops ?? {},
        dropsOut: traffic?.out.drops ?? {},
        rekeyAt: child.rekeyAt === undefined ? null : clock.iso(child.rekeyAt),
      };
    }),
    children: tunnels.childrenOf(connection.name).map(({ name, place: { id, tunnel } }) => ({
      name,
      interface: tunnel.name,
      ...plane.tunnelCounters(id),
    })),
  };
};

const reportWorker = ({
  worker,
  batches,
  packets,
  in: received,
  out: sent,
  polls,
  cpuTime,
  replaced,
  overruns,
  ioUringRefused,
}: ReturnType<Plane["workerStats"]>[number]): WorkerReport => ({
  worker,
  batches,
  packets,
  in: received,
  out: sent,
  polls,
  cpuTime: cpuTime ?? 0,
  replaced,
  overruns,
  ioUringRefused: ioUringRefused ?? null,
});

type Counts = Readonly<Record<string, number>>;

const addCounts = (a: Counts, b: Counts): Counts => {
  const sum: Record<string, number> = { ...a };
  for (const [reason, count] of Object.entries(b)) sum[reason] = (sum[reason] ?? 0) + count;
  return sum;
};
