/**
 * The pairs of SAs in force, between the planes: what IKE installs, uses, moves and removes becomes SAs of the data plane and
 * the state of their tunnel's interface, with the MTU that the way to the peer leaves (RFC 4301 §8.2).
 */
import { wipe } from "../bytes.ts";
import { espSpiText } from "../control/status.ts";
import { MAX_OUTER_MTU, type Plane } from "../dataplane/plane.ts";
import { EspalierError } from "../errors.ts";
import type { ChildSaParams, Path } from "../ike/effect.ts";
import { routeTo } from "../linux/route.ts";
import { childSize } from "./child-size.ts";
import type { Clock } from "./clock.ts";
import type { ManualPair } from "./manual-sas.ts";
import { PathMtuWatch, type PathNews, type SendingSa } from "./path-mtu-watch.ts";
import type { TunnelInterface } from "./tunnel-interface.ts";
import type { Tunnels } from "./tunnels.ts";

/** How long a pair that was replaced goes on receiving, ms. */
const LINGER = 3000;
/** Of Ethernet: for a peer that has no route at this moment. */
const DEFAULT_MTU = 1500;

interface Installed {
  readonly tunnel: TunnelInterface;
  readonly child: ChildSaParams;
}

interface Surroundings {
  readonly plane: Plane;
  readonly tunnels: Tunnels;
  readonly clock: Clock;
  /** Whether packets for a child that is not up are to wait (`start: trap`). */
  readonly isTrapping: (connection: string, child: string) => boolean;
  /** Of packets that the gateway itself sends. */
  readonly mark: number | undefined;
}

export class Pairs {
  readonly #plane: Plane;
  readonly #tunnels: Tunnels;
  readonly #clock: Clock;
  readonly #isTrapping: (connection: string, child: string) => boolean;
  readonly #mark: number | undefined;
  /** By inbound SPI. */
  readonly #installed = new Map<number, Installed>();
  /** Inbound SPIs by the peer's address. */
  readonly #byPeer = new Map<string, Set<number>>();
  readonly #lingering = new Set<NodeJS.Timeout>();
  readonly #pathMtus = new PathMtuWatch();

  constructor({ plane, tunnels, clock, isTrapping, mark }: Surroundings) {
    this.#mark = mark;
    this.#plane = plane;
    this.#tunnels = tunnels;
    this.#clock = clock;
    this.#isTrapping = isTrapping;
  }

  has(spiIn: number): boolean {
    return this.#installed.has(spiIn);
  }

  /** Its keys are wiped once the data plane has them. `sequence`: numbers that are used up. */
  install(child: ChildSaParams, useNow: boolean, sequence = { in: 0, out: 0 }): void {
    const tunnel = this.#tunnels.of(child.connection, child.child);
    const { replayWindow } = this.#tunnels.settingsOf(child.connection, child.child);
    const id = this.#tunnels.idOf(child.connection, child.child);
    this.#plane.install(id, { ...child, replayWindow, sequence });
    wipe(child.keyIn, child.keyOut);
    this.#keep(tunnel, child);
    this.#size(tunnel, child);
    if (useNow) this.use(child.spiIn);
  }

  /** One with manual keys, for as long as the gateway runs. Throws ESPALIER_CONFIG where its SPI names a slot that is taken. */
  installManual({ child, sequence }: ManualPair): void {
    if (!this.#plane.claimSpi(this.#tunnels.idOf(child.connection, child.child), child.spiIn))
      throw new EspalierError(
        "ESPALIER_CONFIG",
        `SPI ${espSpiText(child.spiIn)} of ${child.connection}/${child.child} ends like that of another SA`,
        { remedy: `Give it other low ${this.#plane.slotBits} bits.` },
      );
    this.install(child, true, sequence);
  }

  /** Send on this pair from now on: its tunnel is up. */
  use(spiIn: number): void {
    const installed = this.#installed.get(spiIn);
    if (installed === undefined) return;
    const { tunnel, child } = installed;
    this.#plane.use(spiIn);
    this.#size(tunnel, child); // the way to the peer may be another than when it was installed
    tunnel.up(child.path.remote.address, child.mode === "transport" ? child.path.local.address : undefined);
    this.#clampTo(tunnel);
  }

  /** The peer is elsewhere now, or we are: the way there may have another MTU. */
  move(spiIn: number, path: Path): void {
    this.#plane.move(spiIn, path);
    const installed = this.#installed.get(spiIn);
    if (installed === undefined) return;
    this.#forget(installed);
    this.#keep(installed.tunnel, { ...installed.child, path });
    this.#resize(path.remote.address);
  }

  /**
   * The pair is gone for IKE. While its tunnel has others it still receives for a moment: packets that the peer's workers
   * sealed before its Delete may be behind it on the wire (RFC 7296 §2.8).
   */
  remove(spiIn: number): void {
    const installed = this.#installed.get(spiIn);
    if (installed === undefined) return;
    this.#forget(installed);
    const { tunnel } = installed;
    tunnel.pairs.delete(spiIn);
    if (tunnel.pairs.size === 0) {
      // Before its SA goes: nothing is routed into an interface that would drop it. One that holds its packets may stay up.
      if (!this.#isTrapping(installed.child.connection, installed.child.child)) tunnel.down();
      this.#plane.remove(spiIn);
      return;
    }
    this.#plane.rest(spiIn);
    tunnel.fit();
    this.#clampTo(tunnel);
    const timer = setTimeout(() => {
      this.#lingering.delete(timer);
      this.#plane.remove(spiIn);
    }, LINGER);
    this.#lingering.add(timer);
  }

  /** The gateway ends: interfaces go down before their SAs go. */
  close(): void {
    for (const timer of this.#lingering) clearTimeout(timer);
    this.#lingering.clear();
    for (const { tunnel } of this.#installed.values()) tunnel.down();
    this.#installed.clear();
    this.#byPeer.clear();
  }

  /** An ICMP message as a raw socket gave it; undefined: not about the length of an ESP packet. */
  takeIcmp(message: Uint8Array, family: 4 | 6): PathNews | undefined {
    const find = (spi: number, remote: string, port: number): SendingSa | undefined => this.#sending(spi, remote, port);
    const told = this.#pathMtus.take(message, family, find, this.#clock.now());
    if (told?.news === "lowered") this.#resize(told.remote);
    return told;
  }

  /** What was learned of paths is not believed for ever. */
  renewPaths(): void {
    for (const remote of this.#pathMtus.expired(this.#clock.now())) this.#resize(remote);
  }

  /** The SA that sends to `peer` with this SPI; with SPI 0, one that sends there in UDP to this port. */
  #sending(spiOut: number, peer: string, port: number): SendingSa | undefined {
    for (const [spiIn, { child }] of this.#leadingTo(peer)) {
      if (spiOut === 0 ? !child.encap || child.path.remote.port !== port : child.spiOut !== spiOut) continue;
      const { local, remote } = child.path;
      const top = this.#plane.counters(spiIn)?.seqOut ?? 0;
      return { local: local.address, remote: remote.address, remotePort: child.encap ? remote.port : 0, top };
    }
    return undefined;
  }

  /** The path to this peer takes packets of another size: so do the tunnels that lead there. */
  #resize(peer: string): void {
    for (const [, { tunnel, child }] of this.#leadingTo(peer)) {
      this.#size(tunnel, child);
      tunnel.fit();
      this.#clampTo(tunnel);
    }
  }

  #keep(tunnel: TunnelInterface, child: ChildSaParams): void {
    const { address } = child.path.remote;
    this.#installed.set(child.spiIn, { tunnel, child });
    const spis = this.#byPeer.get(address) ?? new Set();
    this.#byPeer.set(address, spis.add(child.spiIn));
  }

  #forget({ child: { spiIn, path } }: Installed): void {
    this.#installed.delete(spiIn);
    const { address } = path.remote;
    const spis = this.#byPeer.get(address);
    spis?.delete(spiIn);
    if (spis?.size !== 0) return;
    this.#byPeer.delete(address);
    this.#pathMtus.forget(address);
  }

  #leadingTo(peer: string): [number, Installed][] {
    return [...(this.#byPeer.get(peer) ?? [])].flatMap((spiIn) => {
      const installed = this.#installed.get(spiIn);
      return installed === undefined ? [] : [[spiIn, installed]];
    });
  }

  #clampTo(tunnel: TunnelInterface): void {
    for (const id of tunnel.ids) this.#plane.setMss(id, tunnel.mss(4), tunnel.mss(6));
  }

  /** Let a live pair and its tunnel know what its path takes now. */
  #size(tunnel: TunnelInterface, child: ChildSaParams): void {
    const outer = this.#pathMtus.mtu(child.path.remote.address, linkMtu(child.path, this.#mark), this.#clock.now());
    const { mtu, size } = childSize(child, this.#tunnels.settingsOf(child.connection, child.child), outer);
    tunnel.pairs.set(child.spiIn, { ...mtu, tfc: size.tfc });
    this.#plane.setSize(child.spiIn, size);
  }
}

/** MTU of the interface that leads to the peer, or what its route says. */
const linkMtu = ({ remote }: Path, mark: number | undefined): number =>
  Math.min(routeTo(remote.address, { mark })?.mtu ?? DEFAULT_MTU, MAX_OUTER_MTU);
