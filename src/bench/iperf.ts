/** iperf3 between the sites, and what came of it. */
import { z } from "zod";
import { EspalierError } from "../errors.ts";
import type { Processes } from "./processes.ts";
import { INNER, type Sites } from "./sites.ts";

export interface Traffic {
  readonly streams: number;
  /** Octets of UDP payload; undefined: TCP. */
  readonly udp: number | undefined;
  /** Datagrams a second, all streams; undefined: as many as the sender can. */
  readonly rate: number | undefined;
  readonly seconds: number;
}

export interface Carried {
  /** That iperf3 measured. */
  readonly seconds: number;
  /** Octets of payload that the receiver got. */
  readonly bytes: number;
  /** UDP: datagrams that the receiver got. TCP: its octets in segments of the greatest size. */
  readonly packets: number;
  /** UDP datagrams that the sender sent. */
  readonly offered: number | null;
  /** Of UDP datagrams. */
  readonly lossPercent: number | null;
  /** Of TCP segments. */
  readonly retransmits: number | null;
}

const sum = z.object({ seconds: z.number().positive(), bytes: z.number() });
const tcpReport = z.object({
  start: z.object({ tcp_mss_default: z.number().positive() }),
  end: z.object({ sum_sent: sum.extend({ retransmits: z.number() }), sum_received: sum }),
});
const udpReport = z.object({ end: z.object({ sum }) });

const GRACE = 15; // seconds beyond the test

export const moveTraffic = async (processes: Processes, sites: Sites, traffic: Traffic): Promise<Carried> => {
  const { streams, udp, rate, seconds } = traffic;
  const server = processes.start(sites.inside("host-b", ["iperf3", "-s", "-1", "--forceflush"]));
  try {
    await processes.until("iperf3 listens", () => {
      if (!server.isRunning) throw new EspalierError("ESPALIER_PLATFORM", `iperf3 ended: ${server.account}`);
      return server.out.includes("listening") ? true : undefined;
    });
    const bits = rate === undefined || udp === undefined ? 0 : Math.round((rate * udp * 8) / streams);
    const kind = udp === undefined ? [] : ["-u", "-l", `${udp}`, "-b", `${bits}`];
    const client = ["iperf3", "-c", INNER.b, "-J", "-t", `${seconds}`, "-P", `${streams}`, ...kind];
    const before = await datagrams(processes, sites);
    const text = await processes.run(sites.inside("host-a", client), (seconds + GRACE) * 1000);
    await Promise.race([server.ended, new Promise((resolve) => setTimeout(resolve, 2000))]);
    const after = await datagrams(processes, sites);
    return udp === undefined ? tcp(text) : udpCarried(text, udp, after.sent - before.sent, after.got - before.got);
  } finally {
    await server.end();
  }
};

const tcp = (text: string): Carried => {
  const { start, end } = understood(tcpReport, text);
  const { seconds, bytes } = end.sum_received;
  const packets = bytes / start.tcp_mss_default;
  return { seconds, bytes, packets, offered: null, lossPercent: null, retransmits: end.sum_sent.retransmits };
};

/** The kernels at both ends count datagrams; iperf3 does not see those lost at the end. */
const udpCarried = (text: string, size: number, sent: number, got: number): Carried => {
  const { seconds } = understood(udpReport, text).end.sum;
  const lossPercent = sent === 0 ? 0 : Math.max(0, (1 - got / sent) * 100);
  return { seconds, bytes: got * size, packets: got, offered: sent, lossPercent, retransmits: null };
};

const understood = <T>(report: z.ZodType<T>, text: string): T => {
  const parsed = report.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  throw new EspalierError("ESPALIER_PLATFORM", `this iperf3 reports in another way: ${z.prettifyError(parsed.error)}`, {
    remedy: "iperf3 3.9 to 3.18 are known to work.",
  });
};

/** Datagrams that host A has sent and host B's programs have received since they were made. */
const datagrams = async (processes: Processes, sites: Sites): Promise<{ sent: number; got: number }> => {
  const column = async (role: "host-a" | "host-b", name: string): Promise<number> => {
    const text = await processes.run(sites.inside(role, ["cat", "/proc/net/snmp"]));
    const [names, values] = text.split("\n").filter((line) => line.startsWith("Udp: "));
    return Number(values?.split(" ")[names?.split(" ").indexOf(name) ?? -1]);
  };
  return { sent: await column("host-a", "OutDatagrams"), got: await column("host-b", "InDatagrams") };
};
