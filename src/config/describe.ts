/** What a configuration would run, for a person to read before it does. */

import type { DscpPolicy } from "../ipsec/dscp.ts";
import type { TfcPadding } from "../ipsec/tfc.ts";
import type { Child, Config, Connection, InterfaceSettings, SharedInterface } from "./config.ts";
import { formatComplaint } from "./config-error.ts";
import { formatDuration } from "./duration.ts";

/** Lines without colours, the last one without a newline. */
export const describeConfig = (config: Config): string => {
  const { workers, affinity, poll, engine, control, log, ports, connections, warnings } = config;
  const head = [
    `${config.file}: ${count(connections.length, "connection")}, ${count(tunnels(config), "tunnel")}`,
    `  workers ${workers} (${poll}${affinity.length === 0 ? "" : `, on CPUs ${affinity.join(", ")}`}), engine ${engine}, IKE on UDP ${ports.ike} and ${ports.natt}`,
    `  control ${control}, log ${log.level} as ${log.format}`,
  ];
  const said = warnings.map((warning) => `warning: ${formatComplaint(config.file, warning)}`);
  const shared = config.interfaces.flatMap(describeShared);
  return [...head, ...connections.flatMap(describeConnection), ...shared, ...said].join("\n");
};

const describeDscp = (policy: DscpPolicy): string => {
  if (policy.kind === "copy") return "copy";
  if (policy.kind === "set") return `${policy.dscp}`;
  return Object.entries(policy.map)
    .map(([inner, outer]) => `${inner} as ${outer}`)
    .join(" and ");
};

const hex = (spi: number): string => spi.toString(16).padStart(8, "0");

const describeTfc = (tfc: TfcPadding): string => {
  if (tfc.kind === "none") return "not padded";
  return tfc.kind === "full" ? "padded to the MTU" : `padded to multiples of ${tfc.octets} octets`;
};

const describeDummies = (interval: number | undefined): string =>
  interval === undefined ? "" : `, a dummy each ${formatDuration(interval)}`;

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`;

const tunnels = ({ connections }: Config): number =>
  connections.reduce((sum, { children }) => sum + children.length, 0);

const describeConnection = (connection: Connection): string[] => {
  const { name, local, remote, start, encap, proposals, lifetime, liveness, childless, duplicates, children } =
    connection;
  const here = end(local.address ?? "(by route)", local.id);
  const there = end(remote.address ?? "any", remote.id);
  const port = remote.port === 500 ? "" : ` port ${remote.port}`;
  const asked =
    liveness === undefined
      ? "never asked whether alive"
      : `asked whether alive after ${formatDuration(liveness.interval)}`;
  return [
    "",
    `${name}: ${here} -> ${there}${port}`,
    `  ${STARTS[start]}, ESP in UDP ${encap}, ${asked}`,
    `  childless ${childless}, duplicates ${duplicates}`,
    ...listed("IKE", proposals, formatDuration(lifetime)),
    ...children.flatMap(describeChild),
  ];
};

const STARTS = { initiate: "we connect", trap: "the first packet connects", none: "we wait" } as const;

const end = (address: string, id: string | undefined): string =>
  id === undefined || id === address ? address : `${address} (${id})`;

const listed = (what: string, proposals: readonly string[], lifetime: string): string[] => [
  `  ${what} rekeyed after ${lifetime}, protected by`,
  ...proposals.map((proposal) => `    ${proposal}`),
];

const lifeOf = (time: string, volumes: Readonly<Record<string, number | undefined>>): string =>
  [
    time,
    ...Object.entries(volumes).flatMap(([unit, volume]) => (volume === undefined ? [] : [`${volume} ${unit}`])),
  ].join(" or ");

const describeChild = ({
  name,
  proposals,
  esn,
  local,
  remote,
  lifetime,
  lifebytes,
  lifepackets,
  replayWindow,
  dscp,
  ecn,
  df,
  fragment,
  tfc,
  dummies,
  refuseTfc,
  icmpErrors,
  sas,
  mode,
  start,
  manual,
  interface: made,
}: Child): string[] => [
  `  ${name}: ${mode === "tunnel" ? "" : "transport mode, "}${start === "trap" ? "with its first packet, " : ""}${local.join(", ")} === ${remote.join(", ")}`,
  ...(manual === undefined
    ? listed("ESP", proposals, lifeOf(formatDuration(lifetime), { octets: lifebytes, packets: lifepackets })).map(
        (line) => `  ${line}`,
      )
    : [`    manual keys for ${manual.suite}, SPIs ${hex(manual.in.spi)} to us and ${hex(manual.out.spi)} to the peer`]),
  `    ESN ${esn}, replay window ${replayWindow === 0 ? "off" : replayWindow}, DSCP ${describeDscp(dscp)}, ECN ${ecn}, DF ${df}`,
  `    fragmented ${fragment} sealing, ${describeTfc(tfc)}${describeDummies(dummies)}${refuseTfc ? ", the peer is to pad none" : ""}`,
  ...(icmpErrors ? [] : ["    ICMP errors only within the selectors"]),
  `    pairs of SAs ${sas === "auto" ? "as many as workers" : sas}`,
  ...(typeof made === "string" ? [`    shares interface ${made}`] : describeDevice(made).map((line) => `    ${line}`)),
];

const describeDevice = ({ name, addresses, mtu, mss, routes }: InterfaceSettings): string[] => [
  `interface ${name}, ${addresses.join(", ") || "no address"}, MTU ${mtu}, MSS ${mss}`,
  `routes ${routes.join(", ") || "none"}`,
];

const describeShared = (shared: SharedInterface): string[] => [
  "",
  ...describeDevice(shared),
  ...shared.policies.map(
    ({ action, child, local, remote }) =>
      `    ${action}${child === undefined ? "" : ` ${child.connection}/${child.name}`}: ${local.join(", ")} === ${remote.join(", ")}`,
  ),
  "    discard: whatever is left",
];
