/**
 * Two whole IkeManagers on a virtual clock, joined by a link:
 *
 *   const { a, b, run } = twoPeers();
 *   a.initiate("net");      // IKE_SA_INIT, IKE_AUTH -->
 *   run(1_000);
 */
import { doKeyWork, type KeyResult, type KeyWork } from "../../src/crypto/key-work.ts";
import type { ChildConfig, ConnectionConfig } from "../../src/ike/connection.ts";
import type { Effect } from "../../src/ike/effect.ts";
import { parseIdentity } from "../../src/ike/identity.ts";
import { IkeManager, type IkeOptions } from "../../src/ike/manager.ts";
import { Exchange, parseHeader, parseMessage } from "../../src/ike/message.ts";
import { parseEspProposal, parseIkeProposal } from "../../src/ike/proposal.ts";
import type { ConnectionStatus } from "../../src/ike/status.ts";
import { parseSelector, type TrafficSelector } from "../../src/ipsec/selector.ts";
import { Clock } from "./clock.ts";
import { JudgedWakes } from "./judged-wakes.ts";
import { type Datagram, Link } from "./link.ts";
import { flowOf, MemoryDataPlane } from "./memory-data-plane.ts";
import { inTime, type PeersInTime } from "./peers-in-time.ts";
import { SeededRandom } from "./seeded-random.ts";

export type LogLine = Extract<Effect, { kind: "log" }> & { readonly at: number };

export const A = "192.0.2.1";
export const B = "192.0.2.2";

export const identity = (text: string) => {
  const parsed = parseIdentity(text);
  if (parsed === undefined) throw new Error(`no identity: ${text}`);
  return parsed;
};

export const selectors = (...texts: string[]): TrafficSelector[] =>
  texts.map((text) => {
    const parsed = parseSelector(text);
    if (parsed === undefined) throw new Error(`no selector: ${text}`);
    return parsed;
  });

export const ike = (...texts: string[]) => texts.map(parseIkeProposal);
export const esp = (...texts: string[]) => texts.map((text) => parseEspProposal(text, "either"));
export const key = (text: string): Uint8Array => new TextEncoder().encode(text);

const HOUR = 3_600_000;

export const child = (changes: Partial<ChildConfig> = {}): ChildConfig => ({
  name: "net",
  proposals: esp("aes256gcm16"),
  local: selectors("0.0.0.0/0"),
  remote: selectors("0.0.0.0/0"),
  lifetime: HOUR,
  sas: 1,
  ...changes,
});

/** A connection of `me` with `you`, which says the same in the other's mouth when the two are exchanged. */
export const connection = (me: "a" | "b", changes: Partial<ConnectionConfig> = {}): ConnectionConfig => ({
  name: "tunnel",
  local: { address: me === "a" ? A : B, id: identity(`${me}.example`) },
  remote: { address: me === "a" ? B : A, port: 500, id: identity(me === "a" ? "b.example" : "a.example") },
  psk: { local: key("secret"), remote: key("secret") },
  start: "none",
  encap: "auto",
  fragmentation: "yes",
  fragmentSize: undefined,
  proposals: ike("aes256gcm16-prfsha256-x25519"),
  lifetime: 24 * HOUR,
  liveness: undefined,
  retransmit: { first: 500, factor: 2, tries: 7 },
  childless: "allow",
  duplicates: "contact",
  children: [child()],
  ...changes,
});

export class Peer {
  readonly data: MemoryDataPlane;
  readonly logs: LogLine[] = [];
  readonly address: string;
  keepalives = 0;
  forgottenWorks = 0;
  /** Key exchanges that were asked for, and what they came to. */
  readonly works: { readonly work: KeyWork; readonly result: KeyResult }[] = [];
  /** How long the next of them takes, ms. */
  keyWorkTime = (): number => 5;
  /** What the resolver knows. */
  readonly names = new Map<string, readonly string[]>();
  /** What the system says of the MTU of the way to the other. */
  pathMtu: number | undefined = 1500;
  manager: IkeManager;
  readonly #clock: Clock;
  readonly #link: Link;
  readonly #connections: readonly ConnectionConfig[];
  readonly #options: Partial<IkeOptions>;
  readonly #random: SeededRandom;

  constructor(
    address: string,
    firstSpi: number,
    { clock, link, random }: { clock: Clock; link: Link; random: SeededRandom },
    connections: readonly ConnectionConfig[],
    options: Partial<IkeOptions>,
  ) {
    this.address = address;
    this.#clock = clock;
    this.#link = link;
    this.#random = random;
    this.#connections = connections;
    this.#options = options;
    this.data = new MemoryDataPlane(firstSpi);
    this.manager = this.#make();
    link.attach(address, (bytes, path) => this.apply(this.manager.receive(bytes, path, clock.now)));
  }

  #make(): IkeManager {
    const env = {
      random: (length: number) => this.#random.bytes(length),
      reserveSpi: () => this.data.reserveSpi(),
      releaseSpi: (spi: number) => this.data.releaseSpi(spi),
      usage: (spiIn: number) => this.data.usage(spiIn),
      pathMtu: () => this.pathMtu,
    };
    return new IkeManager(this.#connections, env, this.#options, new JudgedWakes());
  }

  /** Lose all state without a word, and begin anew. */
  crash(): void {
    this.data.pairs.clear();
    this.data.sendingOn.clear();
    this.data.reserved.clear();
    this.manager = this.#make();
  }

  apply(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") this.#link.send(effect.path, effect.bytes);
      else if (effect.kind === "log") this.logs.push({ ...effect, at: this.#clock.now });
      else if (effect.kind === "keepalive") this.keepalives++;
      else if (effect.kind === "resolve") this.#resolve(effect.connection, effect.host);
      else if (effect.kind === "key-work") this.#compute(effect.id, effect.work);
      else if (effect.kind === "forget-key-work") this.forgottenWorks++;
      else this.data.apply(effect);
    }
  }

  /** Elsewhere, in no order: also what is not wanted any more comes back. */
  #compute(id: number, work: KeyWork): void {
    const { manager } = this; // one that has crashed hears no more
    const result = doKeyWork(work);
    this.works.push({ work, result });
    this.#clock.at(this.#clock.now + this.keyWorkTime(), () => {
      if (manager === this.manager) this.apply(manager.keyWorkDone(id, result, this.#clock.now));
    });
  }

  #resolve(connection: string, host: string): void {
    const found = this.names.get(host);
    if (found === undefined) return; // the resolver hangs
    this.#clock.at(this.#clock.now + 5, () =>
      this.apply(this.manager.resolved(connection, host, found, this.#clock.now)),
    );
  }

  trapped(child = "net", name = "tunnel"): void {
    this.apply(this.manager.trapped(name, child, this.#clock.now));
  }

  start(): void {
    this.apply(this.manager.start(this.#clock.now));
  }

  initiate(name = "tunnel"): void {
    this.apply(this.manager.initiate(name, this.#clock.now));
  }

  terminate(name = "tunnel"): void {
    this.apply(this.manager.terminate(name, this.#clock.now));
  }

  rekey(what: "ike" | "children", name = "tunnel"): void {
    this.apply(this.manager.rekey(name, { ike: what === "ike" }, this.#clock.now));
  }

  stop(): void {
    this.apply(this.manager.stop(this.#clock.now));
  }

  peerUsed(spiIn: number): void {
    this.apply(this.manager.peerUsed(spiIn, this.#clock.now));
  }

  status(name = "tunnel"): ConnectionStatus {
    const found = this.manager.status(this.#clock.now).find((connection) => connection.name === name);
    if (found === undefined) throw new Error(`no status of ${name}`);
    return found;
  }

  events(): string[] {
    return this.logs.map(({ event }) => event);
  }

  log(event: string): LogLine | undefined {
    return this.logs.findLast((line) => line.event === event);
  }

  count(reason: string): number {
    return this.manager.counters[reason] ?? 0;
  }
}

export interface Setup {
  readonly seed?: number;
  readonly a?: Partial<ConnectionConfig>;
  readonly b?: Partial<ConnectionConfig>;
  /** In place of the one connection of each. */
  readonly connectionsA?: readonly ConnectionConfig[];
  readonly connectionsB?: readonly ConnectionConfig[];
  readonly optionsA?: Partial<IkeOptions>;
  readonly optionsB?: Partial<IkeOptions>;
}

export interface TwoPeers extends PeersInTime {
  readonly clock: Clock;
  readonly link: Link;
  readonly random: SeededRandom;
  readonly a: Peer;
  readonly b: Peer;
  /** a initiates and both are up. */
  readonly connect: () => void;
}

export const twoPeers = (setup: Setup = {}): TwoPeers => {
  const random = new SeededRandom(setup.seed ?? 1);
  const clock = new Clock();
  const link = new Link(clock, random);
  const world = { clock, link, random };
  const a = new Peer(A, 0x1000, world, setup.connectionsA ?? [connection("a", setup.a)], setup.optionsA ?? {});
  const b = new Peer(B, 0x2000, world, setup.connectionsB ?? [connection("b", setup.b)], setup.optionsB ?? {});

  const { run, until } = inTime(clock, [a, b]);

  const connect = (): void => {
    a.initiate();
    run(1_000);
    if (a.status().state !== "up" || b.status().state !== "up") throw new Error("the peers did not connect");
  };

  return { clock, link, random, a, b, run, until, connect };
};

const EXCHANGE_NAMES = Object.fromEntries(Object.entries(Exchange).map(([name, type]) => [type, name]));

/** `a> IKE_SA_INIT request 0`, `a> IKE_AUTH request 1 [2/3]` for a piece: the messages sent, as a drawing. */
export const drawn = (sent: readonly Datagram[]): string[] =>
  sent.map(({ from, bytes }) => {
    const { exchange, isResponse, messageId } = parseHeader(bytes);
    const name = EXCHANGE_NAMES[exchange] ?? exchange;
    const piece = fragmentOf(bytes);
    const which = piece === undefined ? "" : ` [${piece.number}/${piece.total}]`;
    return `${from.address === A ? "a" : "b"}> ${name} ${isResponse ? "answer" : "request"} ${messageId}${which}`;
  });

/** Which piece of a message a datagram is (RFC 7383); undefined for a whole one. */
export const fragmentOf = (bytes: Uint8Array) => parseMessage(bytes).protected?.fragment;

/** What is wrong between two data planes: pairs without their other half, half or unlike keys, SPIs never given back. */
export const disagreements = ({ a, b }: Pick<TwoPeers, "a" | "b">): string[] =>
  disagreementsOf([
    ["a", a],
    ["b", b],
  ]);

/** The same among any number, whose SPIs have nothing in common. */
export const disagreementsOf = (peers: readonly (readonly [string, Peer])[]): string[] =>
  peers.flatMap(([name, { data }]) => {
    const others = peers.filter(([other]) => other !== name).map(([, peer]) => peer.data);
    const reserved = [...data.reserved].map((spi) => `${name} still reserves ${spi.toString(16)}`);
    const wrong = [...data.pairs.values()].flatMap(({ spiIn, spiOut, keyIn, keyOut }) => {
      const spi = spiIn.toString(16);
      const mirror = others.map(({ pairs }) => pairs.get(spiOut)).find((pair) => pair !== undefined);
      if (mirror === undefined) return [`${name} has ${spi} alone`];
      if (mirror.spiOut !== spiIn) return [`${name} has ${spi} with another's other half`];
      const areEqual = Buffer.compare(mirror.keyIn, keyOut) === 0 && Buffer.compare(mirror.keyOut, keyIn) === 0;
      return areEqual ? [] : [`${name} has other keys in ${spi}`];
    });
    return [...reserved, ...wrong];
  });

/** Children, and resources of them, whose packets leave on a pair that the other side does not receive on. */
export const gaps = ({ a, b }: Pick<TwoPeers, "a" | "b">): string[] =>
  [[a, b, "a"] as const, [b, a, "b"] as const].flatMap(([one, other, name]) =>
    [...new Set([...one.data.pairs.values()].map(flowOf))].flatMap((flow) => {
      const sending = one.data.sendingFor(flow);
      if (sending === undefined) return [`${name} cannot send for ${flow}`];
      return other.data.pairs.has(sending.spiOut) ? [] : [`${name} sends ${flow} on what the other has not`];
    }),
  );
