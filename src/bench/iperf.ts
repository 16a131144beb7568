/** TCP between the sites, by iperf3, and what came of it. */
import { z } from "zod";
import { EspalierError } from "../errors.ts";
import type { Carried } from "./carried.ts";
import type { Processes } from "./processes.ts";
import { INNER, type Sites } from "./sites.ts";

const sum = z.object({ seconds: z.number().positive(), bytes: z.number() });
const tcpReport = z.object({
  start: z.object({ tcp_mss_default: z.number().positive() }),
  intervals: z.array(z.object({ sum: z.object({ seconds: z.number(), bits_per_second: z.number() }) })),
  end: z.object({ sum_sent: sum.extend({ retransmits: z.number() }), sum_received: sum }),
});

const GRACE = 15; // seconds beyond the test

export interface StreamLoad {
  readonly streams: number;
  readonly seconds: number;
}

export const moveStreams = async (
  processes: Processes,
  sites: Sites,
  { streams, seconds }: StreamLoad,
): Promise<Carried> => {
  const server = processes.start(sites.inside("host-b", ["iperf3", "-s", "-1", "--forceflush"]));
  try {
    await processes.until("iperf3 listens", () => {
      if (!server.isRunning) throw new EspalierError("ESPALIER_PLATFORM", `iperf3 ended: ${server.account}`);
      return server.out.includes("listening") ? true : undefined;
    });
    const client = ["iperf3", "-c", INNER.b, "-J", "-t", `${seconds}`, "-P", `${streams}`];
    const before = await lateSegments(processes, sites);
    const text = await processes.run(sites.inside("host-a", client), (seconds + GRACE) * 1000);
    const after = await lateSegments(processes, sites);
    await Promise.race([server.ended, new Promise((resolve) => setTimeout(resolve, 2000))]);
    return { ...tcp(text), outOfOrder: before === undefined || after === undefined ? null : after - before };
  } finally {
    await server.end();
  }
};

/** TCP segments that host B has queued because one before them was missing, since it was made. */
const lateSegments = async (processes: Processes, sites: Sites): Promise<number | undefined> => {
  const text = await processes.run(sites.inside("host-b", ["cat", "/proc/net/netstat"]));
  const [names, values] = text.split("\n").filter((line) => line.startsWith("TcpExt: "));
  const value = Number(values?.split(" ")[names?.split(" ").indexOf("TCPOFOQueue") ?? -1]);
  return Number.isNaN(value) ? undefined : value;
};

const WHOLE = 0.5; // s: a shorter interval is the rest at the end

const tcp = (text: string): Carried => {
  const { start, end, intervals } = understood(tcpReport, text);
  const { seconds, bytes } = end.sum_received;
  const packets = bytes / start.tcp_mss_default;
  const samples = intervals.flatMap(({ sum }) => (sum.seconds < WHOLE ? [] : [sum.bits_per_second / 1e9]));
  const { retransmits } = end.sum_sent;
  return { seconds, bytes, packets, offered: null, lossPercent: null, retransmits, outOfOrder: null, samples };
};

const understood = <T>(report: z.ZodType<T>, text: string): T => {
  const parsed = report.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  throw new EspalierError("ESPALIER_PLATFORM", `this iperf3 reports in another way: ${z.prettifyError(parsed.error)}`, {
    remedy: "iperf3 3.9 to 3.18 are known to work.",
  });
};
