/** Two planes in this thread that speak ESP over loopback, each with TUN queues in memory: a site-to-site tunnel in a test. */
import { afterEach } from "vitest";
import type { EngineName } from "../../src/crypto/engine.ts";
import { type Suite, suiteByName } from "../../src/crypto/suites.ts";
import { type ChildSa, type EspPath, Plane } from "../../src/dataplane/plane.ts";
import { anySelectors, type TrafficSelector } from "../../src/ipsec/selector.ts";
import * as libc from "../../src/linux/libc.ts";
import { openRawEsp } from "../../src/linux/raw-esp.ts";
import { closeUdpGroup, openUdpGroup, type UdpGroup } from "../../src/linux/udp.ts";
import { MemoryTun } from "./memory-tun.ts";

export interface SiteOptions {
  /** Default node. */
  readonly engine?: EngineName;
  readonly workers?: number;
  readonly slots?: number;
  readonly raw?: boolean;
  readonly policyOctets?: number;
  readonly batch?: number;
  /** Of as many workers. */
  readonly plane?: Plane;
}

export interface MemoryTunnel {
  readonly id: number;
  /** Its queues, and the first of them. */
  readonly tun: MemoryTun;
  readonly tuns: readonly MemoryTun[];
}

export class MemorySite {
  readonly address: string;
  readonly plane: Plane;
  readonly udp: UdpGroup;
  readonly #raw: readonly number[];
  readonly #tuns: MemoryTun[] = [];
  static readonly #running = new Set<MemorySite>();

  private constructor(address: string, plane: Plane, udp: UdpGroup, raw: readonly number[]) {
    this.address = address;
    this.plane = plane;
    this.udp = udp;
    this.#raw = raw;
  }

  /** Without a `plane` one whose workers run in this thread. `raw` needs CAP_NET_RAW. */
  static async start(address: string, options: SiteOptions = {}): Promise<MemorySite> {
    const { workers = 1, slots = 64, raw = false, policyOctets, batch } = options;
    const plane =
      options.plane ??
      (await Plane.start({
        workers,
        slots,
        engine: options.engine ?? "node",
        inThread: true,
        ...(policyOctets === undefined ? {} : { policyOctets }),
        ...(batch === undefined ? {} : { batch }),
      }));
    const steering = { workers, slotBits: plane.slotBits };
    const udp = openUdpGroup({ address, port: 0, ...steering });
    const rawFds = raw
      ? Array.from({ length: workers }, (_, worker) => openRawEsp({ address, worker, ...steering }))
      : [];
    plane.addSockets({ address, udp: udp.workers, raw: rawFds });
    const site = new MemorySite(address, plane, udp, rawFds);
    MemorySite.#running.add(site);
    return site;
  }

  /** All that were started. After each test it is done by itself. */
  static async stopAll(): Promise<void> {
    for (const site of MemorySite.#running) await site.stop();
  }

  addTunnel(worker?: number, { vnetHdr = false, queues = 1, hasChildren = false } = {}): MemoryTunnel {
    const tuns = Array.from({ length: queues }, () => new MemoryTun());
    this.#tuns.push(...tuns);
    const tunFds = tuns.map(({ planeFd }) => planeFd);
    const id = this.plane.addTunnel({ tunFds, vnetHdr, hasChildren, ...(worker === undefined ? {} : { worker }) });
    return { id, tun: tuns[0]!, tuns };
  }

  async stop(): Promise<void> {
    if (!MemorySite.#running.delete(this)) return;
    await this.plane.stop();
    closeUdpGroup(this.udp);
    for (const fd of this.#raw) libc.close(fd);
    for (const tun of this.#tuns) tun.close();
  }
}

afterEach(() => MemorySite.stopAll());

export interface PairOptions {
  readonly suite?: Suite;
  readonly esn?: boolean;
  /** Packets; default 1024, 0 for none. */
  readonly window?: number;
  readonly encap?: boolean;
  readonly mode?: "tunnel" | "transport";
  /** RFC 9611: which of the tunnel's pairs; default 0. */
  readonly resource?: number;
  /** As the first site sees them. */
  readonly local?: readonly TrafficSelector[];
  readonly remote?: readonly TrafficSelector[];
  /** What the second site takes for its own and for the other's, where it is not the same. */
  readonly atB?: { readonly local: readonly TrafficSelector[]; readonly remote: readonly TrafficSelector[] };
  /** Sequence numbers that both ways have used up; default 0. */
  readonly sequence?: number;
}

const keyOf = (length: number, first: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 3 + first);

/** Install a Child SA between tunnel `a` of one site and tunnel `b` of the other, as IKE would. Not yet in use. */
export const installPair = (
  [siteA, a]: readonly [MemorySite, number],
  [siteB, b]: readonly [MemorySite, number],
  options: PairOptions = {},
): { readonly spiA: number; readonly spiB: number } => {
  const suite = options.suite ?? suiteByName("aes256gcm16")!;
  const spiA = siteA.plane.reserveSpi(a, options.resource);
  const spiB = siteB.plane.reserveSpi(b, options.resource);
  const aToB = keyOf(suite.keyLength, 11);
  const bToA = keyOf(suite.keyLength, 77);
  const local = options.local ?? anySelectors;
  const remote = options.remote ?? anySelectors;
  const path = (from: MemorySite, to: MemorySite): EspPath => ({
    local: { address: from.address, port: from.udp.port },
    remote: { address: to.address, port: to.udp.port },
  });
  const { esn = false, encap = true, mode = "tunnel", window = 1024, sequence = 0 } = options;
  const common = { suite, esn, encap, mode, replayWindow: window, sequence: { in: sequence, out: sequence } };
  const atA: ChildSa = {
    ...common,
    spiIn: spiA,
    spiOut: spiB,
    keyIn: bToA,
    keyOut: aToB,
    local,
    remote,
    path: path(siteA, siteB),
  };
  const atB: ChildSa = {
    ...common,
    spiIn: spiB,
    spiOut: spiA,
    keyIn: aToB,
    keyOut: bToA,
    local: options.atB?.local ?? remote,
    remote: options.atB?.remote ?? local,
    path: path(siteB, siteA),
  };
  siteA.plane.install(a, atA);
  siteB.plane.install(b, atB);
  return { spiA, spiB };
};

/** Let all workers of all sites run until none has anything to do. */
export const settle = (...sites: readonly MemorySite[]): void => {
  let idle = 0;
  while (idle < 3) idle = sites.some(({ plane }) => plane.step() > 0) ? 0 : idle + 1;
};
