/**
 * The interface of a Child SA: a TUN device that is up while the Child SA is, with its addresses and routes; of one with
 * `start: trap` also while its packets wait for one (see `trap.ts`). One that several children share is up as long as the
 * gateway: its policies say what becomes of packets. Nothing leaves in the clear when it is down: each of its routes has an
 * `unreachable` shadow that lives as long as the gateway.
 *
 * Of a gateway with a mark, routes are in a table that its own packets do not look into (see `linux/rule.ts`).
 */
import type { InterfaceSettings } from "../config/config.ts";
import { EspalierError } from "../errors.ts";
import { type Family, familyOf, parsePrefix, prefixRange } from "../ip-address.ts";
import { IPV6_MIN_MTU, mssFor } from "../ipsec/mtu.ts";
import { addAddress } from "../linux/address.ts";
import { setMtu, setTxQueueLength, setUp } from "../linux/link.ts";
import { makeQuiet } from "../linux/quiet-interface.ts";
import { addRoute, removeRoute, replaceRoute, routeTo } from "../linux/route.ts";
import { askForOffloads, closeTun, emptyTun, openTun, type TunDevice } from "../linux/tun.ts";

/** Worse than any route a person would add, better than none. */
const SHADOW_METRIC = 0x7fff_ffff;
const SHADOW = { type: "unreachable", metric: SHADOW_METRIC } as const;
/** Packets that wait while a worker is busy with a batch of another tunnel. */
const QUEUE_LENGTH = 4000;

/** Twice the interval of unsolicited reports (RFC 3810 §9.11), and a little more, ms. */
const SETTLING = 2_500;

/** Octets of inner packets on one pair of SAs. */
export interface PairMtu {
  /** What its suite and path leave: a packet of so many octets fits as it is. */
  readonly fits: number;
  /** What the interface may give: more, where the system is to fragment ESP packets. */
  readonly takes: number;
  /** What its packets are padded to: see `paddedLength`. */
  readonly tfc: number;
}

export interface TunnelPlace {
  /** Mark of the gateway's own packets, and table of the routes. */
  readonly mark?: number | undefined;
  /** Several children use it: it is up from the beginning to the end. */
  readonly isShared?: boolean;
  /** Outer addresses of the other ends, as far as they are known: of a shared one, which is up before it has SAs. */
  readonly peers?: readonly string[];
}

export class TunnelInterface {
  readonly #settings: InterfaceSettings;
  readonly #device: TunDevice;
  readonly #shadows: string[] = [];
  readonly #pinned: string[] = [];
  readonly #place: TunnelPlace;
  readonly #table: { readonly table?: number };
  #mtu = 0;
  /** Octets of a packet that fits all its pairs. */
  #fits = 0;
  #up = false;
  #source: string | undefined;
  /** When it has said all that it says by itself, and routes may lead into it; undefined: they do, or it is down. */
  #settlesAt: number | undefined;
  /** The data plane's numbers for its children. */
  readonly ids: number[] = [];
  /** By inbound SPI: its live pairs. */
  readonly pairs = new Map<number, PairMtu>();

  private constructor(settings: InterfaceSettings, device: TunDevice, place: TunnelPlace) {
    this.#settings = settings;
    this.#place = place;
    this.#table = place.mark === undefined ? {} : { table: place.mark };
    this.#device = device;
  }

  /**
   * Create the device, with a queue for each worker: down, or up if it is shared. Throws EspalierError as openTun and addRoute
   * do, and leaves nothing behind then.
   */
  static open(settings: InterfaceSettings, queues: number, place: TunnelPlace = {}): TunnelInterface {
    const tunnel = new TunnelInterface(settings, openTun({ name: settings.name, vnetHdr: true, queues }), place);
    try {
      askForOffloads(tunnel.fds[0]!);
      setTxQueueLength(settings.name, QUEUE_LENGTH);
      for (const peer of place.peers ?? []) tunnel.#pinPeer(peer); // before the shadows hide the way there
      for (const prefix of settings.routes) {
        const shadow = { ...SHADOW, ...tunnel.#table };
        // Nobody else's routes are in a table of our own; a gateway that was killed may have left some.
        if (place.mark === undefined) addRoute(prefix, undefined, shadow);
        else replaceRoute(prefix, undefined, shadow);
        tunnel.#shadows.push(prefix);
      }
      if (place.isShared) tunnel.#standUp();
      return tunnel;
    } catch (error) {
      tunnel.close();
      throw error;
    }
  }

  get name(): string {
    return this.#device.name;
  }

  /** Its queues; packets begin with a virtio_net_hdr. */
  get fds(): readonly number[] {
    return this.#device.fds;
  }

  /** Octets of the inner packet; 0 before it was ever up. */
  get mtu(): number {
    return this.#mtu;
  }

  /** Octets of the largest TCP segment that may be announced through it; 0 for any. */
  mss(family: Family): number {
    const { mss } = this.#settings;
    if (mss === "off") return 0;
    return mss === "auto" ? mssFor(Math.min(this.#mtu, this.#fits), family) : mss;
  }

  /** Of packets that it may carry at this moment; undefined: none. */
  get lengths(): { readonly mtu: number; readonly tfc: number } | undefined {
    const [pair] = this.pairs.values();
    return pair === undefined ? undefined : { mtu: this.#fits, tfc: pair.tfc };
  }

  get isUp(): boolean {
    return this.#up;
  }

  /**
   * Bring it up, with the MTU that all its pairs can carry unless the configuration fixes one. `peer` is the outer address
   * of the other end: when one of the routes would swallow it, it gets a route of its own first, outside the tunnel. `source`:
   * the address of what begins here and takes its routes; default the interface's.
   */
  up(peer: string, source?: string): void {
    this.#source = source;
    this.fit();
    this.#pinPeer(peer);
    if (!this.#up) this.#bringUp();
    else if (this.#settlesAt === undefined) return;
    this.#leadHere();
  }

  #bringUp(): void {
    setUp(this.name, true);
    this.#up = true;
    for (const address of this.#settings.addresses) addAddress(this.name, address); // IPv6 ones went when it went down
  }

  #standUp(): void {
    makeQuiet(this.name);
    this.#setMtu(IPV6_MIN_MTU);
    this.#bringUp();
    this.#leadHere();
  }

  #leadHere(): void {
    this.#settlesAt = undefined;
    const source = this.#source;
    for (const prefix of this.#settings.routes) {
      const own = source !== undefined && familyOf(source) === familyOf(prefix) ? { source } : {};
      replaceRoute(prefix, this.name, { ...own, ...this.#table });
    }
  }

  /**
   * Bring it up while nothing can be sent, so that packets wait in its queues; at an MTU that any pair will carry. `peers`:
   * outer addresses of the other end, as far as they are known. Call it again and again: returns whether what is in the
   * queues is somebody's. At first it is the kernel's own, which tells of groups that it has joined (RFC 3810 §6.1); so routes
   * lead here only when that is over, and what came till then is thrown away.
   */
  wait(peers: readonly string[], now: number): boolean {
    if (!this.#up) {
      makeQuiet(this.name);
      this.#setMtu(IPV6_MIN_MTU);
      for (const peer of peers) this.#pinPeer(peer);
      this.#bringUp();
      this.#settlesAt = now + SETTLING;
    }
    if (this.#settlesAt === undefined) return true;
    if (now < this.#settlesAt) return false;
    for (const fd of this.fds) emptyTun(fd);
    this.#leadHere();
    return true;
  }

  /** Take it down: the kernel drops its routes, and what they led here is unreachable. A shared one stays up. */
  down(): void {
    if (!this.#up || this.#place.isShared) return;
    this.#up = false;
    this.#settlesAt = undefined;
    setUp(this.name, false);
    this.#unpinPeers();
  }

  /** Remove the device and all routes. Call when no worker uses the descriptor. */
  close(): void {
    closeTun(this.#device);
    this.#up = false;
    this.#unpinPeers();
    for (const prefix of this.#shadows.splice(0)) removeRoute(prefix, undefined, { ...SHADOW, ...this.#table });
  }

  /** Set the MTU anew, after its pairs have changed. */
  fit(): void {
    if (this.pairs.size === 0) return;
    const pairs = [...this.pairs.values()];
    this.#fits = Math.min(...pairs.map(({ fits }) => fits));
    this.#setMtu(Math.min(...pairs.map(({ takes }) => takes)));
  }

  #setMtu(computed: number): void {
    const wanted = this.#settings.mtu === "auto" ? computed : this.#settings.mtu;
    if (wanted === this.#mtu) return;
    setMtu(this.name, wanted);
    this.#mtu = wanted;
  }

  #pinPeer(peer: string): void {
    if (this.#place.mark !== undefined) return; // what goes there does not look for its way among our routes
    if (!this.#settings.routes.some((prefix) => contains(prefix, peer))) return;
    const way = routeTo(peer);
    if (way === undefined) return; // unreachable for now: the shadow routes keep it so rather than loop
    const { gateway, interface: device } = way;
    if (device === this.name)
      throw new EspalierError("ESPALIER_CONFIG", `the way to the peer ${peer} leads into its own tunnel ${this.name}`, {
        remedy: "Give the peer a route of its own, or leave it out of `routes`.",
      });
    const host = `${peer}/${familyOf(peer) === 4 ? 32 : 128}`;
    if (this.#pinned.includes(host)) return;
    replaceRoute(host, device, gateway === undefined ? {} : { gateway });
    this.#pinned.push(host);
  }

  #unpinPeers(): void {
    for (const host of this.#pinned.splice(0)) removeRoute(host, undefined);
  }
}

const contains = (prefixText: string, address: string): boolean => {
  const prefix = parsePrefix(prefixText);
  if (prefix === undefined || familyOf(prefix.address) !== familyOf(address)) return false;
  const narrowed = parsePrefix(`${address}/${prefix.length}`);
  return narrowed !== undefined && Buffer.compare(prefixRange(narrowed).first, prefixRange(prefix).first) === 0;
};
