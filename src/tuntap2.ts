/**
 * TUN and TAP interfaces with the public API of the tuntap2 package: `Tun` and `Tap`, a Duplex of packets each, and
 * `tuntap(options)`. Exported as `espalier/tuntap2`.
 *
 * Unlike that package it holds no thread of libuv's pool while it waits, reads all packets that are there in one turn
 * of the event loop, releases at once, and keeps the callback of `write(packet, callback)`. `isUp` is the kernel's state,
 * addresses can be read while the interface is down, and a name may be given. Needs CAP_NET_ADMIN and the main thread.
 */
import ipaddr from "ipaddr.js";
import { EspalierError } from "./errors.ts";
import { familyOf, parsePrefix } from "./ip-address.ts";
import { addAddress, addressesOf, removeAddress } from "./linux/address.ts";
import { linkOf, setMac, setMtu, setUp } from "./linux/link.ts";
import { PacketStream } from "./linux/packet-stream.ts";
import { readinessUnavailable } from "./linux/readiness.ts";
import { openTun, type TunDevice } from "./linux/tun.ts";

export interface DeviceOptions {
  /** At most 15 octets; `%d` stands for the first free number. Default `tun%d`, `tap%d`. */
  readonly name?: string | undefined;
}

const openOne = (kind: "tun" | "tap", name: string | undefined): TunDevice => {
  const reason = readinessUnavailable();
  if (reason !== undefined)
    throw new EspalierError("ESPALIER_PLATFORM", "Tun and Tap work in the main thread only", {
      remedy: `Open them there and pass packets on: ${reason}.`,
    });
  return openTun({ kind, name });
};

/** What Tun and Tap have in common. */
export abstract class TunTap extends PacketStream {
  readonly #name: string;
  readonly #kind: "tun" | "tap";

  protected constructor(kind: "tun" | "tap", { name }: DeviceOptions) {
    const device = openOne(kind, name);
    super(device.fds[0]!);
    this.#name = device.name;
    this.#kind = kind;
    process.nextTick(() => {
      if (this.destroyed) return;
      this.emit("open", device.fds[0]);
      this.emit("ready");
    });
  }

  get name(): string {
    return this.#name;
  }

  get isTun(): boolean {
    return this.#kind === "tun";
  }

  get isTap(): boolean {
    return this.#kind === "tap";
  }

  /** Whether the interface is administratively up. */
  get isUp(): boolean {
    return linkOf(this.#name).up;
  }

  set isUp(up: boolean) {
    setUp(this.#name, up);
  }

  /** Octets: 68..65535. */
  get mtu(): number {
    return linkOf(this.#name).mtu;
  }

  set mtu(mtu: number) {
    setMtu(this.#name, mtu);
  }

  /** The first IPv4 address as `192.0.2.1/24`, undefined while there is none. Setting it replaces it. */
  get ipv4(): string | undefined {
    return addressesOf(this.#name).find((text) => this.#isFamily(text, 4));
  }

  set ipv4(prefix: string) {
    this.#replace(prefix, 4);
  }

  /** The first IPv6 address as `2001:db8::1/64`, a link-local one only when there is no other. Setting it replaces it. */
  get ipv6(): string | undefined {
    const all = addressesOf(this.#name).filter((text) => this.#isFamily(text, 6));
    return all.find((text) => !/^fe[89ab]/.test(text)) ?? all[0];
  }

  set ipv6(prefix: string) {
    this.#replace(prefix, 6);
  }

  /** `02:00:00:00:00:01`; zeros for a Tun, which has none and where setting it throws. */
  get mac(): string {
    return linkOf(this.#name).mac ?? "00:00:00:00:00:00";
  }

  set mac(mac: string) {
    if (this.isTun) throw new EspalierError("ESPALIER_USAGE", "a Tun has no MAC address: use a Tap");
    setMac(this.#name, mac);
  }

  /** Remove the interface. `callback` follows at once, whether packets come or not; also when it was gone already. */
  release(callback?: () => void): this {
    if (callback !== undefined) {
      if (this.closed) process.nextTick(callback);
      else this.once("close", callback);
    }
    return this.destroy();
  }

  #isFamily(text: string, family: 4 | 6): boolean {
    return familyOf(text) === family;
  }

  #replace(text: string, family: 4 | 6): void {
    const prefix = parsePrefix(text);
    if (prefix === undefined || familyOf(prefix.address) !== family || !text.includes("/"))
      throw new EspalierError("ESPALIER_USAGE", `not an IPv${family} address: ${JSON.stringify(text)}`, {
        remedy: family === 4 ? "Write it as 192.0.2.1/24." : "Write it as 2001:db8::1/64.",
      });
    const wanted = `${prefix.address}/${prefix.length}`;
    const old = family === 4 ? this.ipv4 : this.ipv6;
    if (old === wanted) return;
    if (old !== undefined && !/^fe[89ab]/.test(old)) removeAddress(this.#name, old);
    addAddress(this.#name, wanted);
  }
}

/** A TUN interface: its packets begin with the IP header. */
export class Tun extends TunTap {
  constructor(options: DeviceOptions = {}) {
    super("tun", options);
  }
}

/** A TAP interface: its packets begin with the Ethernet header. */
export class Tap extends TunTap {
  constructor(options: DeviceOptions = {}) {
    super("tap", options);
  }
}

export interface TuntapOptions extends DeviceOptions {
  readonly type: "tun" | "tap";
  readonly mtu?: number;
  /** IPv4 address, with `mask`. */
  readonly addr?: string;
  /** `255.255.255.0`; default a host's. */
  readonly mask?: string;
  readonly up?: boolean;
}

const prefixLength = (mask: string): number => {
  const length = ipaddr.IPv4.isValidFourPartDecimal(mask) ? ipaddr.IPv4.parse(mask).prefixLengthFromSubnetMask() : null;
  if (length === null) throw new EspalierError("ESPALIER_USAGE", `not a network mask: ${JSON.stringify(mask)}`);
  return length;
};

/** A device made and set up in one call. */
export const tuntap = ({ type, name, mtu, addr, mask = "255.255.255.255", up }: TuntapOptions): Tun | Tap => {
  if (type !== "tun" && type !== "tap")
    throw new EspalierError("ESPALIER_USAGE", `type is "tun" or "tap", not ${JSON.stringify(type)}`);
  const length = prefixLength(mask);
  const device = type === "tun" ? new Tun({ name }) : new Tap({ name });
  try {
    if (mtu !== undefined) device.mtu = mtu;
    if (addr !== undefined) device.ipv4 = `${addr}/${length}`;
    if (up !== undefined) device.isUp = up;
    return device;
  } catch (error) {
    device.release();
    throw error;
  }
};
