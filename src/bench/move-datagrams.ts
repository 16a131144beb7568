/** UDP between the sites (`datagrams.ts`), and what came of it by the counters of the kernels at both ends. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { EspalierError } from "../errors.ts";
import type { Carried } from "./carried.ts";
import type { Processes } from "./processes.ts";
import { INNER, type Sites } from "./sites.ts";

export interface DatagramLoad {
  readonly streams: number;
  /** Of payload. */
  readonly octets: number;
  /** Datagrams a second, all streams; undefined: as many as the sender can. */
  readonly rate: number | undefined;
  readonly seconds: number;
}

const PORT = 5202;
const GRACE = 15; // seconds beyond the test
/** ms in which nothing more comes: then all has come, and the sink has said its last word. */
const REST = 350;
/** ms to wait for what is still on its way (RFC 2544 §23: two seconds). */
const LONGEST_WAIT = 2000 + REST;
const LOOK = 50; // ms

const report = z.object({ seconds: z.number().positive() });

export const moveDatagrams = async (processes: Processes, sites: Sites, load: DatagramLoad): Promise<Carried> => {
  const { streams, octets, rate = 0, seconds } = load;
  const program = [process.execPath, fileURLToPath(new URL("./datagrams.js", import.meta.url))];
  const sink = processes.start(sites.inside("host-b", [...program, "sink", INNER.b, `${PORT}`]));
  try {
    await processes.until("the sink listens", () => {
      if (!sink.isRunning) throw new EspalierError("ESPALIER_PLATFORM", `the sink ended: ${sink.account}`);
      return sink.out.includes("listening") ? true : undefined;
    });
    const numbers = [PORT, streams, octets, rate, seconds].map(String);
    const before = await counted(processes, sites);
    const sender = sites.inside("host-a", [...program, "send", INNER.b, ...numbers]);
    const text = await processes.run(sender, (seconds + GRACE) * 1000);
    const took = report.parse(JSON.parse(text)).seconds;
    await untilRest(() =>
      sink.isRunning ? udpCount(readFileSync(`/proc/${sink.pid}/net/snmp`, "utf8"), "InDatagrams") : 0,
    );
    const after = await counted(processes, sites);
    const told = readSink(sink.out);
    return {
      ...carried(took, octets, after.sent - before.sent, after.got - before.got),
      outOfOrder: told.at(-1)?.late ?? null,
      samples: ratesOf(told).map((pps) => (pps * octets * 8) / 1e9),
    };
  } finally {
    await sink.end();
  }
};

/** Until `count` has not changed for a while: what queues on the way has arrived then. */
export const untilRest = async (count: () => number, now = () => performance.now()): Promise<void> => {
  const begin = now();
  let last = count();
  for (let since = begin; now() - since < REST && now() - begin < LONGEST_WAIT; ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK));
    const seen = count();
    if (seen === last) continue;
    last = seen;
    since = now();
  }
};

const said = z.object({ ms: z.number(), got: z.number(), late: z.number() });

const readSink = (text: string): z.infer<typeof said>[] =>
  text
    .split("\n")
    .filter((line) => line.startsWith("{") && line.endsWith("}"))
    .map((line) => said.parse(JSON.parse(line)));

const AT_LEAST = 200; // ms of a sample: the last one may be short, and idle

/** Datagrams a second between one report and the next. */
const ratesOf = (told: readonly z.infer<typeof said>[]): number[] =>
  told
    .slice(1, -1)
    .map(({ ms, got }, i) => ({ ms: ms - told[i]!.ms, got: got - told[i]!.got }))
    .filter(({ ms }) => ms >= AT_LEAST)
    .map(({ ms, got }) => (got * 1000) / ms);

const carried = (
  seconds: number,
  octets: number,
  sent: number,
  got: number,
): Omit<Carried, "outOfOrder" | "samples"> => {
  const lossPercent = sent === 0 ? 0 : Math.max(0, (1 - got / sent) * 100);
  return { seconds, bytes: got * octets, packets: got, offered: sent, lossPercent, retransmits: null };
};

/** A counter of UDP, by the text of `/proc/net/snmp`. */
const udpCount = (text: string, name: string): number => {
  const [names, values] = text.split("\n").filter((line) => line.startsWith("Udp: "));
  return Number(values?.split(" ")[names?.split(" ").indexOf(name) ?? -1]);
};

/** Datagrams that host A has sent and host B's programs have received since they were made. */
const counted = async (processes: Processes, sites: Sites): Promise<{ sent: number; got: number }> => {
  const count = async (role: "host-a" | "host-b", name: string): Promise<number> =>
    udpCount(await processes.run(sites.inside(role, ["cat", "/proc/net/snmp"])), name);
  return { sent: await count("host-a", "OutDatagrams"), got: await count("host-b", "InDatagrams") };
};
