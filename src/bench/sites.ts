/**
 * Two sites in network namespaces of their own, made for one measurement and removed after it:
 *
 *   host-a                    gw-a                          gw-b                      host-b
 *   10.1.0.2 ---------- 10.1.0.1  192.0.2.1 ====== 192.0.2.2  10.2.0.1 ---------- 10.2.0.2
 *   eth0                lan       wan              wan        lan                   eth0
 *
 * MTU 1400 inside, which fits any tunnel over the 1500 outside. The gateways forward, but know no way to the other site.
 */
import { existsSync } from "node:fs";
import { EspalierError } from "../errors.ts";
import { type Processes, Running } from "./processes.ts";

export const ROLES = ["host-a", "gw-a", "gw-b", "host-b"] as const;
export type Role = (typeof ROLES)[number];

export const INNER = { a: "10.1.0.2", b: "10.2.0.2", netA: "10.1.0.0/24", netB: "10.2.0.0/24" } as const;
export const OUTER = { a: "192.0.2.1", b: "192.0.2.2" } as const;
export const INNER_MTU = 1400;
export const OUTER_MTU = 1500;

const DEVICES: readonly (readonly [Role, string, string])[] = [
  ["host-a", "eth0", "10.1.0.2/24"],
  ["gw-a", "lan", "10.1.0.1/24"],
  ["gw-a", "wan", "192.0.2.1/24"],
  ["gw-b", "wan", "192.0.2.2/24"],
  ["gw-b", "lan", "10.2.0.1/24"],
  ["host-b", "eth0", "10.2.0.2/24"],
];

const LINKS: readonly (readonly [Role, string, Role, string, number])[] = [
  ["host-a", "eth0", "gw-a", "lan", INNER_MTU],
  ["gw-a", "wan", "gw-b", "wan", OUTER_MTU],
  ["gw-b", "lan", "host-b", "eth0", INNER_MTU],
];

/** For all: nothing but IPv4, so that no packet of the kernel's own is counted, and the congestion control that all have. */
const SETTINGS = `
  [ ! -e /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
  for kind in all default; do echo 0 >/proc/sys/net/ipv4/conf/$kind/rp_filter; done
  echo cubic >/proc/sys/net/ipv4/tcp_congestion_control || true
  echo 1 >/proc/sys/net/ipv4/ip_forward`;

export class Sites {
  readonly #processes: Processes;
  readonly #name: string;
  readonly #made: Role[] = [];

  /** `name` begins the names of the namespaces. */
  constructor(processes: Processes, name: string) {
    this.#processes = processes;
    this.#name = name;
  }

  /** Also when it rejects, `remove` must be called. */
  async make({ offloads }: { readonly offloads: boolean }): Promise<void> {
    const run = (command: readonly string[]): Promise<string> => this.#processes.run(command);
    for (const role of ROLES) {
      this.#made.push(role);
      await this.#add(role);
      await run(this.inside(role, ["sh", "-c", SETTINGS]));
      await run(["ip", "-n", this.#space(role), "link", "set", "lo", "up"]);
    }
    for (const [from, device, to, other, mtu] of LINKS) {
      const end = ["peer", "name", other, "netns", this.#space(to), "mtu", `${mtu}`];
      await run([
        ..."ip link add".split(" "),
        device,
        "netns",
        this.#space(from),
        "mtu",
        `${mtu}`,
        "type",
        "veth",
        ...end,
      ]);
    }
    for (const [role, device, address] of DEVICES) {
      await run(["ip", "-n", this.#space(role), "addr", "add", address, "dev", device]);
      await run(["ip", "-n", this.#space(role), "link", "set", device, "up"]);
      const kinds = ["tso", "gso", "gro", "tx-udp-segmentation"].flatMap((kind) => [kind, "off"]);
      if (!offloads) await run(this.inside(role, ["ethtool", "-K", device, ...kinds]));
    }
    await this.route("host-a", INNER.netB, "10.1.0.1");
    await this.route("host-b", INNER.netA, "10.2.0.1");
  }

  async #add(role: Role): Promise<void> {
    try {
      await this.#processes.run(["ip", "netns", "add", this.#space(role)]);
    } catch (cause) {
      this.#processes.proceed();
      throw new EspalierError("ESPALIER_PRIVILEGE", `network namespaces cannot be made: ${(cause as Error).message}`, {
        remedy: "CAP_SYS_ADMIN and CAP_NET_ADMIN are needed: run it as root (a container: --privileged).",
        cause,
      });
    }
  }

  async route(role: Role, net: string, via: string): Promise<void> {
    await this.#processes.run(["ip", "-n", this.#space(role), "route", "add", net, "via", via]);
  }

  /** The command line that runs `command` inside. nsenter becomes the program, so its pid is the program's. */
  inside(role: Role, command: readonly string[]): string[] {
    return ["nsenter", `--net=/run/netns/${this.#space(role)}`, "--", ...command];
  }

  /** Takes the links with it. What runs inside must have ended. */
  async remove(): Promise<void> {
    for (const role of this.#made.splice(0))
      if (existsSync(`/run/netns/${this.#space(role)}`))
        await new Running(["ip", "netns", "del", this.#space(role)]).ended; // also when all else was told to end
  }

  #space(role: Role): string {
    return `${this.#name}-${role}`;
  }
}
