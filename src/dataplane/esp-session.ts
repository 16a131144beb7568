/**
 * One ESP SA in memory, without threads, sockets or interfaces: for programs that carry packets themselves, for benchmarks
 * and for tests. It runs the very code of the workers.
 */
import type { EngineName } from "../crypto/engine.ts";
import { type Suite, suiteByName } from "../crypto/suites.ts";
import { EspalierError } from "../errors.ts";
import { canonicalAddress, familyOf } from "../ip-address.ts";
import { Counters, type Tally } from "../ipsec/counters.ts";
import { innerMtu, transportMtu } from "../ipsec/mtu.ts";
import { Sad } from "../ipsec/sad.ts";
import { anySelectors, type TrafficSelector } from "../ipsec/selector.ts";
import { Spd } from "../ipsec/spd.ts";
import { VERDICTS, Verdict, type VerdictName, verdictName } from "../ipsec/verdict.ts";
import { Arena, BATCH, MAX_PACKET } from "./arena.ts";
import { checkKey, checkSpi, checkWindow, saPath } from "./child-sa.ts";
import { Inbound, InboundBatch } from "./inbound.ts";
import { IvPool } from "./iv-pool.ts";
import { openEngineFor } from "./open-engine.ts";
import { Outbound, OutboundBatch } from "./outbound.ts";
import { OwnedSas } from "./owned-sas.ts";

export interface EspSessionOptions {
  /** An SA is one way: it seals or it opens. */
  readonly direction: "seal" | "open";
  /** A suite or its name, such as `aes256gcm16` or `aes128-sha256`. */
  readonly suite: Suite | string;
  /** 256 to 2^32 - 1. */
  readonly spi: number;
  /** `suite.keyLength` octets: encryption key, then salt (AEAD) or integrity key. Copied: wipe yours when you can. */
  readonly key: Uint8Array;
  /** Extended (64-bit) sequence numbers; default false. */
  readonly esn?: boolean;
  /** Packets, 32 to 4096, or 0 for no protection against replay; default 1024. For `open`. */
  readonly replayWindow?: number;
  /** Default `auto`: the first that this machine has for the suite. */
  readonly engine?: EngineName | "auto";
  /**
   * Default tunnel. In transport mode packets are those between the two ends of `tunnel`, which is required, and what is sealed
   * and opened goes behind a header of theirs.
   */
  readonly mode?: "tunnel" | "transport";
  /** End points; default those of an IPv4 tunnel, anywhere. */
  readonly tunnel?: { readonly local: string; readonly remote: string };
  /** ESP in UDP, for `innerMtu`; default false. */
  readonly encap?: boolean;
  /** Traffic selectors; default any on both sides. */
  readonly selectors?: { readonly local: readonly TrafficSelector[]; readonly remote: readonly TrafficSelector[] };
  /** Sequence number last used (`seal`) or highest yet received (`open`); default 0. */
  readonly sequence?: number;
}

/** What became of a packet that was to be opened. */
export interface Opened {
  /** `pass`, or the reason why there is no packet. */
  readonly verdict: VerdictName;
  /** The inner IP packet, a copy, without padding. Only with `pass`. */
  readonly packet?: Uint8Array;
}

const RECORD_IN = 0;
const RECORD_OUT = 1;
const ALL = 2; // counter block of every packet, after one each for the two records
const NO_TUNNEL = 3;

const usage = (message: string): EspalierError => new EspalierError("ESPALIER_USAGE", message);

export class EspSession {
  readonly direction: "seal" | "open";
  readonly suite: Suite;
  /** Its name. */
  readonly engine: string;
  readonly #family: 4 | 6;
  readonly #encap: boolean;
  readonly #mtuFor: typeof innerMtu;
  readonly #sad = Sad.create(1);
  readonly #spd = Spd.create(1);
  readonly #counters = Counters.create(4);
  readonly #arena = new Arena();
  readonly #owned: OwnedSas;
  readonly #inbound: Inbound;
  readonly #outbound: Outbound;
  readonly #toOpen = new InboundBatch(BATCH, new Uint8Array(0));
  readonly #toSeal = new OutboundBatch(BATCH);
  readonly #closeEngine: () => void;
  #closed = false;

  /**
   * Throws ESPALIER_USAGE for an option out of its range or a key of the wrong length, ESPALIER_PLATFORM for an engine that
   * cannot run here.
   */
  static open(options: EspSessionOptions): EspSession {
    return new EspSession(options);
  }

  private constructor(options: EspSessionOptions) {
    const suite = typeof options.suite === "string" ? suiteByName(options.suite) : options.suite;
    if (suite === undefined) throw usage(`no suite ${String(options.suite)}`);
    if (options.direction !== "seal" && options.direction !== "open")
      throw usage(`a direction is seal or open, not ${String(options.direction)}`);
    checkSpi(options.spi);
    checkKey(suite, options.key);
    const window = checkWindow(options.replayWindow);
    const sequence = checkSequence(options.sequence ?? 0, options.esn ?? false);
    const { local, remote } = options.tunnel ?? { local: "0.0.0.0", remote: "0.0.0.0" };
    const transport = options.mode === "transport";
    if (transport && (options.tunnel === undefined || options.encap === true))
      throw usage("transport mode needs both ends, and does not go in UDP");
    for (const address of [local, remote])
      if (canonicalAddress(address) === undefined) throw usage(`not an IP address: ${address}`);
    const path = saPath({ local: { address: local, port: 0 }, remote: { address: remote, port: 0 } }, -1);

    this.direction = options.direction;
    this.suite = suite;
    this.#family = familyOf(local);
    this.#encap = options.encap ?? false;
    this.#mtuFor = transport ? transportMtu : innerMtu;
    const { slab, ops } = this.#arena;
    const engine = openEngineFor(suite, options.engine ?? "auto", slab, ops.capacity);
    this.engine = engine.name;
    this.#closeEngine = () => engine.close();
    this.#owned = new OwnedSas(this.#sad, this.#spd, engine);
    const parts = { sad: this.#sad, spd: this.#spd, counters: this.#counters, owned: this.#owned, engine, ops };
    this.#inbound = new Inbound({ ...parts, worker: 0, workers: 1, block: ALL });
    this.#outbound = new Outbound({ ...parts, ivs: new IvPool(), block: ALL });

    this.#spd.set(0, options.selectors?.local ?? anySelectors, options.selectors?.remote ?? anySelectors);
    const record = this.direction === "open" ? RECORD_IN : RECORD_OUT;
    this.#sad.publish(record, {
      spi: options.spi,
      suite,
      esn: options.esn ?? false,
      encap: this.#encap,
      transport,
      tunnel: 0,
      window,
      key: options.key,
      path,
      top: sequence,
    });
    this.#owned.get(record);
    this.#sad.key(record, suite.keyLength).fill(0); // the engine has it now
  }

  /**
   * Seal IPv4 or IPv6 packets of at most 9472 octets. Returns as many ESP packets, from the SPI to the ICV: what goes behind
   * an outer IP header with protocol 50, or behind a UDP header. Throws ESPALIER_USAGE when a packet is not a whole IP
   * packet, is too long, is outside the selectors, or when sequence numbers are exhausted: none is returned then, and the numbers of
   * those before it are spent.
   */
  seal(packets: readonly Uint8Array[]): Uint8Array[] {
    this.#check("seal");
    const { slab } = this.#arena;
    const batch = this.#toSeal;
    const sealed: Uint8Array[] = [];
    for (let from = 0; from < packets.length; from += BATCH) {
      const some = packets.slice(from, from + BATCH);
      batch.count = some.length;
      some.forEach((packet, n) => {
        const at = this.#arena.outboundAt(n);
        batch.at[n] = at;
        batch.length[n] = packet.length;
        batch.slot[n] = 0;
        batch.tunnelBlock[n] = NO_TUNNEL;
        if (packet.length <= MAX_PACKET) slab.set(packet, at);
      });
      this.#outbound.seal(batch);
      this.#outbound.settle(batch);
      some.forEach((_, n) => {
        const verdict = batch.verdict[n]!;
        if (verdict !== Verdict.PASS)
          throw usage(`packet ${from + n} cannot be sealed: ${verdictName(verdict)} (${VERDICTS[verdict]!.text})`);
        const at = batch.sealedAt[n]!;
        sealed.push(slab.slice(at, at + batch.sealedLength[n]!));
      });
    }
    return sealed;
  }

  /** Open ESP packets, from the SPI to the ICV. Returns a verdict for each, in order; no content of a packet throws. */
  open(packets: readonly Uint8Array[]): Opened[] {
    this.#check("open");
    const { slab } = this.#arena;
    const batch = this.#toOpen;
    const opened: Opened[] = [];
    for (let from = 0; from < packets.length; from += BATCH) {
      const some = packets.slice(from, from + BATCH);
      batch.count = some.length;
      some.forEach((packet, n) => {
        const at = this.#arena.inboundAt(n);
        const fits = packet.length <= MAX_PACKET;
        slab.set(fits ? packet : packet.subarray(0, MAX_PACKET), at);
        batch.at[n] = at;
        batch.length[n] = fits ? packet.length : MAX_PACKET;
        batch.truncated[n] = fits ? 0 : 1;
        batch.sourceLength[n] = 0;
      });
      this.#inbound.open(batch);
      this.#inbound.settle(batch);
      some.forEach((_, n) => {
        const verdict = verdictName(batch.verdict[n]!);
        const at = batch.innerAt[n]!;
        opened.push(verdict === "pass" ? { verdict, packet: slab.slice(at, at + batch.innerLength[n]!) } : { verdict });
      });
    }
    return opened;
  }

  /** All packets given to this session, by verdict: those that named another SPI included. Octets are inner ones. */
  counters(): Tally {
    return this.#counters.tally(ALL);
  }

  /** Packets that named this SA, by verdict. */
  saCounters(): Tally {
    return this.#counters.tally(this.#record);
  }

  /** Sequence number last sent, or highest authenticated. */
  get sequence(): number {
    return this.#sad.top(this.#record);
  }

  /** The largest inner packet, in octets, whose ESP packet fits a path of `outerMtu` octets. */
  innerMtu(outerMtu: number): number {
    return this.#mtuFor(this.suite, { family: this.#family, udp: this.#encap }, outerMtu);
  }

  /** Wipe the key and what is left of packets. The session is of no use after. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sad.withdraw(this.#record);
    this.#owned.close();
    this.#closeEngine();
    this.#arena.slab.fill(0);
  }

  get #record(): number {
    return this.direction === "open" ? RECORD_IN : RECORD_OUT;
  }

  #check(direction: "seal" | "open"): void {
    if (this.#closed) throw usage("the session is closed");
    if (this.direction !== direction) throw usage(`this session was opened to ${this.direction}, not to ${direction}`);
  }
}

const checkSequence = (sequence: number, esn: boolean): number => {
  const last = esn ? Number.MAX_SAFE_INTEGER : 0xffff_ffff;
  if (!Number.isInteger(sequence) || sequence < 0 || sequence > last)
    throw usage(`a sequence number is 0 to ${last}, not ${sequence}`);
  return sequence;
};
