/** `espalier bench ike`: handshakes and rekeys a second, or what idle tunnels cost. */
import type { Command } from "commander";
import { benchIke } from "../bench/ike.ts";
import { benchIdle, type IdleBenchResult, type IdleSide, idleRows } from "../bench/ike-idle.ts";
import type { IkeBenchOptions, IkeBenchRow, IkeTransport } from "../bench/ike-rows.ts";
import { watchLoad } from "../bench/machine.ts";
import { measureRows, measureRuns, type OutputOptions, printRows, screenOf, withOutput } from "./bench-output.ts";
import { number, words } from "./option-values.ts";
import { type Column, plainTable } from "./plain-table.ts";
import type { Terminal } from "./terminal.ts";

interface IkeOptions extends OutputOptions, Omit<IkeBenchOptions, "transports"> {
  readonly transport?: readonly IkeTransport[];
  readonly tunnels?: number;
  readonly idle?: number;
  readonly json?: boolean;
}

export const addIke = (bench: Command, terminal: Terminal): void => {
  withOutput(bench.command("ike"))
    .description("IKE SAs with a Child SA that two gateways set up in a second, without interfaces and routes")
    .option("--kex <list>", "key exchanges (x25519,ecp256,modp2048)", words)
    .option("--auth <how>", "psk (psk)")
    .option("--seconds <number>", "that are timed for each row (3)", number)
    .option("--concurrency <number>", "connections at once (8)", number)
    .option("--rekeys", "rekeys of Child SAs, with and without PFS, and of IKE SAs as well")
    .option("--rate <number>", "begun a second, over UDP (as many as can be)", number)
    .option("--key-threads <ms>", "key exchanges that take longer are computed in threads; or never (5)", msOrNever)
    .option("--transport <list>", "udp: two processes and sockets; memory: neither (udp,memory)", words)
    .option("--tunnels <number>", "bring up so many and let them be idle, with liveness checks every 30 s", number)
    .option("--idle <seconds>", "that the idle tunnels are measured (60)", number)
    .option("--json", "an array of rows as JSON; one object with --tunnels")
    .action(async (options: IkeOptions) => {
      const load = watchLoad();
      const { json = false } = options;
      const { result, table } = await measure(options, { terminal, json });
      printRows(screenOf(terminal, options), json, result, () => table, load);
    });
};

const measure = async (
  { json: _, transport, tunnels, idle, ...options }: IkeOptions,
  to: { readonly terminal: Terminal; readonly json: boolean },
): Promise<{ result: unknown; table: string }> => {
  if (tunnels !== undefined || idle !== undefined) {
    const [kex] = options.kex ?? [];
    const asked = {
      ...(tunnels === undefined ? {} : { tunnels }),
      ...(idle === undefined ? {} : { idle }),
      ...(kex === undefined ? {} : { kex }),
    };
    const results: IdleBenchResult[] = [];
    await measureRuns("idle", { ...options, ...asked }, to.terminal, async () => {
      const result = await benchIdle(asked);
      results.push(result);
      return idleRows(result);
    });
    const result = results.at(-1)!;
    return { result, table: idleTable(result) };
  }
  const settings = { ...options, ...(transport === undefined ? {} : { transports: transport }) };
  const rows = await measureRows("ike", settings, to, (onRow) =>
    benchIke(settings, ({ what, keyExchange }, of) => onRow(`${what} ${keyExchange}`, of)),
  );
  return { result: rows, table: ikeBenchTable(rows, to.terminal) };
};

const COLUMNS: readonly Column[] = [
  { title: "what" },
  { title: "key exchange" },
  { title: "auth" },
  { title: "transport" },
  { title: "a second", right: true },
  { title: "p50 ms", right: true },
  { title: "p99 ms", right: true },
  { title: "initiator, CPU ms", right: true },
  { title: "responder, CPU ms", right: true },
  { title: "key exchange, ms", right: true },
  { title: "stalls p99, longest ms: initiator", right: true },
  { title: "responder", right: true },
  { title: "sent again", right: true },
];

/** Text without a final newline. */
export const ikeBenchTable = (rows: readonly IkeBenchRow[], { colour }: { readonly colour: boolean }): string =>
  plainTable(
    COLUMNS,
    rows.map((row) => [
      row.what,
      row.keyExchange,
      row.authentication,
      row.transport,
      row.perSecond.toFixed(0),
      row.p50Ms.toFixed(2),
      row.p99Ms.toFixed(2),
      row.initiatorCpuMs.toFixed(2),
      row.responderCpuMs.toFixed(2),
      row.keyExchangeMs.toFixed(2),
      stallText(row.initiatorStallP99Ms, row.initiatorStallMs),
      stallText(row.responderStallP99Ms, row.responderStallMs),
      `${row.retransmissions}`,
    ]),
    { colour },
  );

const stallText = (p99: number | null, longest: number | null): string =>
  p99 === null || longest === null ? "-" : `${p99.toFixed(1)}, ${longest.toFixed(1)}`;

const side = (name: string, { cpuPercent, residentBytes, heapBytes, longestStallMs }: IdleSide): string => {
  const megabytes = (octets: number): string => `${(octets / 1e6).toFixed(0)} MB`;
  const memory = `${megabytes(residentBytes)} resident, ${megabytes(heapBytes)} of them heap in use`;
  return `${name}: ${cpuPercent.toFixed(1)} % of a processor, ${memory}, longest stall ${longestStallMs.toFixed(0)} ms`;
};

/** Text without a final newline. */
export const idleTable = (result: IdleBenchResult): string =>
  [
    `${result.tunnels} tunnels (${result.kex}), set up in ${result.setUpSeconds.toFixed(1)} s, idle for ${result.seconds.toFixed(0)} s, liveness ${result.livenessSeconds} s`,
    side("initiator", result.initiator),
    side("responder", result.responder),
    `messages sent again: ${result.retransmissions}`,
  ].join("\n");

const msOrNever = (text: string): number | "never" => (text === "never" ? text : number(text));
