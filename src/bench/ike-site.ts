/**
 * The control plane of one gateway for `espalier bench ike`: the IKE core as it is, and tables that Child SAs are installed
 * in and removed from. There are no TUN devices, routes and worker threads, nothing is encrypted with the SAs, and what the
 * core would log is dropped.
 */
import { createHmac } from "node:crypto";
import { wipe } from "../bytes.ts";
import { RandomPool } from "../crypto/random-pool.ts";
import { Plane } from "../dataplane/plane.ts";
import { EspalierError } from "../errors.ts";
import { KeyPool } from "../gateway/key-pool.ts";
import { slowKeyExchanges } from "../gateway/slow-key-exchanges.ts";
import type { ConnectionConfig } from "../ike/connection.ts";
import type { Effect, Path } from "../ike/effect.ts";
import { parseIdentity } from "../ike/identity.ts";
import { IkeManager, type IkeOptions } from "../ike/manager.ts";
import { parseEspProposal, parseIkeProposal } from "../ike/proposal.ts";
import { parseSelector } from "../ipsec/selector.ts";
import { openEventfd } from "../linux/eventfd.ts";
import { close } from "../linux/libc.ts";

export type Role = "initiator" | "responder";

export interface IkeSiteOptions {
  readonly role: Role;
  /** Of the initiator and of the responder. */
  readonly addresses: Readonly<Record<Role, string>>;
  readonly ports: IkeOptions["ports"];
  /** Connections, `0`, `1`, ...: a peer each. */
  readonly connections: number;
  readonly kex: string;
  /** Child SAs have a key exchange of their own when they are rekeyed. */
  readonly pfs: boolean;
  /** ms; undefined: nobody asks. */
  readonly liveness: number | undefined;
  /** ms above which a key exchange is computed in threads; undefined: never. */
  readonly keyThreads: number | undefined;
}

/** Keys of a connection's pair as this side has them: proofs that tell nothing but whether they are equal. */
export interface PairProof {
  readonly spiIn: number;
  readonly spiOut: number;
  readonly keyIn: string;
  readonly keyOut: string;
}

/** What the driver of the load wants to know, by connection. */
export interface IkeSiteEvents {
  installed(connection: number): void;
  removed(connection: number): void;
  /** An IKE SA is gone. */
  closed(connection: number): void;
}

const HOUR = 3_600_000;
/** Slots of a gateway, and how many more than connections: those that were removed wait before they are used again. */
const SLOTS = 4096;
const SPARE = 2048;

const slotsFor = (connections: number): number => Math.max(SLOTS, 2 ** Math.ceil(Math.log2(connections + SPARE)));

const required = <T>(value: T | undefined): T => {
  if (value === undefined) throw new RangeError("a benchmark's own configuration is wrong");
  return value;
};

const identity = (text: string) => required(parseIdentity(text));

/** The nth connection as one side has it. */
const connectionOf = (options: IkeSiteOptions, n: number): ConnectionConfig => {
  const { role, addresses, ports, kex, pfs, liveness } = options;
  const ids = { initiator: identity(`i${n}.example`), responder: identity("r.example") };
  const other = role === "initiator" ? "responder" : "initiator";
  const selectors = [required(parseSelector(`10.${(n >> 8) & 255}.${n & 255}.0/24`))];
  const anywhere = [required(parseSelector("0.0.0.0/0"))];
  const secret = new TextEncoder().encode(`benchmark ${n}`);
  return {
    name: `${n}`,
    local: { address: addresses[role], id: ids[role] },
    remote: { address: addresses[other], port: ports.ike, id: ids[other] },
    psk: { local: secret, remote: secret },
    start: "none",
    encap: "auto",
    fragmentation: "yes",
    fragmentSize: undefined,
    proposals: [parseIkeProposal(`aes256gcm16-prfsha256-${kex}`)],
    lifetime: 24 * HOUR,
    liveness: liveness === undefined ? undefined : { interval: liveness },
    retransmit: { first: 500, factor: 2, tries: 7, jitter: 0.1 },
    childless: "allow",
    duplicates: "contact",
    children: [
      {
        name: "net",
        sas: 1,
        proposals: [parseEspProposal(pfs ? `aes256gcm16-${kex}` : "aes256gcm16", "either")],
        local: role === "initiator" ? selectors : anywhere,
        remote: role === "initiator" ? anywhere : selectors,
        lifetime: HOUR * 8,
      },
    ],
  };
};

export class IkeSite {
  readonly manager: IkeManager;
  /** Set by who drives the load. */
  events: IkeSiteEvents = { installed: () => {}, removed: () => {}, closed: () => {} };
  readonly #plane: Plane;
  readonly #tunnel: number;
  readonly #tun: number;
  readonly #connectionOf = new Map<number, number>();
  readonly #send: (path: Path, bytes: Uint8Array) => void;
  /** While it is there, keys are proven by it. */
  #proofKey: string | undefined;
  readonly #works: KeyPool;
  readonly #proofs = new Map<number, PairProof>();

  private constructor(options: IkeSiteOptions, plane: Plane, send: (path: Path, bytes: Uint8Array) => void) {
    this.#plane = plane;
    this.#send = send;
    this.#tun = openEventfd(); // nothing ever comes from it
    this.#tunnel = plane.addTunnel({ tunFds: [this.#tun] });
    plane.addSockets({ address: options.addresses[options.role], udp: [], raw: [] });
    const connections = Array.from({ length: options.connections }, (_, n) => connectionOf(options, n));
    const random = new RandomPool();
    const longest = options.keyThreads ?? Number.POSITIVE_INFINITY;
    const slow = slowKeyExchanges(connections.slice(0, 1), longest);
    this.manager = new IkeManager(
      connections,
      {
        random: (length) => random.take(length),
        reserveSpi: () => plane.reserveSpi(this.#tunnel),
        releaseSpi: (spi) => plane.releaseSpi(spi),
        usage: (spi) => plane.usage(spi),
        pathMtu: () => undefined,
      },
      { ports: options.ports, rekeyRate: 1_000_000, slowKeyExchanges: slow },
    );
    this.#works = new KeyPool({
      onDone: (id, result) => this.act((ike, now) => ike.keyWorkDone(id, result, now)),
      onTrouble: (message) => {
        throw new EspalierError("ESPALIER_PLATFORM", `the threads for key exchanges: ${message}`);
      },
    });
  }

  /** `send` brings a message to the other side. */
  static async open(options: IkeSiteOptions, send: (path: Path, bytes: Uint8Array) => void): Promise<IkeSite> {
    const plane = await Plane.start({
      workers: 1,
      engine: "node",
      slots: slotsFor(options.connections),
      inThread: true,
    });
    return new IkeSite(options, plane, send);
  }

  /** From now on keep a proof of each connection's keys: an HMAC with this key, which both sides have. */
  prove(key: string | undefined): void {
    this.#proofKey = key;
    this.#proofs.clear();
  }

  /** By connection. */
  get proofs(): ReadonlyMap<number, PairProof> {
    return this.#proofs;
  }

  /** Pairs that are installed. */
  get pairs(): number {
    return this.#connectionOf.size;
  }

  act(step: (manager: IkeManager, now: number) => readonly Effect[]): void {
    for (const effect of step(this.manager, performance.now())) this.#perform(effect);
  }

  /** What happens by itself, and a round of the worker, so that slots of removed pairs come free. */
  beat(): void {
    const now = performance.now();
    const wake = this.manager.nextWake();
    if (wake !== undefined && wake <= now) this.act((manager) => manager.tick(now));
    this.#plane.step();
    this.#plane.poll();
  }

  async close(): Promise<void> {
    await this.#works.close();
    await this.#plane.stop();
    close(this.#tun);
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "send":
        this.#send(effect.path, effect.bytes);
        break;
      case "install": {
        const { child } = effect;
        const connection = Number(child.connection);
        this.#plane.install(this.#tunnel, { ...child, replayWindow: 1024 });
        if (effect.use === "now") this.#plane.use(child.spiIn);
        if (this.#proofKey !== undefined) this.#keep(this.#proofKey, connection, child);
        wipe(child.keyIn, child.keyOut);
        this.#connectionOf.set(child.spiIn, connection);
        this.events.installed(connection);
        break;
      }
      case "use":
        this.#plane.use(effect.spiIn);
        break;
      case "remove": {
        const connection = this.#connectionOf.get(effect.spiIn);
        this.#connectionOf.delete(effect.spiIn);
        this.#plane.remove(effect.spiIn);
        if (connection !== undefined) this.events.removed(connection);
        break;
      }
      case "log":
        if (effect.event === "ike-sa-closed" && effect.connection !== undefined)
          this.events.closed(Number(effect.connection));
        break;
      case "key-work":
        this.#works.do(effect.id, effect.work);
        break;
      case "forget-key-work":
        this.#works.forget(effect.id);
        break;
      default:
        break; // keepalives and moves: nobody is behind a NAT; nothing is resolved: peers are addresses
    }
  }

  #keep(
    key: string,
    connection: number,
    { spiIn, spiOut, keyIn, keyOut }: { spiIn: number; spiOut: number; keyIn: Uint8Array; keyOut: Uint8Array },
  ): void {
    const proof = (secret: Uint8Array): string => createHmac("sha256", key).update(secret).digest("hex");
    this.#proofs.set(connection, { spiIn, spiOut, keyIn: proof(keyIn), keyOut: proof(keyOut) });
  }
}
