/**
 * A fuzzer of the packet path, in this process: two planes with a worker or several, and somebody between them.
 *
 *   any octets -> TUN of A -> worker of A -> the wire: loses, doubles, changes, invents -> worker of B -> TUN of B
 *
 * Several workers have a queue of each TUN and a socket each; packets come to any of them, whoever has their SA.
 *
 * A seed repeats everything. `fuzzEsp` throws when something throws, or when what came in is not what passed and what was
 * dropped, for a worker, its tunnels and its SAs; or when a datagram passes that nobody sealed, or one does not that was.
 */

import type { EngineName } from "../../src/crypto/engine.ts";
import { suitesDoneBy } from "../../src/crypto/select-engine.ts";
import { type Suite, suiteByName } from "../../src/crypto/suites.ts";
import { type ChildSa, Plane, type TunnelCounters } from "../../src/dataplane/plane.ts";
import type { Endpoint } from "../../src/ip-address.ts";
import type { Tally } from "../../src/ipsec/counters.ts";
import { ANY_SIZE, Oversize, type SaSize } from "../../src/ipsec/sad.ts";
import { anySelectors, parseSelector, type TrafficSelector } from "../../src/ipsec/selector.ts";
import * as libc from "../../src/linux/libc.ts";
import { Memory } from "../../src/linux/memory.ts";
import { MsgBatch } from "../../src/linux/msg-batch.ts";
import { AF_INET } from "../../src/linux/sockaddr.ts";
import { bindTo, boundEndpoint, enlargeBuffers, openSocket, SOCK_DGRAM } from "../../src/linux/socket.ts";
import { ipv4PacketOf } from "./ip-headers.ts";
import { ipPacket } from "./ip-packets.ts";
import { MemoryTun } from "./memory-tun.ts";
import { SeededRandom } from "./seeded-random.ts";

export interface FuzzOptions {
  readonly seed: number;
  /** Judged by both planes together, at least. */
  readonly packets: number;
  /** Of each plane; default 1. */
  readonly workers?: number;
}

export interface FuzzReport {
  readonly seed: number;
  /** Put into the TUNs of A; sent to B, and of these as A had sealed them. */
  readonly injected: number;
  readonly sent: number;
  readonly genuine: number;
  /** Of the genuine ones: that came to another worker than that of their SA. */
  readonly astray: number;
  /** ICMP errors that A answered with. */
  readonly answers: number;
  readonly out: Tally;
  readonly in: Tally;
}

const BATCH = 64;
const ROOM = 16_384;
const KEPT = 256;
/** Of payloads: most are short. */
const SIZES = [8, 20, 20, 60, 60, 60, 100, 100, 100, 200, 200, 400, 400, 1252, 1372, 1400, 1480, 1481, 4000, 9452];
const VNET_HDR = 10;

interface Kind {
  readonly suite: string;
  readonly esn?: boolean;
  readonly window?: number;
  readonly size?: Partial<SaSize>;
  readonly selectors?: readonly [local: string, remote: string];
}

/** Two for each tunnel: the second replaces the first now and then. */
const KINDS: readonly Kind[] = [
  { suite: "aes256gcm16", esn: true },
  { suite: "aes128-sha256", size: { mtu: 1400 } },
  { suite: "chacha20poly1305", window: 32, size: { mtu: 576, oversize: Oversize.AFTER_DF } },
  { suite: "aes256gcm8", window: 4096, selectors: ["10.1.0.0/16[udp]", "10.2.0.0/16[udp/2000]"] },
  { suite: "aes128gcm16", esn: true, size: { mtu: 1438, tfc: 256 } },
  { suite: "null-sha256", size: { mtu: 1280 } },
  { suite: "aes256-sha512", window: 0, size: { mtu: 8000, tfc: 0x1_0000 } },
  { suite: "aes128ctr-sha1", size: { mtu: 1300, oversize: Oversize.AFTER } },
];
const TUNNELS = KINDS.length / 2;

interface Pair {
  readonly tunnel: number;
  readonly spiA: number;
  readonly spiB: number;
  readonly hasWindow: boolean;
}

const sumOf = ({ packets, drops }: Tally): number => Object.values(drops).reduce((sum, count) => sum + count, packets);

const check = (what: string, found: number, expected: number): void => {
  if (found !== expected) throw new Error(`${what}: ${found}, expected ${expected}`);
};

/** An engine that does most of the suites; what it does not do is replaced. */
const engineFor = (): EngineName => {
  const usable = (["ipsec-mb", "openssl", "node"] as const).map((name) => {
    const done = suitesDoneBy(name);
    return { name, count: KINDS.filter(({ suite }) => done.some((one) => one.name === suite)).length };
  });
  return usable.reduce((best, next) => (next.count > best.count ? next : best)).name;
};

const udp = (address: string): { readonly fd: number; readonly endpoint: Endpoint } => {
  const fd = openSocket(address, SOCK_DGRAM, 0, "fuzzer");
  enlargeBuffers(fd);
  bindTo(fd, { address, port: 0 }, "fuzzer");
  return { fd, endpoint: boundEndpoint(fd) };
};

const selectorsOf = (text: string | undefined): readonly TrafficSelector[] => {
  const parsed = text === undefined ? undefined : parseSelector(text);
  return parsed === undefined ? anySelectors : [parsed];
};

/** Inner packets of all kinds, right and wrong: each use changes one a little. */
const inventory = (random: SeededRandom): Uint8Array[] => {
  const made: Uint8Array[] = [
    new Uint8Array(0),
    new Uint8Array(1),
    random.bytes(19),
    random.bytes(20),
    random.bytes(60),
  ];
  const payload = (length: number): Uint8Array => new Uint8Array(length).fill(random.integer(256));
  for (let i = 0; i < 200; i++) {
    const protocol = random.pick([1, 6, 17, 17, 17, 47, 50, 58, 132]);
    const size = random.pick(SIZES);
    const options = new Uint8Array(random.pick([0, 0, 0, 4, 8, 40])).fill(random.pick([0, 1, 130]));
    const dontFragment = random.chance(0.4);
    const isPiece = random.chance(0.1);
    const offset = isPiece ? 8 * random.integer(200) : 0;
    made.push(
      ipv4PacketOf(
        { protocol, options, dontFragment, offset, moreFragments: isPiece, tos: random.integer(256) },
        payload(size),
      ),
    );
    made.push(ipPacket({ version: 6, length: 40 + size, protocol }));
    made.push(ipPacket({ version: 4, length: 20 + size, protocol, sourcePort: random.integer(65_536) }));
  }
  made.push(ipPacket({ version: 4, length: 12_000 }), ipPacket({ version: 6, length: 20_000 }), random.bytes(15_000));
  return made;
};

export const fuzzEsp = async ({ seed, packets, workers = 1 }: FuzzOptions): Promise<FuzzReport> => {
  const fuzzer = await Fuzzer.start(seed, workers);
  try {
    return fuzzer.run(packets);
  } finally {
    await fuzzer.stop();
  }
};

class Fuzzer {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #a: Plane;
  readonly #b: Plane;
  readonly #fds: readonly number[];
  readonly #wire: number;
  /** Of B, a socket of each worker. */
  readonly #targets: readonly Endpoint[];
  /** By tunnel: a queue of each worker. */
  readonly #tunsA: readonly (readonly MemoryTun[])[];
  readonly #tunsB: readonly (readonly MemoryTun[])[];
  readonly #idsA: readonly number[];
  readonly #idsB: readonly number[];
  readonly #pairs: readonly Pair[];
  readonly #windowless: ReadonlySet<number>;
  readonly #inventory: readonly Uint8Array[];
  readonly #received = new MsgBatch({ slab: Memory.allocate(BATCH * ROOM), capacity: BATCH });
  readonly #sending = new MsgBatch({ slab: Memory.allocate(BATCH * ROOM), capacity: BATCH });
  readonly #kept: Uint8Array[] = [];
  #queued = 0;
  /** Worker of B whose socket gets what is queued: of one SA all in order, or their windows would be too small. */
  #to = 0;
  #injected = 0;
  #seen = 0;
  #sent = 0;
  #genuine = 0;
  #astray = 0;
  #delivered = 0;
  #deliveredOctets = 0;
  #answers = 0;
  #inUse = 0;
  readonly #frame = new Uint8Array(65_536);
  readonly #noteAnswer = (): void => {
    this.#answers++;
  };
  readonly #notePlain = (packet: Uint8Array): void => this.#note(packet, 0);
  readonly #noteFramed = (packet: Uint8Array): void => this.#note(packet, VNET_HDR);

  static async start(seed: number, workers: number): Promise<Fuzzer> {
    const engine = engineFor();
    const plane = (): Promise<Plane> => Plane.start({ workers, slots: 64, engine, inThread: true });
    return new Fuzzer(seed, engine, await plane(), await plane());
  }

  private constructor(seed: number, engine: EngineName, a: Plane, b: Plane) {
    this.#seed = seed;
    this.#random = new SeededRandom(seed);
    this.#a = a;
    this.#b = b;
    const each = <T>(make: () => T): T[] => Array.from({ length: a.workers }, make);
    const between = udp("127.0.0.4");
    const [atA, atB] = [each(() => udp("127.0.0.2")), each(() => udp("127.0.0.3"))];
    this.#fds = [...atA, between, ...atB].map(({ fd }) => fd);
    this.#wire = between.fd;
    this.#targets = atB.map(({ endpoint }) => endpoint);
    a.addSockets({ address: atA[0]!.endpoint.address, udp: atA.map(({ fd }) => fd), raw: [] });
    b.addSockets({ address: atB[0]!.endpoint.address, udp: atB.map(({ fd }) => fd), raw: [] });
    this.#tunsA = Array.from({ length: TUNNELS }, () => each(() => new MemoryTun()));
    this.#tunsB = Array.from({ length: TUNNELS }, () => each(() => new MemoryTun()));
    const add = (to: Plane, tuns: readonly (readonly MemoryTun[])[]): number[] =>
      tuns.map((queues, i) => to.addTunnel({ tunFds: queues.map(({ planeFd }) => planeFd), vnetHdr: i % 2 === 1 }));
    this.#idsA = add(a, this.#tunsA);
    this.#idsB = add(b, this.#tunsB);
    for (const id of this.#idsA) a.setMss(id, 1300, 1280);
    const done = suitesDoneBy(engine);
    const suiteOf = (name: string): Suite => done.find((suite) => suite.name === name) ?? suiteByName("aes256gcm16")!;
    this.#pairs = KINDS.map((kind, i) =>
      this.#install(kind, suiteOf(kind.suite), i, [atA[0]!.endpoint, between.endpoint, atB[0]!.endpoint]),
    );
    this.#windowless = new Set(this.#pairs.filter(({ hasWindow }) => !hasWindow).map(({ spiB }) => spiB));
    this.#inventory = inventory(this.#random);
  }

  #install(
    { esn = false, window = 1024, size = {}, selectors }: Kind,
    suite: Suite,
    index: number,
    [atA, between, atB]: readonly [Endpoint, Endpoint, Endpoint],
  ): Pair {
    const tunnel = index >> 1;
    const [idA, idB] = [this.#idsA[tunnel]!, this.#idsB[tunnel]!];
    // The pairs of every other tunnel are of two workers, where there are several: both are in use then.
    const resource = tunnel % 2 === 1 ? index % 2 : 0;
    const spiA = this.#a.reserveSpi(idA, resource);
    const spiB = this.#b.reserveSpi(idB, resource);
    const [keyIn, keyOut] = [this.#random.bytes(suite.keyLength), this.#random.bytes(suite.keyLength)];
    const local = selectorsOf(selectors?.[0]);
    const remote = selectorsOf(selectors?.[1]);
    const common = { suite, esn, encap: true, replayWindow: window };
    const sizes = { ...ANY_SIZE, ...size };
    const here: ChildSa = {
      ...common,
      spiIn: spiA,
      spiOut: spiB,
      keyIn,
      keyOut,
      local,
      remote,
      size: sizes,
      path: { local: atA, remote: between },
    };
    const there: ChildSa = {
      ...common,
      spiIn: spiB,
      spiOut: spiA,
      keyIn: keyOut,
      keyOut: keyIn,
      local: remote,
      remote: local,
      path: { local: atB, remote: between },
    };
    this.#a.install(idA, here);
    this.#b.install(idB, there);
    this.#a.use(spiA);
    this.#b.use(spiB);
    return { tunnel, spiA, spiB, hasWindow: window > 0 };
  }

  run(packets: number): FuzzReport {
    for (let round = 0; this.#injected + this.#sent < packets; round++) {
      try {
        this.#round();
        if (round % 1000 === 999) this.#check();
      } catch (error) {
        throw new Error(`seed ${this.#seed}, round ${round}: ${error instanceof Error ? error.message : error}`, {
          cause: error,
        });
      }
    }
    this.#check();
    return {
      seed: this.#seed,
      injected: this.#injected,
      sent: this.#sent,
      genuine: this.#genuine,
      astray: this.#astray,
      answers: this.#answers,
      out: this.#a.totals().out,
      in: this.#b.totals().in,
    };
  }

  async stop(): Promise<void> {
    await this.#a.stop();
    await this.#b.stop();
    for (const tun of [...this.#tunsA, ...this.#tunsB].flat()) tun.close();
    for (const fd of this.#fds) libc.close(fd);
  }

  #round(): void {
    const random = this.#random;
    if (random.chance(0.01)) {
      this.#inUse = (this.#inUse + 1) % this.#pairs.length;
      this.#a.use(this.#pairs[this.#inUse]!.spiA);
    }
    if (random.chance(0.01)) this.#a.sendDummy(random.pick(this.#idsA), random.integer(2000));
    const count = 1 + random.integer(3 * BATCH);
    for (let i = 0; i < count; i++) this.#inject();
    settle(this.#a);
    for (const queues of this.#tunsA) for (const tun of queues) tun.drain(this.#noteAnswer);
    const batch = this.#received;
    for (;;) {
      for (let i = 0; i < BATCH; i++) batch.setBuffer(i, i * ROOM, ROOM);
      const came = batch.receive(this.#wire, 0, BATCH);
      if (came <= 0) break;
      this.#seen += came;
      for (let i = 0; i < came; i++) this.#meddle(batch.slab.bytes.subarray(i * ROOM, i * ROOM + batch.length(i)));
    }
    if (random.chance(0.3)) this.#send(random.bytes(random.integer(60)), false);
    if (random.chance(0.05)) this.#send(Uint8Array.of(0xff), false);
    this.#flush();
  }

  #inject(): void {
    const random = this.#random;
    const tunnel = random.integer(TUNNELS);
    const packet = random.pick(this.#inventory);
    const header = tunnel % 2 === 1 ? VNET_HDR : 0;
    const framed = this.#frame.subarray(0, header + packet.length);
    framed.fill(0, 0, header);
    framed.set(packet, header);
    if (header > 0 && random.chance(0.1)) {
      framed[0] = random.integer(4); // checksums to complete, anywhere
      framed[1] = random.pick([0, 2, 0x7f]); // no kind of segments that there is
      for (let i = 6; i < VNET_HDR; i++) framed[i] = random.integer(random.pick([2, 60]));
    }
    if (packet.length > 0 && random.chance(0.05))
      framed[header + random.integer(Math.min(60, packet.length))]! ^= 1 << random.integer(8);
    random
      .pick(this.#tunsA[tunnel]!)
      .inject(random.chance(0.01) ? framed.subarray(0, random.integer(framed.length + 1)) : framed);
    this.#injected++;
  }

  /** Somebody on the way has a datagram that A has sealed. */
  #meddle(datagram: Uint8Array): void {
    const random = this.#random;
    const what = random.fraction();
    const spi = new DataView(datagram.buffer, datagram.byteOffset).getUint32(0);
    if (what < 0.04) return; // lost
    if (what > 0.3 || what < 0.1) {
      this.#send(datagram, true);
      if (what < 0.08) this.#send(datagram, this.#windowless.has(spi)); // doubled
      if (what > 0.98) {
        this.#kept[random.integer(KEPT)] = datagram.slice();
      } else if (what > 0.96 && this.#kept.length > 0) {
        const old = this.#kept[random.integer(this.#kept.length)];
        if (old !== undefined) this.#send(old, this.#windowless.has(new DataView(old.buffer).getUint32(0)));
      }
      return;
    }
    const changed = this.#changed(datagram);
    this.#send(changed, false);
    if (random.chance(0.5)) this.#send(datagram, true); // the right one behind it
  }

  /** Not what it was, in one of several ways. */
  #changed(datagram: Uint8Array): Uint8Array {
    const random = this.#random;
    const { length } = datagram;
    switch (random.integer(5)) {
      case 0:
        return datagram.slice(0, random.integer(length));
      case 1: {
        const longer = new Uint8Array(Math.min(ROOM, length + 1 + random.integer(40)));
        longer.set(datagram);
        return longer;
      }
      case 2: {
        const bent = datagram.slice();
        bent[random.integer(8)]! ^= 1 << random.integer(8); // SPI and sequence number
        return bent;
      }
      case 3: {
        const bent = datagram.slice();
        bent[random.integer(length)]! ^= 1 + random.integer(255);
        return bent;
      }
      default: {
        const bent = datagram.slice();
        const at = random.integer(length);
        for (let i = at; i < Math.min(length, at + 40); i++) bent[i]! ^= 0x55;
        return bent;
      }
    }
  }

  #send(octets: Uint8Array, isGenuine: boolean): void {
    const batch = this.#sending;
    const i = this.#queued++;
    batch.slab.bytes.set(octets, i * ROOM);
    batch.setBuffer(i, i * ROOM, octets.length);
    batch.setPeer(i, AF_INET, TARGET_ADDRESS, 0, this.#targets[this.#to]!.port);
    if (isGenuine) {
      this.#genuine++;
      if (this.#b.workerOf(batch.slab.view.getUint32(i * ROOM)) !== this.#to) this.#astray++;
    }
    if (this.#queued === BATCH) this.#flush();
  }

  #flush(): void {
    const count = this.#queued;
    this.#queued = 0;
    for (let at = 0; at < count; ) {
      const sent = this.#sending.send(this.#wire, at, count - at);
      if (sent <= 0) throw new Error(`the wire does not take datagrams: ${sent}`);
      at += sent;
    }
    this.#sent += count;
    settle(this.#b);
    this.#tunsB.forEach((queues, i) => {
      for (const tun of queues) tun.drain(i % 2 === 1 ? this.#noteFramed : this.#notePlain);
    });
    this.#to = this.#random.integer(this.#targets.length);
  }

  /** What B delivers: groups are as many packets as their segments. */
  #note(packet: Uint8Array, header: number): void {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
    const octets = packet.length - header;
    if (header === 0 || packet[1] === 0) {
      this.#delivered++;
      this.#deliveredOctets += octets;
      return;
    }
    const headers = view.getUint16(2, true);
    const segments = Math.ceil((octets - headers) / view.getUint16(4, true));
    this.#delivered += segments;
    this.#deliveredOctets += octets + (segments - 1) * headers;
  }

  #check(): void {
    const { out } = this.#a.totals();
    const { in: inbound } = this.#b.totals();
    check("packets judged by A of those injected", sumOf(out), this.#injected);
    check("packets judged by B of those sent", sumOf(inbound), this.#sent);
    const opened = inbound.packets + (inbound.drops.dummy ?? 0);
    check("datagrams that passed, or were dummies, of those that were genuine", opened, this.#genuine);
    check("packets delivered of those that passed", this.#delivered, inbound.packets);
    check("octets delivered", this.#deliveredOctets, inbound.bytes);
    const numbers = this.#pairs.reduce((sum, { spiA }) => sum + (this.#a.counters(spiA)?.seqOut ?? 0), 0);
    check("datagrams of the sequence numbers used", this.#seen, numbers);

    const ofA = this.#idsA.map((id) => this.#a.tunnelCounters(id));
    const dummies = sum(ofA, ({ out: { drops } }) => drops.dummy ?? 0); // they never came in
    check("packets in the tunnels of A", sum(ofA, (tunnel) => sumOf(tunnel.out)) - dummies, this.#injected);
    check(
      "packets that passed the tunnels of A",
      sum(ofA, (tunnel) => tunnel.out.packets),
      out.packets,
    );
    const ofB = this.#idsB.map((id) => this.#b.tunnelCounters(id));
    const inB = (reason: "runt" | "too-big"): number => sum(ofB, ({ in: { drops } }) => drops[reason] ?? 0);
    const { "no-sa": strangers = 0, keepalive = 0, runt = 0, "too-big": tooBig = 0 } = inbound.drops;
    const ofNoSa = strangers + keepalive + runt - inB("runt") + tooBig - inB("too-big");
    check(
      "packets in the tunnels of B",
      sum(ofB, (tunnel) => sumOf(tunnel.in)),
      this.#sent - ofNoSa,
    );
    const sas = this.#pairs.map(({ spiB }) => this.#b.pairTraffic(spiB)!);
    check(
      "packets of the SAs of B",
      sum(sas, (sa) => sumOf(sa.in)),
      sum(ofB, (tunnel) => sumOf(tunnel.in)),
    );
  }
}

const TARGET_ADDRESS = Uint8Array.of(127, 0, 0, 3);

const sum = (counters: readonly TunnelCounters[], of: (one: TunnelCounters) => number): number =>
  counters.reduce((all, one) => all + of(one), 0);

const settle = (plane: Plane): void => {
  for (let idle = 0; idle < 2; ) idle = plane.step() > 0 ? 0 : idle + 1;
};
