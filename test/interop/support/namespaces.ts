/**
 * Two sites in network namespaces, and a router between them that stands for the internet. Names are the test's own.
 *
 *   host A                gateway A                  internet                    gateway B               host B
 *   10.1.0.2 ------- 10.1.0.1  192.0.2.1 --- .254          .254 --- 198.51.100.1  10.2.0.1 ------- 10.2.0.2
 *   2001:db8:1::2    2001:db8:1::1                                               2001:db8:2::1     2001:db8:2::2
 *                              2001:db8:a::1 --- ::ff      ::ff --- 2001:db8:b::1
 *   eth0             lan       wan        to-a                to-b        wan       lan          eth0
 *
 * Hosts and gateways have default routes towards the internet, so what a gateway does not protect does leave it, and can be
 * seen there; the internet knows the outer networks alone. With `far: "tap"` there is no gateway B and no host B: a TAP
 * device of a virtual machine, named `to-b`, stands in their place.
 *
 * The links keep the order of a flow, as a wire does. By itself a veth does not: it puts a packet into the backlog of the
 * processor that its sender runs on, so one who moves to another processor overtakes itself. Receive packet steering
 * (RPS) puts all of a flow into the same backlog, whoever sends. It tells fragments apart by their addresses alone, whole
 * packets by ports and SPI, too.
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Background, type Outcome, type RunOptions, run, runAsync } from "./run.ts";

export const OUTER = {
  4: { a: "192.0.2.1", b: "198.51.100.1", routerA: "192.0.2.254", routerB: "198.51.100.254" },
  6: { a: "2001:db8:a::1", b: "2001:db8:b::1", routerA: "2001:db8:a::ff", routerB: "2001:db8:b::ff" },
} as const;

export const INNER = {
  4: {
    netA: "10.1.0.0/24",
    netB: "10.2.0.0/24",
    hostA: "10.1.0.2",
    hostB: "10.2.0.2",
    lanA: "10.1.0.1",
    lanB: "10.2.0.1",
  },
  6: {
    netA: "2001:db8:1::/64",
    netB: "2001:db8:2::/64",
    hostA: "2001:db8:1::2",
    hostB: "2001:db8:2::2",
    lanA: "2001:db8:1::1",
    lanB: "2001:db8:2::1",
  },
} as const;

export class Namespace {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** The command line that runs `command` inside. nsenter becomes the program, so the pid stays its own. */
  inside(command: readonly string[]): string[] {
    return ["nsenter", `--net=/run/netns/${this.name}`, "--", ...command];
  }

  run(command: readonly string[], options: RunOptions = {}): Outcome {
    return run(this.inside(command), options);
  }

  runAsync(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return runAsync(this.inside(command), options);
  }

  background(command: readonly string[], logFile: string): Background {
    return new Background(this.inside(command), logFile);
  }

  /** Names of its interfaces. */
  interfaces(): string[] {
    const links = JSON.parse(this.run(["ip", "-j", "link", "show"]).stdout) as { ifname: string }[];
    return links.map((link) => link.ifname);
  }
}

export interface SiteOptions {
  readonly far?: "namespaces" | "tap";
  /** MTU of the links inside; default 1400, what fits any tunnel over 1500. Under 1280 they have no IPv6 (RFC 8200 §5). */
  readonly lanMtu?: number;
  /** MTU of the links outside; default 1500. */
  readonly wanMtu?: number;
  /** The links keep the order of fragments, too, and of whole packets among them: everything is received on one processor. */
  readonly fragments?: boolean;
}

let count = 0;

export class Sites {
  readonly hostA: Namespace;
  readonly gatewayA: Namespace;
  readonly internet: Namespace;
  readonly gatewayB: Namespace;
  readonly hostB: Namespace;
  readonly #all: readonly Namespace[];
  readonly #atExit = (): void => this.remove();

  constructor({ far = "namespaces", lanMtu = 1400, wanMtu = 1500, fragments = false }: SiteOptions = {}) {
    const prefix = `esi${process.pid}-${count++}`;
    const space = (role: string): Namespace => new Namespace(`${prefix}-${role}`);
    this.hostA = space("ha");
    this.gatewayA = space("ga");
    this.internet = space("in");
    this.gatewayB = space("gb");
    this.hostB = space("hb");
    this.#all =
      far === "tap"
        ? [this.hostA, this.gatewayA, this.internet]
        : [this.hostA, this.gatewayA, this.internet, this.gatewayB, this.hostB];
    process.once("exit", this.#atExit);
    try {
      this.#make(far, lanMtu, wanMtu);
      for (const each of this.#all) this.#keepOrder(each, fragments ? 1 : Math.min(availableParallelism(), 32));
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** Ends what still runs inside and removes the namespaces. May be called again. */
  remove(): void {
    process.off("exit", this.#atExit);
    const present = this.#all.filter(({ name }) => existsSync(`/run/netns/${name}`));
    for (const { name } of present)
      for (const pid of run(["ip", "netns", "pids", name], { mayFail: true }).stdout.split("\n"))
        if (/^\d+$/.test(pid)) run(["kill", "-KILL", pid], { mayFail: true });
    for (const { name } of present) run(["ip", "netns", "del", name], { mayFail: true });
  }

  #make(far: "namespaces" | "tap", lanMtu: number, wanMtu: number): void {
    this.#spaces();
    this.#link(this.hostA, "eth0", this.gatewayA, "lan", lanMtu);
    this.#link(this.gatewayA, "wan", this.internet, "to-a", wanMtu);
    if (far === "tap") this.internet.run(["ip", "tuntap", "add", "dev", "to-b", "mode", "tap"]);
    else {
      this.#link(this.internet, "to-b", this.gatewayB, "wan", wanMtu);
      this.#link(this.gatewayB, "lan", this.hostB, "eth0", lanMtu);
    }
    const families = lanMtu < 1280 ? ([4] as const) : ([4, 6] as const);
    this.#site("a", this.hostA, this.gatewayA, families);
    this.#address(this.internet, "to-a", `${OUTER[4].routerA}/24`, `${OUTER[6].routerA}/64`);
    this.#address(this.internet, "to-b", `${OUTER[4].routerB}/24`, `${OUTER[6].routerB}/64`);
    if (far === "namespaces") this.#site("b", this.hostB, this.gatewayB, families);
  }

  /** Each flow that its links bring is received on one processor (the kernel's scaling.rst). */
  #keepOrder({ name }: Namespace, count: number): void {
    const processors = (2 ** count - 1).toString(16);
    // Of the namespaces' own: ip(8) mounts a sysfs that shows its devices.
    const steer = `for f in /sys/class/net/*/queues/rx-*/rps_cpus; do echo ${processors} >"$f"; done`;
    run(["ip", "netns", "exec", name, "sh", "-ec", steer]);
  }

  #spaces(): void {
    for (const space of this.#all) {
      run(["ip", "netns", "add", space.name]);
      const forwards = space === this.hostA || space === this.hostB ? 0 : 1;
      space.run([
        "sh",
        "-ec",
        `cd /proc/sys/net
         for kind in all default; do echo 0 >ipv4/conf/$kind/rp_filter; echo 0 >ipv6/conf/$kind/accept_ra; done
         echo ${forwards} >ipv4/ip_forward; echo ${forwards} >ipv6/conf/all/forwarding
         ip link set lo up`,
      ]);
    }
  }

  #site(side: "a" | "b", host: Namespace, gateway: Namespace, inside: readonly (4 | 6)[]): void {
    const lan = (family: 4 | 6): string => INNER[family][side === "a" ? "lanA" : "lanB"];
    const hosts = (family: 4 | 6): string => INNER[family][side === "a" ? "hostA" : "hostB"];
    const length = { 4: 24, 6: 64 } as const;
    const [router4, router6] =
      side === "a" ? [OUTER[4].routerA, OUTER[6].routerA] : [OUTER[4].routerB, OUTER[6].routerB];
    this.#address(host, "eth0", ...inside.map((family) => `${hosts(family)}/${length[family]}`));
    this.#address(gateway, "lan", ...inside.map((family) => `${lan(family)}/${length[family]}`));
    this.#address(gateway, "wan", `${OUTER[4][side]}/24`, `${OUTER[6][side]}/64`);
    for (const family of inside) host.run(["ip", "route", "add", "default", "via", lan(family)]);
    for (const router of [router4, router6]) gateway.run(["ip", "route", "add", "default", "via", router]);
  }

  #link(left: Namespace, leftDevice: string, right: Namespace, rightDevice: string, mtu: number): void {
    const end = (device: string, space: Namespace): string[] => [device, "netns", space.name, "mtu", String(mtu)];
    const peer = ["type", "veth", "peer", "name", ...end(rightDevice, right)];
    run(["ip", "link", "add", ...end(leftDevice, left), ...peer]);
  }

  #address(space: Namespace, device: string, ...addresses: readonly string[]): void {
    // No duplicate address detection: an IPv6 address is to be of use at once.
    for (const address of addresses)
      space.run(["ip", "addr", "add", address, "dev", device, ...(address.includes(":") ? ["nodad"] : [])]);
    space.run(["ip", "link", "set", device, "up"]);
  }
}
