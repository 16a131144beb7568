/** What workers left for control in the tables, as events. */
import { addressText, type Endpoint, sourceEndpoint } from "../ip-address.ts";
import { SaEvent } from "../ipsec/sad.ts";
import { errnoName } from "../linux/errno.ts";
import type { PlaneMemory } from "./plane-memory.ts";
import type { PlaneSockets } from "./plane-sockets.ts";
import type { Pair, PlaneTunnel } from "./plane-tunnel.ts";
import type { Workers } from "./workers.ts";

export type PlaneEvent =
  /** The first authentic packet of an inbound SA: its peer uses the pair. */
  | { readonly kind: "first-packet"; readonly spiIn: number }
  /** An authentic UDP-encapsulated packet came from elsewhere than `path.remote` (RFC 7296 §2.23). */
  | { readonly kind: "peer-moved"; readonly spiIn: number; readonly remote: Endpoint }
  /** A packet came for an SPI that is none of ours; `remote.port` is 0 when it came as IP protocol 50. One of many is told. */
  | { readonly kind: "unknown-spi"; readonly spi: number; readonly remote: Endpoint }
  /** An authentic packet was outside of the selectors of its SA; `start`: its first octets. One of many is told. */
  | { readonly kind: "selector-mismatch"; readonly spiIn: number; readonly start: Uint8Array }
  /** A packet for this child, which traps, had no SA. */
  | { readonly kind: "wanted"; readonly tunnel: number }
  /** Trains of this local address held SAs of several workers: from now on its datagrams come singly, and in order. */
  | { readonly kind: "mixed-trains"; readonly address: string }
  /** An interface did not take a packet (drop `tun-error`), for this reason for the first time: `EIO` when it is down. */
  | { readonly kind: "tun-refused"; readonly tunnel: number; readonly errno: string }
  /** A worker died, and another took over its SAs: what it had in hand is lost. */
  | { readonly kind: "replaced"; readonly worker: number; readonly message: string }
  /** A worker died again and again and stays dead: its SAs carry nothing any more. */
  | { readonly kind: "failed"; readonly worker: number; readonly message: string };

/** Pairs that one `poll` asks for events. */
const MOST_LOOKED_AT = 1024;

/** The plane's own: it fills and empties these. */
export interface PlaneParts {
  readonly workers: number;
  readonly memory: PlaneMemory;
  readonly threads: Workers;
  readonly sockets: PlaneSockets;
  /** By id. */
  readonly tunnels: ReadonlyMap<number, PlaneTunnel>;
  /** By inbound SPI. */
  readonly pairs: ReadonlyMap<number, Pair>;
  /** Inbound SPIs that have no pair yet. */
  readonly reserved: ReadonlyMap<number, unknown>;
}

export class PlaneEvents {
  readonly #parts: PlaneParts;
  /** By tunnel: why its interface did not take packets, as far as it was told. */
  readonly #refusals = new WeakMap<PlaneTunnel, Set<number>>();
  #round: Iterator<Pair>;

  constructor(parts: PlaneParts) {
    this.#parts = parts;
    this.#round = parts.pairs.values();
  }

  /** What happened since the last call, or with very many pairs a few calls ago. */
  take(): PlaneEvent[] {
    const { workers, memory, threads, sockets, tunnels, pairs } = this.#parts;
    const events: PlaneEvent[] = [];
    for (let left = Math.min(pairs.size, MOST_LOOKED_AT); left > 0; left--) this.#look(this.#nextPair(), events);
    for (const { id, traps } of tunnels.values())
      if (traps && memory.tunnels.takeWanted(id)) events.push({ kind: "wanted", tunnel: id });
    for (const address of sockets.endMixedTrains()) events.push({ kind: "mixed-trains", address });
    for (let worker = 0; worker < workers; worker++) {
      this.#lookAtRefusals(worker, events);
      this.#lookAtStrays(worker, events);
    }
    events.push(...threads.takeDeaths());
    return events;
  }

  #lookAtRefusals(worker: number, events: PlaneEvent[]): void {
    const { memory, tunnels } = this.#parts;
    const { errno, tunnel: id } = memory.board.takeTunRefusal(worker);
    const tunnel = tunnels.get(id);
    if (errno === 0 || tunnel === undefined) return;
    const told = this.#refusals.get(tunnel) ?? new Set();
    if (told.has(errno)) return;
    this.#refusals.set(tunnel, told.add(errno));
    events.push({ kind: "tun-refused", tunnel: id, errno: errnoName(errno) });
  }

  #lookAtStrays(worker: number, events: PlaneEvent[]): void {
    const { memory, pairs, reserved } = this.#parts;
    const stray = memory.strays.take(worker);
    if (stray === undefined) return;
    const { spi } = stray;
    if (stray.kind === "selector-mismatch") events.push({ kind: "selector-mismatch", spiIn: spi, start: stray.start });
    else if (!pairs.has(spi) && !reserved.has(spi)) {
      // Or it has come before the message that makes its SA, which is no error (RFC 7296 §2.8).
      const remote = { address: addressText(stray.address), port: stray.port };
      events.push({ kind: "unknown-spi", spi, remote });
    }
  }

  #look(pair: Pair, events: PlaneEvent[]): void {
    const { spiIn, slot, path } = pair;
    const { sad } = this.#parts.memory;
    const bits = sad.takeEvents(slot);
    if (bits & SaEvent.FIRST_PACKET && !pair.met) {
      pair.met = true; // a worker that took over from another meets the SA anew
      events.push({ kind: "first-packet", spiIn });
    }
    if ((bits & SaEvent.PEER_MOVED) === 0) return;
    const seen = sad.seenPeer(slot);
    if (seen === undefined) return; // being written: its writer raises the event again
    const remote = sourceEndpoint(addressText(seen.address), seen.port);
    if (remote === undefined) return; // the packet is authentic, but anybody can send a copy of it from anywhere
    if (remote.address !== path.remote.address || remote.port !== path.remote.port)
      events.push({ kind: "peer-moved", spiIn, remote });
  }

  /** One after the other, round and round. There is one. */
  #nextPair(): Pair {
    const next = this.#round.next();
    if (next.done !== true) return next.value;
    this.#round = this.#parts.pairs.values();
    return this.#nextPair();
  }
}
