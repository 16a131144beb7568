/**
 * Files through two of our own gateways: 1, 4 and 32 TCP streams at once, IPv4 and IPv6 inside, outer MTUs from 1280 to
 * 9000, raw ESP and UDP, one worker and several, and replay windows of 32 packets (RFC 4303 §3.4.3), so that a reordered
 * packet would not go unseen. The links lose nothing and keep the order, as the first test here shows of them alone: so no
 * packet may be dropped, and no segment late or sent twice because of us.
 *
 * TCP fills whatever waits for the slowest on the way, and a queue that holds less than is in flight is overrun: that is how
 * it finds its rate, with or without us. So all streams together have as much in flight as a gateway's socket and a link hold.
 *
 * IPv6 inside needs 1280 octets whatever the path takes: so there are cases, too, whose ESP packets travel in fragments.
 *
 * In the run of all tests little is sent each time; `npm run prove:files` sends 1 GB (PROVE_FILES_MB is the megabytes).
 */
import { describe, expect, test } from "vitest";
import type { Counters } from "../../src/control/status.ts";
import { configuration, INTERFACE, PEER, type Wishes } from "./support/configurations.ts";
import { Espalier } from "./support/espalier.ts";
import { accountOf, networkCounts, sendStreams, since, tcpCounts } from "./support/file-streams.ts";
import { INNER, type Namespace, OUTER, Sites } from "./support/namespaces.ts";
import { until } from "./support/run.ts";
import { type TestBed, testBed } from "./support/test-bed.ts";
import { makeFile } from "./support/traffic.ts";

const NEEDS = ["build", "namespaces", "tun", "nstat"] as const;

const { PROVE_FILES_MB } = process.env;
const OCTETS = PROVE_FILES_MB === undefined ? 3_200_000 : Number(PROVE_FILES_MB) * 1_000_000;
const PATIENCE = 60_000 + OCTETS / 10_000; // ms; at 10 MB/s
const STREAMS = [1, 4, 32] as const;
const WINDOW = 32;
/** Octets in flight of all streams: a gateway's socket buffer holds 14 MB, and a packet there weighs up to twice its length. */
const IN_FLIGHT = 6_000_000;
/** Packets of raw ESP in flight: a link holds 1000 (net.core.netdev_max_backlog), acknowledgments among them. */
const PACKETS_IN_FLIGHT = 600;

interface Way {
  readonly outer: 4 | 6;
  readonly wanMtu: number;
  /** Of the hosts' links: what fits the tunnel, or least for IPv6, so that nobody has to find out. */
  readonly lanMtu: number;
  readonly encap: "auto" | "force";
  readonly workers: number;
}

const WAYS: readonly Way[] = [
  { outer: 4, wanMtu: 1280, lanMtu: 1280, encap: "auto", workers: 1 },
  { outer: 4, wanMtu: 1400, lanMtu: 1300, encap: "force", workers: 2 },
  { outer: 6, wanMtu: 1500, lanMtu: 1400, encap: "auto", workers: 4 },
  { outer: 4, wanMtu: 1500, lanMtu: 1400, encap: "force", workers: 1 },
  { outer: 4, wanMtu: 9000, lanMtu: 8900, encap: "auto", workers: 2 },
  { outer: 6, wanMtu: 9000, lanMtu: 8900, encap: "force", workers: 4 },
];

/**
 * IPv6 needs 1280 octets inside (RFC 8200 §5), so the tunnel's MTU is no less where the path takes 1280 outside. TCP has
 * smaller segments there, as its MSS is clamped; here it is not, and every full segment is an ESP packet in two fragments.
 */
const FRAGMENTED: readonly Way[] = [
  { outer: 4, wanMtu: 1280, lanMtu: 1280, encap: "auto", workers: 1 },
  { outer: 6, wanMtu: 1280, lanMtu: 1280, encap: "force", workers: 2 },
];

const title = ({ outer, wanMtu, encap, workers }: Way): string =>
  `IPv${outer} outside, MTU ${wanMtu}, ${encap === "auto" ? "raw ESP" : "UDP"}, ${workers} worker${workers === 1 ? "" : "s"}`;

interface Lab {
  readonly bed: TestBed;
  readonly sites: Sites;
  readonly a: Espalier;
  readonly b: Espalier;
  readonly file: string;
}

const startBoth = async (bed: TestBed, sites: Sites, wishes: Wishes): Promise<readonly [Espalier, Espalier]> => {
  const b = await Espalier.start(bed, sites.gatewayB, configuration({ side: "b", ...wishes }));
  const a = await Espalier.start(bed, sites.gatewayA, configuration({ side: "a", start: "initiate", ...wishes }));
  // By default each worker gets a pair of SAs (RFC 9611): all of them are to be there. Until the peer is known to have a pair
  // its flows leave on another, and stay there.
  await until("a pair of SAs for each worker at both ends", async () => {
    for (const gateway of [a, b])
      if ((await gateway.connection(PEER))?.childSas.length !== (wishes.workers ?? 1)) return undefined;
    return true;
  });
  return [a, b];
};

/** Packets that a gateway dropped, by reason; and what its sockets had no room for. */
const dropsOf = async (gateway: Espalier): Promise<Counters> => {
  const { connections, drops, workers } = await gateway.status();
  const overruns = workers.reduce((count, worker) => count + worker.overruns, 0);
  const all = [drops, ...connections.flatMap(({ childSas }) => childSas.map((child) => child.drops))];
  const sum: Record<string, number> = { overruns };
  for (const counters of all)
    for (const [reason, count] of Object.entries(counters)) if (count > 0) sum[reason] = (sum[reason] ?? 0) + count;
  return sum;
};

/** Packets that the kernel dropped at the tunnel's interface: there the gateway was too slow, or not there. */
const kernelDropsOf = (gateway: Namespace): number => {
  const [link] = JSON.parse(gateway.run(["ip", "-j", "-s", "link", "show", INTERFACE]).stdout) as {
    stats64: Record<"rx" | "tx", { dropped: number; errors: number }>;
  }[];
  return [link!.stats64.rx, link!.stats64.tx].reduce((sum, { dropped, errors }) => sum + dropped + errors, 0);
};

/**
 * Each of so many streams gets its share of what may be in flight: by what its sender may hold unacknowledged. The receiver's
 * window would not do: its TCP reckons from the packets seen how many octets its memory holds, and where those that follow
 * weigh more, it throws some of them away (TCPRcvQDrop). So it has memory for four times as much.
 */
const limitInFlight = ({ hostA, hostB }: Sites, streams: number, octets = IN_FLIGHT): void => {
  const most = Math.floor(octets / streams);
  hostA.run(["sh", "-c", `echo 4096 16384 ${most} >/proc/sys/net/ipv4/tcp_wmem`]);
  hostB.run(["sh", "-c", `echo 4096 131072 ${4 * most} >/proc/sys/net/ipv4/tcp_rmem`]);
};

/** What drops and TCP's own counts are now. */
const look = async ({ sites, a, b }: Lab) => ({
  drops: [await dropsOf(a), await dropsOf(b), kernelDropsOf(sites.gatewayA), kernelDropsOf(sites.gatewayB)],
  sender: tcpCounts(sites.hostA),
  receiver: tcpCounts(sites.hostB),
  hosts: [networkCounts(sites.hostA), networkCounts(sites.hostB)] as const,
});

/** Send the file; nothing may be dropped, late or sent again because it was lost. */
const carry = async (lab: Lab, family: 4 | 6, streams: number, octetsInFlight: number): Promise<void> => {
  const { bed, sites, file } = lab;
  const before = await look(lab);
  limitInFlight(sites, streams, octetsInFlight);
  const flows = { file, octets: OCTETS, streams, from: sites.hostA, to: sites.hostB };
  const { sent, received } = await sendStreams(bed, { ...flows, address: INNER[family].hostB });
  expect(sent).toHaveLength(streams);
  expect(received).toEqual(sent);
  const after = await look(lab);
  const [atSender, atReceiver] = after.hosts.map((now, host) => accountOf(before.hosts[host]!, now));
  const account = `\nsender: ${atSender}\nreceiver: ${atReceiver}`;
  expect.soft(after.drops, "no packet is dropped, as replayed or otherwise").toEqual(before.drops);
  const { outOfOrder } = since(before.receiver, after.receiver);
  expect.soft(outOfOrder, `segments that came before an earlier one${account}`).toBe(0);
  // The kernel probes the tail of a stream whose receiver had to wait for its processor (RFC 8985 §7). Such a segment
  // was not lost: it comes twice, and the receiver says so. One that we lose comes once, or leaves a gap.
  const twice = since(before.receiver, after.receiver).duplicates;
  const again = since(before.sender, after.sender).retransmitted - twice;
  expect(again, `segments sent again that were lost${account}`).toBe(0);
};

const inFlight = ({ encap, lanMtu }: Way): number =>
  encap === "force" ? IN_FLIGHT : Math.min(IN_FLIGHT, PACKETS_IN_FLIGHT * lanMtu);

describe("the links alone, forwarding", () => {
  const lab = testBed(NEEDS, (bed) => {
    const sites = new Sites();
    bed.defer(() => sites.remove());
    sites.internet.run(["ip", "route", "add", INNER[4].netA, "via", OUTER[4].a]);
    sites.internet.run(["ip", "route", "add", INNER[4].netB, "via", OUTER[4].b]);
    return { sites, ...makeFile(bed.directory, OCTETS) };
  });

  test.each(STREAMS)(
    "%i at once lose nothing, and nothing comes before an earlier segment",
    async (streams) => {
      const { bed, sites, file } = lab();
      const { hostA, hostB } = sites;
      const before = tcpCounts(hostB);
      limitInFlight(sites, streams);
      const flows = { file, octets: OCTETS, streams, from: hostA, to: hostB };
      const { sent, received } = await sendStreams(bed, { ...flows, address: INNER[4].hostB });
      expect(received).toEqual(sent);
      expect(since(before, tcpCounts(hostB)).outOfOrder).toBe(0);
    },
    PATIENCE,
  );
});

describe.each(WAYS.map((way) => [title(way), way] as const))("%s", (_, way) => {
  const lab = testBed(NEEDS, async (bed) => {
    const { outer, wanMtu, lanMtu, encap, workers } = way;
    const sites = new Sites({ lanMtu, wanMtu });
    bed.defer(() => sites.remove());
    const [a, b] = await startBoth(bed, sites, { outer, encap, workers, replayWindow: WINDOW, esn: "yes" });
    return { sites, a, b, ...makeFile(bed.directory, OCTETS) };
  });

  const cases = ([4, 6] as const).flatMap((family) => STREAMS.map((streams) => ({ family, streams })));

  test.each(cases)(
    "IPv$family inside, $streams at once",
    ({ family, streams }) => carry(lab(), family, streams, inFlight(way)),
    PATIENCE,
  );

  test("the pair of SAs of each worker has carried some of it", async () => {
    const { a, b } = lab();
    for (const gateway of [a, b]) {
      const childSas = (await gateway.connection(PEER))?.childSas ?? [];
      const owners = childSas.map(({ worker }) => worker).sort();
      expect(owners).toEqual(Array.from({ length: way.workers }, (_, worker) => worker));
      for (const { packetsIn, packetsOut } of childSas) {
        expect(packetsIn).toBeGreaterThan(0);
        expect(packetsOut).toBeGreaterThan(0);
      }
      expect((await gateway.status()).workers.map(({ replaced }) => replaced)).toEqual(owners.map(() => 0));
    }
  });
});

describe.each(FRAGMENTED.map((way) => [title(way), way] as const))("%s, ESP in fragments", (_, way) => {
  const lab = testBed(NEEDS, async (bed) => {
    const { outer, wanMtu, lanMtu, encap, workers } = way;
    const sites = new Sites({ lanMtu, wanMtu, fragments: true });
    bed.defer(() => sites.remove());
    const [a, b] = await startBoth(bed, sites, { outer, encap, workers, replayWindow: WINDOW, esn: "yes", mss: "off" });
    return { sites, a, b, ...makeFile(bed.directory, OCTETS) };
  });

  test.each([1, 4])(
    "IPv6 inside, %i at once: its full segments are put together again at the other end",
    async (streams) => {
      const { sites } = lab();
      const protocol = way.outer === 4 ? "Ip" : "Ip6";
      const counts = () => {
        const [from, to] = [networkCounts(sites.gatewayA), networkCounts(sites.gatewayB)];
        return [from.get(`${protocol}FragOKs`)!, to.get(`${protocol}ReasmOKs`)!, to.get(`${protocol}ReasmFails`)!];
      };
      const before = counts();
      await carry(lab(), 6, streams, (PACKETS_IN_FLIGHT / 2) * way.lanMtu);
      const [cut, joined, failed] = counts().map((count, i) => count - before[i]!);
      expect(cut).toBeGreaterThan(OCTETS / way.lanMtu);
      expect([joined, failed]).toEqual([cut, 0]);
    },
    PATIENCE,
  );
});
