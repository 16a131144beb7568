/** What stands in the way between the sites, in the internet: a NAT that hides one of them or lets others in to it, and a cut. */
import { PEER, type Side } from "./configurations.ts";
import type { Espalier } from "./espalier.ts";
import { OUTER, type Sites } from "./namespaces.ts";
import { sleep, until } from "./run.ts";
import { ping } from "./traffic.ts";
import { type Ends, pingBothWays } from "./tunnel-checks.ts";

/** Where site A is found from outside while `letIn` holds. */
export const PUBLIC = "203.0.113.7";

const rules = (sites: Sites, table: string, text: string): void => {
  sites.internet.run(["nft", "-f", "-"], {
    input: `table ${table} { }; delete table ${table}; table ${table} { ${text}\n }`,
  });
};

/** The other site sees the router in the place of this one, at ports of the router's choice. */
export const hide = (sites: Sites, side: Side): void =>
  rules(
    sites,
    "ip nat",
    `chain out { type nat hook postrouting priority 100;
       oifname "to-${side === "a" ? "b" : "a"}" ip saddr ${OUTER[4][side]} masquerade random; };`,
  );

/** Site A is at PUBLIC for all others; it does not know. */
export const letIn = (sites: Sites): void =>
  rules(
    sites,
    "ip nat",
    `chain in { type nat hook prerouting priority -100;
       ip daddr ${PUBLIC} udp dport { 500, 4500 } dnat to ${OUTER[4].a}; };`,
  );

/** How long the NAT keeps the port of a flow without packets. */
export const natRemembers = (sites: Sites, seconds: number): void => {
  const settings = ["", "_stream"].map((kind) => `/proc/sys/net/netfilter/nf_conntrack_udp_timeout${kind}`);
  sites.internet.run(["sh", "-ec", settings.map((setting) => `echo ${seconds} >${setting}`).join("\n")]);
};

/** The NAT before the peer forgets its port in the middle of a tunnel: the peer is followed to another, and packets arrive as before. */
export const expectFollowed = async (sites: Sites, gateway: Espalier, ends: Ends): Promise<void> => {
  const remote = (await gateway.connection(PEER))?.remote;
  natRemembers(sites, 1);
  await pingBothWays(ends);
  await sleep(2_500); // longer than the NAT remembers: the next packet leaves it from another port
  natRemembers(sites, 120);
  await until("its packets arrive again", async () => (await ping(ends.there, ends.hereAt)).received > 0);
  await until("it is followed", async () => (await gateway.connection(PEER))?.remote !== remote);
  await pingBothWays(ends);
};

/** Nothing comes from site A, and nothing gets there; nobody is told. */
export const cut = (sites: Sites): void =>
  rules(
    sites,
    "inet cut",
    `chain in { type filter hook prerouting priority raw; iifname "to-a" drop; };
     chain out { type filter hook postrouting priority 300; oifname "to-a" drop; };`,
  );

export const mend = (sites: Sites): void => rules(sites, "inet cut", "");
