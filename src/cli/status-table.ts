/** A gateway's status for people: one row a tunnel, then what went wrong, then the workers. */
import pc from "picocolors";
import type {
  ChildSaReport,
  ConnectionReport,
  Counters,
  GatewayStatus,
  InterfaceReport,
  Traffic,
  WorkerReport,
} from "../control/status.ts";
import { plainTable } from "./plain-table.ts";
import { octets, packets, span } from "./units.ts";

type Paint = ReturnType<typeof pc.createColors>;

const HEAD = ["connection", "state", "remote", "tunnel", "suite", "via", "in", "out", "drops", "rekey in"];
/** Columns of numbers. */
const RIGHT = new Set(["in", "out", "drops"]);

/** Text without a final newline. */
export const statusTable = (status: GatewayStatus, { colour }: { readonly colour: boolean }): string => {
  const paint = pc.createColors(colour);
  const blocks = [
    summary(status, paint),
    status.connections.length === 0 ? "no connections" : tunnelTable(status, paint),
    ...block(status.connections.flatMap((connection) => lastError(connection, paint))),
    ...block(totalLines(status)),
    ...block(dropLines(status)),
    ...block(status.interfaces.map(interfaceLine)),
    ...block(status.workers.map(workerLine)),
  ];
  return blocks.join("\n\n");
};

const block = (lines: readonly string[]): string[] => (lines.length === 0 ? [] : [lines.join("\n")]);

/** How the engine was chosen, where there was a choice. */
const BASIS = { named: "", only: "", measured: ", measured at the start", cache: ", as measured before" } as const;

const summary = ({ version, engine, uptime, connections, workers }: GatewayStatus, paint: Paint): string => {
  const up = connections.filter(({ state }) => state === "up").length;
  const tally = `${up} of ${connections.length} connections up`;
  const threads = `${workers.length} ${workers.length === 1 ? "worker" : "workers"}`;
  const what = `engine ${engine.name} (${engine.description}${BASIS[engine.basis]})`;
  return `${paint.bold(`espalier ${version}`)}, up ${span(uptime)}, ${tally}, ${threads}, ${what}`;
};

const tunnelTable = (status: GatewayStatus, paint: Paint): string => {
  const now = Date.parse(status.startedAt) + status.uptime * 1000;
  const columns = HEAD.map((title) => ({ title, right: RIGHT.has(title) }));
  return plainTable(
    columns,
    status.connections.flatMap((connection) => rows(connection, now, paint)),
    { colour: paint.isColorSupported },
  );
};

/** A connection is named once, in the row of its first tunnel. */
const rows = ({ name, state, remote, childSas }: ConnectionReport, now: number, paint: Paint): string[][] => {
  const head = [printable(name), painted(state, paint), remote];
  if (childSas.length === 0) return [[...head, ...HEAD.slice(head.length).map(() => "-")]];
  return childSas.map((child, index) => [...(index === 0 ? head : ["", "", ""]), ...cells(child, now, paint)]);
};

const cells = (child: ChildSaReport, now: number, paint: Paint): string[] => {
  const { name, state, suite, esn, encap, bytesIn, bytesOut, drops, rekeyAt } = child;
  const dropped = total(drops);
  return [
    state === "installed" ? printable(name) : `${printable(name)} (${state})`,
    suite,
    `${encap ? "UDP" : "ESP"}${esn ? " ESN" : ""}`,
    octets(bytesIn),
    octets(bytesOut),
    dropped === 0 ? "0" : paint.yellow(packets(dropped)),
    rekeyAt === null ? "never" : span((Date.parse(rekeyAt) - now) / 1000, 1),
  ];
};

const painted = (state: ConnectionReport["state"], paint: Paint): string => {
  if (state === "up") return paint.green(state);
  return state === "down" ? paint.red(state) : paint.yellow(state);
};

const lastError = ({ name, state, lastError: error }: ConnectionReport, paint: Paint): string[] =>
  error === null || state === "up" ? [] : [`${printable(name)}: ${paint.red(printable(error))}`];

/** All packets since the start, and those of children whose SAs were replaced: of these the first ones. */
const totalLines = ({ in: inbound, out, connections }: GatewayStatus): string[] => {
  const rekeyed = connections.flatMap(({ name, children, childSas }) =>
    children
      .filter((child) => child.in.packets + child.out.packets > carriedBy(childSas, child.name))
      .map((child) => ({ ...child, name: printable(`${name}/${child.name}`) })),
  );
  return [
    `since the start: ${traffic(inbound, "in")}, ${traffic(out, "out")}`,
    ...rekeyed
      .slice(0, WORST)
      .map((child) => `${child.name}, all its SAs: ${traffic(child.in, "in")}, ${traffic(child.out, "out")}`),
  ];
};

const carriedBy = (childSas: readonly ChildSaReport[], child: string): number =>
  childSas.reduce((sum, { name, packetsIn, packetsOut }) => (name === child ? sum + packetsIn + packetsOut : sum), 0);

const traffic = (of: Traffic, way: string): string => {
  const dropped = total(of.drops);
  return `${way} ${packets(of.packets)} packets of ${octets(of.bytes)}${dropped === 0 ? "" : ` and ${packets(dropped)} dropped`}`;
};

/** Tunnels whose drops are listed by reason: those with the most. */
const WORST = 10;

/** Drops by reason, of the tunnels and of the gateway, most frequent first. */
const dropLines = ({ connections, drops, ikeDrops }: GatewayStatus): string[] => {
  const leaky = connections
    .flatMap(({ name, childSas }) => childSas.map((child) => ({ name: `${name}/${child.name}`, drops: child.drops })))
    .filter((tunnel) => total(tunnel.drops) > 0)
    .sort((a, b) => total(b.drops) - total(a.drops));
  const more = leaky.length - WORST;
  return [
    ...leaky.slice(0, WORST).flatMap((tunnel) => counted(`drops of ${printable(tunnel.name)}`, tunnel.drops)),
    ...(more > 0 ? [`drops of ${more} more tunnels: see --json`] : []),
    ...counted("drops", drops),
    ...counted("IKE drops", ikeDrops),
  ];
};

const counted = (what: string, counters: Counters): string[] => {
  const seen = Object.entries(counters)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
  return seen.length === 0
    ? []
    : [`${what}: ${seen.map(([reason, count]) => `${reason} ${packets(count)}`).join(", ")}`];
};

const total = (counters: Counters): number => Object.values(counters).reduce((sum, count) => sum + count, 0);

const interfaceLine = ({ name, mtu, policies, drops }: InterfaceReport): string => {
  const [said] = counted("by them", drops);
  return `interface ${name}: MTU ${mtu}, ${policies} ${policies === 1 ? "policy" : "policies"}${said === undefined ? "" : `, ${said}`}`;
};

const workerLine = ({
  worker,
  batches,
  packets: moved,
  polls,
  cpuTime,
  replaced,
  overruns,
  ioUringRefused,
}: WorkerReport): string => {
  const each = batches === 0 ? "" : ` (${(moved / batches).toFixed(1)} each)`;
  const time = span(cpuTime / 1000);
  const cpu = time === "now" ? "under 1 s" : time;
  const deaths = replaced === 0 ? "" : `, replaced ${replaced === 1 ? "once" : `${replaced} times`}`;
  const lost = overruns === 0 ? "" : `, ${packets(overruns)} lost in full sockets`;
  const io = ioUringRefused === null ? "" : `, without io_uring: ${ioUringRefused}`;
  return `worker ${worker}: ${packets(moved)} packets in ${packets(batches)} batches${each}, ${packets(polls)} polls, ${cpu} of cpu${deaths}${lost}${io}`;
};

/** Names and errors may hold what a peer sent: nothing of it may steer the terminal. */
const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\u{fffd}");
