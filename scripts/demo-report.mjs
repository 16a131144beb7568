// Reads what the demo measured (status of both gateways, ping, iperf3) and shows it as a table or as one JSON line.
// usage: node demo-report.mjs DIRECTORY table|json; exit status 0 when all of it worked
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Table from "cli-table3";
import pc from "picocolors";

const [directory, format] = process.argv.slice(2);
const read = (file) => readFileSync(join(directory, file), "utf8");

const readJson = (file) => {
  try {
    return JSON.parse(read(file));
  } catch {
    return undefined; // shown as a failure below: the program that should have written it said why on its own
  }
};

const pingOf = (text) => {
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? [];
  const [, average] = /= [\d.]+\/([\d.]+)\//.exec(text) ?? [];
  return {
    sent: Number(sent ?? 0),
    received: Number(received ?? 0),
    ms: average === undefined ? undefined : Number(average),
  };
};

const dropsOf = (status) => {
  const reasons = {};
  for (const { drops = {} } of (status?.connections ?? []).flatMap((connection) => connection.childSas ?? []))
    for (const [reason, count] of Object.entries(drops))
      if (count > 0) reasons[reason] = (reasons[reason] ?? 0) + count;
  return reasons;
};

const sites = [readJson("status-a.json"), readJson("status-b.json")];
const [a] = sites;
const connection = a?.connections?.[0];
const child = connection?.childSas?.[0];
const ping = pingOf(read("ping.txt"));
const iperf = readJson("iperf.json");
const tcpGbps = Number(((iperf?.end?.sum_received?.bits_per_second ?? 0) / 1e9).toFixed(3));
const drops = sites.map(dropsOf);
const dropped = drops.flatMap((reasons) => Object.values(reasons)).reduce((sum, count) => sum + count, 0);
const engine = a?.engine?.name ?? "unknown";
const workers = a?.workers?.length ?? 0;

const isUp = sites.every((status) => status?.connections?.[0]?.state === "up");
const ok = isUp && ping.sent > 0 && ping.received === ping.sent && tcpGbps > 0;

const result = {
  ok,
  ping: { sent: ping.sent, received: ping.received, ...(ping.ms === undefined ? {} : { averageMs: ping.ms }) },
  tcpGbps,
  suite: child?.suite ?? "",
  engine,
  workers,
  encap: child?.encap ?? false,
  ikeProposal: connection?.ikeSa?.proposal ?? "",
  drops: dropped,
};

const good = (isGood, text) => (isGood ? pc.green(text) : pc.red(text));

const dropText = (reasons) => {
  const parts = Object.entries(reasons).map(([reason, count]) => `${count} ${reason}`);
  return parts.length === 0 ? "none" : parts.join(", ");
};

const show = () => {
  const table = new Table({ head: [pc.bold("What"), pc.bold("Result")], style: { head: [], border: [] } });
  const esn = child?.esn ? ", extended sequence numbers" : "";
  table.push(
    ["tunnel", `192.0.2.1 to 192.0.2.2, ${child?.encap ? "ESP in UDP port 4500" : "ESP (IP protocol 50)"}${esn}`],
    ["IKE SA", result.ikeProposal],
    ["suite", result.suite],
    ["engine", engine],
    ["workers", `${workers} a gateway`],
    [
      "ping",
      good(
        ping.sent > 0 && ping.received === ping.sent,
        `${ping.received} of ${ping.sent} answered${ping.ms === undefined ? "" : `, ${ping.ms} ms on average`}`,
      ),
    ],
    ["TCP, one stream", good(tcpGbps > 0, tcpGbps > 0 ? `${tcpGbps} Gbit/s` : (iperf?.error ?? "nothing got through"))],
    ["drops", drops.map((reasons, site) => `gateway ${"AB"[site]}: ${dropText(reasons)}`).join("\n")],
  );
  console.log();
  console.log(`  host A 10.1.0.2 ── gateway A ══ tunnel ══ gateway B ── host B 10.2.0.2`);
  console.log(table.toString());
  if (!isUp) console.log(pc.red("The tunnel is not up at both ends."));
  console.log(`
${pc.bold("Try next")}
  ./scripts/demo --keep                   the same, left up to play with
  less scripts/demo-config/site-a.yaml    the configuration of gateway A: copy it for your own
  node dist/cli/main.js --help            the command
  ./scripts/test                          all tests, strongSwan and a Linux kernel as peers among them
`);
};

if (format === "json") console.log(JSON.stringify(result));
else show();
process.exit(ok ? 0 : 1);
