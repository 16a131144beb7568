/** Files over several TCP streams, and what TCP (RFC 9293) itself says of the way: what came late, twice or not at all. */
import { join } from "node:path";
import type { Namespace } from "./namespaces.ts";
import { PATIENCE, until } from "./run.ts";
import type { TestBed } from "./test-bed.ts";

const SCRIPT = join(import.meta.dirname, "file-streams.mjs");

/** Of a network namespace, since it was made. */
export interface TcpCounts {
  /** Segments sent again, for whatever reason. */
  readonly retransmitted: number;
  /** Of these: probes of a tail whose acknowledgement is awaited (RFC 8985 §7), where nothing may be lost. */
  readonly probes: number;
  /** Segments that arrived with a gap before them: one was lost, or came later. */
  readonly outOfOrder: number;
  /** Segments that arrived although they had arrived before. */
  readonly duplicates: number;
}

const SOURCES: Readonly<Record<keyof TcpCounts, string>> = {
  retransmitted: "TcpRetransSegs",
  probes: "TcpExtTCPLossProbes",
  outOfOrder: "TcpExtTCPOFOQueue",
  duplicates: "TcpExtTCPDSACKOldSent",
};

/** Everything that the kernel counts in a network namespace. */
export const networkCounts = (space: Namespace): ReadonlyMap<string, number> => {
  const { stdout } = space.run(["nstat", "-asz"]);
  return new Map([...stdout.matchAll(/^(\w+)\s+(\d+)/gm)].map(([, name, count]) => [name!, Number(count)]));
};

/** What has changed of these counts, but for how much was carried: `TcpRetransSegs 3, TcpExtTCPTimeouts 1`. */
export const accountOf = (before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): string =>
  [...now]
    .map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
    .filter(([name, change]) => change !== 0 && !/Octets|Segs$|Receives|Delivers|Requests|Transmits|Pkts$/.test(name))
    .map(([name, change]) => `${name} ${change}`)
    .join(", ");

export const tcpCounts = (space: Namespace): TcpCounts => {
  const counts = networkCounts(space);
  const count = (name: string): number => {
    const found = counts.get(name);
    if (found === undefined) throw new Error(`nstat has no ${name}`);
    return found;
  };
  const entries = Object.entries(SOURCES).map(([key, name]) => [key, count(name)] as const);
  return Object.fromEntries(entries) as unknown as TcpCounts;
};

export const since = (before: TcpCounts, now: TcpCounts): TcpCounts => ({
  retransmitted: now.retransmitted - before.retransmitted,
  probes: now.probes - before.probes,
  outOfOrder: now.outOfOrder - before.outOfOrder,
  duplicates: now.duplicates - before.duplicates,
});

let port = 30_000;
let logs = 0;

export interface Sending {
  readonly file: string;
  /** Of the file; divided among the streams. */
  readonly octets: number;
  readonly streams: number;
  readonly from: Namespace;
  readonly to: Namespace;
  /** Of the receiver. */
  readonly address: string;
}

/** Sends; gives what each end says of each stream: its octets and their SHA-256. */
export const sendStreams = async (
  bed: TestBed,
  { file, octets, streams, from, to, address }: Sending,
): Promise<{ sent: string[]; received: string[] }> => {
  port += 1;
  const command = (role: string, ...more: readonly string[]): string[] => [
    process.execPath,
    SCRIPT,
    role,
    address,
    `${port}`,
    `${streams}`,
    ...more,
  ];
  const receiver = to.background(command("receive"), join(bed.directory, `streams-${logs++}`));
  try {
    await until("the receiver listens", () => receiver.log.includes("ready\n"), PATIENCE, 20);
    const { stdout } = await from.runAsync(command("send", file, `${octets}`), { timeout: 600_000 });
    await receiver.ended();
    const lines = (text: string): string[] => text.split("\n").filter((line) => /^\d+ \d+ [0-9a-f]{64}$/.test(line));
    return { sent: lines(stdout), received: lines(receiver.log) };
  } finally {
    await receiver.end("SIGKILL");
  }
};
