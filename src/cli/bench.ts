/** `espalier bench`: what ESP costs on this machine, in memory or through a tunnel between two gateways; what IKE costs. */
import { type Command, InvalidArgumentError } from "commander";
import { benchEsp } from "../bench/esp.ts";
import type { EspBenchOptions, EspDirection } from "../bench/esp-rows.ts";
import { IMIX, type PacketSize } from "../bench/inner-packets.ts";
import { watchLoad } from "../bench/machine.ts";
import { benchTunnel, type TunnelBenchResult } from "../bench/tunnel.ts";
import type { TunnelBenchOptions } from "../bench/tunnel-options.ts";
import type { EngineName } from "../crypto/engine.ts";
import { addCompare } from "./bench-compare.ts";
import { addIke } from "./bench-ike.ts";
import { measureRows, measureRuns, type OutputOptions, printRows, screenOf, withOutput } from "./bench-output.ts";
import { addReport } from "./bench-report.ts";
import { addSad } from "./bench-sad.ts";
import { addSpd } from "./bench-spd.ts";
import { espBenchTable, machineLine, tunnelBenchTable } from "./bench-table.ts";
import { addTurns } from "./bench-turns.ts";
import { number, wholes, words } from "./option-values.ts";
import { startProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";
import { tunnelTasks } from "./tunnel-tasks.ts";
import { untilSignal } from "./until-signal.ts";

interface EspOptions extends OutputOptions {
  readonly suite?: readonly string[];
  readonly direction?: readonly EspDirection[];
  readonly size?: readonly PacketSize[];
  readonly workers?: readonly number[];
  readonly sas?: readonly number[];
  readonly train?: readonly number[];
  readonly engine?: readonly EngineName[];
  readonly esn?: boolean;
  readonly window?: readonly number[];
  readonly batch?: readonly number[];
  readonly seconds?: number;
  readonly ceiling?: boolean;
  readonly json?: boolean;
}

export const addBench = (program: Command, terminal: Terminal): void => {
  const bench = program.command("bench").description("measure ESP and IKE on this machine");
  addEsp(bench, terminal);
  addTunnel(bench, terminal);
  addCompare(bench, terminal);
  addIke(bench, terminal);
  addSad(bench, terminal);
  addTurns(bench, terminal);
  addReport(bench, terminal);
  addSpd(bench, terminal);
};

const addEsp = (bench: Command, terminal: Terminal): void => {
  withOutput(bench.command("esp"))
    .description(
      "what a packet costs the workers in memory, without sockets and interfaces; a row for every combination",
    )
    .option("--suite <list>", "suites, or all (aes256gcm16,aes128-sha256,chacha20poly1305)", words)
    .option("--direction <list>", "seal, open or both (seal,open)", directions)
    .option(
      "--size <list>",
      "octets of the inner packet, 28 to 9000, imix, or standard: all of RFC 2544's (64,1400)",
      sizes,
    )
    .option("--workers <list>", "threads (1)", wholes)
    .option("--sas <list>", "SAs of each worker, which have packets in turns (1)", wholes)
    .option("--train <list>", "packets that an SA has before it is another's turn, 1 to 256 (1)", wholes)
    .option("--engine <list>", "auto, ipsec-mb, openssl, node, noble (auto)", words)
    .option("--esn", "extended sequence numbers")
    .option("--window <list>", "replay window in packets, 32 to 4096 (1024)", wholes)
    .option("--batch <list>", "packets that are sealed or opened at a time, 1 to 256 (64)", wholes)
    .option("--seconds <number>", "that are timed for each row (1)", number)
    .option("--no-ceiling", "measure nothing beside the rows")
    .option("--json", "an array of rows as JSON")
    .action(async (options: EspOptions) => {
      const load = watchLoad();
      const notes: string[] = [];
      const say = (line: string): void => {
        if (!notes.includes(line)) notes.push(line); // told when the progress bar is gone
      };
      const { json = false, ...settings } = options;
      const rows = await measureRows(
        "esp",
        settings,
        { terminal, json },
        (onRow) => benchEsp(espOptions(options), ({ suite, size }, of) => onRow(`${suite} ${size}`, of), say),
        notes,
      );
      for (const note of notes) terminal.err(`${note}\n`);
      printRows(screenOf(terminal, options), json, rows, () => espBenchTable(rows, terminal), load);
    });
};

/** Only what was given: the rest has its defaults where it is measured. */
const espOptions = (given: EspOptions): EspBenchOptions => ({
  ...(given.suite === undefined ? {} : { suites: given.suite }),
  ...(given.direction === undefined ? {} : { directions: given.direction }),
  ...(given.size === undefined ? {} : { sizes: given.size }),
  ...(given.workers === undefined ? {} : { workers: given.workers }),
  ...(given.sas === undefined ? {} : { sas: given.sas }),
  ...(given.train === undefined ? {} : { trains: given.train }),
  ...(given.engine === undefined ? {} : { engines: given.engine }),
  ...(given.esn === undefined ? {} : { esn: given.esn }),
  ...(given.window === undefined ? {} : { windows: given.window }),
  ...(given.batch === undefined ? {} : { batches: given.batch }),
  ...(given.seconds === undefined ? {} : { seconds: given.seconds }),
  ...(given.ceiling === undefined ? {} : { ceiling: given.ceiling }),
});

const directions = (text: string): string[] => (text === "both" ? ["seal", "open"] : words(text));

/** 64 and 1400 are the ends of what a tunnel of usual MTU carries; between them those of RFC 2544 §9.1. */
const STANDARD: readonly PacketSize[] = [64, 128, 256, 512, 1024, 1400, IMIX];

const sizes = (text: string): PacketSize[] =>
  words(text).flatMap((word) => (word === "standard" ? STANDARD : word === IMIX ? IMIX : wholes(word)));

const addTunnel = (bench: Command, terminal: Terminal): void => {
  withOutput(bench.command("tunnel"))
    .description(
      "two gateways in network namespaces of their own, and traffic between the hosts behind them; needs root",
    )
    .option("--streams <number>", "of TCP or UDP (1)", number)
    .option("--udp <bytes>", "datagrams of so many octets of payload, not TCP", number)
    .option("--rate <number>", "datagrams a second (as many as the sender can, whatever is lost)", number)
    .option("--max-loss <percent>", "search the highest rate at which no more datagrams are lost", number)
    .option("--ndr", "search the highest rates without loss (NDR) and with at most 0.5 % (PDR)")
    .option("--seconds <number>", "that are measured (5)", number)
    .option("--suite <name>", "of ESP (aes256gcm16)")
    .option("--workers <number>", "of each gateway (1)", number)
    .option("--engine <name>", "auto, ipsec-mb, openssl, node, noble (auto)")
    .option("--encap <when>", "ESP in UDP: auto, force, never (auto)")
    .option("--offloads <on|off>", "segmentation offloads of the virtual links (on)", onOff)
    .option("--poll <how>", "how workers wait: sleep, spin, adaptive (adaptive)")
    .option("--batch <number>", "packets that a worker takes at a time, at most, 1 to 256 (128)", number)
    .option("--sas <number>", "pairs of SAs of the tunnel (one a worker)", number)
    .option(
      "--peer <list>",
      "self: a tunnel; plain: none, which shows the limit; strongswan, wireguard-go: theirs (self)",
      words,
    )
    .option("--json", "one object as JSON")
    .option("--standard", "TCP of 1 and 4 streams, --ndr of datagrams of 64, 512 and 1372 octets; an array")
    .action(async ({ json, standard, peer, out, runs, ...options }: TunnelOptions) => {
      const notes: string[] = [];
      const tasks = tunnelTasks(options, peer ?? ["self"], standard === true, (line) => {
        if (!notes.includes(line)) terminal.err(`${line}\n`);
        notes.push(line);
      });
      const output = { ...(out === undefined ? {} : { out }), ...(runs === undefined ? {} : { runs }) };
      const progress = startProgress(terminal, json === true || tasks.length === 1);
      const results = await untilSignal((signal) =>
        measureRuns(
          "tunnel",
          { ...output, ...options, peers: peer, standard },
          terminal,
          async (run, of) => {
            const rows: TunnelBenchResult[] = [];
            for (const task of tasks) {
              progress.at((run - 1 + rows.length / tasks.length) / of, task.peer);
              rows.push(await benchTunnel({ ...task, signal }));
            }
            return rows;
          },
          notes,
        ),
      ).finally(() => progress.end());
      const printed = standard === true || tasks.length > 1 ? results : results[0];
      screenOf(terminal, output).out(
        json === true
          ? `${JSON.stringify(printed, null, 2)}\n`
          : `${results.map((result) => tunnelBenchTable(result, terminal)).join("\n\n")}\n\n${machineLine(results[0]!.load, results[0]!.machine, undefined, Math.max(...results.map(({ otherCores }) => otherCores)))}\n`,
      );
    });
};

interface TunnelOptions extends Omit<TunnelBenchOptions, "peer">, OutputOptions {
  readonly peer?: readonly string[];
  readonly standard?: boolean;
  readonly json?: boolean;
}

const onOff = (text: string): boolean => {
  if (text !== "on" && text !== "off") throw new InvalidArgumentError("Expected on or off.");
  return text === "on";
};
