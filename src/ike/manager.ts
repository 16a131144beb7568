/**
 * The whole of IKEv2 for one gateway, sans I/O: datagrams and the time come in, effects come out. Never throws for what
 * a peer sends; throws ESPALIER_USAGE for an unknown connection.
 */
import type { KeyResult } from "../crypto/key-work.ts";
import { EspalierError } from "../errors.ts";
import { type Endpoint, sourceEndpoint } from "../ip-address.ts";
import { attempt, resolved } from "./attempt.ts";
import { rekeyChild } from "./child-life.ts";
import type { Path } from "./child-sa-params.ts";
import { startUsing } from "./children.ts";
import type { ConnectionConfig } from "./connection.ts";
import { Core } from "./core.ts";
import { wantChildren, wantPairs } from "./create-child-sa.ts";
import type { Effect } from "./effect.ts";
import type { IkeEnvironment } from "./environment.ts";
import { DEFAULT_OPTIONS, type IkeOptions } from "./ike-options.ts";
import type { IkeSa } from "./ike-sa.ts";
import { closeIkeSa, deleteIkeSa, sayGoodbye } from "./ike-sa-end.ts";
import { forgetBeginning } from "./ike-sa-init.ts";
import { Peering } from "./peering.ts";
import { movePeer, receive } from "./receive.ts";
import { currentSas, RekeyIkeSa } from "./rekey-ike-sa.ts";
import { reportSelectors, reportUnknownSpi } from "./report.ts";
import { showPeering } from "./show.ts";
import type { ConnectionStatus } from "./status.ts";
import { nextTimer } from "./timers.ts";
import { Turn } from "./turn.ts";
import type { Wakes } from "./wakes.ts";

export type { IkeOptions } from "./ike-options.ts";

/** Datagrams from where no answer can go, as `drop` counts them too. */
export const BAD_SOURCE = "bad-source";

export class IkeManager {
  readonly #core: Core;

  /**
   * Throws ESPALIER_CONFIG when two connections have one name, or one has no child. A test may bring `wakes` that judge
   * themselves.
   */
  constructor(
    connections: readonly ConnectionConfig[],
    env: IkeEnvironment,
    options: Partial<IkeOptions> = {},
    wakes?: Wakes<IkeSa | Peering>,
  ) {
    const names = new Set<string>();
    for (const { name, children } of connections) {
      if (names.has(name)) throw new EspalierError("ESPALIER_CONFIG", `two connections are called ${name}`);
      if (children.length === 0) throw new EspalierError("ESPALIER_CONFIG", `connection ${name} has no child`);
      names.add(name);
    }
    const peerings = connections.map((connection) => new Peering(connection));
    this.#core = new Core(env, { ...DEFAULT_OPTIONS, ...options }, peerings, wakes);
  }

  /** Datagrams dropped, by reason, and other events worth a number. */
  get counters(): Readonly<Record<string, number>> {
    return this.#core.counters;
  }

  /** A datagram did not even get here: count it among those dropped. */
  drop(reason: string): void {
    new Turn(this.#core, 0).count(reason);
  }

  /** IKE SAs held now: those that peers began and have not authenticated, and all. Key exchanges that are being computed. */
  get held(): { readonly halfOpen: number; readonly all: number; readonly keyWorks: number } {
    const { halfOpen, sas, keyWorks } = this.#core;
    return { halfOpen: halfOpen.incoming, all: sas.size, keyWorks: keyWorks.size };
  }

  /** Begin the connections that are to be initiated. */
  start(now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    for (const peering of this.#core.peerings) {
      if (peering.config.start !== "initiate") continue;
      peering.wish = "always";
      if (!peering.isAlive) attempt(turn, peering);
    }
    return turn.effects;
  }

  /**
   * One datagram; the non-ESP marker is gone already, and `path.local.port` says on which socket it came. One from where no
   * answer can go is dropped.
   */
  receive(bytes: Uint8Array, path: Path, now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    const remote = sourceEndpoint(path.remote.address, path.remote.port);
    if (remote === undefined) turn.count(BAD_SOURCE);
    else receive(turn, bytes.slice(), { local: path.local, remote }); // what is kept of it outlives the caller's buffer
    return turn.effects;
  }

  /** Do what is due: retransmissions, rekeys, liveness, ends of lives, new attempts. */
  tick(now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    for (;;) {
      const due = nextTimer(this.#core);
      if (due === undefined || due.at > now) return turn.effects;
      due.run(turn); // may change all the others
    }
  }

  /** When `tick` has work next; undefined: only a message or a command brings some. */
  nextWake(): number | undefined {
    return nextTimer(this.#core)?.at;
  }

  /**
   * Bring a connection up, and its missing children. With `start: initiate` it is kept up from now on.
   * Throws ESPALIER_USAGE when the name is unknown or the peer's address is.
   */
  initiate(name: string, now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    const peering = this.#peering(name);
    const { config } = peering;
    if (peering.host === undefined)
      throw new EspalierError("ESPALIER_USAGE", `connection ${name} takes any peer: it cannot be initiated from here`, {
        remedy: "Initiate it at the peer, or give remote.address.",
      });
    peering.wish = config.start === "initiate" ? "always" : "once";
    peering.isHeldDown = false;
    for (const sa of currentSas(peering)) wantChildren(turn, sa);
    if (peering.isAlive) return turn.effects;
    peering.failures = 0;
    peering.retryAt = undefined;
    attempt(turn, peering);
    return turn.effects;
  }

  /**
   * Delete a connection's SAs at the peer. It is not begun again until `initiate`; one with `start: initiate` or that traps does
   * not answer until then either, so that two such peers do not undo it. Throws ESPALIER_USAGE when the name is unknown.
   */
  terminate(name: string, now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    const peering = this.#peering(name);
    peering.wish = "no";
    peering.isHeldDown = peering.config.start !== "none" || peering.traps;
    peering.resolving = undefined;
    forgetBeginning(turn, peering);
    peering.retryAt = undefined;
    peering.lastError = undefined;
    peering.forgetChildren();
    for (const sa of [...peering.sas]) deleteIkeSa(turn, sa, "terminated");
    return turn.effects;
  }

  /** Rekey the IKE SA or the Child SAs of a connection. Throws ESPALIER_USAGE when the name is unknown or it is not up. */
  rekey(name: string, { ike }: { readonly ike: boolean }, now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    const established = currentSas(this.#peering(name));
    if (established.length === 0)
      throw new EspalierError("ESPALIER_USAGE", `connection ${name} is not up`, { remedy: "Initiate it first." });
    for (const sa of established)
      if (!ike) for (const child of [...sa.children.values()]) rekeyChild(turn, sa, child);
      else if (!sa.requests.has(({ kind }) => kind === "rekey-ike-sa")) sa.requests.add(turn, sa, new RekeyIkeSa());
    return turn.effects;
  }

  /** Delete every SA at the peers, best effort, and forget them all. */
  stop(now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    for (const peering of this.#core.peerings) {
      peering.wish = "no";
      peering.retryAt = undefined;
      peering.resolving = undefined;
      forgetBeginning(turn, peering);
    }
    for (const sa of [...this.#core.sas.values()]) {
      sayGoodbye(turn, sa);
      closeIkeSa(turn, sa, "stopped");
    }
    this.#core.keyWorks.forgetAll(turn);
    return turn.effects;
  }

  /** What the effect `key-work` came to; wiped when nobody waits for it any more. */
  keyWorkDone(id: number, result: KeyResult, now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    this.#core.keyWorks.done(turn, id, result);
    return turn.effects;
  }

  /** What the effect `resolve` has found: addresses in any order of preference; none when there are none. */
  resolved(connection: string, host: string, addresses: readonly string[], now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    resolved(turn, this.#peering(connection), host, addresses);
    return turn.effects;
  }

  /**
   * A packet is there for this child, which traps or is of a connection with `start: trap`: begin it, unless it has just
   * failed. May be said again and again.
   */
  trapped(connection: string, child: string, now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    const peering = this.#peering(connection);
    const config = peering.config.children.find(({ name }) => name === child);
    if (config?.trap === true && !peering.isHeldDown) {
      peering.trap(child);
      for (const sa of currentSas(peering)) {
        if (peering.wish === "no") peering.wish = "once";
        wantPairs(turn, sa, config);
      }
    }
    if (peering.isTrapped(now) && peering.host !== undefined) {
      peering.wish = "once";
      turn.log("info", "trapped", { connection }, `a packet for ${child} waits: initiating`, { child });
      attempt(turn, peering);
    }
    return turn.effects;
  }

  /** Whether packets for this child, which is not up, are to wait for `trapped` to bring it up. */
  isTrapping(connection: string, child: string): boolean {
    const { config, isHeldDown } = this.#peering(connection);
    const traps = config.start === "trap" || config.children.some(({ name, trap }) => name === child && trap === true);
    return traps && !isHeldDown;
  }

  /** Authenticated ESP came from another address or port: a NAT has a new mapping (RFC 7296 §2.23). */
  espFrom(spiIn: number, remote: Endpoint, now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    const found = this.#core.findChild(spiIn);
    const source = sourceEndpoint(remote.address, remote.port);
    if (source === undefined) turn.count(BAD_SOURCE);
    else if (found !== undefined) movePeer(turn, found.sa, { local: found.sa.path.local, remote: source });
    return turn.effects;
  }

  /** ESP for an SPI of nobody came from `remote`; its port is 0 when it was not in UDP. */
  unknownSpi(spi: number, remote: Endpoint, now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    reportUnknownSpi(turn, spi, remote);
    return turn.effects;
  }

  /** An authentic packet of this pair, which began like this, was dropped: it was outside of the selectors. */
  selectorMismatch(spiIn: number, start: Uint8Array, now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    reportSelectors(turn, spiIn, start);
    return turn.effects;
  }

  /** The first authenticated packet on a `when-told` pair came: the peer sends on it, so may we. */
  peerUsed(spiIn: number, now: number): Effect[] {
    const turn = new Turn(this.#core, now);
    const found = this.#core.findChild(spiIn);
    if (found?.child.isLive) startUsing(turn, found.sa, found.child);
    return turn.effects;
  }

  status(_now: number): ConnectionStatus[] {
    return [...this.#core.peerings].map(showPeering);
  }

  #peering(name: string): Peering {
    const peering = this.#core.peerings.named(name);
    if (peering !== undefined) return peering;
    const known = [...this.#core.peerings].map(({ config }) => config.name).join(", ");
    throw new EspalierError("ESPALIER_USAGE", `no connection is called ${name}`, {
      remedy: known === "" ? "The configuration has none." : `Known: ${known}.`,
    });
  }
}
